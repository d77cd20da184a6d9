//! The data folder itself: one process at a time.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::StorageError;

/// Makes the folder where there is none, readable to its owner alone.
pub(crate) fn make(folder: &Path) -> Result<(), StorageError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|cause| StorageError::io(folder, cause))
}

/// Holds the folder for this process until the file is dropped.
pub(crate) fn lock(folder: &Path) -> Result<File, StorageError> {
    let path = folder.join("lock");
    let opened = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = opened.map_err(|cause| StorageError::io(&path, cause))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StorageError::Locked { path: folder.to_owned() }),
        Err(cause) => Err(StorageError::io(path, cause.into())),
    }
}
