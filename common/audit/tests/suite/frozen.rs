//! A log as it was written once, with its audit key: what reads it today must read it for ever.

use std::path::{Path, PathBuf};
use std::{env, fs};

use latentwire_audit::verify::{self, Checks};
use latentwire_audit::{AuditKey, Event, Kind, Log, Outcome, Records};

use crate::support::{settings, transfer};

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn key() -> AuditKey {
    AuditKey::from_text(&fs::read_to_string(vectors().join("audit.key")).unwrap()).unwrap()
}

#[test]
fn the_frozen_log_is_sound_and_opens() {
    if env::var_os("FREEZE_AUDIT_LOG").is_some() {
        freeze();
    }
    let (folder, key) = (vectors().join("log"), key());
    let report = verify::folder(&folder, &Checks { key: Some(&key), ..Checks::default() }).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!((report.files, report.records), (2, 6));
    let (seq, hash) = report.end.unwrap();
    let mut found = format!("{seq} {}\n", hex::encode(hash));
    for record in Records::open(&folder, Some(&key)).unwrap().map(Result::unwrap) {
        let event = serde_json::to_string(&record.event).unwrap();
        let whose = serde_json::to_string(&record.identifiers).unwrap();
        found += &format!("{} {} {} {event} {whose}\n", record.seq, record.file, record.time);
    }
    if env::var_os("FREEZE_AUDIT_LOG").is_some() {
        fs::write(vectors().join("expected.txt"), &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(vectors().join("expected.txt")).unwrap());
}

/// The chain as docs/AUDIT.md gives it, with nothing of ours but SHA-256.
#[test]
fn the_chain_is_what_the_document_says() {
    use sha2::{Digest, Sha256};
    let mut before = "0".repeat(64);
    for name in ["audit-000001.log", "audit-000002.log"] {
        for line in fs::read_to_string(vectors().join("log").join(name)).unwrap().lines() {
            assert!(line.contains(&format!("\"before\":\"{before}\"")));
            before = hex::encode(Sha256::digest([b"latentwire/1 audit link", line.as_bytes()].concat()));
        }
    }
    let head = fs::read_to_string(vectors().join("log/head.json")).unwrap();
    assert!(head.contains(&before));
}

fn freeze() {
    let folder = vectors().join("log");
    let _ = fs::remove_dir_all(&folder);
    if !vectors().join("audit.key").exists() {
        fs::write(vectors().join("audit.key"), format!("{}\n", AuditKey::generate().to_text().as_str()))
            .unwrap();
    }
    let key = key();
    let (mut log, _) = Log::open(&folder, key.public_key(), settings(1 << 20)).unwrap();
    log.append(&[(Event::new(Kind::ServiceStarted, Outcome::Success), None), transfer(1)]).unwrap();
    drop(log);
    let (mut log, _) = Log::open(&folder, key.public_key(), settings(1)).unwrap();
    log.append(&[transfer(2), (Event::new(Kind::ServiceStopped, Outcome::Success), None)]).unwrap();
    drop(log);
    for name in ["state", "lock"] {
        fs::remove_file(folder.join(name)).unwrap();
    }
}
