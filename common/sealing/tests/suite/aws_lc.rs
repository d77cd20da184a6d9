//! AES-256-GCM, and our segments above it, against AWS-LC: what one seals the other opens, and both refuse the same.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce as OtherNonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use latentwire_sealing::at_rest::{self, DataKey, OBJECT_PREAMBLE_BYTES};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::support::system_rng;

const SEGMENT: usize = 65_536;

fn other(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"))
}

fn seal_here(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut body = plaintext.to_vec();
    Aes256Gcm::new(key.into()).encrypt_in_place(&Nonce::from(nonce), aad, &mut body).expect("short");
    body
}

fn open_here(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let mut body = sealed.to_vec();
    let opened = Aes256Gcm::new(key.into()).decrypt_in_place(&Nonce::from(nonce), aad, &mut body);
    opened.ok().map(|()| body)
}

fn seal_there(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut body = plaintext.to_vec();
    let nonce = OtherNonce::assume_unique_for_key(nonce);
    other(key).seal_in_place_append_tag(nonce, Aad::from(aad), &mut body).expect("short");
    body
}

fn open_there(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let mut body = sealed.to_vec();
    let nonce = OtherNonce::assume_unique_for_key(nonce);
    other(key).open_in_place(nonce, Aad::from(aad), &mut body).ok().map(|opened| opened.to_vec())
}

/// Lengths around the blocks and strides at which implementations change their road, and any other.
fn length(most: usize) -> impl Strategy<Value = usize> {
    let edges: Vec<usize> =
        [0, 1, 15, 16, 17, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 1023, 4096, 65_535, 65_536]
            .into_iter()
            .filter(|&edge| edge <= most)
            .collect();
    prop_oneof![2 => prop::sample::select(edges), 1 => 0..=most]
}

/// Bytes that a seed names: shorter to shrink than a vector of 64 KiB.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(length + 32);
    let mut block = Sha256::digest(seed.to_be_bytes());
    while out.len() < length {
        out.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    out.truncate(length);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn both_seal_alike_and_refuse_alike(
        key in any::<[u8; 32]>(),
        nonce in any::<[u8; 12]>(),
        seed in any::<u64>(),
        text_bytes in length(SEGMENT),
        aad_bytes in length(4096),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        what in 0..5,
    ) {
        let (text, aad) = (bytes(seed, text_bytes), bytes(!seed, aad_bytes));
        let sealed = seal_here(&key, nonce, &aad, &text);
        prop_assert_eq!(&sealed, &seal_there(&key, nonce, &aad, &text));
        prop_assert_eq!(open_here(&key, nonce, &aad, &sealed), Some(text.clone()));
        prop_assert_eq!(open_there(&key, nonce, &aad, &sealed), Some(text));

        let (mut key, mut nonce, mut aad, mut sealed) = (key, nonce, aad, sealed);
        let flip = |bytes: &mut [u8]| bytes[at.index(bytes.len())] ^= 1 << bit;
        match what {
            0 => flip(&mut sealed),
            1 => flip(&mut nonce),
            2 => flip(&mut key),
            3 if !aad.is_empty() => flip(&mut aad),
            3 => aad.push(0),
            _ => sealed.truncate(at.index(sealed.len())),
        }
        prop_assert_eq!(open_here(&key, nonce, &aad, &sealed), None);
        prop_assert_eq!(open_there(&key, nonce, &aad, &sealed), None);
    }

    #[test]
    fn a_whole_object_is_the_same_from_either(
        key in any::<[u8; 32]>(),
        id in any::<[u8; 16]>(),
        salt in any::<[u8; 32]>(),
        seed in any::<u64>(),
        length in prop_oneof![length(SEGMENT), Just(2 * SEGMENT), Just(2 * SEGMENT + 1), Just(257 * 1024)],
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let text = bytes(seed, length);
        let data_key = DataKey::from_unwrapped(Zeroizing::new(key));
        let ours = at_rest::seal(&mut system_rng(), &data_key, &id, &text).expect("small");
        prop_assert_eq!(Object::read(&key, &ours).open(), Some(text.clone()));
        let theirs = Object::seal(&key, &id, &salt, &text);
        let opened = at_rest::open(&data_key, &id, &theirs).expect("sealed by the other road");
        prop_assert_eq!(opened.as_slice(), text.as_slice());
        let mut changed = ours;
        let at = OBJECT_PREAMBLE_BYTES + at.index(changed.len() - OBJECT_PREAMBLE_BYTES);
        changed[at] ^= 1 << bit;
        prop_assert!(at_rest::open(&data_key, &id, &changed).is_err());
        prop_assert_eq!(Object::read(&key, &changed).open(), None);
    }
}

/// An object at rest as docs/PROTOCOL.md, section 13, has it, by AWS-LC alone.
struct Object<'a> {
    prk: Prk,
    ctx: [u8; 32],
    segments: Vec<&'a [u8]>,
}

/// Bytes that HKDF is to give.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl<'a> Object<'a> {
    fn read(key: &[u8; 32], object: &'a [u8]) -> Self {
        let (header, rest) = object.split_at(36);
        let (salt, segments) = rest.split_at(32);
        let segments = segments[32..].chunks(SEGMENT + 16).collect();
        Self { prk: Salt::new(HKDF_SHA256, salt).extract(key), ctx: context(header), segments }
    }

    fn open(&self) -> Option<Vec<u8>> {
        let mut plaintext = Vec::new();
        for (index, segment) in self.segments.iter().enumerate() {
            let (key, nonce) = self.place(index, index + 1 == self.segments.len());
            plaintext.extend(open_there(&key, nonce, &self.ctx, segment)?);
        }
        Some(plaintext)
    }

    fn seal(key: &[u8; 32], id: &[u8; 16], salt: &[u8; 32], text: &[u8]) -> Vec<u8> {
        let mut object = [b"LWSO\x01\0\0\0".as_slice(), id, &65_536_u32.to_be_bytes()].concat();
        object.extend((text.len() as u64).to_be_bytes());
        let (ctx, prk) = (context(&object), Salt::new(HKDF_SHA256, salt).extract(key));
        let mut segments: Vec<&[u8]> = text.chunks(SEGMENT).collect();
        if segments.is_empty() {
            segments.push(&[]);
        }
        let here = Object { prk, ctx, segments };
        object.extend(salt);
        object.extend(here.expand::<32>(b"commit", &[]));
        for (index, segment) in here.segments.iter().enumerate() {
            let (key, nonce) = here.place(index, index + 1 == here.segments.len());
            object.extend(seal_there(&key, nonce, &ctx, segment));
        }
        object
    }

    fn place(&self, index: usize, last: bool) -> ([u8; 32], [u8; 12]) {
        let mut nonce = [0; 12];
        nonce[..7].copy_from_slice(&self.expand::<7>(b"nonce", &[]));
        nonce[7..11].copy_from_slice(&u32::try_from(index).expect("few segments").to_be_bytes());
        nonce[11] = last.into();
        (self.expand(b"row", &[u8::try_from(index % 256).expect("below 256")]), nonce)
    }

    fn expand<const N: usize>(&self, label: &[u8], more: &[u8]) -> [u8; N] {
        let mut out = [0; N];
        let info = [b"latentwire/1 ".as_slice(), label, &self.ctx, more];
        self.prk.expand(&info, Length(N)).and_then(|okm| okm.fill(&mut out)).expect("short");
        out
    }
}

fn context(header: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update("latentwire/1 object").chain_update(header).finalize().into()
}
