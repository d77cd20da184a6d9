//! Nothing that names a patient is in a log, at TRACE, or readable on the receiver's disk; no secret key either.

use std::{fs, path::Path};

use latentwire_tests::{
    Link, binaries, outcome,
    pictures::{self, sop_instance_uid},
    workplace::files,
};

/// As long as the name in the sample.
const PATIENT: &str = "CANARY^PATIENTNAME";
/// Part of the name of the file that is sent.
const FILE: &str = "canary-file-of-mrs-doe";
/// Study that it is sent under.
const STUDY: &str = "canary-study-4711";

#[test]
fn nothing_of_a_patient_is_logged_or_stored_in_clear() {
    let link = Link::open_with(&["--log", "trace"], &["--log", "trace"]);
    let source = fs::read(binaries::sample("dicom/chest_cr_8bit.dcm")).expect("the sample");
    let dicom = pictures::replaced(&source, b"PHANTOM^LATENTWIRE", PATIENT.as_bytes());
    let uid = sop_instance_uid(&dicom);
    let path = link.workplace.write(&format!("{FILE}.dcm"), &dicom);
    let broken = link.workplace.write(&format!("{FILE}-broken.dcm"), &dicom[..dicom.len() / 2]);
    let target = link.workplace.path("received.dcm");
    for mode in [&["--below-floor", "send-marked"][..], &["--mode", "exact"]] {
        let extra = [mode, &["--study-group", STUDY]].concat();
        let object = link.send(&[&path], &extra).expect_success().object();
        outcome::check_delivered(&object);
        let _got = link.get(object["transfer_id"].as_str().expect("an id"), &target).expect_success();
        let received = fs::read(&target).expect("the received file");
        assert!(pictures::holds(&received, PATIENT.as_bytes()), "the name must arrive");
        // What went through a latent has a UID of its own; it is no less the patient's.
        let derived = sop_instance_uid(&received);
        for canary in [PATIENT, "CANARY", FILE, STUDY, uid.as_str(), derived.as_str()] {
            check_absent(&link, canary);
        }
    }
    let refused = link.send(&[&broken], &["--study-group", STUDY]);
    assert_eq!(refused.exit, 1, "{refused:?}");
    let message = refused.object()["error"]["message"].to_string();
    for canary in [PATIENT, "CANARY", FILE, STUDY, uid.as_str()] {
        assert!(!message.contains(canary), "{message}");
        check_absent(&link, canary);
    }
    for key in ["sender.key", "receiver.key"] {
        let secret = fs::read_to_string(link.workplace.path(key)).expect("a key file");
        let secret = secret.lines().find(|line| line.contains("SECRET-KEY-1")).expect("a secret key").trim();
        check_absent(&link, secret);
    }
    // The scan sees what it looks through.
    let log = link.sender.service.log();
    assert!(log.contains("TRACE") && log.contains("delivered"), "the log is not at TRACE:\n{log:.2000}");
    let data = files(&link.receiver.data);
    assert!(data.iter().any(|file| file.metadata().is_ok_and(|file| file.len() > 10_000)), "{data:?}");
}

/// Looks for a word in both logs and in every file of the receiver, in either byte order of wide text too.
fn check_absent(link: &Link, canary: &str) {
    let logs = [link.sender.service.log_file(), link.receiver.service.log_file()].map(Path::to_owned);
    let wide: Vec<u8> = canary.bytes().flat_map(|byte| [byte, 0]).collect();
    let listed = format!("{:?}", canary.as_bytes());
    let listed = listed.trim_matches(['[', ']']);
    for file in logs.into_iter().chain(files(&link.receiver.data)) {
        let bytes = fs::read(&file).expect("a file of the receiver");
        let shown = [canary.as_bytes(), &wide, listed.as_bytes()]
            .into_iter()
            .any(|form| pictures::holds(&bytes, form));
        assert!(!shown, "{canary} stands in {}", file.display());
        let name =
            file.strip_prefix(&link.receiver.data).unwrap_or(Path::new("")).to_string_lossy().into_owned();
        assert!(!name.contains(canary), "{canary} names {}", file.display());
    }
}
