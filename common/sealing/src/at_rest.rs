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

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::key_schedule::{Context, Prk, TransferKeys};
use crate::open_body::DEFAULT_SEGMENT_BYTES;
use crate::segment::{SEGMENT_OVERHEAD_BYTES, SegmentOpener, SegmentPlan, SegmentSealer};
use crate::storage_key::random_array;

pub use crate::storage_key::{
    DataKey, LookupKey, STORAGE_KEY_PREFIX, StorageKey, StorageKeyId, WRAPPED_KEY_BYTES,
};

/// Bytes before the first segment of an object.
pub const OBJECT_PREAMBLE_BYTES: usize = HEADER_BYTES + 32 + 32;
/// Largest plaintext of an object: 1 GiB of coded image and 1 MiB for what is kept beside it.
pub const MAX_OBJECT_BYTES: u64 = (1 << 30) + (1 << 20);

const HEADER_BYTES: usize = 36;
const MAGIC: &[u8; 4] = b"LWSO";
const OBJECT_VERSION: u8 = 1;

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
    Prk::extract(salt, &[key.expose_for_wrapping()]).bind(Context::of_object_header(header))
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
