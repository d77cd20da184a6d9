//! Key texts: round trips, typos, confusion of kinds and roles, weak points.

use latentwire_sealing::at_rest::StorageKey;
use latentwire_sealing::{CryptoError, Initiator, KeyTextProblem, PublicKey, Responder, Role, SecretKey};

use crate::support::{Pair, system_rng};

/// The low-order points of Curve25519 and their second spellings: + p, and with the ignored top bit
/// (RFC 7748, sections 5 and 6.1; cr.yp.to/ecdh.html).
pub const LOW_ORDER_POINTS: [&str; 13] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

fn point(text: &str) -> [u8; 32] {
    hex::decode(text).expect("hex").try_into().expect("32 bytes")
}

#[test]
fn texts_round_trip() {
    for role in [Role::Sender, Role::Receiver] {
        let secret = SecretKey::generate(role, &mut system_rng());
        let text = secret.to_text();
        assert!(text.starts_with("LATENTWIRE-SECRET-KEY-1"));
        let commented = format!("# made today\n\n  {}  \r\n# end\n", text.as_str());
        let again = SecretKey::from_text(&commented).expect("our own text");
        assert_eq!(again.public_key(), secret.public_key());
        assert_eq!(again.role(), role);
        let public = secret.public_key().to_string();
        assert!(public.starts_with("latentwire-public-key-1"));
        assert_eq!(public.parse::<PublicKey>().expect("our own text"), *secret.public_key());
    }
    let storage = StorageKey::generate(&mut system_rng());
    let again = StorageKey::from_text(&storage.to_text()).expect("our own text");
    assert_eq!(again.id(), storage.id());
}

#[test]
fn one_typo_never_loads() {
    let secret = SecretKey::generate(Role::Sender, &mut system_rng());
    let (secret_text, public_text) = (secret.to_text(), secret.public_key().to_string());
    let mut tried = 0;
    for (text, upper) in [(secret_text.as_str(), true), (public_text.as_str(), false)] {
        for place in 0..text.len() {
            for replacement in "qpzry9x8gf2tvdw0s3jn54khce6mua7l1-b ".chars() {
                let replacement = if upper { replacement.to_ascii_uppercase() } else { replacement };
                let mut typo: Vec<char> = text.chars().collect();
                if typo[place] == replacement {
                    continue;
                }
                typo[place] = replacement;
                let typo: String = typo.into_iter().collect();
                if typo.trim() == text {
                    continue;
                }
                assert!(SecretKey::from_text(&typo).is_err(), "place {place}");
                assert!(PublicKey::from_text(&typo).is_err(), "place {place}");
                tried += 1;
            }
        }
        for place in 0..text.len() {
            let mut dropped = text.to_owned();
            dropped.remove(place);
            let mut doubled = text.to_owned();
            doubled.insert(place, text.as_bytes()[place] as char);
            for typo in [dropped, doubled] {
                assert!(SecretKey::from_text(&typo).is_err() && PublicKey::from_text(&typo).is_err());
                tried += 1;
            }
        }
        for place in 0..text.len() - 1 {
            let mut swapped: Vec<u8> = text.bytes().collect();
            swapped.swap(place, place + 1);
            let swapped = String::from_utf8(swapped).expect("ASCII");
            if swapped != text {
                assert!(SecretKey::from_text(&swapped).is_err() && PublicKey::from_text(&swapped).is_err());
                tried += 1;
            }
        }
    }
    assert!(tried > 5_000, "{tried}");
}

#[test]
fn kinds_are_told_apart() {
    let mut rng = system_rng();
    let secret = SecretKey::generate(Role::Receiver, &mut rng);
    let public = secret.public_key().to_string();
    let storage = StorageKey::generate(&mut rng).to_text();
    let problem = |error: CryptoError| match error {
        CryptoError::KeyText(problem) => problem,
        other => panic!("{other}"),
    };
    let as_secret = |text: &str| problem(SecretKey::from_text(text).err().expect("another kind"));
    let as_public = |text: &str| problem(PublicKey::from_text(text).expect_err("another kind"));
    assert_eq!(as_secret(&public), KeyTextProblem::PublicForSecret);
    assert_eq!(as_public(&secret.to_text()), KeyTextProblem::SecretForPublic);
    assert_eq!(as_secret(&storage), KeyTextProblem::OtherKind);
    assert_eq!(as_public(&storage), KeyTextProblem::OtherKind);
    assert_eq!(
        problem(StorageKey::from_text(&secret.to_text()).err().expect("another kind")),
        KeyTextProblem::SecretForPublic
    );
    assert_eq!(as_secret(&secret.to_text().to_lowercase()), KeyTextProblem::NotCanonical);
    assert_eq!(as_public(&public.to_uppercase()), KeyTextProblem::NotCanonical);
    assert_eq!(as_secret(""), KeyTextProblem::NotOneLine);
    assert_eq!(as_secret("# nothing\n"), KeyTextProblem::NotOneLine);
    let two = format!("{}\n{}\n", secret.to_text().as_str(), secret.to_text().as_str());
    assert_eq!(as_secret(&two), KeyTextProblem::NotOneLine);
    assert_eq!(as_secret(&"Q".repeat(100_000)), KeyTextProblem::NotCanonical);
}

#[test]
fn roles_cannot_be_confused() {
    let pair = Pair::new();
    let mut rng = system_rng();
    let wrong = |result: Result<_, CryptoError>| matches!(result, Err(CryptoError::WrongRole { .. }));
    let receiver_key = pair.receiver.public_key();
    assert!(wrong(Initiator::start(&pair.receiver, receiver_key, &mut rng).map(|_| ())));
    assert!(wrong(Initiator::start(&pair.sender, pair.sender.public_key(), &mut rng).map(|_| ())));
    let (_, hello) = Initiator::start(&pair.sender, receiver_key, &mut rng).expect("roles fit");
    assert!(wrong(Responder::read(&pair.sender, &hello, &mut rng).map(|_| ())));
}

#[test]
fn one_scalar_in_both_roles_cannot_talk_to_itself() {
    // The payloads differ in the role byte alone, so this needs a hand-made receiver text of the sender's scalar.
    let sender = SecretKey::generate(Role::Sender, &mut system_rng());
    let twin = PublicKey::from_bytes(Role::Receiver, *sender.public_key().as_bytes()).expect("a good point");
    let refused = Initiator::start(&sender, &twin, &mut system_rng());
    assert!(matches!(refused.map(|_| ()), Err(CryptoError::OwnKey)));
}

#[test]
fn low_order_and_second_spellings_are_no_keys() {
    for text in LOW_ORDER_POINTS {
        let found = PublicKey::from_bytes(Role::Sender, point(text));
        assert_eq!(found, Err(CryptoError::PeerKeyInvalid), "{text}");
    }
    let key = *SecretKey::generate(Role::Sender, &mut system_rng()).public_key();
    let mut high_bit = *key.as_bytes();
    high_bit[31] |= 0x80;
    assert_eq!(PublicKey::from_bytes(Role::Sender, high_bit), Err(CryptoError::PeerKeyInvalid));
    // u = p + 9 is the base point spelled a second time.
    let mut base_plus_p = [0xff; 32];
    (base_plus_p[0], base_plus_p[31]) = (0xf6, 0x7f);
    assert_eq!(PublicKey::from_bytes(Role::Sender, base_plus_p), Err(CryptoError::PeerKeyInvalid));
    let mut base = [0; 32];
    base[0] = 9;
    assert!(PublicKey::from_bytes(Role::Sender, base).is_ok());
}

#[test]
fn fingerprints_are_ten_groups_of_four() {
    let key = *SecretKey::generate(Role::Sender, &mut system_rng()).public_key();
    let shown = key.fingerprint().to_string();
    let groups: Vec<&str> = shown.split(' ').collect();
    assert_eq!(groups.len(), 10);
    assert!(groups.iter().all(|group| group.len() == 4 && group.bytes().all(|b| b.is_ascii_hexdigit())));
}
