//! SHA-256 of a file, without holding the file in memory.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes that are read at once.
const PIECE_BYTES: usize = 256 * 1024;

/// SHA-256 of a file, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileDigest(String);

impl FileDigest {
    /// Reads a file to its end.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut digest = Sha256::new();
        let mut file = File::open(path)?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(Self(hex::encode(digest.finalize()))),
                length => digest.update(&piece[..length]),
            }
        }
    }

    /// Whether it is this digest.
    #[must_use]
    pub fn is(&self, digest: &[u8]) -> bool {
        self.0 == hex::encode(digest)
    }
}

impl From<[u8; 32]> for FileDigest {
    fn from(digest: [u8; 32]) -> Self {
        Self(hex::encode(digest))
    }
}
