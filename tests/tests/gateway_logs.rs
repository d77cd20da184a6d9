//! Nothing that names a patient, a study or a title is in the gateway's log, at TRACE, or in its metrics or its data folder.

use std::fs;

use latentwire_tests::{
    Gateway, Instance, Link, Modality, admin, binaries,
    pictures::{element, holds, replaced},
    workplace::files,
};

/// As long as the name in the sample.
const PATIENT: &str = "CANARY^PATIENTNAME";
const CALLING: &str = "CANARY_CALLING";
const STRANGER: &str = "CANARY_STRANGER";

#[test]
fn nothing_of_a_patient_is_logged_or_kept() {
    let link = Link::open_with(&["--log", "trace"], &[]);
    let flags = ["--log", "trace", "--calling-ae-title", CALLING];
    let gateway = Gateway::start(&link.workplace, link.sender.address, &flags);
    let sample = fs::read(binaries::sample("dicom/chest_cr_8bit.dcm")).expect("the sample");
    let good = Instance::parse(&replaced(&sample, b"PHANTOM^LATENTWIRE", PATIENT.as_bytes()));
    let cut = Instance { data_set: good.data_set[..good.data_set.len() / 2].to_vec(), ..good.clone() };
    let mismatch = Instance { sop_instance: "1.2.3.4711".to_owned(), ..good.clone() };
    let text = |tag| {
        let value = element(&good.data_set, tag).expect("the sample has it");
        String::from_utf8(value).expect("text")
    };
    let mut modality = Modality::call(gateway.dicom, CALLING, "LATENTWIRE", &[&good]).expect("accepted");
    let mut comments = String::new();
    for instance in [&good, &cut, &mismatch] {
        comments += &modality.store(instance).comment;
    }
    // Text where a UID must be.
    let named = Instance { sop_instance: PATIENT.to_owned(), ..good.clone() };
    let answer = modality.store(&named);
    assert_eq!(answer.status, 0x0117);
    comments += &answer.comment;
    modality.release();
    assert!(Modality::call(gateway.dicom, STRANGER, "LATENTWIRE", &[]).is_err());
    assert!(Modality::call(gateway.dicom, CALLING, STRANGER, &[]).is_err());

    let log = gateway.service.log();
    assert!(log.contains("TRACE") || log.contains("DEBUG"), "the log is not at TRACE:\n{log:.2000}");
    assert!(log.contains("\"delivered\"") && log.contains("DATA_SET_MISMATCH"), "{log}");
    let metrics = admin::get(gateway.service.admin(), "/metrics").expect("the admin port answers").body;
    let uids = [(0x0008, 0x0018), (0x0020, 0x000d), (0x0020, 0x000e)].map(text);
    let words = [PATIENT, "CANARY", CALLING, STRANGER, "1.2.3.4711", "LW-SAMPLE-2"].map(str::to_owned);
    for canary in words.iter().chain(&uids) {
        let listed = format!("{:?}", canary.as_bytes());
        let forms = [canary.as_str(), listed.trim_matches(['[', ']'])];
        for form in forms {
            let said =
                [&log, &link.sender.service.log(), &metrics, &comments].map(|text| text.contains(form));
            assert_eq!(said, [false; 4], "{form} stands in a log, the metrics or a comment");
        }
        for file in files(&link.workplace.path("gateway-data")) {
            assert!(!holds(&fs::read(&file).expect("a file"), canary.as_bytes()), "{}", file.display());
        }
    }
}
