//! Where the chain ends: for everybody to write down, and for the service to go on from.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::chain::{Link, Ratchet};
use crate::keys::key_from_hex;
use crate::records::digest;
use crate::{AuditError, folder};

/// Longest file of either kind.
const MAX_BYTES: u64 = 4096;

/// The last record and the hash that stands for it and all before it. Safe to show, and meant to be kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Number of the last record.
    pub seq: u64,
    /// Number of its file.
    pub file: u32,
    /// SHA-256, hex.
    pub hash: String,
    /// HMAC under the key of the next record, hex.
    pub mac: String,
}

impl Head {
    pub(crate) fn new(seq: u64, file: u32, link: &Link, next: &Ratchet) -> Self {
        let hash = hex::encode(link);
        let mac = hex::encode(next.head_tag(&signed(seq, file, &hash)));
        Self { seq, file, hash, mac }
    }

    /// Reads a head: a `head.json`, or a copy of one.
    ///
    /// # Errors
    /// [`AuditError::Io`], or [`AuditError::Changed`] where it is none.
    pub fn read(path: &Path) -> Result<Self, AuditError> {
        let text = read_small(path)?;
        serde_json::from_str(&text).map_err(|_| changed(path, "it is no head of an audit log"))
    }

    /// The hash as bytes; `None` where it is none.
    pub(crate) fn link(&self) -> Option<Link> {
        digest(self.hash.as_bytes())
    }

    pub(crate) fn is_authentic(&self, next: &Ratchet) -> bool {
        let tag = next.head_tag(&signed(self.seq, self.file, &self.hash));
        digest(self.mac.as_bytes()).is_some_and(|given| crate::chain::tags_equal(&given, &tag))
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), AuditError> {
        let mut text = serde_json::to_string(self).expect("a head is plain data");
        text.push('\n');
        replace(&folder::head(folder), text.as_bytes(), 0o644, false)
    }
}

fn signed(seq: u64, file: u32, hash: &str) -> Vec<u8> {
    format!("{seq} {file} {hash}").into_bytes()
}

/// What the service needs to go on: where it was, and the key of the next record.
///
/// # Security
/// Whoever reads it can write records in this service's place from then on, and none of the earlier ones.
pub(crate) struct State {
    pub(crate) seq: u64,
    pub(crate) file: u32,
    pub(crate) link: Link,
    pub(crate) next: Ratchet,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateText {
    seq: u64,
    file: u32,
    hash: String,
    next_key: String,
}

impl State {
    /// Reads the state; `None` where there is none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, AuditError> {
        let path = folder::state(folder);
        if !path.exists() {
            return Ok(None);
        }
        let text = Zeroizing::new(read_small(&path)?);
        let parsed: StateText =
            serde_json::from_str(&text).map_err(|_| changed(folder, "its state cannot be read"))?;
        let link = digest(parsed.hash.as_bytes());
        let next = key_from_hex(parsed.next_key);
        match (link, next) {
            (Some(link), Some(next)) => {
                let next = Ratchet::from_key(next);
                Ok(Some(Self { seq: parsed.seq, file: parsed.file, link, next }))
            }
            _ => Err(changed(folder, "its state cannot be read")),
        }
    }

    /// Replaces the state on the disk; the key before is gone from the folder, if not from the disk's spare blocks.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), AuditError> {
        let next_key = Zeroizing::new(hex::encode(self.next.expose()));
        let hash = hex::encode(self.link);
        let text = Zeroizing::new(format!(
            "{{\"seq\":{},\"file\":{},\"hash\":\"{hash}\",\"next_key\":\"{}\"}}\n",
            self.seq,
            self.file,
            next_key.as_str()
        ));
        replace(&folder::state(folder), text.as_bytes(), 0o600, true)
    }
}

fn changed(path: &Path, what: &str) -> AuditError {
    AuditError::Changed { path: path.to_owned(), what: what.to_owned() }
}

fn read_small(path: &Path) -> Result<String, AuditError> {
    let mut text = String::with_capacity(MAX_BYTES as usize);
    let file = File::open(path).map_err(AuditError::io(path))?;
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(AuditError::io(path))?;
    Ok(text)
}

/// Puts a small file in place of another: the old or the new, never a part.
fn replace(path: &Path, bytes: &[u8], mode: u32, sync: bool) -> Result<(), AuditError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(temporary)
        .map_err(AuditError::io(temporary))?;
    file.write_all(bytes).map_err(AuditError::io(temporary))?;
    if sync {
        file.sync_data().map_err(AuditError::io(temporary))?;
    }
    fs::rename(temporary, path).map_err(AuditError::io(path))
}
