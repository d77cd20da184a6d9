//! The catalogue's tables: SQLite, write-ahead log, synced at every commit, deleted rows overwritten.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::StorageError;

/// Layouts, one a step; `user_version` counts the steps taken. A step never changes once released.
const MIGRATIONS: [&str; 1] = ["
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
"];

/// The newest layout.
const LAYOUT: i64 = MIGRATIONS.len() as i64;
/// How long a statement waits for another one's lock.
const BUSY: Duration = Duration::from_secs(10);

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

/// The id of the storage key that the catalogue was made with; `own` is entered where there is none yet.
pub(crate) fn key_id(connection: &mut Connection, own: &[u8; 16]) -> Result<[u8; 16], StorageError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = match transaction.query_row("SELECT key_id FROM store", [], |row| row.get::<_, [u8; 16]>(0)) {
        Ok(found) => found,
        Err(rusqlite::Error::QueryReturnedNoRows) => {
            transaction.execute("INSERT INTO store (key_id) VALUES (?1)", params![own])?;
            *own
        }
        Err(error) => return Err(error.into()),
    };
    transaction.commit()?;
    Ok(found)
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
