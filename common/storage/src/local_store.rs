//! Objects as files: `objects/ab/abcdef….lwo`, written under `tmp/` first.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use latentwire_sealing::at_rest::{MAX_OBJECT_BYTES, sealed_bytes};

use crate::StorageError;
use crate::folder;
use crate::object_store::{ObjectId, ObjectStore};

/// Objects below a folder of the local file system.
#[derive(Debug)]
pub struct LocalStore {
    objects: PathBuf,
    temporary: PathBuf,
}

impl LocalStore {
    /// Opens the store, makes its folders where there are none, and removes what a crash left half-written.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(root: &Path) -> Result<Self, StorageError> {
        let store = Self { objects: root.join("objects"), temporary: root.join("tmp") };
        for path in [root, &store.objects, &store.temporary] {
            folder::make(path)?;
        }
        let entries = fs::read_dir(&store.temporary);
        for entry in entries.map_err(|cause| StorageError::io(&store.temporary, cause))? {
            let path = entry.map_err(|cause| StorageError::io(&store.temporary, cause))?.path();
            fs::remove_file(&path).map_err(|cause| StorageError::io(&path, cause))?;
        }
        Ok(store)
    }

    fn path(&self, id: &ObjectId) -> PathBuf {
        let name = hex(id);
        self.objects.join(&name[..2]).join(format!("{name}.lwo"))
    }

    fn write(&self, temporary: &Path, path: &Path, sealed: &[u8]) -> Result<(), StorageError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |cause| StorageError::io(path, cause)
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(temporary)
            .map_err(at(temporary))?;
        file.write_all(sealed).map_err(at(temporary))?;
        file.sync_all().map_err(at(temporary))?;
        let parent = path.parent().expect("objects lie in a folder");
        if !parent.is_dir() {
            folder::make(parent)?;
            sync_folder(&self.objects)?;
        }
        fs::rename(temporary, path).map_err(at(path))?;
        sync_folder(parent)
    }
}

impl ObjectStore for LocalStore {
    fn put(&self, id: &ObjectId, sealed: &[u8]) -> Result<(), StorageError> {
        let temporary = self.temporary.join(hex(id));
        let written = self.write(&temporary, &self.path(id), sealed);
        if written.is_err() {
            // What is left goes away at the next start at the latest.
            let _gone = fs::remove_file(&temporary);
        }
        written
    }

    fn get(&self, id: &ObjectId) -> Result<Vec<u8>, StorageError> {
        let path = self.path(id);
        let at = |cause| StorageError::io(&path, cause);
        let most = sealed_bytes(MAX_OBJECT_BYTES).map_err(StorageError::Damaged)?;
        let file = match File::open(&path) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Err(StorageError::NotFound),
            opened => opened.map_err(at)?,
        };
        let mut sealed = Vec::new();
        file.take(most + 1).read_to_end(&mut sealed).map_err(at)?;
        Ok(sealed)
    }

    fn delete(&self, id: &ObjectId) -> Result<(), StorageError> {
        let path = self.path(id);
        match fs::remove_file(&path) {
            Ok(()) => sync_folder(path.parent().expect("objects lie in a folder")),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(()),
            Err(cause) => Err(StorageError::io(path, cause)),
        }
    }

    fn list(&self) -> Result<Vec<ObjectId>, StorageError> {
        let mut ids = Vec::new();
        for folder in entries(&self.objects)? {
            for path in entries(&folder)? {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                ids.extend(name.strip_suffix(".lwo").and_then(unhex));
            }
        }
        Ok(ids)
    }

    fn free_bytes(&self) -> Result<u64, StorageError> {
        let status = rustix::fs::statvfs(&self.objects)
            .map_err(|cause| StorageError::io(&self.objects, cause.into()))?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let at = |cause| StorageError::io(folder, cause);
    let listed = fs::read_dir(folder).map_err(at)?;
    listed.map(|entry| entry.map(|entry| entry.path()).map_err(at)).collect()
}

fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|cause| StorageError::io(folder, cause))
}

fn hex(id: &ObjectId) -> String {
    use std::fmt::Write;
    id.iter().fold(String::with_capacity(32), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

fn unhex(text: &str) -> Option<ObjectId> {
    if text.len() != 32 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_come_back_and_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = LocalStore::open(folder.path()).expect("opened");
        let (one, two) = ([0xab; 16], [0x01; 16]);
        store.put(&one, b"sealed").expect("stored");
        store.put(&two, b"").expect("stored");
        assert_eq!(store.get(&one).expect("there"), b"sealed");
        let mut listed = store.list().expect("listed");
        listed.sort_unstable();
        assert_eq!(listed, [two, one]);
        store.delete(&one).expect("deleted");
        store.delete(&one).expect("deleted already");
        assert!(matches!(store.get(&one), Err(StorageError::NotFound)));
        assert!(store.free_bytes().expect("known") > 0);
    }

    #[test]
    fn what_a_crash_left_half_written_goes_away() {
        let folder = tempfile::tempdir().expect("a folder");
        LocalStore::open(folder.path()).expect("opened").put(&[7; 16], b"whole").expect("stored");
        fs::write(folder.path().join("tmp").join(hex(&[8; 16])), b"ha").expect("written");
        let store = LocalStore::open(folder.path()).expect("opened again");
        assert_eq!(store.list().expect("listed"), [[7; 16]]);
        assert_eq!(fs::read_dir(folder.path().join("tmp")).expect("there").count(), 0);
    }

    #[test]
    fn nothing_is_left_of_an_object_that_cannot_be_stored() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = LocalStore::open(folder.path()).expect("opened");
        // A file where the object's folder must be made.
        fs::write(folder.path().join("objects").join("09"), b"").expect("written");
        assert!(store.put(&[9; 16], b"sealed").is_err());
        assert_eq!(fs::read_dir(folder.path().join("tmp")).expect("there").count(), 0);
    }
}
