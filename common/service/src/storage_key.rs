//! Where a receiver's storage key lies, and what may lie beside what.

use std::path::{Path, PathBuf};

use latentwire_sealing::at_rest::StorageKey;

use crate::keys::{KeyFileError, KeySource, read_secret_file};

/// Name of a storage key that an earlier version made inside the data folder.
const INSIDE: &str = "storage.key";

/// Where the storage key of a data folder is when nobody says: beside the folder, `DIR.storage.key`; or `storage.key` inside it
/// where an earlier version has put it. `None` where the folder has no name to put it beside (`/`, `..`).
pub fn default_path(data: &Path) -> Option<PathBuf> {
    let inside = data.join(INSIDE);
    if inside.exists() {
        return Some(inside);
    }
    let absolute = std::path::absolute(data).ok()?;
    let mut name = absolute.file_name()?.to_owned();
    name.push(".");
    name.push(INSIDE);
    Some(absolute.with_file_name(name))
}

/// Where the next key of a rotation waits, `FILE.next`.
pub fn staged_path(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".next");
    name.into()
}

/// Whether a key file lies inside the data folder, beside what it seals: a thief of the folder has both.
pub fn lies_inside(data: &Path, file: &Path) -> bool {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (data.canonicalize(), folder.canonicalize()) {
        (Ok(data), Ok(folder)) => folder.starts_with(data),
        _ => false,
    }
}

/// Reads a storage key with the checks of `source`.
///
/// # Errors
/// [`KeyFileError`], each with what mends it.
pub fn load(path: &Path, source: KeySource) -> Result<StorageKey, KeyFileError> {
    let text = read_secret_file(path, source)?;
    StorageKey::from_text(&text).map_err(|cause| KeyFileError::Text { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lies_beside_its_folder_unless_it_lies_in_it_already() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let beside = folder.path().join("data.storage.key");
        assert_eq!(default_path(&data), Some(beside.clone()));
        assert!(!lies_inside(&data, &beside));
        std::fs::create_dir(&data).expect("made");
        assert_eq!(default_path(&data), Some(beside.clone()));
        assert!(!lies_inside(&data, &beside));
        std::fs::write(data.join("storage.key"), "").expect("written");
        assert_eq!(default_path(&data), Some(data.join("storage.key")));
        assert!(lies_inside(&data, &data.join("storage.key")));
        assert_eq!(default_path(Path::new("/")), None);
        assert_eq!(staged_path(&beside), folder.path().join("data.storage.key.next"));
    }
}
