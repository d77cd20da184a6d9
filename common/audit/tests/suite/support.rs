//! Logs to work on.

use std::fs;
use std::path::{Path, PathBuf};

use latentwire_audit::verify::{self, Checks, Report};
use latentwire_audit::{AuditKey, Event, Identifiers, Kind, Log, Outcome, Party, Settings};

/// A name that must be nowhere in clear.
pub const CANARY: &str = "CANARY^PATIENT";

/// A log in a folder of its own, closed.
pub struct Written {
    pub folder: tempfile::TempDir,
    pub key: AuditKey,
}

/// Settings that need no free disk.
pub fn settings(max_file_bytes: u64) -> Settings {
    Settings { max_file_bytes, min_free_bytes: 0 }
}

pub fn transfer(number: u64) -> (Event, Option<Identifiers>) {
    let mut event = Event::new(Kind::Transfer, Outcome::Delivered);
    event.transfer_id = Some(format!("{number:032x}"));
    event.peer = Some(Party { name: Some("clinic-a".into()), ..Party::default() });
    let mut whose = Identifiers::default();
    whose.patient_name = Some(CANARY.into());
    whose.patient_id = Some(format!("CANARYID{number}"));
    (event, Some(whose))
}

impl Written {
    /// Of so many transfers, in files of this size, closed in order.
    pub fn new(transfers: u64, max_file_bytes: u64) -> Self {
        let written = Self { folder: tempfile::tempdir().unwrap(), key: AuditKey::generate() };
        let mut log = written.open(max_file_bytes).unwrap();
        for number in 0..transfers {
            log.append(&[transfer(number)]).unwrap();
        }
        log.append(&[(Event::new(Kind::ServiceStopped, Outcome::Success), None)]).unwrap();
        written
    }

    pub fn open(&self, max_file_bytes: u64) -> Result<Log, latentwire_audit::AuditError> {
        Log::open(self.folder.path(), self.key.public_key(), settings(max_file_bytes)).map(|(log, _)| log)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, number: u32) -> PathBuf {
        self.path().join(format!("audit-{number:06}.log"))
    }

    pub fn lines(&self, number: u32) -> Vec<Vec<u8>> {
        let bytes = fs::read(self.file(number)).unwrap();
        bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    pub fn put(&self, number: u32, lines: &[Vec<u8>]) {
        fs::write(self.file(number), lines.concat()).unwrap();
    }

    pub fn verify(&self) -> Report {
        verify::folder(self.path(), &Checks::default()).unwrap()
    }

    pub fn verify_with_key(&self) -> Report {
        verify::folder(self.path(), &Checks { key: Some(&self.key), ..Checks::default() }).unwrap()
    }
}
