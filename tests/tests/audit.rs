//! The audit log of both ends: one record a transfer, failures too; whole after a kill; no name in clear; no transfer without it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use latentwire_proto::v1::{DeleteImageRequest, image_service_client::ImageServiceClient};
use latentwire_tests::{
    Link, Receiver, Run, Sender, binaries, client, outcome,
    pictures::{self, sop_instance_uid},
    wait_until,
    workplace::{PEER, files},
};
use serde_json::Value;

const BRAIN: &str = "brain_mri/test/sartaj_0b938fbd0a.jpg";
/// As long as the name in the sample.
const PATIENT: &str = "CANARY^PATIENTNAME";
/// Study that it is sent under.
const STUDY: &str = "canary-study-4711";

/// The two folders of a link.
struct Logs {
    sender: PathBuf,
    receiver: PathBuf,
}

impl Logs {
    fn of(link: &Link) -> Self {
        let sender = Sender::audit_at(&link.workplace, link.sender.address);
        Self { sender, receiver: link.receiver.data.join("audit") }
    }

    fn both(&self) -> [&Path; 2] {
        [&self.sender, &self.receiver]
    }
}

fn audit(command: &str, folder: &Path, extra: &[&str]) -> Run {
    let begin = ["audit".as_ref(), command.as_ref(), folder.as_os_str()];
    Run::latentwire(begin.into_iter().chain(extra.iter().map(AsRef::as_ref)))
}

/// The secret audit key, which the service made beside its folder.
fn key_of(folder: &Path) -> String {
    let folder = folder.to_str().expect("a path in ASCII");
    match folder.strip_suffix("/audit") {
        Some(data) => format!("{data}.audit.key"),
        None => format!("{folder}.key"),
    }
}

fn verify(folder: &Path) -> Value {
    let key = &key_of(folder);
    let plain = audit("verify", folder, &["--json"]).expect_success().object();
    let keyed = audit("verify", folder, &["--json", "--audit-key", key]).expect_success().object();
    assert_eq!((&plain["sound"], &keyed["sound"]), (&true.into(), &true.into()));
    assert_eq!(keyed["authenticated"], true);
    keyed
}

fn records(folder: &Path) -> Vec<Value> {
    audit("export", folder, &[]).expect_success().objects()
}

/// Outcomes of transfers, by transfer id.
fn transfers(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::<String, Vec<String>>::new();
    for record in records(folder).iter().filter(|record| record["kind"] == "transfer") {
        let id = record["transfer_id"].as_str().expect("a transfer has an id").to_owned();
        let outcome = record["outcome"].as_str().expect("an outcome").to_owned();
        found.entry(id).or_default().push(outcome);
    }
    found
}

#[test]
fn each_transfer_has_one_record_at_each_end_and_failures_have_theirs() {
    let mut link = Link::open();
    let logs = Logs::of(&link);
    let sent = link.send(&[binaries::sample(BRAIN)], &["--mode", "exact"]).expect_success().object();
    let id = sent["transfer_id"].as_str().expect("an id").to_owned();
    // The same once more is done already; the same id with another picture is a conflict.
    let again = link.send(&[binaries::sample(BRAIN)], &["--mode", "exact", "--transfer-id", &id]);
    let _again = again.expect_success();
    let other = link.workplace.write("other.png", &pictures::flat_png(64, 64, 7));
    let conflict = link.send(&[&other], &["--mode", "exact", "--transfer-id", &id]).object();
    assert_eq!(outcome::check_rejected(&conflict), "TRANSFER_CONFLICT");
    // Refused here, and refused there.
    let broken = link.workplace.write("broken.png", &pictures::flat_png(64, 64, 7)[..40]);
    let refused = link.send(&[&broken], &[]).object();
    let _reason = outcome::check_rejected(&refused);
    let _got = link.get(&id, &link.workplace.path("got")).expect_success();
    let _missing = link.get(&"0".repeat(32), &link.workplace.path("got"));
    delete(&link, &sent);
    link.workplace.distrust(PEER);
    link.receiver.service.signal_reload();
    wait_until("the change is written down", || {
        records(&logs.receiver).iter().any(|record| record["kind"] == "key_revoked")
    });
    let rejected = link.send(&[&other], &["--mode", "exact"]).object();
    let _reason = outcome::check_rejected(&rejected);
    link.sender.service.terminate();
    link.receiver.service.terminate();

    let at_sender = transfers(&logs.sender);
    let at_receiver = transfers(&logs.receiver);
    assert_eq!(at_sender[&id], ["delivered", "done_already", "conflict"]);
    assert_eq!(at_receiver[&id], ["delivered", "done_already", "conflict"]);
    let of = |object: &Value| object["transfer_id"].as_str().expect("an id").to_owned();
    assert_eq!(at_sender[&of(&refused)], ["refused"]);
    assert_eq!(at_sender[&of(&rejected)], ["failed"]);
    assert_eq!(at_sender.len(), 3, "{at_sender:?}");
    assert_eq!(at_receiver.len(), 1, "{at_receiver:?}");

    let receiver = records(&logs.receiver);
    let delivered = &receiver.iter().find(|record| record["outcome"] == "delivered").expect("one");
    let sender = records(&logs.sender);
    let handed = &sender.iter().find(|record| record["outcome"] == "delivered").expect("one");
    // Each names itself and the other by the same two keys.
    assert_eq!(delivered["service"]["key"], handed["peer"]["key"]);
    assert_eq!(delivered["peer"]["key"], handed["service"]["key"]);
    assert_eq!(delivered["peer"]["name"], PEER);
    for field in ["image_id", "form", "verdict", "coded_bytes", "sealed_bytes"] {
        assert!(
            !delivered[field].is_null() && delivered[field] == handed[field],
            "{field}: {delivered} {handed}"
        );
    }
    for (kind, outcome, reason) in [
        ("image_fetched", "success", Value::Null),
        ("image_fetched", "failed", "IMAGE_NOT_FOUND".into()),
        ("image_deleted", "success", Value::Null),
        ("trust_reloaded", "success", Value::Null),
        ("key_revoked", "success", Value::Null),
        ("session_refused", "refused", "PEER_NOT_ALLOWED".into()),
    ] {
        let fits = |record: &&Value| {
            record["kind"] == kind && record["outcome"] == outcome && record["reason"] == reason
        };
        assert!(receiver.iter().any(|record| fits(&record)), "{kind} {outcome}: {receiver:#?}");
    }
    for (folder, written) in logs.both().into_iter().zip([&sender, &receiver]) {
        assert_eq!(written.iter().filter(|record| record["kind"] == "service_started").count(), 1);
        assert_eq!(written.last().expect("records")["kind"], "service_stopped");
        assert_eq!(verify(folder)["unclean_stops"], 0);
    }
    tampering_is_found(&logs.receiver);
}

fn delete(link: &Link, sent: &Value) {
    let id = hex(sent["image_id"].as_str().unwrap_or_default());
    let id = if id.is_empty() { client::list_images(link.receiver.images)[0].image_id.to_vec() } else { id };
    client::block_on(async {
        let mut images = ImageServiceClient::new(client::channel(link.receiver.images).await);
        images.delete_image(DeleteImageRequest { image_id: id.into() }).await.expect("it is deleted");
    });
}

fn hex(text: &str) -> Vec<u8> {
    let digit =
        |place: usize| u8::from_str_radix(text.get(place..place + 2).unwrap_or("00"), 16).unwrap_or(0);
    (0..text.len() / 2).map(|place| digit(place * 2)).collect()
}

/// The command says where, by its exit code too.
fn tampering_is_found(folder: &Path) {
    let file = folder.join("audit-000001.log");
    let whole = fs::read_to_string(&file).expect("a log");
    fs::write(&file, whole.replace("\"delivered\"", "\"cancelled\"")).expect("written");
    let run = audit("verify", folder, &["--json"]);
    let report = run.object();
    assert_eq!((run.exit, &report["sound"]), (1, &false.into()), "{report}");
    assert!(report["findings"][0]["line"].as_u64().is_some_and(|line| line > 1), "{report}");
    fs::write(&file, whole).expect("written");
    let _sound = verify(folder);
}

#[test]
fn names_are_sealed_and_only_the_audit_key_opens_them() {
    let mut link = Link::open();
    let logs = Logs::of(&link);
    let source = fs::read(binaries::sample("dicom/chest_cr_8bit.dcm")).expect("the sample");
    let dicom = pictures::replaced(&source, b"PHANTOM^LATENTWIRE", PATIENT.as_bytes());
    let uid = sop_instance_uid(&dicom);
    let path = link.workplace.write("canary.dcm", &dicom);
    for mode in [&["--below-floor", "send-marked"][..], &["--mode", "exact"]] {
        let extra = [mode, &["--study-group", STUDY]].concat();
        let sent = link.send(&[&path], &extra).expect_success().object();
        let id = sent["transfer_id"].as_str().expect("an id");
        let _got = link.get(id, &link.workplace.path("got")).expect_success();
        delete(&link, &Value::Null);
    }
    link.sender.service.terminate();
    link.receiver.service.terminate();
    let canaries = [PATIENT, "CANARY", STUDY, uid.as_str(), "1.2.826"];
    for folder in logs.both() {
        for file in files(folder) {
            let bytes = fs::read(&file).expect("a file of the log");
            for canary in &canaries[..4] {
                assert!(!pictures::holds(&bytes, canary.as_bytes()), "{canary} in {}", file.display());
            }
        }
        let key = &key_of(folder);
        let shut = audit("export", folder, &["--format", "dicom-xml"]).expect_success().out;
        let open = audit("export", folder, &["--format", "dicom-xml", "--with-phi", "--audit-key", key]);
        let open = open.expect_success().out;
        for canary in &canaries[..4] {
            assert!(!shut.contains(canary), "{canary} in an export without --with-phi");
        }
        assert!(open.contains(PATIENT) && open.contains(&uid), "{open}");
        assert!(shut.contains("csd-code=\"110104\"") && shut.contains("csd-code=\"110100\""));
        let lines = audit("export", folder, &["--with-phi", "--audit-key", key]).expect_success().objects();
        let of = |kind: &str| {
            let fits =
                |record: &&Value| record["kind"] == kind && record["identifiers"]["patient_name"] == PATIENT;
            lines.iter().filter(fits).count()
        };
        assert_eq!(of("transfer"), 2);
        let is_receiver = folder == logs.receiver;
        assert_eq!((of("image_fetched"), of("image_deleted")), if is_receiver { (2, 2) } else { (0, 0) });
        // Another key opens nothing, and says so.
        let other = link.workplace.path("other.key");
        if !other.exists() {
            let made = ["audit".as_ref(), "keygen".as_ref(), "-o".as_ref(), other.as_os_str()];
            let _made = Run::latentwire(made).expect_success();
        }
        let other = other.to_str().expect("a path in ASCII");
        assert_eq!(audit("export", folder, &["--with-phi", "--audit-key", other]).exit, 4);
        assert_eq!(audit("verify", folder, &["--audit-key", other]).exit, 1);
        assert_eq!(audit("export", folder, &["--with-phi"]).exit, 2);
    }
}

#[test]
fn a_log_is_whole_after_every_kill_and_says_that_there_was_one() {
    let mut link = Link::open();
    let logs = Logs::of(&link);
    let (transfer, images) = (link.receiver.transfer, link.receiver.images);
    let pictures: Vec<_> = (0..24)
        .map(|number| link.workplace.write(&format!("{number}.png"), &pictures::flat_png(32, 32, number)))
        .collect();
    for _round in 0..2 {
        let sending = link.sender.begin_send(&pictures, &["--mode", "exact", "--parallel", "4"]);
        wait_until("some have arrived", || link.receiver.service.log().contains("image stored"));
        link.receiver.service.kill();
        link.sender.service.kill();
        let _cut = sending.end();
        for folder in logs.both() {
            let _sound = verify(folder);
        }
        // What the receiver has, it had written down before its receipt, or writes down when it is sent again.
        link.receiver = Receiver::start_at(&link.workplace, transfer, images);
        let same = ["--audit", logs.sender.to_str().expect("a path in ASCII")];
        link.sender = Sender::start(&link.workplace, transfer, &same);
    }
    let all = link.send(&pictures, &["--mode", "exact", "--parallel", "4"]).expect_success().objects();
    link.sender.service.terminate();
    link.receiver.service.terminate();
    for folder in logs.both() {
        let found = transfers(folder);
        for object in &all {
            let id = object["transfer_id"].as_str().expect("an id");
            assert_eq!(found[id].last().map(String::as_str), Some("delivered"), "{folder:?} {id}");
        }
        let report = verify(folder);
        assert_eq!(report["unclean_stops"], 2, "{report}");
        let recovered = records(folder).iter().filter(|record| record["kind"] == "log_recovered").count();
        assert_eq!(recovered, 2);
    }
}

#[test]
fn without_room_for_the_log_nothing_is_transferred() {
    // More than any disk has free.
    let full = ["--audit-min-free-bytes", "18446744073709551615"];
    let workplace = latentwire_tests::Workplace::new();
    let folder = workplace.path("full");
    let start = |extra: &[&str]| {
        let free = latentwire_tests::process::free_address;
        latentwire_tests::process::Service::start(Receiver::launch(
            &workplace,
            &folder,
            free(),
            free(),
            extra,
        ))
    };
    let refused = start(&full).expect_err("a receiver that cannot write down its start does not start");
    assert!(refused.contains("audit log") && refused.contains("free"), "{refused}");

    let mut link = Link::open();
    let logs = Logs::of(&link);
    // The log becomes unwritable while the service runs: its file is a folder's worth of nothing any more.
    let before = records(&logs.receiver).len();
    fs::rename(&logs.receiver, link.workplace.path("away")).expect("moved");
    let rejected = link.send(&[binaries::sample(BRAIN)], &["--mode", "exact"]).object();
    assert_eq!(outcome::check_rejected(&rejected), "AUDIT_UNAVAILABLE");
    assert!(client::list_images(link.receiver.images).is_empty(), "nothing was stored");
    fs::rename(link.workplace.path("away"), &logs.receiver).expect("moved back");
    outcome::check_delivered(&link.send(&[binaries::sample(BRAIN)], &["--mode", "exact"]).object());
    assert!(records(&logs.receiver).len() > before);
    let _sound = verify(&logs.receiver);

    fs::rename(&logs.sender, link.workplace.path("away")).expect("moved");
    let rejected = link.send(&[binaries::sample(BRAIN)], &["--mode", "exact"]).object();
    assert_eq!(outcome::check_rejected(&rejected), "AUDIT_UNAVAILABLE");
    fs::rename(link.workplace.path("away"), &logs.sender).expect("moved back");
    let _all = link.send(&[binaries::sample(BRAIN)], &["--mode", "exact"]).expect_success();
    link.sender.service.terminate();
    let _sound = verify(&logs.sender);
}

#[test]
fn a_service_does_not_go_on_from_a_log_that_was_cut() {
    let mut link = Link::open();
    let logs = Logs::of(&link);
    outcome::check_delivered(&link.send(&[binaries::sample(BRAIN)], &["--mode", "exact"]).object());
    link.receiver.service.terminate();
    let file = logs.receiver.join("audit-000001.log");
    let whole = fs::read_to_string(&file).expect("a log");
    let cut: Vec<_> = whole.lines().take(2).map(|line| format!("{line}\n")).collect();
    fs::write(&file, cut.concat()).expect("written");
    assert_eq!(audit("verify", &logs.receiver, &[]).exit, 1);
    let Receiver { transfer, images, data, .. } = &link.receiver;
    let launch = Receiver::launch(&link.workplace, data, *transfer, *images, &[]);
    let refused = latentwire_tests::process::Service::start(launch).expect_err("it does not start");
    assert!(
        refused.contains("not as it was left") && refused.contains("latentwire audit verify"),
        "{refused}"
    );
    // An operator who knows what happened begins anew, elsewhere.
    let fresh = link.workplace.path("fresh");
    let extra = ["--audit", fresh.to_str().expect("a path in ASCII")];
    let launch = Receiver::launch(&link.workplace, data, *transfer, *images, &extra);
    link.receiver.service = latentwire_tests::process::Service::start(launch).expect("it starts");
}
