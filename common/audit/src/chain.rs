//! Hashes and keys of the chain: every label and derivation in one place.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use hpke::aead::ExportOnlyAead;
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::keys::{AuditKey, AuditPublicKey, Kdf, Key};

const LINK: &[u8] = b"latentwire/1 audit link";
const FILE_INFO: &[u8] = b"latentwire/1 audit file";
const FILE_KEY: &[u8] = b"latentwire/1 audit file key";
const MAC_KEY: &[u8] = b"latentwire/1 audit mac";
const SEAL_KEY: &[u8] = b"latentwire/1 audit seal";
const NEXT_KEY: &[u8] = b"latentwire/1 audit next";
const HEAD_KEY: &[u8] = b"latentwire/1 audit head";
const CONTINUE_KEY: &[u8] = b"latentwire/1 audit continue";

/// Sealed identifiers are padded to a multiple of this, so that a name's length does not show.
const SEALED_UNIT: usize = 256;

/// A SHA-256 that stands for the chain up to a record.
pub(crate) type Link = [u8; 32];
/// An HMAC-SHA256.
pub(crate) type Tag = [u8; 32];

/// What the first record of a log names as the one before it.
pub(crate) const GENESIS: Link = [0; 32];

/// `link_n = SHA-256("latentwire/1 audit link" ‖ line_n)`, the line without its line end; it holds `link_{n-1}`.
pub(crate) fn link(line: &[u8]) -> Link {
    Sha256::new().chain_update(LINK).chain_update(line).finalize().into()
}

/// The key of one place of the chain. Each use derives another key; [`Ratchet::advance`] goes to the next place and wipes
/// this one.
pub(crate) struct Ratchet(Key);

impl Ratchet {
    pub(crate) fn from_key(key: Key) -> Self {
        Self(key)
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// A new file's first key, encapsulated to the audit key: `(enc, K_0)`.
    pub(crate) fn encapsulate(to: &AuditPublicKey, file: u32, seq: u64, before: &Link) -> (Vec<u8>, Self) {
        let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
        let (enc, context) = hpke::setup_sender_with_rng::<ExportOnlyAead, Kdf, XWing>(
            &OpModeS::Base,
            &to.0,
            &info(file, seq, before),
            &mut rng,
        )
        .expect("encapsulation to a key that was checked succeeds");
        let mut key = Zeroizing::new([0_u8; 32]);
        context.export(FILE_KEY, key.as_mut_slice()).expect("32 bytes are below HKDF's limit");
        (enc.to_bytes().to_vec(), Self(key))
    }

    /// The same key, for whoever has the secret half. `None` where `enc` is none.
    pub(crate) fn decapsulate(
        key: &AuditKey,
        enc: &[u8],
        file: u32,
        seq: u64,
        before: &Link,
    ) -> Option<Self> {
        let enc = <XWing as Kem>::EncappedKey::from_bytes(enc).ok()?;
        let context = hpke::setup_receiver::<ExportOnlyAead, Kdf, XWing>(
            &OpModeR::Base,
            &key.private(),
            &enc,
            &info(file, seq, before),
        )
        .ok()?;
        let mut key = Zeroizing::new([0_u8; 32]);
        context.export(FILE_KEY, key.as_mut_slice()).ok()?;
        Some(Self(key))
    }

    /// Goes on to the next record's key; this one is wiped.
    pub(crate) fn advance(&mut self) {
        self.0 = self.derive(NEXT_KEY);
    }

    /// Authenticates a record.
    pub(crate) fn record_tag(&self, signed: &[u8]) -> Tag {
        tag(&self.derive(MAC_KEY), signed)
    }

    /// Authenticates the head that ends *before* this place.
    pub(crate) fn head_tag(&self, signed: &[u8]) -> Tag {
        tag(&self.derive(HEAD_KEY), signed)
    }

    /// Proves, at the end of one file, that the next one was begun by whoever wrote this one.
    pub(crate) fn continuation(&self, file: u32, seq: u64, before: &Link, enc: &[u8]) -> Tag {
        let mut signed = info(file, seq, before);
        signed.extend_from_slice(enc);
        tag(&self.derive(CONTINUE_KEY), &signed)
    }

    /// Seals identifiers; one key a record, so the zero nonce never repeats.
    pub(crate) fn seal(&self, plaintext: &[u8], before: &Link) -> Vec<u8> {
        let padded = (plaintext.len() + 1).next_multiple_of(SEALED_UNIT);
        let mut body = Vec::with_capacity(padded + 16);
        body.extend_from_slice(plaintext);
        body.resize(padded, b' ');
        self.cipher()
            .encrypt_in_place(&nonce(), before, &mut body)
            .expect("identifiers are far below GCM's limit");
        body
    }

    pub(crate) fn open(&self, sealed: &[u8], before: &Link) -> Option<Zeroizing<Vec<u8>>> {
        let mut body = Zeroizing::new(sealed.to_vec());
        self.cipher().decrypt_in_place(&nonce(), before, &mut *body).ok()?;
        Some(body)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.derive(SEAL_KEY)).into())
    }

    fn derive(&self, label: &[u8]) -> Key {
        let mut key = Zeroizing::new([0_u8; 32]);
        Hkdf::<Sha256>::from_prk(self.0.as_slice())
            .expect("a key of the chain is as long as a hash")
            .expand(label, key.as_mut_slice())
            .expect("32 bytes are below HKDF's limit");
        key
    }
}

/// Whether two tags are equal, in constant time.
pub(crate) fn tags_equal(a: &Tag, b: &Tag) -> bool {
    a.ct_eq(b).into()
}

fn tag(key: &Key, signed: &[u8]) -> Tag {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_slice()).expect("HMAC takes keys of any length");
    mac.update(signed);
    mac.finalize().into_bytes().into()
}

/// `"latentwire/1 audit file" ‖ u32be(file) ‖ u64be(seq) ‖ before`.
fn info(file: u32, seq: u64, before: &Link) -> Vec<u8> {
    let mut info = FILE_INFO.to_vec();
    info.extend_from_slice(&file.to_be_bytes());
    info.extend_from_slice(&seq.to_be_bytes());
    info.extend_from_slice(before);
    info
}

fn nonce() -> Nonce<aes_gcm::aead::consts::U12> {
    [0_u8; 12].into()
}
