//! The list of `--resume`: what was begun and what is done, one JSON object a line, each on the disk before its image moves.
//!
//! ```text
//! {"path":"/a.dcm","sha256":"9f…","destination":"clinic-b","transfer_id":"00…","status":"begun"}
//! {"path":"/a.dcm","sha256":"9f…","destination":"clinic-b","transfer_id":"00…","status":"delivered"}
//! ```
//!
//! An image that was begun and not ended is sent again under its id, which the receiver delivers once, however often it
//! comes. A power cut can tear the last line alone: it is cut off when the list is opened.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use crate::{
    args::TransferId,
    failure::{Exit, Failure},
    file_digest::FileDigest,
    terminal::Terminal,
    whole_file::synchronise_folder,
};

/// Status of an image that is on its way.
const BEGUN: &str = "begun";

/// What names an image in the list: a file with this content, to this destination.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    path: String,
    sha256: FileDigest,
    destination: String,
}

impl Entry {
    /// The entry of a file; its path is made absolute, so that the list holds from every folder.
    #[must_use]
    pub fn new(path: &Path, sha256: FileDigest, destination: &str) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // A path that is no text is told by its bytes: two of them must not become one.
        let escaped = || absolute.as_os_str().as_encoded_bytes().escape_ascii().to_string();
        let path = absolute.to_str().map_or_else(escaped, str::to_owned);
        Self { path, sha256, destination: destination.to_owned() }
    }

    /// Digest of the file.
    #[must_use]
    pub fn digest(&self) -> &FileDigest {
        &self.sha256
    }
}

/// A line of the list.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    entry: Entry,
    transfer_id: String,
    status: String,
}

/// What the list knows of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is at the receiver, or durably on its way there.
    Delivered,
    /// It is to be sent under this id.
    Begun(TransferId),
}

/// The list, open and locked.
pub struct ResumeList {
    path: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    file: File,
    known: HashMap<Entry, Known>,
}

impl ResumeList {
    /// Opens a list, or begins one.
    ///
    /// # Errors
    /// It cannot be read or written, another run holds it, or a line is none of a list's.
    pub fn open(path: &Path, terminal: &Terminal<'_>) -> Result<Self, Failure> {
        let fail = |error: io::Error| Failure::file(path, &error);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} is in use by another latentwire send", path.display());
                return Err(Failure::new("ABORTED", "RESUME_LIST_IN_USE", message, Exit::Local));
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(fail)?;
        let (known, whole) = parse(&bytes).map_err(|(line, why)| {
            let message = format!("{}: line {line} is none of a resume list: {why}", path.display());
            Failure::local("RESUME_LIST", message + "; remove the line, or name another file")
        })?;
        if whole < bytes.len() {
            file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(fail)?;
            terminal.note(&format!("{}: its last line was torn and is left out", path.display()));
        }
        file.seek(SeekFrom::End(0)).map_err(fail)?;
        synchronise_folder(path).map_err(fail)?;
        Ok(Self { path: path.to_owned(), inner: Mutex::new(Inner { file, known }) })
    }

    /// Looks an image up; one that is not known is entered under `id` first, on the disk.
    ///
    /// # Errors
    /// The list cannot be written.
    pub fn begin(&self, entry: &Entry, id: TransferId) -> Result<Known, Failure> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = inner.known.get(entry) {
            return Ok(*known);
        }
        self.append(&mut inner, entry, id, BEGUN)?;
        inner.known.insert(entry.clone(), Known::Begun(id));
        Ok(Known::Begun(id))
    }

    /// Enters that an image is where it was to go.
    ///
    /// # Errors
    /// The list cannot be written.
    pub fn done(&self, entry: Entry, status: &str) -> Result<(), Failure> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Known::Begun(id)) = inner.known.get(&entry).copied() {
            self.append(&mut inner, &entry, id, status)?;
            inner.known.insert(entry, Known::Delivered);
        }
        Ok(())
    }

    fn append(&self, inner: &mut Inner, entry: &Entry, id: TransferId, status: &str) -> Result<(), Failure> {
        let line = Line { entry: entry.clone(), transfer_id: id.to_string(), status: status.to_owned() };
        let text = serde_json::to_string(&line).expect("texts always serialise") + "\n";
        let written = inner.file.write_all(text.as_bytes()).and_then(|()| inner.file.sync_data());
        written.map_err(|error| Failure::file(&self.path, &error))
    }
}

/// The lines, and how many bytes of the file are whole ones; else the line that is none, and why.
fn parse(bytes: &[u8]) -> Result<(HashMap<Entry, Known>, usize), (usize, String)> {
    let mut known = HashMap::new();
    let mut whole = 0;
    for (place, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let read = match line.strip_suffix(b"\n") {
            Some(line) => read_line(line),
            None => Err("it has no end".to_owned()),
        };
        match read {
            Ok((entry, state)) => known.insert(entry, state),
            Err(_) if whole + line.len() == bytes.len() && may_be_torn(line) => break,
            Err(why) => return Err((place + 1, why)),
        };
        whole += line.len();
    }
    Ok((known, whole))
}

fn read_line(line: &[u8]) -> Result<(Entry, Known), String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let id = line.transfer_id.parse()?;
    let state = if line.status == BEGUN { Known::Begun(id) } else { Known::Delivered };
    Ok((line.entry, state))
}

/// Whether a last line can be the beginning of one of ours, or the zeros that a file system leaves in its place; anything
/// else is somebody's own file, which must not be cut.
fn may_be_torn(line: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"{\"path\":\"";
    let written = line.iter().position(|&byte| byte == 0 || byte == b'\n').unwrap_or(line.len());
    let (text, rest) = line.split_at(written);
    let begins = text.starts_with(BEGINNING) || BEGINNING.starts_with(text);
    begins && (!text.is_empty() || rest.iter().all(|&byte| byte == 0 || byte == b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::OutputArgs;

    const FIRST: TransferId = TransferId([1; 16]);
    const SECOND: TransferId = TransferId([2; 16]);

    fn open(path: &Path) -> Result<ResumeList, Failure> {
        let mut nowhere = Vec::new();
        ResumeList::open(
            path,
            &Terminal::new(&mut nowhere, OutputArgs { quiet: true, ..OutputArgs::default() }),
        )
    }

    fn entry(name: &str) -> Entry {
        Entry::new(Path::new(name), [0xab; 32].into(), "clinic-b")
    }

    #[test]
    fn what_was_begun_keeps_its_id_and_what_is_done_is_done() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("list.jsonl");
        let list = open(&path).expect("a new list");
        assert_eq!(list.begin(&entry("/a"), FIRST), Ok(Known::Begun(FIRST)));
        assert_eq!(list.begin(&entry("/b"), SECOND), Ok(Known::Begun(SECOND)));
        list.done(entry("/b"), "delivered").expect("written");
        drop(list);
        let list = open(&path).expect("the list");
        let other = TransferId([3; 16]);
        assert_eq!(list.begin(&entry("/a"), other), Ok(Known::Begun(FIRST)), "under the same id");
        assert_eq!(list.begin(&entry("/b"), other), Ok(Known::Delivered));
        let changed = Entry { sha256: [0xcd; 32].into(), ..entry("/b") };
        assert_eq!(list.begin(&changed, other), Ok(Known::Begun(other)), "other content is another image");
        let elsewhere = Entry { destination: "clinic-c".to_owned(), ..entry("/b") };
        assert_eq!(list.begin(&elsewhere, SECOND), Ok(Known::Begun(SECOND)));
    }

    #[test]
    fn a_list_that_was_cut_anywhere_opens_and_loses_its_last_line_at_most() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("list.jsonl");
        let list = open(&path).expect("a new list");
        list.begin(&entry("/a"), FIRST).expect("written");
        list.done(entry("/a"), "delivered").expect("written");
        drop(list);
        let whole = std::fs::read(&path).expect("the list");
        let first = 1 + whole.iter().position(|&byte| byte == b'\n').expect("two lines");
        for length in 0..=whole.len() {
            std::fs::write(&path, &whole[..length]).expect("written");
            let list = open(&path).unwrap_or_else(|failure| panic!("{length}: {failure}"));
            let expected = match length {
                length if length < first => Known::Begun(SECOND),
                length if length < whole.len() => Known::Begun(FIRST),
                _ => Known::Delivered,
            };
            assert_eq!(list.begin(&entry("/a"), SECOND), Ok(expected), "cut at {length}");
            drop(list);
            let text = std::fs::read_to_string(&path).expect("the list");
            assert!(text.lines().all(|line| serde_json::from_str::<Line>(line).is_ok()), "{length}: {text}");
        }
        // A file system may leave zeros where the last line was to be.
        std::fs::write(&path, [&whole[..first], &[0; 40], b"\n"].concat()).expect("written");
        assert_eq!(open(&path).expect("the list").begin(&entry("/a"), SECOND), Ok(Known::Begun(FIRST)));
    }

    #[test]
    fn another_file_is_no_list_and_a_list_has_one_user() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("notes.txt");
        for content in ["some notes\nof mine\n", "some notes", "{\"other\": 1}", "\u{89}PNG\u{0}"] {
            std::fs::write(&path, content).expect("written");
            let failure = open(&path).err().expect("no list");
            assert!(failure.message.contains("line 1") && failure.exit == Exit::Local, "{failure}");
            assert_eq!(std::fs::read_to_string(&path).expect("unchanged"), content);
        }

        let path = folder.path().join("list.jsonl");
        let _held = open(&path).expect("a new list");
        assert_eq!(open(&path).err().map(|failure| failure.reason), Some("RESUME_LIST_IN_USE".to_owned()));
    }
}
