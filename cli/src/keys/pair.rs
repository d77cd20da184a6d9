//! A key pair's two files: each whole or not there, and never over another.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use latentwire_service::keys::{KeyFileError, write_new_key_file};
use latentwire_service::sealing::SecretKey;

use super::with_suffix;
use crate::{
    failure::Failure,
    whole_file::{beside, rename_new},
};

/// Writes a secret key, mode 0600, and `FILE.pub` with its public half; gives the latter's name.
///
/// Both are written into a folder of their own beside `file` first. A run that is killed leaves that folder at most, or
/// the secret key without its public half, which can be made from it at any time.
///
/// # Errors
/// One of the two is there already, or the operating system refuses.
pub fn write_new(file: &Path, key: &SecretKey) -> Result<PathBuf, Failure> {
    let public_file = with_suffix(file, ".pub");
    for taken in [file, &public_file] {
        if taken.symlink_metadata().is_ok() {
            return Err(KeyFileError::Exists { path: taken.to_owned() }.into());
        }
    }
    let fail = |cause: io::Error| KeyFileError::Io { path: file.to_owned(), cause };
    let workshop = Workshop::new(beside(file).map_err(fail)?).map_err(fail)?;
    let made = workshop.0.join("key");
    let made_public = write_new_key_file(&made, key)?;
    for (from, to) in [(&made, &file.to_owned()), (&made_public, &public_file)] {
        rename_new(from, to).map_err(|error| {
            let taken = error.kind() == io::ErrorKind::AlreadyExists;
            if taken { KeyFileError::Exists { path: to.clone() } } else { fail(error) }
        })?;
    }
    Ok(public_file)
}

/// A folder that only this user can look into; gone with everything in it when dropped.
struct Workshop(PathBuf);

impl Workshop {
    fn new(folder: PathBuf) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // Nobody else knows the name; what cannot be removed is open to nobody else either.
        let _ = fs::remove_dir_all(&self.0);
    }
}
