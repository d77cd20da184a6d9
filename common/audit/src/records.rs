//! The lines of a log: how one is written, and how they are read back.
//!
//! ```text
//! line   = signed ‖ `,"mac":"` ‖ 64 hex digits ‖ `"}`
//! signed = `{"seq":12,"file":1,"before":"…","time":"…","event":{…}` and, where they are, `"opens"`, `"sealed"`
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::chain::{self, Link, Ratchet, Tag};
use crate::keys::AuditKey;
use crate::{AuditError, Event, Identifiers, folder};

/// Longest line; texts and identifiers are bounded far below it.
pub(crate) const MAX_LINE: usize = 32 * 1024;
const MAC: &[u8] = b",\"mac\":\"";
/// Bytes after `signed`.
const TAIL: usize = MAC.len() + 64 + 2;

/// What a file's first record says of its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Opens {
    /// Layout of the log: 1.
    pub(crate) version: u32,
    /// Id of the audit key, hex.
    pub(crate) audit_key: String,
    /// The encapsulated key, hex.
    pub(crate) enc: String,
    /// Shows that the file before was written by the same service, hex; absent in the first file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) continues: Option<String>,
}

/// All of a line but its MAC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    pub(crate) seq: u64,
    pub(crate) file: u32,
    pub(crate) before: String,
    pub(crate) time: String,
    pub(crate) event: Event,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) opens: Option<Opens>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed: Option<String>,
}

/// Writes the line of a record, with its line end, and says the link that stands for it.
pub(crate) fn write(body: &Body, key: &Ratchet) -> Result<(Vec<u8>, Link), AuditError> {
    let mut line = serde_json::to_vec(body).expect("a record is plain data");
    line.pop();
    let tag = key.record_tag(&line);
    line.extend_from_slice(MAC);
    line.extend_from_slice(hex::encode(tag).as_bytes());
    line.extend_from_slice(b"\"}");
    if line.len() > MAX_LINE {
        return Err(AuditError::TooLong { found: line.len(), limit: MAX_LINE });
    }
    let link = chain::link(&line);
    line.push(b'\n');
    Ok((line, link))
}

/// A line as it was read.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) body: Body,
    pub(crate) before: Link,
    pub(crate) link: Link,
    pub(crate) tag: Tag,
    pub(crate) signed: Vec<u8>,
}

impl Line {
    /// Parses a line without its line end.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        let split = line.len().checked_sub(TAIL).ok_or("too short for a record")?;
        let (signed, tail) = line.split_at(split);
        let digits = tail.strip_prefix(MAC).and_then(|rest| rest.strip_suffix(b"\"}"));
        let tag = digits.and_then(digest).ok_or("does not end with a MAC")?;
        let mut object = signed.to_vec();
        object.push(b'}');
        let body: Body = serde_json::from_slice(&object)
            .map_err(|error| format!("not a record (column {})", error.column()))?;
        let before = digest(body.before.as_bytes()).ok_or("`before` is no SHA-256")?;
        Ok(Self { before, link: chain::link(line), tag, signed: signed.to_vec(), body })
    }

    pub(crate) fn is_authentic(&self, key: &Ratchet) -> bool {
        chain::tags_equal(&key.record_tag(&self.signed), &self.tag)
    }
}

/// 64 lower-case hexadecimal digits.
pub(crate) fn digest(digits: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    // One spelling alone: every bit of a line counts.
    (hex::encode(bytes).as_bytes() == digits).then_some(bytes)
}

/// What a file gave next.
pub(crate) enum Next {
    Line(Vec<u8>),
    /// Bytes without a line end, at the end of the file.
    Torn(Vec<u8>),
    End,
}

/// A file's lines, one at a time and each bounded.
pub(crate) struct Lines {
    reader: BufReader<File>,
    path: PathBuf,
    pub(crate) number: u64,
}

impl Lines {
    pub(crate) fn open(path: &Path) -> Result<Self, AuditError> {
        let file = File::open(path).map_err(AuditError::io(path))?;
        Ok(Self { reader: BufReader::new(file), path: path.to_owned(), number: 0 })
    }

    pub(crate) fn next(&mut self) -> Result<Next, AuditError> {
        let mut line = Vec::new();
        let mut limited = (&mut self.reader).take(MAX_LINE as u64 + 1);
        limited.read_until(b'\n', &mut line).map_err(AuditError::io(&self.path))?;
        self.number += 1;
        if line.is_empty() {
            return Ok(Next::End);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
            return Ok(Next::Line(line));
        }
        if line.len() > MAX_LINE {
            return Err(self.wrong("longer than any record"));
        }
        Ok(Next::Torn(line))
    }

    pub(crate) fn wrong(&self, what: impl Into<String>) -> AuditError {
        AuditError::Record { path: self.path.clone(), line: self.number, what: what.into() }
    }
}

/// A record as an export shows it.
#[derive(Clone)]
pub struct Record {
    /// Its number, from 0, without a gap over all files.
    pub seq: u64,
    /// Number of its file, from 1.
    pub file: u32,
    /// When it was written, UTC.
    pub time: String,
    /// What happened.
    pub event: Event,
    /// Whether it has sealed identifiers.
    pub is_sealed: bool,
    /// Its identifiers, where the audit key was given.
    pub identifiers: Option<Identifiers>,
}

/// The records of a log in order, for an export; [`crate::verify`] says whether they can be believed.
pub struct Records<'a> {
    folder: PathBuf,
    files: std::vec::IntoIter<u32>,
    current: Option<Lines>,
    key: Option<&'a AuditKey>,
    ratchet: Option<Ratchet>,
}

impl<'a> Records<'a> {
    /// Reads a folder; with the audit key, what is sealed is opened.
    ///
    /// # Errors
    /// There is no log, or it cannot be read.
    pub fn open(folder: &Path, key: Option<&'a AuditKey>) -> Result<Self, AuditError> {
        let files = folder::numbers(folder)?;
        if files.is_empty() {
            return Err(AuditError::NotALog { path: folder.to_owned() });
        }
        Ok(Self { folder: folder.to_owned(), files: files.into_iter(), current: None, key, ratchet: None })
    }

    fn read(&mut self) -> Result<Option<Record>, AuditError> {
        loop {
            let Some(lines) = &mut self.current else {
                let Some(number) = self.files.next() else { return Ok(None) };
                self.current = Some(Lines::open(&folder::file(&self.folder, number))?);
                continue;
            };
            match lines.next()? {
                Next::Line(line) => {
                    let line = Line::parse(&line).map_err(|what| lines.wrong(what))?;
                    return self.record(line).map(Some);
                }
                // A record that is being written, or was torn by a crash: it was never answered for.
                Next::Torn(_) | Next::End => self.current = None,
            }
        }
    }

    fn record(&mut self, line: Line) -> Result<Record, AuditError> {
        let wrong = |what: &str| match &self.current {
            Some(lines) => lines.wrong(what),
            None => AuditError::NotALog { path: self.folder.clone() },
        };
        let Line { body, before, .. } = &line;
        let mut identifiers = None;
        if let Some(key) = self.key {
            if let Some(opens) = &body.opens {
                let ratchet = hex::decode(&opens.enc)
                    .ok()
                    .and_then(|enc| Ratchet::decapsulate(key, &enc, body.file, body.seq, before));
                self.ratchet = Some(ratchet.ok_or_else(|| wrong("its key cannot be opened"))?);
            }
            let ratchet = self.ratchet.as_mut().ok_or_else(|| wrong("no file was opened before it"))?;
            if let Some(sealed) = &body.sealed {
                let sealed = hex::decode(sealed).map_err(|_| wrong("`sealed` is not hexadecimal"))?;
                let opened = ratchet.open(&sealed, before);
                let opened =
                    opened.ok_or_else(|| wrong("its identifiers do not open with this audit key"))?;
                let read = serde_json::from_slice(&opened);
                identifiers = Some(read.map_err(|_| wrong("its identifiers are none"))?);
            }
            ratchet.advance();
        }
        let Body { seq, file, time, event, sealed, .. } = line.body;
        Ok(Record { seq, file, time, event, is_sealed: sealed.is_some(), identifiers })
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.read().transpose();
        if let Some(Err(_)) = next {
            // What follows a damaged record cannot be told from it.
            self.files = Vec::new().into_iter();
            self.current = None;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::GENESIS;
    use crate::{AuditKey, Identifiers, Kind, Outcome};

    /// The next record, or the head, names the link; so a line whose link is another one is found.
    #[test]
    fn every_bit_of_a_line_changes_its_link_or_makes_it_none() {
        let key = AuditKey::generate();
        let (enc, ratchet) = Ratchet::encapsulate(key.public_key(), 1, 0, &GENESIS);
        let opens = Opens {
            version: 1,
            audit_key: key.public_key().id().to_string(),
            enc: hex::encode(enc),
            continues: Some("00".repeat(32)),
        };
        let sealed = serde_json::to_vec(&Identifiers::default()).expect("plain data");
        let body = Body {
            seq: 0,
            file: 1,
            before: hex::encode(GENESIS),
            time: crate::now(),
            event: Event::new(Kind::Transfer, Outcome::Delivered),
            opens: Some(opens),
            sealed: Some(hex::encode(ratchet.seal(&sealed, &GENESIS))),
        };
        let (line, link) = write(&body, &ratchet).expect("a short line");
        let line = &line[..line.len() - 1];
        let whole = Line::parse(line).expect("a line");
        assert!(whole.link == link && whole.is_authentic(&ratchet));
        for bit in 0..line.len() * 8 {
            let mut changed = line.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(parsed) = Line::parse(&changed) {
                assert!(parsed.link != link && !parsed.is_authentic(&ratchet), "bit {bit}");
            }
        }
    }
}
