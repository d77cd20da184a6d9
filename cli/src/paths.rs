//! Which files a command line means: files as named, patterns expanded, folders searched for pictures, `-`.

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use glob::{MatchOptions, Pattern};
use latentwire_codec::imaging::Format;

use crate::{args::is_standard_stream, failure::Failure, terminal::Terminal};

/// Bytes that tell every known format: a DICOM file's mark ends at byte 132.
const SNIFF_BYTES: u64 = 512;

/// Largest image that the services take.
const MOST_STREAM_BYTES: u64 = 1 << 30;

/// How a pattern matches: as a shell's, so `*` stops at a slash and passes hidden files over.
const PATTERNS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Files to take, in order, and how many others the folders held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Files named by the command line, and pictures found in its folders, sorted within each; none of them twice.
    pub files: Vec<PathBuf>,
    /// Files in folders that are no pictures.
    pub skipped: usize,
    /// Files that were named more than once.
    pub repeated: usize,
    /// The first pattern that matches nothing.
    pub unmatched: Option<PathBuf>,
    /// Folders that cannot be looked into.
    pub unreadable: Vec<Failure>,
}

impl Selection {
    /// Says what was passed over.
    pub fn tell(&self, terminal: &Terminal<'_>) {
        match self.skipped {
            0 => {}
            1 => terminal.note("1 file in the folders is no picture and was passed over"),
            many => {
                terminal.note(&format!("{many} files in the folders are no pictures and were passed over"));
            }
        }
        match self.repeated {
            0 => {}
            1 => terminal.note("1 file was named twice and is taken once"),
            many => terminal.note(&format!("{many} files were named twice and are taken once")),
        }
    }

    /// Length of all files together, as far as it is known.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| length(file)).sum()
    }
}

/// Length of a file; 0 where it is not known.
#[must_use]
pub fn length(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

/// A path as the results name it.
#[must_use]
pub fn display(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A whole file, or what standard input holds.
///
/// # Errors
/// It cannot be read.
pub fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    if !is_standard_stream(file) {
        return fs::read(file).map_err(|error| Failure::file(file, &error));
    }
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(MOST_STREAM_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::file(Path::new("standard input"), &error))?;
    if bytes.len() as u64 > MOST_STREAM_BYTES {
        let message = "standard input holds more than 1 GiB: an image is never larger";
        return Err(Failure::rejected("OUT_OF_RANGE", "TRANSFER_TOO_LARGE", message));
    }
    Ok(bytes)
}

/// The files that [`search`] finds; there must be some.
///
/// # Errors
/// As [`search`]; or a folder cannot be read, a pattern matches nothing, or there is no picture in any of the folders.
pub fn select(paths: &[PathBuf]) -> Result<Selection, Failure> {
    let mut found = search(paths)?;
    if !found.unreadable.is_empty() {
        return Err(found.unreadable.swap_remove(0));
    }
    if let Some(pattern) = &found.unmatched {
        return Err(Failure::usage(format!("pattern {} matches no file", pattern.display())));
    }
    if found.files.is_empty() {
        return Err(Failure::usage("there is no PNG, JPEG, TIFF or DICOM file in the folders named"));
    }
    Ok(found)
}

/// Finds the files: a named file is always taken, a folder gives the pictures in it and below, by their first bytes, and a
/// pattern whatever it matches. Hidden files and links to folders are passed over.
///
/// # Errors
/// A pattern is malformed.
pub fn search(paths: &[PathBuf]) -> Result<Selection, Failure> {
    let mut found = Selection::default();
    for path in paths {
        match matches(path)? {
            Some(matching) => {
                if matching.is_empty() {
                    found.unmatched.get_or_insert(path.clone());
                }
                for path in matching {
                    take(&path, &mut found);
                }
            }
            None => take(path, &mut found),
        }
    }
    let mut seen = HashSet::new();
    let all = found.files.len();
    found.files.retain(|file| seen.insert(file.clone()));
    found.repeated = all - found.files.len();
    Ok(found)
}

fn take(path: &Path, selection: &mut Selection) {
    if path.is_dir() {
        walk(path, selection);
    } else {
        selection.files.push(path.to_owned());
    }
}

/// What a pattern matches, sorted; `None` for a path that is none. A file that has the pattern's very name is meant itself.
fn matches(path: &Path) -> Result<Option<Vec<PathBuf>>, Failure> {
    let Some(text) = path.to_str().filter(|text| text.contains(['*', '?', '['])) else { return Ok(None) };
    if path.symlink_metadata().is_ok() {
        return Ok(None);
    }
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("pattern {text}: {error}"));
    Pattern::new(text).map_err(|error| wrong(&error))?;
    let entries = glob::glob_with(text, PATTERNS).map_err(|error| wrong(&error))?;
    let found: Vec<PathBuf> =
        entries.collect::<Result<_, _>>().map_err(|error| Failure::file(error.path(), error.error()))?;
    Ok(Some(found))
}

fn walk(folder: &Path, selection: &mut Selection) {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            selection.unreadable.push(Failure::file(folder, &error));
            return;
        }
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_name().as_encoded_bytes().first() == Some(&b'.') {
            continue;
        }
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, selection);
        } else if path.is_file() {
            if may_be_picture(&path) {
                selection.files.push(path);
            } else {
                selection.skipped += 1;
            }
        }
    }
}

/// By its first bytes. A file that cannot be read may be one: it is taken, and rejected by its name.
fn may_be_picture(path: &Path) -> bool {
    let mut start = Vec::new();
    match File::open(path).and_then(|file| file.take(SNIFF_BYTES).read_to_end(&mut start)) {
        Ok(_length) => Format::sniff(&start).is_some(),
        // It went away since the folder was listed.
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0";

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary folder");
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("folder");
            fs::write(path, content).expect("file");
        }
        folder
    }

    fn names(folder: &tempfile::TempDir, pattern: &str) -> Vec<String> {
        let selection = select(&[folder.path().join(pattern)]).expect("files");
        let inside = |file: &PathBuf| display(file.strip_prefix(folder.path()).expect("inside"));
        selection.files.iter().map(inside).collect()
    }

    #[test]
    fn folders_give_their_pictures_in_order_and_named_files_are_taken_as_they_are() {
        let folder = folder(&[
            ("z.png", PNG),
            ("a.bin", PNG),
            ("README", b"text"),
            (".hidden.png", PNG),
            ("b/m.png", PNG),
        ]);
        let readme = folder.path().join("README");
        let selection = select(&[folder.path().to_owned(), readme.clone()]).expect("pictures");
        let expected =
            [folder.path().join("a.bin"), folder.path().join("b/m.png"), folder.path().join("z.png"), readme];
        assert_eq!(selection.files, expected);
        assert_eq!((selection.skipped, selection.repeated), (1, 0));
        let twice = select(&[folder.path().join("z.png"), folder.path().to_owned()]).expect("pictures");
        assert_eq!((twice.files.len(), twice.repeated), (3, 1));
    }

    #[test]
    fn patterns_match_as_a_shell_does_and_their_folders_are_searched() {
        let folder = folder(&[
            ("a1.png", PNG),
            ("a2.png", PNG),
            ("b.dcm", PNG),
            (".a3.png", PNG),
            ("deep/er/c.png", PNG),
            ("deep/notes.txt", b"text"),
            ("[x].png", PNG),
        ]);
        assert_eq!(names(&folder, "a?.png"), ["a1.png", "a2.png"]);
        assert_eq!(names(&folder, "*.png"), ["[x].png", "a1.png", "a2.png"]);
        assert_eq!(names(&folder, "a[2-9].png"), ["a2.png"]);
        assert_eq!(names(&folder, "**/*.png"), ["[x].png", "a1.png", "a2.png", "deep/er/c.png"]);
        assert_eq!(names(&folder, "d*"), ["deep/er/c.png"], "a folder that matches is searched");
        assert_eq!(names(&folder, "[x].png"), ["[x].png"], "a file of that very name is meant itself");
        for pattern in ["*.tif", "a***", "[z-a].png"] {
            let failure = select(&[folder.path().join(pattern)]).expect_err(pattern);
            assert!(failure.exit == Exit::Usage && failure.message.contains(pattern), "{failure}");
        }
    }

    #[test]
    fn a_folder_without_pictures_is_a_usage_error() {
        let folder = folder(&[]);
        let failure = select(&[folder.path().to_owned()]).expect_err("nothing to send");
        assert_eq!(failure.exit, Exit::Usage);
    }
}
