//! A stored object as it comes in: a DICOM file in the making (PS3.10 section 7), bounded, hashed as it grows.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use dicom_object::FileMetaTableBuilder;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of one piece of an object; one message of SendService carries it.
const PIECE_BYTES: usize = 256 << 10;
/// As in what `common/imaging` writes: the makers are the same.
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.118337742286937018276524196352470823161";
/// Fixed, so that an object that is stored again after an update makes the same file, and so the same transfer.
pub const IMPLEMENTATION_VERSION_NAME: &str = "LATENTWIRE_1";
/// Bytes of an empty preamble and the prefix DICM.
const PREFIX: [u8; 132] = {
    let mut prefix = [0; 132];
    (prefix[128], prefix[129], prefix[130], prefix[131]) = (b'D', b'I', b'C', b'M');
    prefix
};

/// Memory for objects, shared by all associations, in pieces.
#[derive(Clone, Debug)]
pub struct Buffer {
    pieces: Arc<Semaphore>,
    limit: usize,
}

impl Buffer {
    /// Room for at least `bytes`.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let pieces = bytes.div_ceil(PIECE_BYTES as u64);
        let limit = usize::try_from(pieces).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { pieces: Arc::new(Semaphore::new(limit)), limit }
    }

    /// Bytes that are taken.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        (self.limit - self.pieces.available_permits()).saturating_mul(PIECE_BYTES)
    }

    /// Bytes that can be taken.
    #[must_use]
    pub fn limit_bytes(&self) -> usize {
        self.limit.saturating_mul(PIECE_BYTES)
    }
}

/// Why an object is not taken in.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// It is larger than allowed.
    #[error("the object is larger than --max-object-bytes")]
    TooLarge,
    /// The memory for objects is full for the moment.
    #[error("the memory for objects, --max-buffered-bytes, is full")]
    BufferFull,
}

/// A data set that is coming in.
#[derive(Debug)]
pub struct Gathering {
    head: Bytes,
    pieces: Vec<Bytes>,
    piece: BytesMut,
    data_set_bytes: u64,
    limit: u64,
    digest: Sha256,
    buffer: Buffer,
    room: Option<OwnedSemaphorePermit>,
}

/// A whole object: a DICOM file of exactly the bytes that came, behind file meta information of ours.
#[derive(Debug)]
pub struct Object {
    head: Bytes,
    data_set: Vec<Bytes>,
    sha256: [u8; 32],
    _room: Option<OwnedSemaphorePermit>,
}

impl Gathering {
    /// Nothing of the data set has come yet; it may have `limit` bytes.
    #[must_use]
    pub fn new(
        sop_class: &str,
        sop_instance: &str,
        transfer_syntax: &str,
        limit: u64,
        buffer: &Buffer,
    ) -> Self {
        let head = head(sop_class, sop_instance, transfer_syntax);
        let digest = Sha256::new().chain_update(&head);
        let (pieces, piece) = (Vec::new(), BytesMut::new());
        Self { head, pieces, piece, data_set_bytes: 0, limit, digest, buffer: buffer.clone(), room: None }
    }

    /// Appends what came.
    ///
    /// # Errors
    /// [`Refused`]: nothing more need be appended.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Refused> {
        self.data_set_bytes += bytes.len() as u64;
        if self.data_set_bytes > self.limit {
            return Err(Refused::TooLarge);
        }
        self.digest.update(bytes);
        while !bytes.is_empty() {
            if self.piece.len() == self.piece.capacity() {
                self.next_piece()?;
            }
            let (here, rest) = bytes.split_at(bytes.len().min(self.piece.capacity() - self.piece.len()));
            self.piece.extend_from_slice(here);
            bytes = rest;
        }
        Ok(())
    }

    fn next_piece(&mut self) -> Result<(), Refused> {
        let permit = Arc::clone(&self.buffer.pieces).try_acquire_owned().map_err(|_| Refused::BufferFull)?;
        match &mut self.room {
            Some(room) => room.merge(permit),
            None => self.room = Some(permit),
        }
        let full = std::mem::replace(&mut self.piece, BytesMut::with_capacity(PIECE_BYTES));
        if !full.is_empty() {
            self.pieces.push(full.freeze());
        }
        Ok(())
    }

    /// The whole object.
    #[must_use]
    pub fn finish(mut self) -> Object {
        if !self.piece.is_empty() {
            self.pieces.push(self.piece.freeze());
        }
        let sha256 = self.digest.finalize().into();
        Object { head: self.head, data_set: self.pieces, sha256, _room: self.room }
    }
}

impl Object {
    /// The data set's bytes, as they came.
    #[must_use]
    pub fn data_set(&self) -> &[Bytes] {
        &self.data_set
    }

    /// The file, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = Bytes> + Send + 'static {
        std::iter::once(self.head.clone()).chain(self.data_set.clone())
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        let data_set: usize = self.data_set.iter().map(Bytes::len).sum();
        (self.head.len() + data_set) as u64
    }

    /// SHA-256 of the file.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }
}

/// Preamble, prefix and file meta information.
fn head(sop_class: &str, sop_instance: &str, transfer_syntax: &str) -> Bytes {
    let mut head = PREFIX.to_vec();
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(sop_class)
        .media_storage_sop_instance_uid(sop_instance)
        .transfer_syntax(transfer_syntax)
        .implementation_class_uid(IMPLEMENTATION_CLASS_UID)
        .implementation_version_name(IMPLEMENTATION_VERSION_NAME)
        .build()
        .expect("all that must be there is given");
    meta.write(&mut head).expect("short ASCII texts can be written to memory");
    head.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
    const EXPLICIT: &str = "1.2.840.10008.1.2.1";

    fn gathering(limit: u64, buffer: &Buffer) -> Gathering {
        Gathering::new(CT, "1.2.3", EXPLICIT, limit, buffer)
    }

    fn joined(object: &Object) -> Vec<u8> {
        object.pieces().collect::<Vec<_>>().concat()
    }

    #[test]
    fn a_file_is_its_head_and_the_bytes_that_came() {
        let buffer = Buffer::new(1 << 30);
        let bytes: Vec<u8> = (0..700_000_u32).map(|index| (index % 251) as u8).collect();
        let mut gathering = gathering(1 << 30, &buffer);
        for part in bytes.chunks(16_378) {
            gathering.push(part).expect("room");
        }
        assert_eq!(buffer.used_bytes(), 3 * PIECE_BYTES);
        let object = gathering.finish();
        let file = joined(&object);
        assert_eq!(object.sha256(), <[u8; 32]>::from(Sha256::digest(&file)));
        assert_eq!(object.file_bytes(), file.len() as u64);
        let meta = dicom_object::FileMetaTable::from_reader(&file[128..]).expect("file meta information");
        assert_eq!(meta.media_storage_sop_class_uid(), CT);
        assert_eq!(meta.media_storage_sop_instance_uid(), "1.2.3");
        assert_eq!(meta.transfer_syntax(), EXPLICIT);
        assert_eq!(meta.implementation_class_uid(), IMPLEMENTATION_CLASS_UID);
        assert_eq!(meta.source_application_entity_title(), None);
        let head = 128 + 4 + 12 + meta.information_group_length as usize;
        assert!(file[head..] == bytes);
        drop(object);
        assert_eq!(buffer.used_bytes(), 0);
    }

    #[test]
    fn the_same_object_makes_the_same_file_however_it_is_cut() {
        let buffer = Buffer::new(1 << 20);
        let once = |size: usize| {
            let mut gathering = gathering(1000, &buffer);
            for part in [7; 1000].chunks(size) {
                gathering.push(part).expect("room");
            }
            gathering.finish().sha256()
        };
        assert_eq!(once(1), once(999));
    }

    #[test]
    fn more_than_allowed_is_refused() {
        let buffer = Buffer::new(1 << 20);
        let mut exact = gathering(10, &buffer);
        assert_eq!(exact.push(&[0; 10]), Ok(()));
        assert_eq!(exact.push(&[0; 1]), Err(Refused::TooLarge));
        assert_eq!(gathering(10, &buffer).push(&[0; 11]), Err(Refused::TooLarge));
    }

    #[test]
    fn the_buffer_is_shared_and_given_back() {
        let buffer = Buffer::new(2 * PIECE_BYTES as u64);
        let mut first = gathering(u64::MAX, &buffer);
        first.push(&vec![0; PIECE_BYTES + 1]).expect("room for two pieces");
        let mut second = gathering(u64::MAX, &buffer);
        assert_eq!(second.push(&[1]), Err(Refused::BufferFull));
        drop(first);
        assert_eq!(gathering(u64::MAX, &buffer).push(&[1]), Ok(()));
    }
}
