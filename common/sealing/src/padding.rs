//! Hides a coded image's length: Padmé, a fixed ladder, or nothing. Padding bytes are zero, and checked.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::chaos;
use crate::error::CryptoError;
use crate::open_body::{MAX_PADDED_BYTES, PaddingPolicy};
use crate::segment::Complete;
use crate::transfer::TransferTags;

/// Lowest step of the fixed ladder, bytes.
pub const FIXED_LADDER_START: u64 = 65_536;

/// Length after padding of `coded_bytes` bytes.
///
/// Padmé (Nikitin et al. 2019, "Reducing metadata leakage from encrypted files and communication with PURBs",
/// section 4): with E = ⌊log2 L⌋ and S = ⌊log2 E⌋ + 1, the low E − S bits are rounded up to zero: at most 12 % more,
/// and O(log log L) bits of the length leak. Fixed: the next power of two, at least 64 KiB. Rows: the rows' own length.
///
/// # Errors
/// [`CryptoError::TransferTooLarge`] above 1 GiB after padding, [`CryptoError::OpenMalformed`] for zero.
pub fn padded_length(policy: PaddingPolicy, coded_bytes: u64) -> Result<u64, CryptoError> {
    let too_large = CryptoError::TransferTooLarge { padded_bytes: coded_bytes, segment_bytes: 0 };
    if coded_bytes == 0 {
        return Err(CryptoError::OpenMalformed { what: "a coded image is never empty" });
    }
    if coded_bytes > MAX_PADDED_BYTES {
        return Err(too_large);
    }
    let padded = match policy {
        PaddingPolicy::Padme => padme(coded_bytes),
        PaddingPolicy::Fixed => coded_bytes.next_power_of_two().max(FIXED_LADDER_START),
        PaddingPolicy::None | PaddingPolicy::Rows => coded_bytes,
    };
    if padded > MAX_PADDED_BYTES { Err(too_large) } else { Ok(padded) }
}

/// Appends zero bytes up to [`padded_length`].
///
/// # Errors
/// As [`padded_length`].
pub fn pad(policy: PaddingPolicy, mut coded: Vec<u8>) -> Result<Vec<u8>, CryptoError> {
    let padded = padded_length(policy, coded.len() as u64)?;
    let padded = usize::try_from(padded).expect("1 GiB fits usize");
    coded.resize(padded, 0);
    Ok(coded)
}

/// Undoes padding after the last segment: checks the length by policy, the zero bytes, and the sealed digest.
///
/// `coded_bytes` and `coded_sha256` come from the opened Meta record; `_complete` proves that the stream ended.
///
/// # Errors
/// [`CryptoError::Padding`], [`CryptoError::Digest`].
pub fn unpad(
    complete: Complete,
    padded: Vec<u8>,
    coded_bytes: u64,
    coded_sha256: &[u8; 32],
) -> Result<Vec<u8>, CryptoError> {
    let coded = without_padding(&complete, padded, coded_bytes)?;
    checked(coded, coded_sha256)
}

/// As [`unpad`], for an image that went through [`crate::ChaosBytes::scramble`]: undoes the four stages before the digest is
/// compared.
///
/// # Errors
/// As [`unpad`].
pub fn unpad_chaos(
    complete: Complete,
    padded: Vec<u8>,
    coded_bytes: u64,
    coded_sha256: &[u8; 32],
    tags: &TransferTags,
) -> Result<Vec<u8>, CryptoError> {
    let mut coded = without_padding(&complete, padded, coded_bytes)?;
    chaos::unscramble(&mut coded, tags, coded_sha256);
    checked(coded, coded_sha256)
}

/// As [`unpad`], for row mode: puts the head, which came in the sealed Meta record, before the rows.
///
/// # Errors
/// [`CryptoError::Padding`] where the transfer was none of rows, or head and rows are not as long as the image,
/// [`CryptoError::Digest`].
pub fn join_rows(
    complete: Complete,
    head: &[u8],
    rows: &[u8],
    coded_bytes: u64,
    coded_sha256: &[u8; 32],
) -> Result<Vec<u8>, CryptoError> {
    let whole = head.len() as u64 + rows.len() as u64;
    let as_sealed = complete.padding() == PaddingPolicy::Rows && complete.padded_bytes() == rows.len() as u64;
    if !as_sealed || whole != coded_bytes {
        return Err(CryptoError::Padding);
    }
    checked([head, rows].concat(), coded_sha256)
}

fn without_padding(
    complete: &Complete,
    mut padded: Vec<u8>,
    coded_bytes: u64,
) -> Result<Vec<u8>, CryptoError> {
    if complete.padding() == PaddingPolicy::Rows {
        // Rows are no image without their head.
        return Err(CryptoError::Padding);
    }
    let prescribed = padded_length(complete.padding(), coded_bytes).map_err(|_| CryptoError::Padding)?;
    if prescribed != complete.padded_bytes() || padded.len() as u64 != prescribed {
        return Err(CryptoError::Padding);
    }
    let coded_len = usize::try_from(coded_bytes).map_err(|_| CryptoError::Padding)?;
    if padded[coded_len..].iter().any(|&byte| byte != 0) {
        return Err(CryptoError::Padding);
    }
    padded.truncate(coded_len);
    Ok(padded)
}

fn checked(coded: Vec<u8>, coded_sha256: &[u8; 32]) -> Result<Vec<u8>, CryptoError> {
    let digest: [u8; 32] = Sha256::digest(&coded).into();
    if bool::from(digest.ct_eq(coded_sha256)) { Ok(coded) } else { Err(CryptoError::Digest) }
}

fn padme(length: u64) -> u64 {
    if length < 2 {
        return length;
    }
    let exponent = length.ilog2();
    let significant = exponent.ilog2() + 1;
    let mask = (1_u64 << (exponent - significant)) - 1;
    (length + mask) & !mask
}
