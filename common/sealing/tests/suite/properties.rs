//! Properties over any length, segment size, policy and mutation; and parsers that never panic.

use latentwire_sealing::at_rest::{self, DataKey, StorageKey};
use latentwire_sealing::{
    CryptoError, Form, Hello, ImageSecret, Initiator, InnerLayer, MAX_PADDED_BYTES, OpenBody, PaddingPolicy,
    PublicKey, Responder, SecretKey, TrustStore, padding,
};
use proptest::prelude::*;

use crate::support::{Pair, body, coded, open_all, open_transfer, rows_body, seal_all, sha256, system_rng};

fn policy() -> impl Strategy<Value = PaddingPolicy> {
    prop_oneof![Just(PaddingPolicy::Padme), Just(PaddingPolicy::Fixed), Just(PaddingPolicy::None)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_transfer_round_trips(length in 1_usize..200_000, segment in 1_024_u32..=65_536, policy in policy()) {
        let (mut here, mut there) = Pair::new().session();
        let image = coded(length);
        let (mut proposal, accepted) =
            open_transfer(&mut here, &mut there, &body(length as u64, segment, policy));
        let sealed = seal_all(&mut proposal, &padding::pad(policy, image.clone()).expect("small"));
        let mut segments = accepted.segments;
        let mut opened = Vec::new();
        for (last, mut ciphertext) in sealed {
            segments.open(last, &mut ciphertext).expect("honest");
            opened.extend_from_slice(&ciphertext);
        }
        let complete = segments.finish().expect("whole");
        prop_assert_eq!(padding::unpad(complete, opened, length as u64, &sha256(&image)), Ok(image));
    }

    #[test]
    fn any_single_mutation_fails(
        length in 1_usize..20_000,
        place in any::<prop::sample::Index>(),
        mask in 1_u8..,
        kind in 0..4,
        rows: bool,
        chaos: bool,
    ) {
        let (mut here, mut there) = Pair::new().session();
        let (body, length) = if rows {
            let rows = length.div_ceil(24);
            (rows_body(rows, 24), rows * 24)
        } else {
            let inner_layer = if chaos { InnerLayer::Chaos4 } else { InnerLayer::None };
            (OpenBody { inner_layer, ..body(length as u64, 1_024, PaddingPolicy::None) }, length)
        };
        let (mut proposal, accepted) = open_transfer(&mut here, &mut there, &body);
        let mut sealed = seal_all(&mut proposal, &coded(length));
        let i = place.index(sealed.len());
        let byte = place.index(sealed[i].1.len());
        match kind {
            0 => sealed[i].1[byte] ^= mask,
            1 => { sealed[i].1.remove(byte); }
            2 => sealed[i].1.insert(byte, mask),
            _ => sealed[i].0 = !sealed[i].0,
        }
        prop_assert!(open_all(accepted, &sealed).is_err());
    }

    #[test]
    fn any_other_order_fails(order in Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let (mut here, mut there) = Pair::new().session();
        let (mut proposal, accepted) =
            open_transfer(&mut here, &mut there, &body(12 * 1_024, 1_024, PaddingPolicy::None));
        let sealed = seal_all(&mut proposal, &coded(12 * 1_024));
        let shuffled: Vec<_> = order.iter().map(|&i| sealed[i].clone()).collect();
        let in_order = order.windows(2).all(|pair| pair[0] < pair[1]);
        prop_assert_eq!(open_all(accepted, &shuffled).is_ok(), in_order);
    }

    #[test]
    fn objects_round_trip(length in 0_usize..200_000) {
        let key = DataKey::generate(&mut system_rng());
        let plaintext = coded(length);
        let object = at_rest::seal(&mut system_rng(), &key, &[1; 16], &plaintext).expect("small");
        prop_assert_eq!(object.len() as u64, at_rest::sealed_bytes(length as u64).expect("small"));
        prop_assert_eq!(&*at_rest::open(&key, &[1; 16], &object).expect("honest"), &plaintext);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn padme_is_monotone_and_adds_at_most_an_eighth(length in 1_u64..=MAX_PADDED_BYTES) {
        let padded = |length| padding::padded_length(PaddingPolicy::Padme, length).expect("up to 1 GiB");
        prop_assert!(padded(length) >= length);
        prop_assert!((padded(length) - length) * 100 <= length * 12);
        prop_assert!(length == 1 || padded(length - 1) <= padded(length));
        prop_assert_eq!(padded(padded(length)), padded(length));
    }

    #[test]
    fn parsers_of_texts_never_panic(text in "\\PC{0,120}", bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let prefixed = format!("LATENTWIRE-SECRET-KEY-1{text}");
        for text in [text.as_str(), prefixed.as_str(), &String::from_utf8_lossy(&bytes)] {
            prop_assert!(SecretKey::from_text(text).is_err());
            prop_assert!(PublicKey::from_text(text).is_err());
            prop_assert!(StorageKey::from_text(text).is_err());
            let _ = TrustStore::parse(text);
        }
    }
}

/// Whatever is asked for, both ends keep to the same rules, and what is within them is read as it was written.
#[test]
fn any_body_is_read_as_it_was_written_or_refused_at_both_ends() {
    let (here, there) = Pair::new().session();
    let forms = prop_oneof![Just(Form::Latent), Just(Form::Exact), Just(Form::Bounded)];
    let policies = prop_oneof![policy(), Just(PaddingPolicy::Rows)];
    let layers = prop_oneof![Just(InnerLayer::None), Just(InnerLayer::Chaos4)];
    let floats = (1_u32..=16_384).prop_map(|floats| floats * 4);
    let sizes = prop_oneof![floats, 0_u32..200, 1_020_u32..1_030, 65_530_u32..65_545, any::<u32>()];
    let lengths = prop_oneof![0_u64..3_000, 0_u64..=MAX_PADDED_BYTES + 2, any::<u64>()];
    let config = ProptestConfig::with_cases(4_000);
    let taken = std::cell::Cell::new([0_u32; 3]);
    proptest!(config, |(form in forms, padding in policies, inner_layer in layers, size in sizes, length in lengths, rows: bool)| {
        // A length of whole rows is rare by chance.
        let padded_bytes = if rows { length / u64::from(size.max(1)) * u64::from(size.max(1)) } else { length };
        let decoder_digest = if form == Form::Exact { [0; 32] } else { [9; 32] };
        let body = OpenBody {
            form, padding, inner_layer, decoder_digest, padded_bytes, segment_bytes: size,
            ..body(1_000, 1_024, PaddingPolicy::None)
        };
        let secret = ImageSecret::generate(&mut system_rng());
        match here.secrets.propose(&body, secret, &[7; 32]) {
            Ok(proposal) => {
                let accepted = there.secrets.accept(&proposal.open).expect("within the rules");
                prop_assert_eq!(&accepted.body, &body);
                let mut counts = taken.get();
                let kind = match (padding, inner_layer) {
                    (PaddingPolicy::Rows, _) => 0,
                    (_, InnerLayer::Chaos4) => 1,
                    (_, InnerLayer::None) => 2,
                };
                counts[kind] += 1;
                taken.set(counts);
            }
            Err(refused) => {
                let mut open = vec![0; 164];
                open[..4].copy_from_slice(&[1, form as u8, padding as u8, inner_layer as u8]);
                open[24..56].copy_from_slice(&decoder_digest);
                open[56..60].copy_from_slice(&size.to_be_bytes());
                open[60..68].copy_from_slice(&padded_bytes.to_be_bytes());
                prop_assert_eq!(there.secrets.accept(&open).err(), Some(refused));
            }
        }
    });
    assert!(taken.get().iter().all(|&count| count >= 10), "each kind was tried: {:?}", taken.get());
}

#[test]
fn parsers_of_bytes_never_panic() {
    let pair = Pair::new();
    let (_, there) = pair.session();
    let storage = StorageKey::generate(&mut system_rng());
    let key = DataKey::generate(&mut system_rng());
    proptest!(ProptestConfig::with_cases(2_000), |(bytes in prop::collection::vec(any::<u8>(), 0..400), id: [u8; 16])| {
        prop_assert!(there.secrets.accept(&bytes).is_err());
        prop_assert!(at_rest::open(&key, &id, &bytes).is_err());
        prop_assert!(storage.unwrap(&id, &bytes).is_err());
        prop_assert!(storage.open_record(&id, &bytes).is_err());
    });
    proptest!(ProptestConfig::with_cases(200), |(bytes in prop::collection::vec(any::<u8>(), 1_280))| {
        let hello = Hello { version: 1, suite: 1, noise: bytes.clone() };
        prop_assert!(Responder::read(&pair.receiver, &hello, &mut system_rng()).is_err());
        let (initiator, _) = Initiator::start(&pair.sender, pair.receiver.public_key(), &mut system_rng())
            .expect("roles fit");
        let failed = matches!(
            initiator.finish(&bytes[..1_136]),
            Err(CryptoError::HandshakeAuthentication | CryptoError::NonContributory)
        );
        prop_assert!(failed);
    });
}
