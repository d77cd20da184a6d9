//! The audit log: who transferred, fetched or deleted what, under which keys, and how it ended.
//!
//! ```text
//! Event, Identifiers ─► Log ─┬─► audit-000001.log   one JSON object a line, each naming the hash of the one before
//!                            ├─► head.json          where the chain ends; write it down elsewhere
//!                            └─► state              the key of the next record; the ones before are gone
//! audit key (elsewhere) ─► verify, Records: authenticated, identifiers opened ─► JSON lines, DICOM PS3.15 A.5
//! ```
//!
//! - **Chain.** Every line names the SHA-256 of the whole line before it. Whoever has a later hash written down can tell
//!   any edit, removal or reordering before it, without any key.
//! - **Forward-secure authentication.** Every line carries a MAC under a key that is used once and wiped; the key of the next
//!   one is derived from it (Bellare and Yee 1997; Schneier and Kelsey 1999). Whoever takes the machine over today cannot
//!   rewrite, nor cut off unseen, what was written before.
//! - **Sealed identifiers.** What names a patient or a study is sealed under another such key. The first key of each file
//!   comes from HPKE (RFC 9180) with X-Wing (X25519 and ML-KEM-768) to the *audit key*, whose secret half the service does
//!   not need: it writes what it cannot read afterwards.
//!
//! `docs/AUDIT.md` is normative for the format, and says what the log cannot do.
//!
//! ```
//! use latentwire_audit::{AuditKey, Event, Identifiers, Kind, Log, Outcome, Settings, verify::{self, Checks}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let key = AuditKey::generate(); // on the auditor's machine; the service gets the public half alone
//! let (mut log, _found) = Log::open(folder.path(), key.public_key(), Settings::default())?;
//! let event = Event::new(Kind::Transfer, Outcome::Delivered);
//! let mut whose = Identifiers::default();
//! whose.patient_id = Some("4711".into());
//! log.append(&[(event, Some(whose))])?;
//!
//! let report = verify::folder(folder.path(), &Checks { key: Some(&key), ..Checks::default() })?;
//! assert!(report.is_sound());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod a5;
mod chain;
mod error;
mod event;
mod flood;
mod folder;
mod head;
mod keys;
mod log;
mod records;
pub mod verify;

pub use error::AuditError;
pub use event::{Event, Identifiers, Kind, Outcome, Party, now};
pub use flood::{Flood, Passed};
pub use head::Head;
pub use keys::{AUDIT_KEY_PREFIX, AuditKey, AuditPublicKey, KeyId};
pub use log::{Found, Log, Settings};
pub use records::{Record, Records};
