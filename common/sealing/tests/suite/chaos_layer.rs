//! The chaos layer inside real segments: it comes back whole, and only with the keys of its own transfer.

use latentwire_sealing::{
    Acceptance, ChaosBytes, CryptoError, InnerLayer, OpenBody, PaddingPolicy, Proposal, padding,
};
use proptest::prelude::*;

use crate::support::{Pair, body, coded, open_transfer, seal_all, sha256};

const SEGMENT: u32 = 1_024;

fn transfer(length: usize, padding: PaddingPolicy) -> (Proposal, Acceptance) {
    let (mut here, mut there) = Pair::new().session();
    let body = OpenBody { inner_layer: InnerLayer::Chaos4, ..body(length as u64, SEGMENT, padding) };
    let (proposal, acceptance) = open_transfer(&mut here, &mut there, &body);
    assert_eq!(acceptance.body, body, "the receiver reads which layer it is");
    (proposal, acceptance)
}

/// Seals all of it, as `seal_all` does plain bytes.
fn seal_chaos(proposal: &mut Proposal, bytes: &ChaosBytes) -> Vec<(bool, Vec<u8>)> {
    let mut sealed = Vec::new();
    while proposal.segments.next_plaintext_bytes().is_some() {
        let (segment, position) = proposal.segments.seal_chaos(bytes).expect("a segment");
        sealed.push((position.last, segment));
    }
    assert_eq!(proposal.segments.seal_chaos(bytes).err(), Some(CryptoError::SegmentAfterLast));
    sealed
}

/// What the receiver makes of it; the padded plaintext is shown to `look` on the way.
fn receive(
    mut acceptance: Acceptance,
    sealed: &[(bool, Vec<u8>)],
    length: usize,
    digest: &[u8; 32],
    look: impl FnOnce(&[u8]),
) -> Result<Vec<u8>, CryptoError> {
    let mut padded = Vec::new();
    for (last, ciphertext) in sealed {
        let mut segment = ciphertext.clone();
        acceptance.segments.open(*last, &mut segment)?;
        padded.extend(segment);
    }
    look(&padded);
    let complete = acceptance.segments.finish()?;
    padding::unpad_chaos(complete, padded, length as u64, digest, &acceptance.tags)
}

#[test]
fn what_was_scrambled_comes_back_at_any_length_and_padding() {
    for length in [1, 2, 1_023, 1_024, 1_025, 5_000] {
        for policy in [PaddingPolicy::Padme, PaddingPolicy::Fixed, PaddingPolicy::None] {
            let coded: Vec<u8> = (0..length).map(|i| (i % 7) as u8).collect();
            let digest = sha256(&coded);
            let (mut proposal, acceptance) = transfer(length, policy);
            let bytes = ChaosBytes::scramble(coded.clone(), &proposal.tags, &digest);
            assert_eq!(bytes.len(), length);
            let sealed = seal_chaos(&mut proposal, &bytes);
            let scrambled = |padded: &[u8]| {
                assert!(length < 16 || padded[..length] != coded[..], "it is scrambled below AES-GCM too");
            };
            let opened = receive(acceptance, &sealed, length, &digest, scrambled);
            assert_eq!(opened, Ok(coded));
        }
    }
}

#[test]
fn another_transfers_keys_or_a_wrong_digest_give_nothing() {
    let coded = vec![5; 3_000];
    let digest = sha256(&coded);
    for wrong_digest in [false, true] {
        let (mut proposal, acceptance) = transfer(coded.len(), PaddingPolicy::Padme);
        let (other, _) = transfer(coded.len(), PaddingPolicy::Padme);
        let tags = if wrong_digest { &proposal.tags } else { &other.tags };
        let bytes = ChaosBytes::scramble(coded.clone(), tags, &digest);
        let sealed = seal_chaos(&mut proposal, &bytes);
        let stated = if wrong_digest { [9; 32] } else { digest };
        let opened = receive(acceptance, &sealed, 3_000, &stated, |_| ());
        assert_eq!(opened, Err(CryptoError::Digest));
    }
}

#[test]
fn who_says_chaos_and_sends_plain_bytes_is_refused() {
    let plain = coded(3_000);
    let (mut proposal, acceptance) = transfer(plain.len(), PaddingPolicy::None);
    let sealed = seal_all(&mut proposal, &plain);
    let opened = receive(acceptance, &sealed, 3_000, &sha256(&plain), |padded| assert_eq!(padded, plain));
    assert_eq!(opened, Err(CryptoError::Digest));
}

#[test]
fn who_says_nothing_and_sends_chaos_is_refused() {
    let plain = coded(3_000);
    let (mut here, mut there) = Pair::new().session();
    let body = body(3_000, SEGMENT, PaddingPolicy::None);
    let (mut proposal, mut acceptance) = open_transfer(&mut here, &mut there, &body);
    let bytes = ChaosBytes::scramble(plain.clone(), &proposal.tags, &sha256(&plain));
    let mut padded = Vec::new();
    for (last, mut segment) in seal_chaos(&mut proposal, &bytes) {
        acceptance.segments.open(last, &mut segment).expect("authentic");
        padded.extend(segment);
    }
    let complete = acceptance.segments.finish().expect("whole");
    assert_eq!(padding::unpad(complete, padded, 3_000, &sha256(&plain)), Err(CryptoError::Digest));
}

#[test]
fn every_bit_of_every_segment() {
    let plain = coded(1_500);
    let digest = sha256(&plain);
    let (mut here, mut there) = Pair::new().session();
    let body = OpenBody { inner_layer: InnerLayer::Chaos4, ..body(1_500, SEGMENT, PaddingPolicy::Padme) };
    let (mut proposal, _) = open_transfer(&mut here, &mut there, &body);
    let bytes = ChaosBytes::scramble(plain, &proposal.tags, &digest);
    let sealed = seal_chaos(&mut proposal, &bytes);
    for (index, (last, honest)) in sealed.iter().enumerate() {
        let index = index as u32;
        for bit in 0..honest.len() * 8 {
            let accepted = there.secrets.accept(&proposal.open).expect("the same session");
            let mut opener = accepted.segments.start_at(index).expect("a segment");
            let mut changed = honest.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opener.open(*last, &mut changed), Err(CryptoError::SegmentAuthentication { index }));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_image_comes_back(length in 1_usize..60_000, salt: u8) {
        let plain: Vec<u8> = coded(length).into_iter().map(|byte| byte ^ salt).collect();
        let digest = sha256(&plain);
        let (mut proposal, acceptance) = transfer(length, PaddingPolicy::Padme);
        let bytes = ChaosBytes::scramble(plain.clone(), &proposal.tags, &digest);
        let sealed = seal_chaos(&mut proposal, &bytes);
        prop_assert_eq!(receive(acceptance, &sealed, length, &digest, |_| ()), Ok(plain));
    }
}
