//! The catalogue's tables: SQLite, write-ahead log, synced at every commit, deleted rows overwritten.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use getrandom::{SysRng, rand_core::UnwrapErr};
use latentwire_sealing::at_rest::{LookupKey, StorageKeyId};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::StorageError;
use crate::key_wrapper::KeyWrapper;

/// Layouts, one a step; `user_version` counts the steps taken. A step never changes once released.
const MIGRATIONS: [&str; 2] = [
    "
    CREATE TABLE store (key_id BLOB NOT NULL) STRICT;
    CREATE TABLE images (
        sequence     INTEGER PRIMARY KEY AUTOINCREMENT,
        image_id     BLOB NOT NULL UNIQUE,
        transfer_id  BLOB NOT NULL,
        peer_tag     BLOB NOT NULL,
        study_tag    BLOB,
        created_ms   INTEGER NOT NULL,
        stored_bytes INTEGER NOT NULL,
        wrapped_key  BLOB,
        summary      BLOB NOT NULL,
        attributes   BLOB,
        UNIQUE (peer_tag, transfer_id)
    ) STRICT;
    CREATE INDEX images_by_transfer ON images (transfer_id);
    CREATE INDEX images_by_study ON images (study_tag) WHERE study_tag IS NOT NULL;
",
    "
    ALTER TABLE store ADD COLUMN lookup_key BLOB;
",
];

/// The catalogue's name in the data folder.
pub(crate) const FILE: &str = "catalogue.sqlite";
/// The newest layout.
const LAYOUT: i64 = MIGRATIONS.len() as i64;
/// How long a statement waits for another one's lock.
const BUSY: Duration = Duration::from_secs(10);
/// How long emptying the log waits for a reader; it is tried again.
const BUSY_LOG: Duration = Duration::from_millis(200);

/// Opens the catalogue and brings its layout up to date.
pub(crate) fn open(path: &Path) -> Result<Connection, StorageError> {
    // SQLite gives its log and its index the rights of the catalogue itself.
    let made = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    made.map_err(|cause| StorageError::io(path, cause))?;
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    migrate(&mut connection)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), StorageError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if !(0..=LAYOUT).contains(&found) {
        return Err(StorageError::TooNew { found, known: LAYOUT });
    }
    for step in &MIGRATIONS[usize::try_from(found).expect("checked to be within the steps")..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    transaction.commit()?;
    Ok(())
}

/// The id of the storage key that the catalogue is under, if it is under any yet.
pub(crate) fn found_key_id(connection: &Connection) -> Result<Option<StorageKeyId>, StorageError> {
    let found = connection.query_row("SELECT key_id FROM store", [], |row| row.get(0)).optional()?;
    Ok(found.map(StorageKeyId))
}

/// Puts a catalogue without a key under `keys`, and checks that it is under no other one; gives its look-up key.
pub(crate) fn lookup_key(
    connection: &mut Connection,
    keys: &dyn KeyWrapper,
) -> Result<LookupKey, StorageError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let lookup = match found_key_id(&transaction)? {
        None => {
            let lookup = LookupKey::generate(&mut UnwrapErr(SysRng));
            let row = params![keys.id().0, keys.wrap_lookup(&lookup)?];
            transaction.execute("INSERT INTO store (key_id, lookup_key) VALUES (?1, ?2)", row)?;
            lookup
        }
        Some(expected) if expected != keys.id() => {
            return Err(StorageError::WrongKey { expected, found: keys.id() });
        }
        Some(_) => own_lookup_key(&transaction, keys)?,
    };
    transaction.commit()?;
    Ok(lookup)
}

/// The look-up key; a catalogue of layout 1 gets it from the storage key where there is anything to find, else a random one.
fn own_lookup_key(transaction: &Transaction<'_>, keys: &dyn KeyWrapper) -> Result<LookupKey, StorageError> {
    let wrapped: Option<Vec<u8>> =
        transaction.query_row("SELECT lookup_key FROM store", [], |row| row.get(0))?;
    if let Some(wrapped) = wrapped {
        return keys.unwrap_lookup(&wrapped);
    }
    let empty: bool =
        transaction.query_row("SELECT NOT EXISTS (SELECT 1 FROM images)", [], |row| row.get(0))?;
    let first = if empty { None } else { keys.first_lookup_key() };
    let lookup = first.unwrap_or_else(|| LookupKey::generate(&mut UnwrapErr(SysRng)));
    transaction.execute("UPDATE store SET lookup_key = ?1", params![keys.wrap_lookup(&lookup)?])?;
    Ok(lookup)
}

/// Empties the write-ahead log, where what was overwritten in the catalogue would live on; false while another connection reads.
pub(crate) fn truncate_log(connection: &Connection) -> Result<bool, StorageError> {
    connection.busy_timeout(BUSY_LOG)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    connection.busy_timeout(BUSY)?;
    Ok(busy? == 0)
}

/// A row of `images`.
pub(crate) struct Row {
    pub(crate) sequence: i64,
    pub(crate) image_id: [u8; 16],
    pub(crate) transfer_id: [u8; 16],
    pub(crate) created_ms: i64,
    pub(crate) stored_bytes: u64,
    pub(crate) summary: Vec<u8>,
    /// `None` in a tombstone.
    pub(crate) attributes: Option<Vec<u8>>,
}

/// Columns of [`Row`], in its order.
pub(crate) const COLUMNS: &str =
    "sequence, image_id, transfer_id, created_ms, stored_bytes, summary, attributes";

impl Row {
    pub(crate) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            sequence: row.get(0)?,
            image_id: row.get(1)?,
            transfer_id: row.get(2)?,
            created_ms: row.get(3)?,
            stored_bytes: u64::try_from(row.get::<_, i64>(4)?).unwrap_or(0),
            summary: row.get(5)?,
            attributes: row.get(6)?,
        })
    }
}

/// What is entered for a new image.
pub(crate) struct NewRow<'a> {
    pub(crate) image_id: &'a [u8; 16],
    pub(crate) transfer_id: &'a [u8; 16],
    pub(crate) peer_tag: &'a [u8; 32],
    pub(crate) study_tag: Option<&'a [u8; 32]>,
    pub(crate) created_ms: i64,
    pub(crate) stored_bytes: u64,
    pub(crate) wrapped_key: &'a [u8],
    pub(crate) summary: &'a [u8],
    pub(crate) attributes: &'a [u8],
}

impl NewRow<'_> {
    pub(crate) fn insert(&self, transaction: &Transaction<'_>) -> Result<i64, StorageError> {
        transaction.execute(
            "INSERT INTO images (image_id, transfer_id, peer_tag, study_tag, created_ms, stored_bytes, wrapped_key, summary, attributes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                self.image_id,
                self.transfer_id,
                self.peer_tag,
                self.study_tag,
                self.created_ms,
                i64::try_from(self.stored_bytes).unwrap_or(i64::MAX),
                self.wrapped_key,
                self.summary,
                self.attributes
            ],
        )?;
        Ok(transaction.last_insert_rowid())
    }
}
