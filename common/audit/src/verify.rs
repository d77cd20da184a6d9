//! Whether a log is whole: every edit, removal, repetition and reordering is found, and named by its place.

use std::path::{Path, PathBuf};

use crate::chain::{GENESIS, Link, Ratchet};
use crate::head::Head;
use crate::keys::AuditKey;
use crate::log::VERSION;
use crate::records::{Line, Lines, Next, digest};
use crate::{AuditError, Kind, folder};

/// Missing records whose keys are passed over.
const MAX_SKIPPED: u64 = 1 << 20;
/// Findings that are listed; more of them are counted.
const MAX_FINDINGS: usize = 100;

/// What a log is held against, beside itself.
#[derive(Default)]
pub struct Checks<'a> {
    /// The audit key: proves who wrote each record, and that nothing was cut off before a crash.
    pub key: Option<&'a AuditKey>,
    /// Hashes of heads that were written down elsewhere: each must be in the chain.
    pub heads: Vec<[u8; 32]>,
    /// The hash that the first record there is must follow, where older files were archived.
    pub after: Option<[u8; 32]>,
}

impl Checks<'_> {
    /// A hash as a person or a head file gives it.
    #[must_use]
    pub fn hash(text: &str) -> Option<[u8; 32]> {
        digest(text.trim().to_lowercase().as_bytes())
    }
}

/// Something that is not as the service left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, if it is about one.
    pub file: Option<PathBuf>,
    /// The line in it, from 1.
    pub line: Option<u64>,
    /// What is wrong, in a sentence.
    pub what: String,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Records that were read.
    pub records: u64,
    /// Files that were read.
    pub files: u32,
    /// When the first and the last of them were written.
    pub span: Option<(String, String)>,
    /// Number and hash of the last record.
    pub end: Option<(u64, [u8; 32])>,
    /// Whether the MACs were checked, not the hashes alone.
    pub authenticated: bool,
    /// Times that the service was found not to have ended in order.
    pub unclean_stops: u64,
    /// Worth knowing, and no fault.
    pub notes: Vec<String>,
    /// Faults; at most 100 are listed.
    pub findings: Vec<Finding>,
    /// Faults beyond those.
    pub more_findings: u64,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, file: Option<&Path>, line: Option<u64>, what: impl Into<String>) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { file: file.map(Path::to_owned), line, what: what.into() });
        } else {
            self.more_findings += 1;
        }
    }
}

/// Checks a folder. It may be in use: what is being written then is no fault.
///
/// # Errors
/// There is no log, or it cannot be read at all. What is wrong *in* it is in the report.
pub fn folder(folder: &Path, checks: &Checks<'_>) -> Result<Report, AuditError> {
    // The head first: a service that writes meanwhile may go beyond it, never fall behind it.
    let head_path = folder::head(folder);
    let head = if head_path.exists() { Some(Head::read(&head_path)) } else { None };
    let numbers = folder::numbers(folder)?;
    if numbers.is_empty() {
        return Err(AuditError::NotALog { path: folder.to_owned() });
    }
    let mut walk = Walk {
        checks,
        report: Report { authenticated: checks.key.is_some(), ..Report::default() },
        place: None,
        key: KeyState::None,
        open_heads: checks.heads.clone(),
        head: None,
        head_seen: false,
        last_kind: None,
    };
    match head {
        Some(Ok(head)) => walk.head = Some(head),
        Some(Err(error)) => walk.report.find(Some(&head_path), None, error.to_string()),
        None => walk.report.find(
            Some(&head_path),
            None,
            "the head is gone: records may have been cut off the end; compare with a head that was written down elsewhere",
        ),
    }
    let last = numbers.len() - 1;
    for (place, number) in numbers.iter().enumerate() {
        walk.file(folder, *number, place == last)?;
    }
    Ok(walk.end(&head_path))
}

/// Where the reading is.
struct Walk<'a> {
    checks: &'a Checks<'a>,
    report: Report,
    place: Option<Place>,
    key: KeyState,
    open_heads: Vec<[u8; 32]>,
    head: Option<Head>,
    head_seen: bool,
    last_kind: Option<Kind>,
}

#[derive(Clone, Copy)]
struct Place {
    seq: u64,
    file: u32,
    link: Link,
}

enum KeyState {
    /// No key was given, or no file has been opened yet.
    None,
    /// The key of the record of this number.
    At(Ratchet, u64),
    /// The chain of keys is lost until the next file begins.
    Lost,
}

impl Walk<'_> {
    fn file(&mut self, folder: &Path, number: u32, is_last: bool) -> Result<(), AuditError> {
        let path = folder::file(folder, number);
        let mut lines = Lines::open(&path)?;
        self.report.files += 1;
        if let Some(place) = self.place
            && number != place.file + 1
        {
            let gone = place.file + 1..number;
            let what =
                format!("{} file(s) before it are missing, from audit-{:06}.log on", gone.len(), gone.start);
            self.report.find(Some(&path), None, what);
        }
        let mut is_first = true;
        loop {
            let line = match lines.next() {
                Ok(Next::Line(line)) => line,
                Ok(Next::End) => break,
                Ok(Next::Torn(torn)) => {
                    let what = format!("{} bytes at its end are no whole record", torn.len());
                    if is_last && self.is_beyond_head() {
                        self.report.notes.push(format!("{what}: it is being written, or a crash tore it"));
                    } else {
                        self.report.find(Some(&path), Some(lines.number), what);
                    }
                    break;
                }
                Err(AuditError::Record { line, what, .. }) => {
                    self.report.find(Some(&path), Some(line), what);
                    break;
                }
                Err(error) => return Err(error),
            };
            match Line::parse(&line) {
                Ok(line) => self.line(&path, lines.number, number, is_first, &line),
                Err(what) => self.report.find(Some(&path), Some(lines.number), what),
            }
            is_first = false;
        }
        if is_first {
            self.report.find(Some(&path), None, "it is empty");
        }
        Ok(())
    }

    fn line(&mut self, path: &Path, at: u64, number: u32, is_first: bool, line: &Line) {
        let body = &line.body;
        let fault = |walk: &mut Self, what: String| walk.report.find(Some(path), Some(at), what);
        if body.file != number {
            fault(self, format!("a record of file {} stands in file {number}", body.file));
        }
        if is_first != (body.opens.is_some() && body.event.kind == Kind::FileOpened) {
            let what =
                if is_first { "the file does not begin as one" } else { "a file begins in its middle" };
            fault(self, what.to_owned());
        }
        match self.place {
            Some(place) => {
                if body.seq != place.seq + 1 {
                    fault(self, format!("record {} follows record {}", body.seq, place.seq));
                }
                if line.before != place.link {
                    fault(
                        self,
                        format!(
                            "record {} does not follow the one before it: edited, removed or moved",
                            body.seq
                        ),
                    );
                }
            }
            None => self.beginning(path, at, line),
        }
        self.authenticate(path, at, line);
        if body.event.kind == Kind::ServiceStarted
            && self.last_kind.is_some_and(|kind| !matches!(kind, Kind::ServiceStopped | Kind::FileOpened))
        {
            self.report.unclean_stops += 1;
        }
        if !matches!(body.event.kind, Kind::FileOpened | Kind::LogRecovered) {
            self.last_kind = Some(body.event.kind);
        }
        self.open_heads.retain(|head| *head != line.link);
        if let Some(head) = &self.head
            && head.seq == body.seq
        {
            self.head_seen = true;
            if head.link() != Some(line.link) || head.file != body.file {
                fault(self, "the head names another record of this number".to_owned());
            }
        }
        self.report.records += 1;
        self.report.end = Some((body.seq, line.link));
        match &mut self.report.span {
            Some((_, last)) => last.clone_from(&body.time),
            None => self.report.span = Some((body.time.clone(), body.time.clone())),
        }
        self.place = Some(Place { seq: body.seq, file: number, link: line.link });
    }

    /// The first record of all, or of what was not archived.
    fn beginning(&mut self, path: &Path, at: u64, line: &Line) {
        let follows = self.checks.after.unwrap_or(GENESIS);
        if line.before == follows && (self.checks.after.is_some() || line.body.seq == 0) {
            return;
        }
        let what = if self.checks.after.is_some() {
            "the first record does not follow the hash that was given: records before it are missing"
                .to_owned()
        } else {
            format!(
                "the log begins with record {}: what was before it is missing; if it was archived, give the hash of its last \
                 record with --after",
                line.body.seq
            )
        };
        self.report.find(Some(path), Some(at), what);
    }

    fn authenticate(&mut self, path: &Path, at: u64, line: &Line) {
        let Some(key) = self.checks.key else { return };
        if let Some(opens) = &line.body.opens {
            let version = opens.version;
            let seq = line.body.seq;
            let enc = hex::decode(&opens.enc).unwrap_or_default();
            if let KeyState::At(before, due) = &self.key
                && *due == seq
            {
                let due = before.continuation(line.body.file, seq, &line.before, &enc);
                if opens.continues.as_deref().and_then(|tag| digest(tag.as_bytes())) != Some(due) {
                    let what = "the file was not begun by whoever wrote the one before: that one was cut, or this one is forged";
                    self.report.find(Some(path), Some(at), what);
                }
            }
            self.key = match Ratchet::decapsulate(key, &enc, line.body.file, seq, &line.before) {
                Some(first) if version == VERSION => KeyState::At(first, seq),
                Some(_) | None => KeyState::Lost,
            };
            if opens.audit_key != key.public_key().id().to_string() {
                let what =
                    format!("the file is sealed to audit key {}, not to the one given", opens.audit_key);
                self.report.find(Some(path), Some(at), what);
                self.key = KeyState::Lost;
                return;
            }
            if version != VERSION {
                self.report.find(Some(path), Some(at), format!("layout {version} is not known here"));
            }
        }
        let seq = line.body.seq;
        match &mut self.key {
            // Where records are missing, their keys are passed over; one that comes again has none left.
            KeyState::At(next, due) if *due <= seq && seq - *due <= MAX_SKIPPED => {
                (*due..seq).for_each(|_| next.advance());
                let good = line.is_authentic(next);
                next.advance();
                *due = seq + 1;
                let head = self.head.as_ref().filter(|head| head.seq == seq);
                let bad_head = head.is_some_and(|head| !head.is_authentic(next));
                if !good {
                    let what = format!("record {seq} was not written by this service");
                    self.report.find(Some(path), Some(at), what);
                }
                if bad_head {
                    let what = "the head is forged: records after it may have been cut off";
                    self.report.find(Some(path), Some(at), what);
                }
            }
            KeyState::None | KeyState::At(..) | KeyState::Lost => {
                let what = format!("record {seq} cannot be authenticated");
                self.report.find(Some(path), Some(at), what);
            }
        }
    }

    /// Whether the head is behind, as it is while a record is being written.
    fn is_beyond_head(&self) -> bool {
        self.head_seen
    }

    fn end(mut self, head_path: &Path) -> Report {
        if let (Some(head), Some((seq, _))) = (&self.head, self.report.end) {
            if head.seq > seq {
                let what = format!(
                    "the log ends with record {seq}, the head with {}: the end was cut off",
                    head.seq
                );
                self.report.find(Some(head_path), None, what);
            } else if !self.head_seen {
                self.report.find(Some(head_path), None, "the record that the head names is not in the log");
            } else if head.seq < seq {
                let beyond = seq - head.seq;
                self.report
                    .notes
                    .push(format!("{beyond} record(s) are newer than the head, as after a crash"));
            }
        }
        for head in &self.open_heads {
            let what = format!(
                "no record has the hash {} that was written down: the log was rewritten or cut",
                hex::encode(head)
            );
            self.report.find(None, None, what);
        }
        self.report
    }
}
