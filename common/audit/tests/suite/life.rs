//! Writing: what is on the disk, what a crash leaves, what a full disk does.

use std::fs::{self, OpenOptions};
use std::io::Write;

use latentwire_audit::{AuditError, AuditKey, Event, Kind, Log, Outcome, Records, Settings};

use crate::support::{CANARY, Written, settings, transfer};

const ONE_FILE: u64 = 1 << 30;

#[test]
fn nothing_that_names_a_patient_is_on_the_disk_and_the_key_opens_it() {
    let log = Written::new(5, 3_000);
    for entry in fs::read_dir(log.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        for canary in ["CANARY", &hex::encode("CANARY")] {
            let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!found, "{canary} in {}", path.display());
        }
    }
    let shut: Vec<_> = Records::open(log.path(), None).unwrap().map(Result::unwrap).collect();
    assert!(shut.iter().all(|record| record.identifiers.is_none()));
    assert_eq!(shut.iter().filter(|record| record.is_sealed).count(), 5);
    let open: Vec<_> = Records::open(log.path(), Some(&log.key)).unwrap().map(Result::unwrap).collect();
    let names: Vec<_> =
        open.iter().filter_map(|record| record.identifiers.as_ref()?.patient_id.clone()).collect();
    assert_eq!(names, (0..5).map(|number| format!("CANARYID{number}")).collect::<Vec<_>>());
    assert!(
        open.iter()
            .any(|r| r.identifiers.as_ref().is_some_and(|i| i.patient_name.as_deref() == Some(CANARY)))
    );
    let other = AuditKey::generate();
    assert!(Records::open(log.path(), Some(&other)).unwrap().any(|record| record.is_err()));
}

#[test]
fn what_is_sealed_does_not_show_its_length() {
    let sealed_bytes = |name: &str| {
        let folder = tempfile::tempdir().unwrap();
        let key = AuditKey::generate();
        let mut log = Log::open(folder.path(), key.public_key(), settings(ONE_FILE)).unwrap().0;
        let (event, mut whose) = transfer(1);
        whose.as_mut().unwrap().patient_name = Some(name.to_owned());
        log.append(&[(event, whose)]).unwrap();
        let text = fs::read_to_string(folder.path().join("audit-000001.log")).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        line["sealed"].as_str().unwrap().len()
    };
    assert_eq!(sealed_bytes("A^B"), sealed_bytes("A^MUCH^LONGER^NAME"));
}

#[test]
fn a_record_torn_by_a_crash_is_cut_off_and_said() {
    let log = Written::new(3, ONE_FILE);
    let whole = fs::read(log.file(1)).unwrap();
    for torn in [&b"{"[..], b"{\"seq\":6,\"file\":1,\"befo", b"garbage\nand more", &[0; 300]] {
        OpenOptions::new().append(true).open(log.file(1)).unwrap().write_all(torn).unwrap();
        let (writer, found) = Log::open(log.path(), log.key.public_key(), settings(ONE_FILE)).unwrap();
        assert_eq!((found.torn_bytes, found.unclean), (torn.len() as u64, false));
        drop(writer);
        assert_eq!(fs::read(log.file(1)).unwrap(), whole);
    }
    assert!(log.verify_with_key().is_sound());
}

#[test]
fn records_that_were_on_the_disk_before_the_state_was_are_kept() {
    let log = Written::new(3, ONE_FILE);
    let state = fs::read(log.path().join("state")).unwrap();
    let head = fs::read(log.path().join("head.json")).unwrap();
    let mut writer = log.open(ONE_FILE).unwrap();
    writer.append(&[transfer(10), transfer(11)]).unwrap();
    let hash = writer.head().hash;
    drop(writer);
    // As if the power had failed between the log and its state.
    fs::write(log.path().join("state"), &state).unwrap();
    fs::write(log.path().join("head.json"), &head).unwrap();
    let report = log.verify_with_key();
    assert!(report.is_sound() && report.notes.iter().any(|note| note.contains("newer than the head")));
    let (writer, found) = Log::open(log.path(), log.key.public_key(), settings(ONE_FILE)).unwrap();
    assert!(found.unclean && found.torn_bytes == 0, "{found:?}");
    assert_eq!(writer.head().hash, hash, "it goes on behind both");
}

#[test]
fn a_crash_while_a_file_is_begun_leaves_a_log_that_goes_on() {
    let log = Written::new(3, ONE_FILE);
    let before = fs::read(log.path().join("state")).unwrap();
    let mut writer = log.open(1).unwrap();
    writer.append(&[transfer(7)]).unwrap();
    drop(writer);
    let begun = fs::read(log.file(2)).unwrap();
    let first = begun.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for left in [0, 10, first] {
        fs::write(log.file(2), &begun[..left]).unwrap();
        fs::write(log.path().join("state"), &before).unwrap();
        let mut writer = log.open(1).unwrap();
        writer.append(&[transfer(8)]).unwrap();
        drop(writer);
        assert!(log.verify_with_key().is_sound(), "{left} bytes were left");
        fs::remove_file(log.file(2)).unwrap();
    }
}

#[test]
fn a_log_without_its_state_or_files_is_not_gone_on_with() {
    let log = Written::new(3, ONE_FILE);
    let state = fs::read(log.path().join("state")).unwrap();
    fs::remove_file(log.path().join("state")).unwrap();
    assert!(matches!(log.open(ONE_FILE), Err(AuditError::Changed { .. })));
    fs::write(log.path().join("state"), state).unwrap();
    fs::remove_file(log.file(1)).unwrap();
    assert!(matches!(log.open(ONE_FILE), Err(AuditError::Changed { .. })));
}

#[test]
fn one_process_writes_a_log() {
    let log = Written::new(1, ONE_FILE);
    let _first = log.open(ONE_FILE).unwrap();
    assert!(matches!(log.open(ONE_FILE), Err(AuditError::Locked { .. })));
}

#[test]
fn without_room_nothing_is_written_and_later_it_goes_on() {
    let log = Written::new(1, ONE_FILE);
    let before = fs::read(log.file(1)).unwrap();
    let full = Settings { min_free_bytes: u64::MAX, ..settings(ONE_FILE) };
    let (mut writer, _) = Log::open(log.path(), log.key.public_key(), full).unwrap();
    assert!(matches!(writer.append(&[transfer(1)]), Err(AuditError::NoSpace { .. })));
    assert!(writer.check_room().is_err());
    drop(writer);
    assert_eq!(fs::read(log.file(1)).unwrap(), before);
    log.open(ONE_FILE).unwrap().append(&[transfer(1)]).unwrap();
    assert!(log.verify_with_key().is_sound());
}

#[test]
fn another_audit_key_begins_another_file() {
    let log = Written::new(2, ONE_FILE);
    let next = AuditKey::generate();
    let (mut writer, _) = Log::open(log.path(), next.public_key(), settings(ONE_FILE)).unwrap();
    writer.append(&[transfer(3)]).unwrap();
    drop(writer);
    assert!(log.file(2).exists());
    assert!(log.verify().is_sound());
}

#[test]
fn an_end_without_a_stop_is_counted() {
    let log = Written::new(1, ONE_FILE);
    let mut writer = log.open(ONE_FILE).unwrap();
    let started = || (Event::new(Kind::ServiceStarted, Outcome::Success), None);
    writer.append(&[started(), transfer(2)]).unwrap();
    drop(writer);
    let (mut writer, found) = Log::open(log.path(), log.key.public_key(), settings(ONE_FILE)).unwrap();
    assert!(found.unclean);
    writer.append(&[started()]).unwrap();
    assert_eq!(log.verify().unclean_stops, 1);
}
