//! NIST CAVP, AES-256-GCM with the protocol's nonce and tag lengths: `vectors/nist-cavp-gcm256-*.rsp`.

use aes_gcm::aead::{AeadInOut, KeyInit, inout::InOutBuf};
use aes_gcm::{Aes256Gcm, Nonce, Tag};

const ENCRYPT: &str = include_str!("../vectors/nist-cavp-gcm256-encrypt.rsp");
const DECRYPT: &str = include_str!("../vectors/nist-cavp-gcm256-decrypt.rsp");

/// One case; `plaintext` is none where decryption must fail.
struct Case {
    cipher: Aes256Gcm,
    nonce: Nonce<aes_gcm::aead::consts::U12>,
    aad: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Tag,
    plaintext: Option<Vec<u8>>,
}

/// The blocks of a CAVS response file that are cases.
fn cases(text: &str) -> impl Iterator<Item = Case> {
    text.split("\n\n").filter(|block| block.starts_with("Count")).map(|block| {
        let field = |name: &str| {
            let value = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" ="));
            value.map(|value| hex::decode(value.trim()).expect("hex"))
        };
        let some = |name| field(name).unwrap_or_else(|| panic!("{name} in {block}"));
        let key: [u8; 32] = some("Key").try_into().expect("32 bytes");
        Case {
            cipher: Aes256Gcm::new(&key.into()),
            nonce: Nonce::try_from(some("IV").as_slice()).expect("12 bytes"),
            aad: some("AAD"),
            ciphertext: some("CT"),
            tag: Tag::try_from(some("Tag").as_slice()).expect("16 bytes"),
            plaintext: if block.trim_end().ends_with("FAIL") { None } else { field("PT") },
        }
    })
}

#[test]
fn encryption() {
    let mut count = 0;
    for case in cases(ENCRYPT) {
        let mut buffer = case.plaintext.expect("a case of encryption has a plaintext");
        let tag = case
            .cipher
            .encrypt_inout_detached(&case.nonce, &case.aad, InOutBuf::from(buffer.as_mut_slice()))
            .expect("it is short");
        assert_eq!((buffer, tag), (case.ciphertext, case.tag));
        count += 1;
    }
    assert_eq!(count, 100, "cases of the subset");
}

#[test]
fn decryption() {
    let (mut valid, mut refused) = (0, 0);
    for case in cases(DECRYPT) {
        let mut buffer = case.ciphertext.clone();
        let result = case.cipher.decrypt_inout_detached(
            &case.nonce,
            &case.aad,
            InOutBuf::from(buffer.as_mut_slice()),
            &case.tag,
        );
        if let Some(plaintext) = case.plaintext {
            result.expect("a valid case");
            assert_eq!(buffer, plaintext);
            valid += 1;
        } else {
            assert!(result.is_err());
            assert_eq!(buffer, case.ciphertext, "no plaintext before the tag is checked");
            refused += 1;
        }
    }
    assert_eq!((valid, refused), (52, 48), "cases of the subset");
}
