//! Objects at rest (step 10): each under its own random data key, wrapped by the storage key.
//!
//! ```text
//! object  = header(36) ‖ salt(32) ‖ commit(32) ‖ segments, the same STREAM as on the wire
//! header  = "LWSO" ‖ u8 version 1 ‖ 3 zero bytes ‖ object_id(16) ‖ u32be segment size ‖ u64be plaintext length
//! ctx     = SHA-256("latentwire/1 object" ‖ header)        associated data of every segment
//! prk     = Extract(salt, data_key);  commit, prefix and row keys as on the wire
//! wrapped = key_id(16) ‖ salt(32) ‖ AES-256-GCM(data_key), key Expand(Extract(salt, storage_key),
//!           "latentwire/1 wrap" ‖ key_id ‖ object_id, 32), zero nonce, associated data key_id ‖ object_id
//! ```

use std::fmt;

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::identity::{Case, decode_text, encode_text, only_line};
use crate::key_schedule::{Context, Prk, TransferKeys};
use crate::labels;
use crate::open_body::DEFAULT_SEGMENT_BYTES;
use crate::segment::{SEGMENT_OVERHEAD_BYTES, SegmentOpener, SegmentPlan, SegmentSealer};

/// Human-readable part of a storage key's text; the text itself is upper case.
pub const STORAGE_KEY_PREFIX: &str = "latentwire-storage-key-";
/// Bytes before the first segment of an object.
pub const OBJECT_PREAMBLE_BYTES: usize = HEADER_BYTES + 32 + 32;
/// Largest plaintext of an object: 1 GiB of coded image and 1 MiB for what is kept beside it.
pub const MAX_OBJECT_BYTES: u64 = (1 << 30) + (1 << 20);
/// Length of a wrapped data key.
pub const WRAPPED_KEY_BYTES: usize = 16 + 32 + 32 + 16;

const HEADER_BYTES: usize = 36;
const MAGIC: &[u8; 4] = b"LWSO";
const OBJECT_VERSION: u8 = 1;

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

    /// Keyed hash of a value that must be found again but not read: `purpose` keeps uses apart (for example `uid`).
    #[must_use]
    pub fn lookup_tag(&self, purpose: &str, value: &[u8]) -> [u8; 32] {
        let digest = Sha256::digest(value);
        let purpose_digest = Sha256::digest(purpose.as_bytes());
        let mut tag = [0_u8; 32];
        Hkdf::<Sha256>::new(None, self.key.as_slice())
            .expand_multi_info(&[labels::LOOKUP, &purpose_digest, &digest], &mut tag)
            .expect("32 bytes are below HKDF's limit");
        tag
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
}

/// Length of the sealed object for a plaintext length.
///
/// # Errors
/// [`CryptoError::TransferTooLarge`] above [`MAX_OBJECT_BYTES`].
pub fn sealed_bytes(plaintext_bytes: u64) -> Result<u64, CryptoError> {
    let plan = object_plan(plaintext_bytes, DEFAULT_SEGMENT_BYTES)?;
    Ok(OBJECT_PREAMBLE_BYTES as u64
        + plaintext_bytes
        + u64::from(plan.count()) * SEGMENT_OVERHEAD_BYTES as u64)
}

/// Seals an object under its data key.
///
/// # Errors
/// [`CryptoError::TransferTooLarge`] above [`MAX_OBJECT_BYTES`].
pub fn seal<R: CryptoRng + ?Sized>(
    rng: &mut R,
    key: &DataKey,
    object_id: &[u8; 16],
    plaintext: &[u8],
) -> Result<Vec<u8>, CryptoError> {
    let plaintext_bytes = plaintext.len() as u64;
    let plan = object_plan(plaintext_bytes, DEFAULT_SEGMENT_BYTES)?;
    let header = encode_header(object_id, DEFAULT_SEGMENT_BYTES, plaintext_bytes);
    let salt = *random_array::<R>(rng);
    let keys = object_keys(key, &salt, &header);

    let mut object = Vec::with_capacity(usize::try_from(sealed_bytes(plaintext_bytes)?).unwrap_or(0));
    object.extend_from_slice(&header);
    object.extend_from_slice(&salt);
    object.extend_from_slice(&keys.commitment());
    let mut sealer = SegmentSealer::new(keys, plan);
    let mut segment = Vec::with_capacity(DEFAULT_SEGMENT_BYTES as usize + SEGMENT_OVERHEAD_BYTES);
    let mut rest = plaintext;
    while let Some(length) = sealer.next_plaintext_bytes() {
        let (head, tail) = rest.split_at(length);
        segment.clear();
        segment.extend_from_slice(head);
        sealer.seal(&mut segment)?;
        object.extend_from_slice(&segment);
        rest = tail;
    }
    sealer.finish()?;
    Ok(object)
}

/// Opens an object: all of it authenticates, or nothing comes out.
///
/// # Errors
/// [`CryptoError::ObjectMalformed`] for another layout, id or length; [`CryptoError::ObjectAuthentication`] for a wrong
/// key or changed bytes.
pub fn open(key: &DataKey, object_id: &[u8; 16], object: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let malformed = |what| CryptoError::ObjectMalformed { what };
    let (header, rest) =
        object.split_first_chunk::<HEADER_BYTES>().ok_or(malformed("object is too short"))?;
    let (salt, rest) = rest.split_first_chunk::<32>().ok_or(malformed("object is too short"))?;
    let (commitment, mut rest) = rest.split_first_chunk::<32>().ok_or(malformed("object is too short"))?;
    let plan = parse_header(header, object_id)?;
    let total: u64 = plan.total_bytes() + u64::from(plan.count()) * SEGMENT_OVERHEAD_BYTES as u64;
    if rest.len() as u64 != total {
        return Err(malformed("object is cut short or has trailing bytes"));
    }
    let keys = object_keys(key, salt, header);
    if !keys.commits_to(commitment) {
        return Err(CryptoError::ObjectAuthentication);
    }
    let mut opener = SegmentOpener::new(keys, plan);
    let mut plaintext = Zeroizing::new(Vec::with_capacity(rest.len()));
    let mut segment = Zeroizing::new(Vec::new());
    while let Some(length) = plan.plaintext_bytes(opener.next_index()) {
        let (head, tail) = rest.split_at(length + SEGMENT_OVERHEAD_BYTES);
        segment.clear();
        segment.extend_from_slice(head);
        opener.open(tail.is_empty(), &mut segment).map_err(|_| CryptoError::ObjectAuthentication)?;
        plaintext.extend_from_slice(&segment);
        rest = tail;
    }
    opener.finish().map_err(|_| CryptoError::ObjectAuthentication)?;
    Ok(plaintext)
}

fn object_keys(key: &DataKey, salt: &[u8; 32], header: &[u8; HEADER_BYTES]) -> TransferKeys {
    Prk::extract(salt, &[key.0.as_slice()]).bind(Context::of_object_header(header))
}

fn object_plan(plaintext_bytes: u64, segment_bytes: u32) -> Result<SegmentPlan, CryptoError> {
    if plaintext_bytes > MAX_OBJECT_BYTES {
        return Err(CryptoError::TransferTooLarge { padded_bytes: plaintext_bytes, segment_bytes });
    }
    SegmentPlan::of_object(plaintext_bytes, segment_bytes)
}

fn encode_header(object_id: &[u8; 16], segment_bytes: u32, plaintext_bytes: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0_u8; HEADER_BYTES];
    header[..4].copy_from_slice(MAGIC);
    header[4] = OBJECT_VERSION;
    header[8..24].copy_from_slice(object_id);
    header[24..28].copy_from_slice(&segment_bytes.to_be_bytes());
    header[28..36].copy_from_slice(&plaintext_bytes.to_be_bytes());
    header
}

fn parse_header(header: &[u8; HEADER_BYTES], object_id: &[u8; 16]) -> Result<SegmentPlan, CryptoError> {
    let malformed = |what| CryptoError::ObjectMalformed { what };
    if &header[..4] != MAGIC {
        return Err(malformed("not a sealed object"));
    }
    if header[4] != OBJECT_VERSION {
        return Err(malformed("unknown version of the object layout"));
    }
    if &header[8..24] != object_id {
        return Err(malformed("object has another id"));
    }
    let mut length = [0_u8; 8];
    length.copy_from_slice(&header[28..36]);
    let plaintext_bytes = u64::from_be_bytes(length);
    if encode_header(object_id, DEFAULT_SEGMENT_BYTES, plaintext_bytes) != *header {
        return Err(malformed("reserved bytes or segment size"));
    }
    object_plan(plaintext_bytes, DEFAULT_SEGMENT_BYTES)
}

fn random_array<R: CryptoRng + ?Sized>(rng: &mut R) -> Zeroizing<[u8; 32]> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    rng.fill_bytes(bytes.as_mut_slice());
    bytes
}

fn zero_nonce() -> Nonce<aes_gcm::aead::consts::U12> {
    [0_u8; 12].into()
}
