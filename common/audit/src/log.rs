//! The writer: one process, one folder, records in order, each on the disk before it is answered for.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use crate::chain::{GENESIS, Ratchet};
use crate::head::{Head, State};
use crate::keys::AuditPublicKey;
use crate::records::{Body, Line, Lines, Next, Opens, write};
use crate::{AuditError, Event, Identifiers, Kind, Outcome, event, folder};

/// Layout of the log.
pub(crate) const VERSION: u32 = 1;

/// How a log is kept.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// A file that has grown beyond this is followed by a new one.
    pub max_file_bytes: u64,
    /// Bytes that must be free on the disk; with fewer, nothing is written and so nothing transferred.
    pub min_free_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_file_bytes: 64 << 20, min_free_bytes: 16 << 20 }
    }
}

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// There was none.
    pub is_new: bool,
    /// Who wrote before did not end in order: a crash, a kill or a power cut.
    pub unclean: bool,
    /// Bytes at its end that were no whole record, and are gone.
    pub torn_bytes: u64,
}

/// An audit log that is being written.
pub struct Log {
    folder: PathBuf,
    to: AuditPublicKey,
    settings: Settings,
    file: File,
    /// Bytes of whole records in `file`.
    length: u64,
    /// A write failed, and what it left could not be cut off.
    is_dirty: bool,
    state: State,
    _lock: FolderLock,
}

impl Log {
    /// Opens a log where it was left, or begins one; its file's keys go to `to`.
    ///
    /// What a crash left half-written is cut off; [`Found`] says so, and the caller writes it down.
    ///
    /// # Errors
    /// [`AuditError::Changed`] where the log is not as it was left: somebody cut, edited or removed it.
    /// [`AuditError::Locked`], [`AuditError::Io`].
    pub fn open(folder: &Path, to: &AuditPublicKey, settings: Settings) -> Result<(Self, Found), AuditError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o750).create(folder);
        made.map_err(AuditError::io(folder))?;
        let lock = FolderLock::take(folder)?;
        let changed = |what: &str| AuditError::Changed { path: folder.to_owned(), what: what.to_owned() };
        let mut numbers = folder::numbers(folder)?;
        let state = State::read(folder)?;
        // A file beyond the state was begun and never written to: its key died with the process.
        let expected = state.as_ref().map_or(1, |state| state.file + 1);
        if numbers.last() == Some(&expected) && has_at_most_one_line(&folder::file(folder, expected))? {
            let unused = folder::file(folder, expected);
            fs::remove_file(&unused).map_err(AuditError::io(&unused))?;
            numbers.pop();
        }
        let held = |file, length, state| Self {
            folder: folder.to_owned(),
            to: to.clone(),
            settings,
            file,
            length,
            is_dirty: false,
            state,
            _lock: lock,
        };
        match (numbers.last(), state) {
            (None, None) => {
                let state = begin_file(folder, to, None)?;
                let (file, length) = open_file(&folder::file(folder, state.file))?;
                let log = held(file, length, state);
                Ok((log, Found { is_new: true, ..Found::default() }))
            }
            (None, Some(_)) => Err(changed("its files are gone")),
            (Some(_), None) => Err(changed("its state is gone")),
            (Some(&last), Some(state)) if last == state.file => {
                let path = folder::file(folder, last);
                let Continued { state, length, torn_bytes, unclean, audit_key } =
                    go_on(folder, &path, state)?;
                let (file, found_bytes) = open_file(&path)?;
                if found_bytes > length {
                    file.set_len(length).and_then(|()| file.sync_all()).map_err(AuditError::io(&path))?;
                }
                let mut log = held(file, length, state);
                if audit_key != to.id().to_string() {
                    log.rotate()?;
                }
                Ok((log, Found { is_new: false, unclean, torn_bytes }))
            }
            (Some(_), Some(_)) => Err(changed("its newest file is not the one that was written last")),
        }
    }

    /// Writes events, in order and all or none, and returns when they are on the disk.
    ///
    /// # Errors
    /// [`AuditError::NoSpace`], [`AuditError::Io`], [`AuditError::TooLong`]; nothing was written then, and the next call may
    /// succeed.
    pub fn append(&mut self, events: &[(Event, Option<Identifiers>)]) -> Result<(), AuditError> {
        self.check_room()?;
        let path = folder::file(&self.folder, self.state.file);
        if self.is_dirty {
            self.file.set_len(self.length).map_err(AuditError::io(&path))?;
            self.is_dirty = false;
        }
        if self.length >= self.settings.max_file_bytes {
            self.rotate()?;
        }
        let (mut next, mut link, mut seq) = (self.state.next.duplicate(), self.state.link, self.state.seq);
        let mut lines = Vec::new();
        for (event, identifiers) in events {
            seq += 1;
            let sealed = identifiers.as_ref().filter(|identifiers| !identifiers.is_empty());
            let sealed = sealed.map(|identifiers| {
                let text = zeroize::Zeroizing::new(
                    serde_json::to_vec(&identifiers.bounded()).expect("identifiers are plain data"),
                );
                hex::encode(next.seal(&text, &link))
            });
            let body = Body {
                seq,
                file: self.state.file,
                before: hex::encode(link),
                time: event::now(),
                event: event.bounded(),
                opens: None,
                sealed,
            };
            let (line, this) = write(&body, &next)?;
            lines.extend_from_slice(&line);
            link = this;
            next.advance();
        }
        let path = folder::file(&self.folder, self.state.file);
        let written = self.file.write_all_at(&lines, self.length).and_then(|()| self.file.sync_data());
        if let Err(cause) = written {
            // A part of a record must not stay before the next one.
            self.is_dirty = self.file.set_len(self.length).is_err();
            return Err(AuditError::Io { path, cause });
        }
        self.length += lines.len() as u64;
        self.state = State { seq, file: self.state.file, link, next };
        self.state.write(&self.folder)?;
        self.head().write(&self.folder)
    }

    /// Whether a record could be written now: for asking before something is begun.
    ///
    /// # Errors
    /// [`AuditError::NoSpace`], [`AuditError::Io`].
    pub fn check_room(&self) -> Result<(), AuditError> {
        let disk = statvfs(&self.folder).map_err(|errno| AuditError::io(&self.folder)(errno.into()))?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        let min_free_bytes = self.settings.min_free_bytes;
        if free_bytes < min_free_bytes {
            return Err(AuditError::NoSpace { path: self.folder.clone(), free_bytes, min_free_bytes });
        }
        Ok(())
    }

    /// Where the chain ends now.
    #[must_use]
    pub fn head(&self) -> Head {
        Head::new(self.state.seq, self.state.file, &self.state.link, &self.state.next)
    }

    fn rotate(&mut self) -> Result<(), AuditError> {
        self.state = begin_file(&self.folder, &self.to, Some(&self.state))?;
        (self.file, self.length) = open_file(&folder::file(&self.folder, self.state.file))?;
        Ok(())
    }
}

/// Writes a new file's first record, then the state, then the head. A crash in between leaves a file that the next start
/// throws away.
fn begin_file(folder: &Path, to: &AuditPublicKey, before: Option<&State>) -> Result<State, AuditError> {
    let (number, seq, link) = match before {
        None => (1, 0, GENESIS),
        Some(state) => (state.file + 1, state.seq + 1, state.link),
    };
    if number > folder::MAX_FILES {
        let what = "it has as many files as a log may have".to_owned();
        return Err(AuditError::Changed { path: folder.to_owned(), what });
    }
    let (enc, mut next) = Ratchet::encapsulate(to, number, seq, &link);
    let continues = before.map(|state| hex::encode(state.next.continuation(number, seq, &link, &enc)));
    let opens = Opens { version: VERSION, audit_key: to.id().to_string(), enc: hex::encode(&enc), continues };
    let body = Body {
        seq,
        file: number,
        before: hex::encode(link),
        time: event::now(),
        event: Event::new(Kind::FileOpened, Outcome::Success),
        opens: Some(opens),
        sealed: None,
    };
    let (line, link) = write(&body, &next)?;
    next.advance();
    let path = folder::file(folder, number);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&path);
    let file = file.map_err(AuditError::io(&path))?;
    let written = file.write_all_at(&line, 0).and_then(|()| file.sync_all());
    let synced = written.and_then(|()| File::open(folder)?.sync_all());
    if let Err(cause) = synced {
        // It holds nothing yet; where it cannot be removed either, the next start does.
        let _gone = fs::remove_file(&path);
        return Err(AuditError::Io { path, cause });
    }
    let state = State { seq, file: number, link, next };
    if let Err(error) = state.write(folder) {
        let _gone = fs::remove_file(&path);
        return Err(error);
    }
    Head::new(seq, number, &link, &state.next).write(folder)?;
    Ok(state)
}

/// A file that goes on where the state, or a crash right after it, left it.
struct Continued {
    state: State,
    length: u64,
    torn_bytes: u64,
    unclean: bool,
    audit_key: String,
}

/// Reads the newest file: its chain up to the state, then the records that were written and not answered for. The first
/// line that is none, and all after it, counts as torn: a record is answered for only when the state says so.
fn go_on(folder: &Path, path: &Path, state: State) -> Result<Continued, AuditError> {
    let changed = |what: String| AuditError::Changed { path: folder.to_owned(), what };
    let mut lines = Lines::open(path)?;
    let mut link = None;
    let mut length = 0;
    let mut audit_key = None;
    let mut last = None;
    let mut reached: Option<State> = None;
    let mut left = Some(state);
    loop {
        let next = match lines.next() {
            Ok(Next::Line(line)) => line,
            Ok(Next::Torn(_) | Next::End) => break,
            // Longer than any record: what comes there was never one.
            Err(AuditError::Record { .. }) if reached.is_some() => break,
            Err(error) => return Err(error),
        };
        let bytes = next.len() as u64 + 1;
        let line = match Line::parse(&next) {
            Ok(line) => line,
            Err(_) if reached.is_some() => break,
            Err(what) => return Err(changed(format!("{}: {what}", lines.wrong("damaged")))),
        };
        let follows = link.is_none_or(|link| line.before == link);
        match &mut reached {
            Some(reached) => {
                let fits = follows && line.body.seq == reached.seq + 1 && line.is_authentic(&reached.next);
                if !fits {
                    break;
                }
                reached.next.advance();
                reached.seq += 1;
                reached.link = line.link;
            }
            None if !follows => {
                return Err(changed(format!("record {} does not follow the one before", line.body.seq)));
            }
            None => {
                if let Some(opens) = &line.body.opens {
                    audit_key = Some(opens.audit_key.clone());
                }
                if left.as_ref().is_some_and(|state| state.seq == line.body.seq && state.link == line.link) {
                    reached = left.take();
                }
            }
        }
        link = Some(line.link);
        length += bytes;
        last = Some(line.body.event.kind);
    }
    let Some(state) = reached else {
        let what = match left {
            Some(state) => format!("record {} was written and is not there any more", state.seq),
            None => "its last record is not there any more".to_owned(),
        };
        return Err(changed(what));
    };
    let audit_key = audit_key.ok_or_else(|| changed("its newest file does not begin as one".to_owned()))?;
    let found = fs::metadata(path).map_err(AuditError::io(path))?.len();
    let unclean = last != Some(Kind::ServiceStopped);
    Ok(Continued { state, length, torn_bytes: found.saturating_sub(length), unclean, audit_key })
}

fn open_file(path: &Path) -> Result<(File, u64), AuditError> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(AuditError::io(path))?;
    let length = file.metadata().map_err(AuditError::io(path))?.len();
    Ok((file, length))
}

fn has_at_most_one_line(path: &Path) -> Result<bool, AuditError> {
    let mut lines = Lines::open(path)?;
    match lines.next()? {
        Next::End | Next::Torn(_) => Ok(true),
        Next::Line(_) => Ok(matches!(lines.next()?, Next::End | Next::Torn(_))),
    }
}

/// The folder, held for this process. Dropping gives it back in so many words: a child that another thread is starting has
/// the file too for a moment.
#[derive(Debug)]
struct FolderLock(File);

impl FolderLock {
    fn take(folder: &Path) -> Result<Self, AuditError> {
        let path = folder::lock(folder);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(AuditError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(AuditError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(cause)) => Err(AuditError::io(&path)(cause)),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file, which follows, is all that is left to do where this fails.
        let _ = self.0.unlock();
    }
}
