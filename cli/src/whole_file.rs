//! Files that appear whole or not at all: written under another name, synchronised, renamed.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, fchown},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
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
        let temporary = beside(target).map_err(fail)?;
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

    /// Gives the file to the owner of the one that it replaces, as far as this user may.
    ///
    /// # Errors
    /// The owner would not be able to read it any more.
    pub fn owner_of(&self, old: &fs::Metadata) -> Result<(), Failure> {
        let fail = |error: io::Error| Failure::file(&self.target, &error);
        let Some(file) = &self.file else { return Ok(()) };
        let new = file.metadata().map_err(fail)?;
        if (new.uid(), new.gid()) == (old.uid(), old.gid()) {
            return Ok(());
        }
        match fchown(file, Some(old.uid()), Some(old.gid())) {
            Err(error) if old.mode() & 0o004 == 0 => Err(fail(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Puts the file in place, replacing one of that name.
    ///
    /// # Errors
    /// The disk is full, or the file cannot be renamed; nothing is left then.
    pub fn keep(self) -> Result<(), Failure> {
        let fail = |error: io::Error| Failure::file(&self.target, &error);
        self.synchronise().map_err(fail)?;
        rename(&self.temporary, &self.target).map_err(fail)
    }

    /// Puts the file in place unless one of that name is there.
    ///
    /// # Errors
    /// As [`Self::keep`]; `ALREADY_EXISTS` if the name is taken, also by a file that came meanwhile.
    pub fn keep_new(self) -> Result<(), Failure> {
        let fail = |error: io::Error| Failure::file(&self.target, &error);
        self.synchronise().map_err(fail)?;
        rename_new(&self.temporary, &self.target).map_err(fail)
    }

    fn synchronise(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_all)
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

/// A name beside `target` that nobody else has, hidden, ending in `.part`.
///
/// # Errors
/// `target` names no file, or the system has no random numbers.
pub fn beside(target: &Path) -> io::Result<PathBuf> {
    let name = target.file_name().ok_or_else(|| io::Error::other("this is no name of a file"))?;
    let mut noise = [0; 8];
    getrandom::fill(&mut noise).map_err(|error| io::Error::other(error.to_string()))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.part", hex::encode(noise)));
    Ok(target.with_file_name(hidden))
}

/// Renames durably: the folder is on the disk when this returns.
///
/// # Errors
/// The operating system refuses.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    synchronise_folder(to)
}

/// Renames durably, and never over another file.
///
/// # Errors
/// `AlreadyExists`, or the operating system refuses.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot do it in one step, NFS for one, can do it by a link.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)?;
        }
        other => other?,
    }
    synchronise_folder(to)
}

/// Makes the names in a file's folder durable.
///
/// # Errors
/// The folder cannot be opened or synchronised.
pub fn synchronise_folder(file: &Path) -> io::Result<()> {
    File::open(folder_of(file))?.sync_all()
}

/// The folder that a file lies in.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
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

    #[test]
    fn a_new_file_never_takes_the_place_of_another() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let target = folder.path().join("image.png");
        let begin = || {
            let mut file = WholeFile::create(&target).expect("temporary file");
            file.write(b"new").expect("written");
            file
        };
        let (first, second) = (begin(), begin());
        first.keep_new().expect("the name is free");
        fs::write(&target, b"somebody's").expect("file");
        assert_eq!(second.keep_new().expect_err("the name is taken").code, "ALREADY_EXISTS");
        assert_eq!(fs::read(&target).expect("file"), b"somebody's");
        assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
    }
}
