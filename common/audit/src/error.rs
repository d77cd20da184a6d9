//! Why the log cannot be written or read.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the log cannot be written or read. No text names a patient or holds a key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The log does not continue where the service left it.
    #[error(
        "the audit log in {} is not as it was left ({what}): find out who changed it with `latentwire audit verify`, \
         keep the folder as evidence, and start with a new one",
        path.display()
    )]
    Changed {
        /// The folder.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The operating system refuses.
    #[error("audit log {}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it says.
        cause: std::io::Error,
    },
    /// A key text is none.
    #[error("audit key: {0}")]
    Key(&'static str),
    /// Another process writes this log.
    #[error("audit log {} is in use by another process: stop that one, or choose another folder", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// The disk is as good as full.
    #[error(
        "no room for the audit log {} ({free_bytes} bytes free, --audit-min-free-bytes {min_free_bytes}): free some; until then nothing \
         is transferred",
        path.display()
    )]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// Bytes that are free.
        free_bytes: u64,
        /// Bytes that must be.
        min_free_bytes: u64,
    },
    /// There is no log.
    #[error("{} holds no audit log: name the folder of --audit", path.display())]
    NotALog {
        /// The folder.
        path: PathBuf,
    },
    /// A record cannot be read.
    #[error("{}, line {line}: {what}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A record would be longer than any is.
    #[error("an audit record of {found} bytes, at most {limit} are allowed")]
    TooLong {
        /// Bytes of the record.
        found: usize,
        /// Most that are allowed.
        limit: usize,
    },
}

impl AuditError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { path, cause }
    }
}
