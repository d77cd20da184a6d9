//! `open_body`: what a transfer is, in 100 bytes of fixed layout (step 3).
//!
//! ```text
//!  0  u8     version (1)                     24  [u8; 32] decoder digest (zero for exact)
//!  1  u8     form                            56  u32be    segment size, plaintext bytes
//!  2  u8     padding policy                  60  u64be    padded length, bytes
//!  3  u8     inner layer                     68  [u8; 32] image_secret
//!  4  u32be  slot                           100
//!  8  [u8; 16] transfer_id
//! ```

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::error::CryptoError;

/// Length of the encoded body.
pub const OPEN_BODY_BYTES: usize = 100;
/// Smallest segment size, plaintext bytes: 1 GiB fits into 2^20 of them.
pub const MIN_SEGMENT_BYTES: u32 = 1_024;
/// Largest segment size, plaintext bytes: with tag and framing a gRPC message stays below 128 KiB.
pub const MAX_SEGMENT_BYTES: u32 = 65_536;
/// Smallest row of a raw latent, bytes: one float32. Rows are whole numbers of them.
pub const MIN_ROW_BYTES: u32 = 4;
/// Segment size where there is no reason for another.
pub const DEFAULT_SEGMENT_BYTES: u32 = 65_536;
/// Largest padded transfer, bytes.
pub const MAX_PADDED_BYTES: u64 = 1 << 30;
/// Most segments of a transfer.
pub const MAX_SEGMENTS: u32 = 1 << 20;

const BODY_VERSION: u8 = 1;

/// How the pixels travel; codes as in `latentwire.v1.Mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Form {
    /// Entropy-coded latent.
    Latent = 1,
    /// The original file, bit for bit.
    Exact = 2,
    /// Latent and bounded residual.
    Bounded = 3,
}

impl Form {
    /// `latent`, `exact` or `bounded`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Latent => "latent",
            Self::Exact => "exact",
            Self::Bounded => "bounded",
        }
    }

    /// The form behind a name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Latent, Self::Exact, Self::Bounded].into_iter().find(|form| form.name() == name)
    }
}

/// How the length is hidden; codes as in `latentwire.v1.PaddingPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PaddingPolicy {
    /// Padmé: at most 12 % larger.
    Padme = 1,
    /// The next power of two, from 64 KiB on.
    Fixed = 2,
    /// None; for benchmarks.
    None = 3,
    /// None, and one segment a row of the raw latent; for research. Segment size and padded length are those of rows.
    Rows = 4,
}

/// Cipher below AES-256-GCM; codes as in `latentwire.v1.InnerLayer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum InnerLayer {
    /// AES-256-GCM alone.
    None = 1,
    /// The four chaos stages of Alqahtani 2024, without a security claim of their own; for research.
    Chaos4 = 2,
}

/// 32 random bytes that only the sealed Open carries; fresh for every attempt.
///
/// # Security
/// Wiped when dropped; no `Debug`, `Clone` or `PartialEq`. A second use would repeat nonces: every attempt draws anew.
pub struct ImageSecret(pub(crate) Zeroizing<[u8; 32]>);

impl ImageSecret {
    /// Draws a fresh secret.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Self {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(bytes)
    }
}

/// What a transfer is: everything of `open_body` but the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenBody {
    /// Slot of the session, chosen by the sender.
    pub slot: u32,
    /// Id of the transfer, the same for every attempt.
    pub transfer_id: [u8; 16],
    /// How the pixels travel.
    pub form: Form,
    /// SHA-256 of `decode.toml`; 32 zero bytes for [`Form::Exact`] and only for it.
    pub decoder_digest: [u8; 32],
    /// Plaintext bytes of every segment but the last, [`MIN_SEGMENT_BYTES`]..=[`MAX_SEGMENT_BYTES`]; with
    /// [`PaddingPolicy::Rows`] of every segment, [`MIN_ROW_BYTES`]..=[`MAX_SEGMENT_BYTES`] and a multiple of four.
    pub segment_bytes: u32,
    /// Bytes after padding, 1..=[`MAX_PADDED_BYTES`]; with [`PaddingPolicy::Rows`] of all rows together.
    pub padded_bytes: u64,
    /// How the length is hidden.
    pub padding: PaddingPolicy,
    /// Cipher below AES-256-GCM.
    pub inner_layer: InnerLayer,
}

impl OpenBody {
    /// Number of segments: `ceil(padded_bytes / segment_bytes)`, 1..=[`MAX_SEGMENTS`].
    ///
    /// # Errors
    /// [`CryptoError::TransferTooLarge`] or [`CryptoError::OpenMalformed`] where a length is out of range.
    pub fn segment_count(&self) -> Result<u32, CryptoError> {
        self.check_segment_bytes()?;
        if self.padded_bytes == 0 {
            return Err(CryptoError::OpenMalformed { what: "padded length is zero" });
        }
        let too_large = CryptoError::TransferTooLarge {
            padded_bytes: self.padded_bytes,
            segment_bytes: self.segment_bytes,
        };
        let count = u32::try_from(self.padded_bytes.div_ceil(u64::from(self.segment_bytes)))
            .map_err(|_| too_large.clone())?;
        if self.padded_bytes > MAX_PADDED_BYTES || count > MAX_SEGMENTS { Err(too_large) } else { Ok(count) }
    }

    /// Checks every rule that the layout cannot express.
    ///
    /// # Errors
    /// As [`OpenBody::segment_count`], and [`CryptoError::OpenMalformed`] where form and digest disagree, or rows are of
    /// another form than the latent or below an inner layer.
    pub fn validate(&self) -> Result<(), CryptoError> {
        self.segment_count()?;
        if self.padding == PaddingPolicy::Rows {
            if self.form != Form::Latent {
                return Err(CryptoError::OpenMalformed { what: "rows are those of a latent" });
            }
            if self.inner_layer != InnerLayer::None {
                return Err(CryptoError::OpenMalformed { what: "rows travel without an inner layer" });
            }
        }
        if (self.form == Form::Exact) == (self.decoder_digest == [0; 32]) {
            Ok(())
        } else {
            Err(CryptoError::OpenMalformed { what: "decoder digest must be zero for EXACT and only for it" })
        }
    }

    fn check_segment_bytes(&self) -> Result<(), CryptoError> {
        let size = self.segment_bytes;
        if self.padding == PaddingPolicy::Rows {
            if !(MIN_ROW_BYTES..=MAX_SEGMENT_BYTES).contains(&size) || !size.is_multiple_of(MIN_ROW_BYTES) {
                return Err(CryptoError::OpenMalformed {
                    what: "row outside 4..=65,536 or no multiple of 4",
                });
            }
            if !self.padded_bytes.is_multiple_of(u64::from(size)) {
                return Err(CryptoError::OpenMalformed { what: "length that is no whole number of rows" });
            }
        } else if !(MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&size) {
            return Err(CryptoError::OpenMalformed { what: "segment size outside 1,024..=65,536" });
        }
        Ok(())
    }

    /// The 100 bytes, secret included.
    pub(crate) fn encode(&self, secret: &ImageSecret) -> Zeroizing<[u8; OPEN_BODY_BYTES]> {
        let mut bytes = Zeroizing::new([0_u8; OPEN_BODY_BYTES]);
        bytes[0] = BODY_VERSION;
        bytes[1] = self.form as u8;
        bytes[2] = self.padding as u8;
        bytes[3] = self.inner_layer as u8;
        bytes[4..8].copy_from_slice(&self.slot.to_be_bytes());
        bytes[8..24].copy_from_slice(&self.transfer_id);
        bytes[24..56].copy_from_slice(&self.decoder_digest);
        bytes[56..60].copy_from_slice(&self.segment_bytes.to_be_bytes());
        bytes[60..68].copy_from_slice(&self.padded_bytes.to_be_bytes());
        bytes[68..100].copy_from_slice(secret.0.as_slice());
        bytes
    }

    /// Strict parse and validation of the 100 bytes.
    pub(crate) fn parse(bytes: &[u8; OPEN_BODY_BYTES]) -> Result<(Self, ImageSecret), CryptoError> {
        if bytes[0] != BODY_VERSION {
            return Err(CryptoError::OpenMalformed { what: "unknown version of the open body" });
        }
        let form = match bytes[1] {
            1 => Form::Latent,
            2 => Form::Exact,
            3 => Form::Bounded,
            _ => return Err(CryptoError::OpenMalformed { what: "unknown form" }),
        };
        let padding = match bytes[2] {
            1 => PaddingPolicy::Padme,
            2 => PaddingPolicy::Fixed,
            3 => PaddingPolicy::None,
            4 => PaddingPolicy::Rows,
            _ => return Err(CryptoError::OpenMalformed { what: "unknown padding policy" }),
        };
        let inner_layer = match bytes[3] {
            1 => InnerLayer::None,
            2 => InnerLayer::Chaos4,
            _ => return Err(CryptoError::OpenMalformed { what: "unknown inner layer" }),
        };
        let body = Self {
            slot: u32::from_be_bytes(field(bytes, 4)),
            transfer_id: field(bytes, 8),
            form,
            decoder_digest: field(bytes, 24),
            segment_bytes: u32::from_be_bytes(field(bytes, 56)),
            padded_bytes: u64::from_be_bytes(field(bytes, 60)),
            padding,
            inner_layer,
        };
        body.validate()?;
        Ok((body, ImageSecret(Zeroizing::new(field(bytes, 68)))))
    }
}

fn field<const N: usize>(bytes: &[u8; OPEN_BODY_BYTES], offset: usize) -> [u8; N] {
    let mut out = [0_u8; N];
    out.copy_from_slice(&bytes[offset..offset + N]);
    out
}
