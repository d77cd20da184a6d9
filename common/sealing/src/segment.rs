//! Segments (step 7): STREAM (Hoang, Reyhanitabar, Rogaway, Vizár 2015) over AES-256-GCM with 256 row keys.
//!
//! Segment *i* is sealed under `row[i mod 256]` with nonce `prefix(7) ‖ u32be(i) ‖ last(1)` and associated data `ctx`.
//! The nonce is laid out by `aead_stream::StreamBE32`, which takes the position explicitly. Every segment but the
//! last has exactly the segment size; the last has the rest, 1..=segment size bytes.

use aead_stream::{NewStream, StreamBE32, StreamPrimitive};
use aes_gcm::{Aes256Gcm, KeyInit};

use crate::chaos::ChaosBytes;
use crate::error::CryptoError;
use crate::key_schedule::TransferKeys;
use crate::open_body::{OpenBody, PaddingPolicy};

/// Bytes that sealing adds to a segment: the GCM tag.
pub const SEGMENT_OVERHEAD_BYTES: usize = 16;

/// A segment as it leaves the sealer or the opener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentPosition {
    /// Index, from 0.
    pub index: u32,
    /// True for the last of its transfer.
    pub last: bool,
}

/// Which segments a transfer has, and how long each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentPlan {
    total_bytes: u64,
    segment_bytes: u32,
    count: u32,
    padding: PaddingPolicy,
}

impl SegmentPlan {
    /// Plan of a transfer.
    ///
    /// # Errors
    /// As [`OpenBody::segment_count`].
    pub fn new(body: &OpenBody) -> Result<Self, CryptoError> {
        Ok(Self {
            total_bytes: body.padded_bytes,
            segment_bytes: body.segment_bytes,
            count: body.segment_count()?,
            padding: body.padding,
        })
    }

    /// Plan of an object at rest: unpadded, possibly empty (one empty segment).
    pub(crate) fn of_object(total_bytes: u64, segment_bytes: u32) -> Result<Self, CryptoError> {
        let count = total_bytes.div_ceil(u64::from(segment_bytes)).max(1);
        let count = u32::try_from(count)
            .map_err(|_| CryptoError::ObjectMalformed { what: "more segments than a counter holds" })?;
        Ok(Self { total_bytes, segment_bytes, count, padding: PaddingPolicy::None })
    }

    /// Number of segments.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Plaintext length of a segment; `None` after the last.
    #[must_use]
    pub fn plaintext_bytes(&self, index: u32) -> Option<usize> {
        if index >= self.count {
            return None;
        }
        let start = u64::from(index) * u64::from(self.segment_bytes);
        usize::try_from((self.total_bytes - start).min(u64::from(self.segment_bytes))).ok()
    }

    pub(crate) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    fn is_last(&self, index: u32) -> bool {
        index + 1 == self.count
    }
}

/// Seals the segments of one transfer, in order.
///
/// # Security
/// Each index is sealed at most once under one secret; a new attempt needs a new [`crate::ImageSecret`].
pub struct SegmentSealer {
    keys: TransferKeys,
    prefix: [u8; 7],
    plan: SegmentPlan,
    next: u32,
}

impl SegmentSealer {
    pub(crate) fn new(keys: TransferKeys, plan: SegmentPlan) -> Self {
        Self { prefix: keys.nonce_prefix(), keys, plan, next: 0 }
    }

    /// Skips what the receiver already holds, before anything is sealed.
    ///
    /// # Errors
    /// [`CryptoError::ResumeIndex`] after the first segment, or where `index` is no segment.
    pub fn start_at(mut self, index: u32) -> Result<Self, CryptoError> {
        if self.next != 0 || index >= self.plan.count {
            return Err(CryptoError::ResumeIndex { index, count: self.plan.count });
        }
        self.next = index;
        Ok(self)
    }

    /// The plan: how many segments there are and how long each is.
    #[must_use]
    pub fn plan(&self) -> &SegmentPlan {
        &self.plan
    }

    /// Index of the next segment.
    #[must_use]
    pub fn next_index(&self) -> u32 {
        self.next
    }

    /// Plaintext length that [`SegmentSealer::seal`] wants next; `None` when all are sealed.
    #[must_use]
    pub fn next_plaintext_bytes(&self) -> Option<usize> {
        self.plan.plaintext_bytes(self.next)
    }

    /// Seals the next segment in place: `buffer` holds its plaintext and gets ciphertext ‖ tag.
    ///
    /// # Errors
    /// [`CryptoError::SegmentLength`] where the plaintext is not [`SegmentSealer::next_plaintext_bytes`] long,
    /// [`CryptoError::SegmentAfterLast`]. The buffer is untouched then.
    pub fn seal(&mut self, buffer: &mut Vec<u8>) -> Result<SegmentPosition, CryptoError> {
        let index = self.next;
        let expected = self.plan.plaintext_bytes(index).ok_or(CryptoError::SegmentAfterLast)?;
        if buffer.len() != expected {
            return Err(CryptoError::SegmentLength { index, expected, found: buffer.len() });
        }
        let last = self.plan.is_last(index);
        stream_at(&self.keys, &self.prefix, index)
            .encrypt_in_place(index, last, self.keys.context().as_bytes(), buffer)
            .expect("a segment is far below GCM's limit and a Vec grows");
        self.next += 1;
        Ok(SegmentPosition { index, last })
    }

    /// Seals the next segment of a chaos-scrambled image, padding included; gives ciphertext ‖ tag. The only way out of
    /// [`ChaosBytes`].
    ///
    /// # Errors
    /// [`CryptoError::SegmentAfterLast`].
    pub fn seal_chaos(&mut self, bytes: &ChaosBytes) -> Result<(Vec<u8>, SegmentPosition), CryptoError> {
        let length = self.next_plaintext_bytes().ok_or(CryptoError::SegmentAfterLast)?;
        let start = u64::from(self.next) * u64::from(self.plan.segment_bytes);
        let start = usize::try_from(start).expect("at most 1 GiB");
        let mut segment = bytes.segment(start, length);
        let position = self.seal(&mut segment)?;
        Ok((segment, position))
    }

    /// Ends the transfer.
    ///
    /// # Errors
    /// [`CryptoError::StreamTruncated`] where segments are missing.
    pub fn finish(self) -> Result<(), CryptoError> {
        if self.next == self.plan.count {
            Ok(())
        } else {
            Err(CryptoError::StreamTruncated { expected: self.plan.count, received: self.next })
        }
    }
}

/// Opens the segments of one transfer, in order; after one failure it opens no more.
pub struct SegmentOpener {
    keys: TransferKeys,
    prefix: [u8; 7],
    plan: SegmentPlan,
    next: u32,
    poisoned: bool,
}

impl SegmentOpener {
    pub(crate) fn new(keys: TransferKeys, plan: SegmentPlan) -> Self {
        Self { prefix: keys.nonce_prefix(), keys, plan, next: 0, poisoned: false }
    }

    /// Skips what is already held from an earlier attempt, before anything is opened.
    ///
    /// # Errors
    /// [`CryptoError::ResumeIndex`] after the first segment, or where `index` is no segment.
    pub fn start_at(mut self, index: u32) -> Result<Self, CryptoError> {
        if self.next != 0 || self.poisoned || index >= self.plan.count {
            return Err(CryptoError::ResumeIndex { index, count: self.plan.count });
        }
        self.next = index;
        Ok(self)
    }

    /// The plan: how many segments there are and how long each is.
    #[must_use]
    pub fn plan(&self) -> &SegmentPlan {
        &self.plan
    }

    /// Index of the next segment.
    #[must_use]
    pub fn next_index(&self) -> u32 {
        self.next
    }

    /// Opens the next segment in place: `buffer` holds ciphertext ‖ tag and gets the plaintext.
    ///
    /// # Errors
    /// [`CryptoError::SegmentAfterLast`], [`CryptoError::SegmentLastFlag`], [`CryptoError::SegmentLength`],
    /// [`CryptoError::SegmentAuthentication`]; every later call gives [`CryptoError::TransferPoisoned`]. The buffer
    /// never holds unauthenticated plaintext.
    ///
    /// # Security
    /// Release nothing to a decoder before [`SegmentOpener::finish`] has given its [`Complete`].
    pub fn open(&mut self, last: bool, buffer: &mut Vec<u8>) -> Result<SegmentPosition, CryptoError> {
        if self.poisoned {
            return Err(CryptoError::TransferPoisoned);
        }
        let opened = self.try_open(last, buffer);
        self.poisoned = opened.is_err();
        opened
    }

    /// Ends the transfer: the proof that every segment, and the last as last, authenticated.
    ///
    /// # Errors
    /// [`CryptoError::StreamTruncated`] where segments are missing, [`CryptoError::TransferPoisoned`].
    pub fn finish(self) -> Result<Complete, CryptoError> {
        if self.poisoned {
            Err(CryptoError::TransferPoisoned)
        } else if self.next == self.plan.count {
            Ok(Complete { plan: self.plan })
        } else {
            Err(CryptoError::StreamTruncated { expected: self.plan.count, received: self.next })
        }
    }

    fn try_open(&mut self, last: bool, buffer: &mut Vec<u8>) -> Result<SegmentPosition, CryptoError> {
        let index = self.next;
        let expected = self.plan.plaintext_bytes(index).ok_or(CryptoError::SegmentAfterLast)?;
        let expected = expected + SEGMENT_OVERHEAD_BYTES;
        if last != self.plan.is_last(index) {
            return Err(CryptoError::SegmentLastFlag { index });
        }
        if buffer.len() != expected {
            return Err(CryptoError::SegmentLength { index, expected, found: buffer.len() });
        }
        stream_at(&self.keys, &self.prefix, index)
            .decrypt_in_place(index, last, self.keys.context().as_bytes(), buffer)
            .map_err(|_| CryptoError::SegmentAuthentication { index })?;
        self.next += 1;
        Ok(SegmentPosition { index, last })
    }
}

/// Proof that a stream ended with its last segment; [`crate::padding::unpad`] wants it.
#[derive(Debug)]
pub struct Complete {
    plan: SegmentPlan,
}

impl Complete {
    /// Bytes of all segments together.
    #[must_use]
    pub fn padded_bytes(&self) -> u64 {
        self.plan.total_bytes
    }

    /// How the length was hidden.
    #[must_use]
    pub fn padding(&self) -> PaddingPolicy {
        self.plan.padding
    }
}

/// STREAM under the row key of a position.
fn stream_at(keys: &TransferKeys, prefix: &[u8; 7], index: u32) -> StreamBE32<Aes256Gcm> {
    let row = u8::try_from(index % 256).expect("a remainder of 256 fits a byte");
    StreamBE32::from_aead(Aes256Gcm::new((&*keys.row_key(row)).into()), prefix.into())
}
