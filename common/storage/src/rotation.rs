//! A new storage key for a data folder: every wrapped key and sealed record again under the new one; objects stay as they are.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::StorageError;
use crate::catalogue;
use crate::folder::FolderLock;
use crate::key_wrapper::KeyWrapper;
use crate::object_store::ObjectId;

/// Rows that are held in memory at once.
const ROWS: i64 = 256;

/// What a rotation has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// Images whose key was wrapped again.
    pub images: u64,
    /// Deleted images of which a record is kept, sealed again.
    pub tombstones: u64,
    /// An earlier run had done it all: the folder was under the new key already.
    pub already: bool,
}

/// Puts a data folder under another storage key, in one transaction: whenever it is cut off, the whole folder is under `old`,
/// or the whole folder is under `new`. Run again, it goes on, or finds that there is nothing to do.
///
/// No object is read or written. The wrapped keys under `old` are gone from the catalogue and its log when this returns.
///
/// # Errors
/// [`StorageError::Locked`] while a service uses the folder, [`StorageError::WrongKey`] where it is under neither key,
/// [`StorageError::NotFound`] without a catalogue, [`StorageError::Damaged`] where a row does not open under `old`,
/// [`StorageError::LogInUse`] where another program reads the catalogue; or what SQLite says. Then nothing has changed, but in
/// the last but one case.
pub fn rotate(path: &Path, old: &dyn KeyWrapper, new: &dyn KeyWrapper) -> Result<Rotated, StorageError> {
    if !path.join(catalogue::FILE).is_file() {
        return Err(StorageError::NotFound);
    }
    let _lock = FolderLock::take(path)?;
    let mut catalogue = catalogue::open(&path.join(catalogue::FILE))?;
    let found = catalogue::found_key_id(&catalogue)?.ok_or(StorageError::NotFound)?;
    let rotated = if found == new.id() {
        Rotated { images: 0, tombstones: 0, already: true }
    } else if found == old.id() {
        let _lookup = catalogue::lookup_key(&mut catalogue, old)?;
        rewrap(&mut catalogue, old, new)?
    } else {
        return Err(StorageError::WrongKey { expected: found, found: old.id() });
    };
    if !catalogue::truncate_log(&catalogue)? {
        return Err(StorageError::LogInUse);
    }
    Ok(rotated)
}

fn rewrap(
    catalogue: &mut Connection,
    old: &dyn KeyWrapper,
    new: &dyn KeyWrapper,
) -> Result<Rotated, StorageError> {
    let transaction = catalogue.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut rotated = Rotated { images: 0, tombstones: 0, already: false };
    let mut after = i64::MIN;
    loop {
        let sealed = SealedRow::some_after(&transaction, after)?;
        let Some(last) = sealed.last() else { break };
        after = last.sequence;
        for row in &sealed {
            row.rewrap(&transaction, old, new)?;
            *(if row.wrapped_key.is_some() { &mut rotated.images } else { &mut rotated.tombstones }) += 1;
        }
    }
    let wrapped: Vec<u8> = transaction.query_row("SELECT lookup_key FROM store", [], |row| row.get(0))?;
    let lookup = new.wrap_lookup(&old.unwrap_lookup(&wrapped)?)?;
    transaction.execute("UPDATE store SET key_id = ?1, lookup_key = ?2", params![new.id().0, lookup])?;
    transaction.commit()?;
    Ok(rotated)
}

/// What of a row is under the storage key.
struct SealedRow {
    sequence: i64,
    image_id: ObjectId,
    wrapped_key: Option<Vec<u8>>,
    summary: Vec<u8>,
    attributes: Option<Vec<u8>>,
}

impl SealedRow {
    fn some_after(transaction: &Transaction<'_>, after: i64) -> Result<Vec<Self>, StorageError> {
        let mut statement = transaction.prepare_cached(
            "SELECT sequence, image_id, wrapped_key, summary, attributes FROM images
             WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
        )?;
        let rows = statement.query_map(params![after, ROWS], |row| {
            Ok(Self {
                sequence: row.get(0)?,
                image_id: row.get(1)?,
                wrapped_key: row.get(2)?,
                summary: row.get(3)?,
                attributes: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn rewrap(
        &self,
        transaction: &Transaction<'_>,
        old: &dyn KeyWrapper,
        new: &dyn KeyWrapper,
    ) -> Result<(), StorageError> {
        let id = &self.image_id;
        let key = |wrapped: &Vec<u8>| new.wrap(id, &old.unwrap(id, wrapped)?);
        let record = |sealed: &Vec<u8>| new.seal_record(id, &old.open_record(id, sealed)?);
        let wrapped_key = self.wrapped_key.as_ref().map(key).transpose()?;
        let summary = record(&self.summary)?;
        let attributes = self.attributes.as_ref().map(record).transpose()?;
        transaction
            .prepare_cached(
                "UPDATE images SET wrapped_key = ?2, summary = ?3, attributes = ?4 WHERE sequence = ?1",
            )?
            .execute(params![self.sequence, wrapped_key, summary, attributes])?;
        Ok(())
    }
}
