//! The data folder itself: one process at a time.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::StorageError;

/// Makes the folder where there is none, readable to its owner alone.
pub(crate) fn make(folder: &Path) -> Result<(), StorageError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|cause| StorageError::io(folder, cause))
}

/// The folder, held for this process until this is dropped.
///
/// Dropping gives the lock back in so many words: a child that another thread is starting has the file too for a moment,
/// and closing ours alone would leave the folder locked until that child runs its own program.
#[derive(Debug)]
pub(crate) struct FolderLock(File);

impl FolderLock {
    /// # Errors
    /// [`StorageError::Locked`] if another process, or another store of this one, holds the folder.
    pub(crate) fn take(folder: &Path) -> Result<Self, StorageError> {
        let path = folder.join("lock");
        let opened = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = opened.map_err(|cause| StorageError::io(&path, cause))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(StorageError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(cause)) => Err(StorageError::io(path, cause)),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file, which follows, is all that is left to do where this fails.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    #[test]
    fn a_folder_is_free_once_its_holder_is_done_whoever_still_has_the_file() {
        let folder = tempdir().expect("a folder");
        let lock = FolderLock::take(folder.path()).expect("free");
        let inherited = lock.0.try_clone().expect("a second descriptor");
        assert!(matches!(FolderLock::take(folder.path()), Err(StorageError::Locked { .. })));
        drop(lock);
        FolderLock::take(folder.path()).expect("free again");
        drop(inherited);
    }
}
