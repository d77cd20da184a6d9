//! Every edit, removal, repetition, swap and cut is found, without a key wherever the chain alone can tell.

use std::fs;

use latentwire_audit::verify::{self, Checks};
use latentwire_audit::{AuditKey, Head, Log};
use proptest::prelude::*;

use crate::support::{Written, settings};

const ONE_FILE: u64 = 1 << 30;
/// Makes a new file after about three records.
const SMALL: u64 = 2_000;

#[test]
fn an_untouched_log_is_sound() {
    for max in [ONE_FILE, SMALL, 1] {
        let log = Written::new(12, max);
        for report in [log.verify(), log.verify_with_key()] {
            assert!(report.is_sound(), "{:?}", report.findings);
            assert!(report.notes.is_empty(), "{:?}", report.notes);
        }
        assert!(log.verify_with_key().authenticated);
    }
}

/// A bit of every byte, on the disk; of the long encapsulated key, of every sixteenth. That every bit of a line changes its link is
/// held beside `records`, without a file system.
#[test]
fn a_changed_bit_in_any_byte_is_found_without_a_key() {
    let log = Written::new(1, ONE_FILE);
    let whole = fs::read(log.file(1)).unwrap();
    let text = std::str::from_utf8(&whole).unwrap();
    let begin = text.find("\"enc\":\"").unwrap() + 7;
    let end = begin + text[begin..].find('"').unwrap();
    for byte in 0..whole.len() {
        if (begin..end).contains(&byte) && byte % 16 != 0 {
            continue;
        }
        let mut changed = whole.clone();
        changed[byte] ^= 1 << (byte % 8);
        fs::write(log.file(1), &changed).unwrap();
        assert!(!log.verify().is_sound(), "byte {byte}");
    }
}

#[test]
fn a_changed_bit_in_any_byte_of_the_head_is_found_with_the_key() {
    let log = Written::new(1, ONE_FILE);
    let path = log.path().join("head.json");
    let whole = fs::read(&path).unwrap();
    // All but the line end, which says nothing.
    for byte in 0..whole.len() - 1 {
        let mut changed = whole.clone();
        changed[byte] ^= 1 << (byte % 8);
        fs::write(&path, &changed).unwrap();
        assert!(!log.verify_with_key().is_sound(), "byte {byte}");
    }
}

#[test]
fn every_removed_and_every_repeated_record_is_found() {
    let log = Written::new(10, ONE_FILE);
    let lines = log.lines(1);
    for place in 0..lines.len() {
        let mut fewer = lines.clone();
        fewer.remove(place);
        log.put(1, &fewer);
        assert!(!log.verify().is_sound(), "record {place} was removed");
        for to in 0..=lines.len() {
            let mut more = lines.clone();
            more.insert(to, lines[place].clone());
            log.put(1, &more);
            assert!(!log.verify().is_sound(), "record {place} was repeated at {to}");
        }
    }
}

#[test]
fn every_swapped_pair_is_found() {
    let log = Written::new(10, ONE_FILE);
    let lines = log.lines(1);
    for a in 0..lines.len() {
        for b in a + 1..lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(a, b);
            log.put(1, &swapped);
            assert!(!log.verify().is_sound(), "{a} and {b}");
        }
    }
}

#[test]
fn a_cut_tail_is_found_by_the_head_and_stops_the_service() {
    let log = Written::new(5, ONE_FILE);
    let whole = fs::read(log.file(1)).unwrap();
    for length in 0..whole.len() {
        fs::write(log.file(1), &whole[..length]).unwrap();
        assert!(!log.verify().is_sound(), "cut to {length} bytes");
    }
    let lines = log.lines(1);
    fs::write(log.file(1), &whole).unwrap();
    for kept in 1..lines.len() {
        log.put(1, &log_lines(&whole)[..kept]);
        let refused = log.open(ONE_FILE).err().expect("the service does not go on");
        assert!(refused.to_string().contains("not as it was left"), "{refused}");
    }
}

fn log_lines(whole: &[u8]) -> Vec<Vec<u8>> {
    whole.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn a_rewritten_chain_and_head_need_the_key_or_an_older_head_to_be_found() {
    // What somebody does who has the folder, knows this format, and does not have the keys that were wiped.
    let log = Written::new(5, ONE_FILE);
    let kept = Head::read(&log.path().join("head.json")).unwrap();
    let forger = AuditKey::generate();
    let forged = tempfile::tempdir().unwrap();
    let (mut other, _) = Log::open(forged.path(), forger.public_key(), settings(ONE_FILE)).unwrap();
    other.append(&[crate::support::transfer(99)]).unwrap();
    drop(other);
    for name in ["audit-000001.log", "head.json"] {
        fs::copy(forged.path().join(name), log.path().join(name)).unwrap();
    }
    assert!(log.verify().is_sound(), "a chain by itself cannot tell: docs/AUDIT.md says so");
    assert!(!log.verify_with_key().is_sound());
    let checks = Checks { heads: vec![Checks::hash(&kept.hash).unwrap()], ..Checks::default() };
    assert!(!verify::folder(log.path(), &checks).unwrap().is_sound());
    assert!(log.open(ONE_FILE).is_err(), "the service does not go on from it");
}

#[test]
fn a_cut_tail_with_a_forged_head_is_found_by_the_key() {
    let log = Written::new(5, ONE_FILE);
    let lines = log.lines(1);
    let kept = &lines[..lines.len() - 2];
    // The hash of the shorter log is no secret: the line that was cut names it.
    let cut: serde_json::Value = serde_json::from_slice(&lines[lines.len() - 2]).unwrap();
    let hash = cut["before"].as_str().unwrap();
    let seq = cut["seq"].as_u64().unwrap() - 1;
    let head = Head::read(&log.path().join("head.json")).unwrap();
    let forged = Head { seq, hash: hash.to_owned(), ..head };
    log.put(1, kept);
    fs::write(log.path().join("head.json"), serde_json::to_vec(&forged).unwrap()).unwrap();
    assert!(log.verify().is_sound(), "the forged head fits the cut chain");
    let report = log.verify_with_key();
    assert!(report.findings.iter().any(|finding| finding.what.contains("the head is forged")), "{report:?}");
}

#[test]
fn a_tail_that_was_cut_and_goes_on_in_a_forged_file_is_found_by_the_key() {
    // Anybody can begin a file to the public audit key; nobody else can show that it continues this one.
    let log = Written::new(5, ONE_FILE);
    let lines = log.lines(1);
    let two = Written { folder: tempfile::tempdir().unwrap(), key: AuditKey::generate() };
    // An honest log of two files, whose second file is put behind a cut first one.
    drop(two.open(1).unwrap());
    let mut honest = Log::open(two.path(), log.key.public_key(), settings(1)).unwrap().0;
    honest.append(&[crate::support::transfer(1)]).unwrap();
    log.put(1, &lines[..2]);
    fs::copy(two.file(2), log.file(2)).unwrap();
    assert!(!log.verify_with_key().is_sound());
}

#[test]
fn missing_swapped_and_foreign_files_are_found() {
    let log = Written::new(12, SMALL);
    let last = (1..).find(|number| !log.file(*number).exists()).unwrap() - 1;
    assert!(last >= 4, "{last} files");
    for number in 1..=last {
        let away = log.path().join("away");
        fs::rename(log.file(number), &away).unwrap();
        let report = verify::folder(log.path(), &Checks::default()).unwrap();
        assert!(!report.is_sound(), "file {number} was removed");
        fs::rename(&away, log.file(number)).unwrap();
        for other in number + 1..=last {
            swap(&log, number, other);
            assert!(!log.verify().is_sound(), "files {number} and {other} were swapped");
            swap(&log, number, other);
        }
    }
    let foreign = Written::new(12, SMALL);
    fs::copy(foreign.file(2), log.file(2)).unwrap();
    assert!(!log.verify().is_sound(), "a file of another log");
}

fn swap(log: &Written, a: u32, b: u32) {
    let between = log.path().join("between");
    fs::rename(log.file(a), &between).unwrap();
    fs::rename(log.file(b), log.file(a)).unwrap();
    fs::rename(&between, log.file(b)).unwrap();
}

#[test]
fn archived_files_need_the_hash_they_ended_with() {
    let log = Written::new(12, SMALL);
    let first = log.lines(2)[0].clone();
    let first: serde_json::Value = serde_json::from_slice(&first).unwrap();
    fs::remove_file(log.file(1)).unwrap();
    assert!(!log.verify().is_sound());
    let after = Checks::hash(first["before"].as_str().unwrap());
    let checks = Checks { after, key: Some(&log.key), ..Checks::default() };
    let report = verify::folder(log.path(), &checks).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    let checks = Checks { after: Some([7; 32]), ..Checks::default() };
    assert!(!verify::folder(log.path(), &checks).unwrap().is_sound());
}

#[test]
fn a_head_written_down_is_found_again_in_what_grew_since() {
    let log = Written::new(3, SMALL);
    let old = Head::read(&log.path().join("head.json")).unwrap();
    let mut writer = log.open(SMALL).unwrap();
    for number in 0..9 {
        writer.append(&[crate::support::transfer(number)]).unwrap();
    }
    let checks = Checks { heads: vec![Checks::hash(&old.hash).unwrap()], ..Checks::default() };
    assert!(verify::folder(log.path(), &checks).unwrap().is_sound());
    let checks = Checks { heads: vec![[1; 32]], ..Checks::default() };
    assert!(!verify::folder(log.path(), &checks).unwrap().is_sound());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever is done to the lines of a log, its order included: the same lines are sound, and no others.
    #[test]
    fn no_other_sequence_of_lines_is_sound(picked in proptest::collection::vec(0..6_usize, 0..8)) {
        let log = Written::new(4, ONE_FILE);
        let lines = log.lines(1);
        prop_assume!(picked != (0..6).collect::<Vec<_>>());
        log.put(1, &picked.iter().map(|place| lines[*place].clone()).collect::<Vec<_>>());
        prop_assert!(!log.verify().is_sound());
    }

    /// Bytes that are no log end in findings, never in a panic.
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4000), at in 0..3000_usize) {
        let log = Written::new(3, ONE_FILE);
        let mut whole = fs::read(log.file(1)).unwrap();
        let at = at.min(whole.len());
        whole.splice(at..(at + bytes.len()).min(whole.len()), bytes);
        fs::write(log.file(1), &whole).unwrap();
        let _ = log.verify_with_key();
        let _ = log.open(ONE_FILE);
        let _ = latentwire_audit::Records::open(log.path(), Some(&log.key)).unwrap().count();
    }
}
