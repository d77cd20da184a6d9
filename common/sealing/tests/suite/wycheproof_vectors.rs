//! Wycheproof (C2SP): X25519, AES-256-GCM, HKDF-SHA256, ML-KEM-768, on the very crates that the protocol stands on.

use aes_gcm::aead::{AeadInOut, KeyInit, inout::InOutBuf};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use hkdf::Hkdf;
use ml_kem::kem::{Decapsulate, FromSeed, KeyExport};
use ml_kem::{MlKem768, ml_kem_768};
use sha2::Sha256;
use wycheproof::TestResult;
use x25519_dalek::{PublicKey, StaticSecret};

#[test]
fn x25519() {
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).expect("bundled");
    let (mut count, mut zero) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let secret: [u8; 32] = test.private_key.as_slice().try_into().expect("32 bytes");
        let public: [u8; 32] = test.public_key.as_slice().try_into().expect("32 bytes");
        let shared = StaticSecret::from(secret).diffie_hellman(&PublicKey::from(public));
        assert_eq!(shared.as_bytes(), test.shared_secret.as_slice(), "tcId {}", test.tc_id);
        let is_zero = test.shared_secret.iter().all(|&byte| byte == 0);
        assert_eq!(shared.was_contributory(), !is_zero, "tcId {}", test.tc_id);
        count += 1;
        zero += usize::from(is_zero);
    }
    assert_eq!((count, zero), (518, 31), "tests and all-zero results of the bundled set");
}

#[test]
fn aes_256_gcm() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).expect("bundled");
    let (mut valid, mut invalid) = (0, 0);
    let groups = set.test_groups.iter();
    for group in groups.filter(|g| g.key_size == 256 && g.nonce_size == 96 && g.tag_size == 128) {
        for test in &group.tests {
            let key: [u8; 32] = test.key.as_slice().try_into().expect("32 bytes");
            let nonce = Nonce::try_from(test.nonce.as_slice()).expect("12 bytes");
            let tag = Tag::try_from(test.tag.as_slice()).expect("16 bytes");
            let cipher = Aes256Gcm::new(&key.into());
            let mut opened = test.ct.to_vec();
            let result =
                cipher.decrypt_inout_detached(&nonce, &test.aad, InOutBuf::from(opened.as_mut_slice()), &tag);
            if test.result == TestResult::Valid {
                result.expect("a valid test");
                assert_eq!(opened, test.pt.as_slice(), "tcId {}", test.tc_id);
                let sealed_tag = cipher
                    .encrypt_inout_detached(&nonce, &test.aad, InOutBuf::from(opened.as_mut_slice()))
                    .expect("short");
                assert_eq!((opened.as_slice(), sealed_tag.as_slice()), (test.ct.as_slice(), tag.as_slice()));
                valid += 1;
            } else {
                assert!(result.is_err(), "tcId {}", test.tc_id);
                assert_eq!(opened, test.ct.as_slice(), "no plaintext before the tag is checked");
                invalid += 1;
            }
        }
    }
    assert_eq!((valid, invalid), (39, 27), "tests of the bundled set");
}

#[test]
fn hkdf_sha256() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).expect("bundled");
    let (mut valid, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut okm = vec![0; test.size];
        let result = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
        if test.result == TestResult::Valid {
            result.expect("a valid test");
            assert_eq!(okm, test.okm.as_slice(), "tcId {}", test.tc_id);
            valid += 1;
        } else {
            assert!(result.is_err(), "tcId {}", test.tc_id);
            refused += 1;
        }
    }
    assert_eq!((valid, refused), (83, 3), "tests of the bundled set");
}

#[test]
fn ml_kem_768_decapsulation() {
    let set = wycheproof::mlkem::TestSet::load(wycheproof::mlkem::TestName::MlKem768).expect("bundled");
    let (mut valid, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let seed = test.seed.as_ref().expect("a seed").as_slice().try_into();
        let ciphertext = ml_kem_768::Ciphertext::try_from(test.ct.as_ref().expect("a ciphertext").as_slice());
        let (Ok(seed), Ok(ciphertext)) = (seed, ciphertext) else {
            assert!(test.result.must_fail(), "tcId {}", test.tc_id);
            refused += 1;
            continue;
        };
        let (decapsulation_key, encapsulation_key) = MlKem768::from_seed(&seed);
        if let Some(expected) = &test.encaps_key {
            assert_eq!(encapsulation_key.to_bytes().as_slice(), expected.as_slice(), "tcId {}", test.tc_id);
        }
        let shared = decapsulation_key.decapsulate(&ciphertext);
        let expected = test.shared_secret.as_ref().expect("a shared secret");
        assert_eq!(shared.as_slice() == expected.as_slice(), !test.result.must_fail(), "tcId {}", test.tc_id);
        valid += 1;
    }
    assert_eq!((valid, refused), (161, 40), "tests of the bundled set");
}

#[test]
fn ml_kem_768_key_generation() {
    let set =
        wycheproof::mlkem::TestSet::load(wycheproof::mlkem::TestName::MlKem768KeyGenSeed).expect("bundled");
    let mut count = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let seed = test.seed.as_ref().expect("a seed").as_slice().try_into().expect("64 bytes");
        let (_, encapsulation_key) = MlKem768::from_seed(&seed);
        let expected = test.encaps_key.as_ref().expect("a key");
        assert_eq!(encapsulation_key.to_bytes().as_slice(), expected.as_slice(), "tcId {}", test.tc_id);
        count += 1;
    }
    assert_eq!(count, 100, "tests of the bundled set");
}

#[test]
fn ml_kem_768_encapsulation_refuses_bad_keys() {
    let set = wycheproof::mlkem::TestSet::load(wycheproof::mlkem::TestName::MlKem768Encaps).expect("bundled");
    let (mut valid, mut refused) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let bytes = test.encaps_key.as_ref().expect("a key").as_slice();
        let key = bytes.try_into().ok().and_then(|bytes| ml_kem_768::EncapsulationKey::new(&bytes).ok());
        let message = <[u8; 32]>::try_from(test.msg.as_ref().expect("a message").as_slice());
        let (Some(key), Ok(message)) = (key, message) else {
            assert!(test.result.must_fail(), "tcId {}", test.tc_id);
            refused += 1;
            continue;
        };
        assert!(!test.result.must_fail(), "tcId {}", test.tc_id);
        let (ciphertext, shared) = key.encapsulate_deterministic(&message.into());
        assert_eq!(ciphertext.as_slice(), test.ct.as_ref().expect("a ciphertext").as_slice());
        assert_eq!(shared.as_slice(), test.shared_secret.as_ref().expect("a secret").as_slice());
        valid += 1;
    }
    assert_eq!((valid, refused), (133, 132), "tests of the bundled set");
}
