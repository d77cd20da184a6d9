//! Why something could not be stored or found again.

use std::path::PathBuf;

use latentwire_sealing::CryptoError;
use latentwire_sealing::at_rest::StorageKeyId;
use thiserror::Error;

/// Why something could not be stored or found again. Paths are those of the data folder: random ids, no patient.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StorageError {
    /// SQLite refuses.
    #[error("the catalogue cannot be used: {0}; check the disk and the rights of the data folder")]
    Catalogue(#[source] rusqlite::Error),
    /// A stored object or record does not authenticate, or is not one.
    #[error("a stored object is damaged: {0}; restore it from the sender or a backup")]
    Damaged(#[source] CryptoError),
    /// The transfer, or the image id, is there already.
    #[error("the transfer is stored already")]
    Duplicate,
    /// The operating system refuses.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        cause: std::io::Error,
    },
    /// Who holds the storage key does not answer; a key in memory always does.
    #[error("the storage key cannot be used: {cause}; see to the device that holds it")]
    KeysUnavailable {
        /// What the device says.
        cause: String,
    },
    /// Another program reads the catalogue, so that its log cannot be emptied: what was overwritten is still in it.
    #[error(
        "another program reads the catalogue (a backup?), so old keys stay in its log: run this again when it has ended"
    )]
    LogInUse,
    /// Another process uses the data folder.
    #[error("data folder {} is in use by another process: stop that one (systemctl stop latentwire-receiver), or choose another folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The disk, or the user's quota, is full.
    #[error("no space left on the disk of the data folder: free some")]
    NoSpace,
    /// There is no such object or image.
    #[error("there is no such image")]
    NotFound,
    /// A newer version wrote the catalogue.
    #[error("the catalogue has layout {found}, this version reads up to {known}: run the newer version")]
    TooNew {
        /// Its layout.
        found: i64,
        /// The newest layout that is known here.
        known: i64,
    },
    /// The data folder is under another storage key.
    #[error(
        "the data folder is under storage key {expected}, the one given is {found}: give that key's file (a rotation keeps the old one beside it)"
    )]
    WrongKey {
        /// Id of the key that it is under.
        expected: StorageKeyId,
        /// Id of the key given.
        found: StorageKeyId,
    },
}

impl StorageError {
    /// What the operating system said of a path, a full disk told apart.
    pub(crate) fn io(path: impl Into<PathBuf>, cause: std::io::Error) -> Self {
        if matches!(cause.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) {
            Self::NoSpace
        } else {
            Self::Io { path: path.into(), cause }
        }
    }
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        if matches!(error, rusqlite::Error::QueryReturnedNoRows) {
            return Self::NotFound;
        }
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::NoSpace,
            Some(rusqlite::ErrorCode::ConstraintViolation) => Self::Duplicate,
            _ => Self::Catalogue(error),
        }
    }
}
