//! Images: their sealed objects and their rows, kept together.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use getrandom::{SysRng, rand_core::UnwrapErr};
use latentwire_sealing::CryptoError;
use latentwire_sealing::at_rest::{self, DataKey, LookupKey};
use rusqlite::{Connection, TransactionBehavior, params};
use zeroize::Zeroizing;

use crate::catalogue::{self, COLUMNS, NewRow, Row};
use crate::folder::{self, FolderLock};
use crate::key_wrapper::KeyWrapper;
use crate::object_store::{ObjectId, ObjectStore};
use crate::{LocalStore, StorageError};

/// First byte of a sealed summary; keeps the two kinds of record from standing in for one another.
const SUMMARY: u8 = 1;
/// First byte of sealed attributes.
const ATTRIBUTES: u8 = 2;

/// An image to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewImage {
    /// Its id, random.
    pub image_id: ObjectId,
    /// Its transfer's id, random.
    pub transfer_id: [u8; 16],
    /// The sender's name in the trust store; kept as a keyed hash alone.
    pub peer: String,
    /// The study it belongs to, or empty; kept as a keyed hash alone.
    pub study_group: String,
    /// When it came, milliseconds since 1970.
    pub created_ms: i64,
    /// What must be remembered of its transfer even after it is deleted; sealed.
    pub summary: Vec<u8>,
    /// Everything else that is known about it; sealed, and forgotten with the image.
    pub attributes: Vec<u8>,
}

/// A stored image, without its pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredImage {
    /// Its place in the order of arrival.
    pub sequence: i64,
    /// Its id.
    pub image_id: ObjectId,
    /// Its transfer's id.
    pub transfer_id: [u8; 16],
    /// When it came, milliseconds since 1970.
    pub created_ms: i64,
    /// Bytes of its sealed object.
    pub stored_bytes: u64,
    /// As given in [`NewImage`].
    pub summary: Vec<u8>,
    /// As given in [`NewImage`].
    pub attributes: Vec<u8>,
}

/// What is known of a transfer whose image may have been deleted since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// Id that the image has, or had.
    pub image_id: ObjectId,
    /// As given in [`NewImage`].
    pub summary: Vec<u8>,
}

/// Which images to list; empty fields mean all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageFilter {
    /// Only those of this sender.
    pub peer: String,
    /// Only those of this study.
    pub study_group: String,
}

/// Some images, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub images: Vec<StoredImage>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<i64>,
}

/// All images of a data folder. One process at a time.
pub struct ImageStore<O = LocalStore> {
    keys: Box<dyn KeyWrapper>,
    lookup: LookupKey,
    objects: O,
    catalogue: Mutex<Connection>,
    /// A deleted key may still stand in the write-ahead log, because another program was reading the catalogue.
    log_to_truncate: AtomicBool,
    _lock: FolderLock,
}

impl ImageStore<LocalStore> {
    /// Opens a data folder on local disk, makes it where there is none, and tidies up after a crash.
    ///
    /// # Errors
    /// [`StorageError::Locked`] if another process uses it, [`StorageError::WrongKey`] for another storage key,
    /// [`StorageError::TooNew`], or what the operating system and SQLite say.
    pub fn open(path: &Path, keys: impl KeyWrapper) -> Result<Self, StorageError> {
        folder::make(path)?;
        let lock = FolderLock::take(path)?;
        Self::with_objects(path, lock, LocalStore::open(path)?, Box::new(keys))
    }
}

impl<O: ObjectStore> ImageStore<O> {
    fn with_objects(
        path: &Path,
        lock: FolderLock,
        objects: O,
        keys: Box<dyn KeyWrapper>,
    ) -> Result<Self, StorageError> {
        let mut catalogue = catalogue::open(&path.join(catalogue::FILE))?;
        let lookup = catalogue::lookup_key(&mut catalogue, keys.as_ref())?;
        // What a crash behind a deletion left in the log; the catalogue itself is long without it.
        let log_to_truncate = AtomicBool::new(!catalogue::truncate_log(&catalogue)?);
        let catalogue = Mutex::new(catalogue);
        let store = Self { keys, lookup, objects, catalogue, log_to_truncate, _lock: lock };
        store.remove_orphans()?;
        Ok(store)
    }

    /// Stores an image durably: object first, then its row. On an error nothing of it is left.
    ///
    /// # Errors
    /// [`StorageError::Duplicate`] if the peer's transfer is known, [`StorageError::NoSpace`], or what the object store and SQLite say.
    pub fn store(&self, new: &NewImage, coded: &[u8]) -> Result<StoredImage, StorageError> {
        let mut rng = UnwrapErr(SysRng);
        let data_key = DataKey::generate(&mut rng);
        let sealed =
            at_rest::seal(&mut rng, &data_key, &new.image_id, coded).map_err(StorageError::Damaged)?;
        let (peer_tag, study_tag) = (self.peer_tag(&new.peer), self.study_tag(&new.study_group));
        let row = NewRow {
            image_id: &new.image_id,
            transfer_id: &new.transfer_id,
            peer_tag: &peer_tag,
            study_tag: study_tag.as_ref(),
            created_ms: new.created_ms,
            stored_bytes: sealed.len() as u64,
            wrapped_key: &self.keys.wrap(&new.image_id, &data_key)?,
            summary: &self.seal_record(SUMMARY, &new.image_id, &new.summary)?,
            attributes: &self.seal_record(ATTRIBUTES, &new.image_id, &new.attributes)?,
        };
        self.objects.put(&new.image_id, &sealed)?;
        let inserted = self.insert(&row);
        if inserted.is_err() {
            // An object that stays has no key any more, and goes away at the next start.
            let _gone = self.objects.delete(&new.image_id);
        }
        Ok(StoredImage {
            sequence: inserted?,
            image_id: new.image_id,
            transfer_id: new.transfer_id,
            created_ms: new.created_ms,
            stored_bytes: sealed.len() as u64,
            summary: new.summary.clone(),
            attributes: new.attributes.clone(),
        })
    }

    fn insert(&self, row: &NewRow<'_>) -> Result<i64, StorageError> {
        let mut catalogue = self.catalogue();
        let transaction = catalogue.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let sequence = row.insert(&transaction)?;
        transaction.commit()?;
        Ok(sequence)
    }

    /// The coded image, authenticated.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::Damaged`] where it does not authenticate, or what the object store says.
    pub fn open_object(&self, image_id: &ObjectId) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        let wrapped: Option<Vec<u8>> = self.catalogue().query_row(
            "SELECT wrapped_key FROM images WHERE image_id = ?1",
            params![image_id],
            |row| row.get(0),
        )?;
        let wrapped = wrapped.ok_or(StorageError::NotFound)?;
        let data_key = self.keys.unwrap(image_id, &wrapped)?;
        let sealed = match self.objects.get(image_id) {
            Err(StorageError::NotFound) => {
                let gone = CryptoError::ObjectMalformed { what: "its file is gone" };
                return Err(StorageError::Damaged(gone));
            }
            got => got?,
        };
        at_rest::open(&data_key, image_id, &sealed).map_err(StorageError::Damaged)
    }

    /// An image by its id.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], [`StorageError::Damaged`], or what SQLite says.
    pub fn find(&self, image_id: &ObjectId) -> Result<StoredImage, StorageError> {
        let sql = format!("SELECT {COLUMNS} FROM images WHERE image_id = ?1 AND attributes IS NOT NULL");
        let row = self.catalogue().query_row(&sql, params![image_id], Row::read)?;
        self.open_row(row)
    }

    /// The newest image of a transfer, whoever sent it.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn find_by_transfer(&self, transfer_id: &[u8; 16]) -> Result<StoredImage, StorageError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM images WHERE transfer_id = ?1 AND attributes IS NOT NULL ORDER BY sequence DESC LIMIT 1"
        );
        let row = self.catalogue().query_row(&sql, params![transfer_id], Row::read)?;
        self.open_row(row)
    }

    /// What is remembered of a peer's transfer, its image deleted or not.
    ///
    /// # Errors
    /// [`StorageError::Damaged`], or what SQLite says.
    pub fn known(&self, peer: &str, transfer_id: &[u8; 16]) -> Result<Option<Tombstone>, StorageError> {
        let sql = format!("SELECT {COLUMNS} FROM images WHERE peer_tag = ?1 AND transfer_id = ?2");
        let found = self.catalogue().query_row(&sql, params![self.peer_tag(peer), transfer_id], Row::read);
        match found.map_err(StorageError::from) {
            Ok(row) => {
                let summary = self.open_record(SUMMARY, &row.image_id, &row.summary)?;
                Ok(Some(Tombstone { image_id: row.image_id, summary }))
            }
            Err(StorageError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// At most `most` images, newest first, older than `before`.
    ///
    /// # Errors
    /// [`StorageError::Damaged`], or what SQLite says.
    pub fn list(&self, filter: &ImageFilter, before: Option<i64>, most: u32) -> Result<Page, StorageError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM images
             WHERE attributes IS NOT NULL AND sequence < ?1
               AND (?2 IS NULL OR peer_tag = ?2) AND (?3 IS NULL OR study_tag = ?3)
             ORDER BY sequence DESC LIMIT ?4"
        );
        let peer_tag = (!filter.peer.is_empty()).then(|| self.peer_tag(&filter.peer));
        let rows = {
            let catalogue = self.catalogue();
            let mut statement = catalogue.prepare_cached(&sql)?;
            let bound = params![
                before.unwrap_or(i64::MAX),
                peer_tag,
                self.study_tag(&filter.study_group),
                i64::from(most) + 1
            ];
            statement.query_map(bound, Row::read)?.collect::<Result<Vec<_>, _>>()?
        };
        let more = rows.len() > most as usize;
        let images = rows.into_iter().take(most as usize).map(|row| self.open_row(row));
        let images = images.collect::<Result<Vec<_>, _>>()?;
        let next = images.last().filter(|_| more).map(|image| image.sequence);
        Ok(Page { images, next })
    }

    /// Deletes an image: its key first (from then on nobody can read it), then its object. The transfer stays known.
    ///
    /// # Errors
    /// [`StorageError::NotFound`], or what SQLite and the object store say.
    pub fn delete(&self, image_id: &ObjectId) -> Result<(), StorageError> {
        {
            let catalogue = self.catalogue();
            let erased = catalogue.execute(
                "UPDATE images SET wrapped_key = NULL, attributes = NULL, study_tag = NULL, stored_bytes = 0
                 WHERE image_id = ?1 AND attributes IS NOT NULL",
                params![image_id],
            )?;
            if erased == 0 {
                return Err(StorageError::NotFound);
            }
            // Otherwise the wrapped key would live on in the write-ahead log.
            self.truncate_log(&catalogue)?;
        }
        self.objects.delete(image_id)
    }

    /// Remembers it where a reader is in the way; [`Self::check_writable`] comes back to it.
    fn truncate_log(&self, catalogue: &Connection) -> Result<(), StorageError> {
        self.log_to_truncate.store(true, Ordering::Relaxed);
        let truncated = catalogue::truncate_log(catalogue)?;
        self.log_to_truncate.store(!truncated, Ordering::Relaxed);
        Ok(())
    }

    /// Bytes of all sealed objects; of one peer's if named.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn stored_bytes(&self, peer: Option<&str>) -> Result<u64, StorageError> {
        let bytes: i64 = self.catalogue().query_row(
            "SELECT coalesce(sum(stored_bytes), 0) FROM images WHERE ?1 IS NULL OR peer_tag = ?1",
            params![peer.map(|peer| self.peer_tag(peer))],
            |row| row.get(0),
        )?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    /// Bytes that can still be stored.
    ///
    /// # Errors
    /// What the object store says.
    pub fn free_bytes(&self) -> Result<u64, StorageError> {
        self.objects.free_bytes()
    }

    /// Whether the catalogue can be written now. Call it now and then: it also empties a log that a reader kept from being
    /// emptied at a deletion.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn check_writable(&self) -> Result<(), StorageError> {
        let mut catalogue = self.catalogue();
        if self.log_to_truncate.load(Ordering::Relaxed) {
            self.truncate_log(&catalogue)?;
        }
        let transaction = catalogue.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute("UPDATE store SET key_id = key_id", [])?;
        transaction.rollback()?;
        Ok(())
    }

    fn remove_orphans(&self) -> Result<(), StorageError> {
        let known: HashSet<ObjectId> = {
            let catalogue = self.catalogue();
            let mut statement =
                catalogue.prepare("SELECT image_id FROM images WHERE wrapped_key IS NOT NULL")?;
            statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        for id in self.objects.list()? {
            if !known.contains(&id) {
                self.objects.delete(&id)?;
            }
        }
        Ok(())
    }

    fn open_row(&self, row: Row) -> Result<StoredImage, StorageError> {
        let attributes = row.attributes.ok_or(StorageError::NotFound)?;
        Ok(StoredImage {
            sequence: row.sequence,
            image_id: row.image_id,
            transfer_id: row.transfer_id,
            created_ms: row.created_ms,
            stored_bytes: row.stored_bytes,
            summary: self.open_record(SUMMARY, &row.image_id, &row.summary)?,
            attributes: self.open_record(ATTRIBUTES, &row.image_id, &attributes)?,
        })
    }

    fn seal_record(&self, kind: u8, image_id: &ObjectId, record: &[u8]) -> Result<Vec<u8>, StorageError> {
        let tagged = Zeroizing::new([&[kind], record].concat());
        self.keys.seal_record(image_id, &tagged)
    }

    fn open_record(&self, kind: u8, image_id: &ObjectId, sealed: &[u8]) -> Result<Vec<u8>, StorageError> {
        let opened = self.keys.open_record(image_id, sealed)?;
        match opened.split_first() {
            Some((found, record)) if *found == kind => Ok(record.to_vec()),
            _ => Err(StorageError::Damaged(CryptoError::ObjectMalformed { what: "record of another kind" })),
        }
    }

    fn peer_tag(&self, peer: &str) -> [u8; 32] {
        self.lookup.tag("peer", peer.as_bytes())
    }

    fn study_tag(&self, study_group: &str) -> Option<[u8; 32]> {
        (!study_group.is_empty()).then(|| self.lookup.tag("study", study_group.as_bytes()))
    }

    fn catalogue(&self) -> MutexGuard<'_, Connection> {
        // SQLite rolls an open transaction back by itself, so a panic leaves nothing half-done behind the lock.
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
