//! Files that appear whole or not at all: written under another name, synchronised, renamed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// A file being written; gone unless it is [kept](WholeFile::keep).
pub struct WholeFile {
    target: PathBuf,
    temporary: PathBuf,
    file: Option<File>,
}

impl WholeFile {
    /// Begins to write `target`, in `target`'s own folder.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn create(target: &Path) -> Result<Self, Failure> {
        let fail = |error: io::Error| Failure::file(target, &error);
        let name = target.file_name().ok_or_else(|| fail(io::Error::other("this is no name of a file")))?;
        let mut noise = [0; 8];
        getrandom::fill(&mut noise).map_err(|error| fail(io::Error::other(error.to_string())))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.part", hex::encode(noise)));
        let temporary = target.with_file_name(hidden);
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary).map_err(fail)?;
        Ok(Self { target: target.to_owned(), temporary, file: Some(file) })
    }

    /// Appends.
    ///
    /// # Errors
    /// The disk is full, or the file cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.file {
            Some(file) => file.write_all(bytes).map_err(|error| Failure::file(&self.target, &error)),
            None => Ok(()),
        }
    }

    /// Gives the file these permissions.
    ///
    /// # Errors
    /// The file is not ours.
    pub fn permissions(&self, permissions: fs::Permissions) -> Result<(), Failure> {
        fs::set_permissions(&self.temporary, permissions).map_err(|error| Failure::file(&self.target, &error))
    }

    /// Puts the file in place, replacing one of that name.
    ///
    /// # Errors
    /// The disk is full, or the file cannot be renamed; nothing is left then.
    pub fn keep(mut self) -> Result<(), Failure> {
        let fail = |error: io::Error| Failure::file(&self.target, &error);
        if let Some(file) = self.file.take() {
            file.sync_all().map_err(fail)?;
        }
        fs::rename(&self.temporary, &self.target).map_err(fail)
    }

    /// Writes `target` in one go.
    ///
    /// # Errors
    /// As the steps above.
    pub fn write_all(target: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let mut file = Self::create(target)?;
        file.write(bytes)?;
        file.keep()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        // After `keep` there is nothing of that name, and before it nobody else knows the name.
        let _ = fs::remove_file(&self.temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_kept_leaves_nothing_and_the_old_one_stands() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let target = folder.path().join("image.png");
        fs::write(&target, b"old").expect("file");
        let mut file = WholeFile::create(&target).expect("temporary file");
        file.write(b"half").expect("written");
        drop(file);
        assert_eq!(fs::read(&target).expect("file"), b"old");
        assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
        WholeFile::write_all(&target, b"new").expect("written");
        assert_eq!(fs::read(&target).expect("file"), b"new");
        assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
    }
}
