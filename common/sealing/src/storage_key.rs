//! The storage key, what it wraps, and what it keys (step 10): data keys, catalogue records, look-ups.

use std::fmt;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::identity::{Case, decode_text, encode_text, only_line};
use crate::labels;
use crate::segment::SEGMENT_OVERHEAD_BYTES;

/// Human-readable part of a storage key's text; the text itself is upper case.
pub const STORAGE_KEY_PREFIX: &str = "latentwire-storage-key-";
/// Length of a wrapped data key.
pub const WRAPPED_KEY_BYTES: usize = 16 + 32 + 32 + 16;
/// What the look-up key is wrapped for, in place of an object: no object has this id.
const LOOKUP_OBJECT: [u8; 16] = [0; 16];

/// Public id of a storage key: first 16 bytes of `SHA-256("latentwire/1 storage key id" ‖ key)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StorageKeyId(pub [u8; 16]);

impl fmt::Display for StorageKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StorageKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorageKeyId({self})")
    }
}

/// The key of a service's own storage; wraps data keys, seals catalogue records, keys look-ups.
///
/// # Security
/// Wiped when dropped; no `Debug`, `Clone`, `Serialize` or `PartialEq`.
pub struct StorageKey {
    key: Zeroizing<[u8; 32]>,
    id: StorageKeyId,
}

impl StorageKey {
    /// Draws a new storage key.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self::from_key(random_array(rng))
    }

    /// Reads a key file's text: blank lines, `#` comments and exactly one `LATENTWIRE-STORAGE-KEY-1…` line.
    ///
    /// # Errors
    /// [`CryptoError::KeyText`].
    pub fn from_text(text: &str) -> Result<Self, CryptoError> {
        let payload = decode_text(only_line(text)?, STORAGE_KEY_PREFIX, Case::Upper)?;
        let mut key = Zeroizing::new([0_u8; 32]);
        if payload.len() != key.len() {
            return Err(crate::KeyTextProblem::NotCanonical.into());
        }
        key.copy_from_slice(&payload);
        if key.iter().all(|&byte| byte == 0) {
            return Err(crate::KeyTextProblem::WeakKey.into());
        }
        Ok(Self::from_key(key))
    }

    /// The key as one line `LATENTWIRE-STORAGE-KEY-1…`, without a line end.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        encode_text(STORAGE_KEY_PREFIX, self.key.as_slice(), Case::Upper)
    }

    /// Public id of the key, for the catalogue.
    #[must_use]
    pub fn id(&self) -> StorageKeyId {
        self.id
    }

    /// Wraps an object's data key: [`WRAPPED_KEY_BYTES`] bytes for the catalogue, and nowhere else.
    #[must_use]
    pub fn wrap<R: CryptoRng + ?Sized>(&self, rng: &mut R, object_id: &[u8; 16], key: &DataKey) -> Vec<u8> {
        self.seal_under(rng, labels::WRAP, object_id, key.0.as_slice())
    }

    /// Unwraps an object's data key.
    ///
    /// # Errors
    /// [`CryptoError::StorageKeyUnknown`] where another storage key wrapped it, [`CryptoError::ObjectMalformed`],
    /// [`CryptoError::ObjectAuthentication`].
    pub fn unwrap(&self, object_id: &[u8; 16], wrapped: &[u8]) -> Result<DataKey, CryptoError> {
        let opened = self.open_under(labels::WRAP, object_id, wrapped)?;
        let mut key = Zeroizing::new([0_u8; 32]);
        if opened.len() != key.len() {
            return Err(CryptoError::ObjectMalformed { what: "a wrapped data key has 96 bytes" });
        }
        key.copy_from_slice(&opened);
        Ok(DataKey(key))
    }

    /// Id of the storage key that wrapped something, to find what a rotation must re-wrap.
    ///
    /// # Errors
    /// [`CryptoError::ObjectMalformed`].
    pub fn id_of_wrapped(wrapped: &[u8]) -> Result<StorageKeyId, CryptoError> {
        let id = wrapped
            .first_chunk::<16>()
            .ok_or(CryptoError::ObjectMalformed { what: "wrapped key is too short" })?;
        Ok(StorageKeyId(*id))
    }

    /// Seals a small catalogue record (attributes, summaries) for one object: `key_id ‖ salt ‖ ciphertext ‖ tag`.
    #[must_use]
    pub fn seal_record<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
        object_id: &[u8; 16],
        record: &[u8],
    ) -> Vec<u8> {
        self.seal_under(rng, labels::RECORD, object_id, record)
    }

    /// Opens what [`StorageKey::seal_record`] sealed for the same object.
    ///
    /// # Errors
    /// As [`StorageKey::unwrap`].
    pub fn open_record(
        &self,
        object_id: &[u8; 16],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.open_under(labels::RECORD, object_id, sealed)
    }

    /// Wraps the catalogue's look-up key, as a data key is wrapped, for the object id of 16 zero bytes.
    #[must_use]
    pub fn wrap_lookup<R: CryptoRng + ?Sized>(&self, rng: &mut R, key: &LookupKey) -> Vec<u8> {
        self.seal_under(rng, labels::WRAP, &LOOKUP_OBJECT, key.0.as_slice())
    }

    /// Unwraps the catalogue's look-up key.
    ///
    /// # Errors
    /// As [`StorageKey::unwrap`].
    pub fn unwrap_lookup(&self, wrapped: &[u8]) -> Result<LookupKey, CryptoError> {
        Ok(LookupKey(self.unwrap(&LOOKUP_OBJECT, wrapped)?.0))
    }

    /// The look-up key of a catalogue that was made before it had one of its own: `Extract(32 zero bytes, storage_key)`.
    #[must_use]
    pub fn first_lookup_key(&self) -> LookupKey {
        let mut key = Zeroizing::new([0_u8; 32]);
        let (prk, _) = Hkdf::<Sha256>::extract(None, self.key.as_slice());
        let prk = Zeroizing::new(<[u8; 32]>::from(prk));
        key.copy_from_slice(prk.as_slice());
        LookupKey(key)
    }

    fn from_key(key: Zeroizing<[u8; 32]>) -> Self {
        let digest =
            Sha256::new().chain_update(labels::STORAGE_KEY_ID).chain_update(key.as_slice()).finalize();
        let mut id = [0_u8; 16];
        id.copy_from_slice(&digest[..16]);
        Self { key, id: StorageKeyId(id) }
    }

    fn seal_under<R: CryptoRng + ?Sized>(
        &self,
        rng: &mut R,
        label: &[u8],
        object_id: &[u8; 16],
        plaintext: &[u8],
    ) -> Vec<u8> {
        let salt = *random_array::<R>(rng);
        let mut body = Vec::with_capacity(plaintext.len() + SEGMENT_OVERHEAD_BYTES);
        body.extend_from_slice(plaintext);
        self.cipher(label, &salt, object_id)
            .encrypt_in_place(&zero_nonce(), &self.associated_data(object_id), &mut body)
            .expect("catalogue records are far below GCM's limit");
        [self.id.0.as_slice(), &salt, &body].concat()
    }

    fn open_under(
        &self,
        label: &[u8],
        object_id: &[u8; 16],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let found = Self::id_of_wrapped(sealed)?;
        if found != self.id {
            return Err(CryptoError::StorageKeyUnknown { expected: self.id, found });
        }
        let (salt, body) = sealed[16..]
            .split_first_chunk::<32>()
            .ok_or(CryptoError::ObjectMalformed { what: "sealed record is too short" })?;
        let mut opened = Zeroizing::new(body.to_vec());
        self.cipher(label, salt, object_id)
            .decrypt_in_place(&zero_nonce(), &self.associated_data(object_id), &mut *opened)
            .map_err(|_| CryptoError::ObjectAuthentication)?;
        Ok(opened)
    }

    /// One key a salt, so that the zero nonce never repeats under it.
    fn cipher(&self, label: &[u8], salt: &[u8; 32], object_id: &[u8; 16]) -> Aes256Gcm {
        let mut key = Zeroizing::new([0_u8; 32]);
        Hkdf::<Sha256>::new(Some(salt), self.key.as_slice())
            .expand_multi_info(&[label, &self.id.0, object_id], key.as_mut_slice())
            .expect("32 bytes are below HKDF's limit");
        Aes256Gcm::new((&*key).into())
    }

    fn associated_data(&self, object_id: &[u8; 16]) -> Vec<u8> {
        [self.id.0, *object_id].concat()
    }
}

/// The random key of one object. Deleting its wrapped form erases the object.
///
/// # Security
/// Wiped when dropped; no `Debug`, `Clone`, `Serialize` or `PartialEq`.
pub struct DataKey(Zeroizing<[u8; 32]>);

impl DataKey {
    /// Draws a new data key.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(random_array(rng))
    }

    /// The key itself, for whoever wraps it: a storage key here, or a device that holds one.
    ///
    /// # Security
    /// Whoever has these bytes reads the object. Nothing but their wrapped form may be kept.
    #[must_use]
    pub fn expose_for_wrapping(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// A key that a device has unwrapped.
    #[must_use]
    pub fn from_unwrapped(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }
}

/// Keys the hashes by which a catalogue finds again what it must not be able to read. It stays when the storage key changes.
///
/// # Security
/// Wiped when dropped; no `Debug`, `Clone`, `Serialize` or `PartialEq`. Who has it can test guesses of names against the hashes.
pub struct LookupKey(Zeroizing<[u8; 32]>);

impl LookupKey {
    /// Draws a new look-up key.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        Self(random_array(rng))
    }

    /// Keyed hash of a value: `Expand(key, "latentwire/1 lookup" ‖ SHA-256(purpose) ‖ SHA-256(value), 32)`; `purpose` keeps
    /// uses apart (for example `peer`).
    #[must_use]
    pub fn tag(&self, purpose: &str, value: &[u8]) -> [u8; 32] {
        let digest = Sha256::digest(value);
        let purpose_digest = Sha256::digest(purpose.as_bytes());
        let mut tag = [0_u8; 32];
        Hkdf::<Sha256>::from_prk(self.0.as_slice())
            .expect("32 bytes are a pseudorandom key of SHA-256")
            .expand_multi_info(&[labels::LOOKUP, &purpose_digest, &digest], &mut tag)
            .expect("32 bytes are below HKDF's limit");
        tag
    }
}

pub(crate) fn random_array<R: CryptoRng + ?Sized>(rng: &mut R) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rng.fill_bytes(bytes.as_mut_slice());
    bytes
}

fn zero_nonce() -> Nonce<aes_gcm::aead::consts::U12> {
    [0_u8; 12].into()
}
