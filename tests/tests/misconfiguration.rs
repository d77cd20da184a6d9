//! What is wrong with keys, peers, models and disks: a clear line, a stable reason, and no lasting harm.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use latentwire_tests::{
    Link, Receiver, Sender, Workplace, binaries, client, outcome, pictures,
    process::{Launch, Service, free_address},
    workplace::{self, files},
};
use serde_json::Value;

const GOOD: &str = "chest_xray/test/hannover_1890031531.jpg";

#[test]
fn a_sender_that_the_receiver_does_not_trust_gets_nothing_through() {
    let link = Link::shared();
    link.workplace.generate_key("sender", "stranger.key");
    let stranger = Sender::start_as(&link.workplace, "stranger.key", link.receiver.transfer, &[]);
    let object = refused(&stranger);
    let reason = outcome::check_rejected(&object);
    assert!(["PEER_NOT_ALLOWED", "HANDSHAKE_FAILED"].contains(&reason.as_str()), "{object}");
    let run = link.get(object["transfer_id"].as_str().expect("an id"), &link.workplace.path("stranger"));
    assert!(run.exit == 1 && run.err.contains("IMAGE_NOT_FOUND"), "{run:?}");
    assert_good_goes_through(&link);
}

#[test]
fn a_receiver_with_another_key_than_the_pinned_one_gets_nothing() {
    let link = Link::shared();
    let elsewhere = Workplace::new();
    let impostor = Receiver::start(&elsewhere, &[]);
    let sender = Sender::start_as(&link.workplace, "sender.key", impostor.transfer, &[]);
    let object = refused(&sender);
    assert_eq!(outcome::check_rejected(&object), "HANDSHAKE_FAILED", "{object}");
    assert!(client::list_images(impostor.images).is_empty());
    drop(sender);
    assert_good_goes_through(&link);
}

#[test]
fn a_receiver_that_is_down_is_said_to_be_and_served_when_it_is_back() {
    let workplace = Workplace::new();
    let (transfer, images) = (free_address(), free_address());
    let sender = Sender::start(&workplace, transfer, &[]);
    let object = refused(&sender);
    assert_eq!(outcome::check_rejected(&object), "PEER_UNAVAILABLE", "{object}");
    assert_eq!(object["error"]["code"], "UNAVAILABLE", "{object}");

    let mut receiver = Receiver::start_at(&workplace, transfer, images);
    let sent = sender.send(&[binaries::sample(GOOD)], &[]).expect_success().object();
    assert!(receiver.service.terminate().status.success());
    let object = refused(&sender);
    assert_eq!(outcome::check_rejected(&object), "PEER_UNAVAILABLE", "{object}");

    let receiver = Receiver::start_at(&workplace, transfer, images);
    outcome::check_delivered(&sender.send(&[binaries::sample(GOOD)], &[]).expect_success().object());
    let target = workplace.path("after-restart");
    let _got = receiver.get(sent["transfer_id"].as_str().expect("an id"), &target).expect_success();
    assert_eq!(client::list_images(receiver.images).len(), 2, "what was stored must outlive the process");
}

#[test]
fn a_port_where_something_else_listens_is_no_receiver() {
    let link = Link::shared();
    let wrong = [
        ("the admin port", link.receiver.service.admin()),
        ("the receiver's ImageService", link.receiver.images),
        ("the sender's own port", link.sender.address),
    ];
    for (what, address) in wrong {
        let sender = Sender::start(&link.workplace, address, &[]);
        let object = refused(&sender);
        let reason = outcome::check_rejected(&object);
        assert!(["PEER_UNAVAILABLE", "VERSION_UNSUPPORTED"].contains(&reason.as_str()), "{what}: {object}");
    }
    assert_good_goes_through(&link);
}

#[test]
fn a_full_quota_refuses_the_image_and_leaves_nothing_of_it() {
    let workplace = Workplace::new();
    let receiver = Receiver::start(&workplace, &["--max-store-bytes", "2000000"]);
    let sender = Sender::start(&workplace, receiver.transfer, &[]);
    let first = workplace.write("first.png", &pictures::noise_png(1200, 1000));
    let _fits = sender.send(&[first], &["--mode", "exact"]).expect_success();
    check_full(&workplace, &sender, &receiver);
    // What would not fit into an empty store either is told apart: waiting would not help.
    let huge = workplace.write("huge.png", &pictures::noise_png(1600, 1500));
    let run = sender.send(&[huge], &["--mode", "exact"]);
    assert_eq!(run.exit, 1, "{run:?}");
    assert_eq!(outcome::check_rejected(&run.object()), "TRANSFER_TOO_LARGE");
}

#[test]
fn a_full_disk_refuses_the_image_and_leaves_nothing_of_it() {
    let workplace = Workplace::new();
    let data = workplace.new_folder("small-disk");
    let Some(disk) = SmallDisk::mount(&data) else {
        eprintln!("only root can mount a small disk: the quota's test stands for this one");
        return;
    };
    let flags = ["--min-free-bytes", "0", "--audit-min-free-bytes", "0"];
    let receiver = Receiver::start_with_data(&workplace, &data, &flags);
    let sender = Sender::start(&workplace, receiver.transfer, &[]);
    check_full(&workplace, &sender, &receiver);
    drop((sender, receiver));
    drop(disk);
}

#[test]
fn a_full_disk_under_the_audit_log_refuses_the_image_and_leaves_the_log_whole() {
    let link = Link::open();
    let audit = link.workplace.new_folder("small-disk");
    let Some(disk) = SmallDisk::mount(&audit) else {
        eprintln!("only root can mount a small disk: the test of --audit-min-free-bytes stands for this one");
        return;
    };
    let folder = audit.to_str().expect("a path in ASCII");
    let flags = ["--audit", folder, "--audit-min-free-bytes", "0"];
    let mut sender = Sender::start(&link.workplace, link.receiver.transfer, &flags);
    outcome::check_delivered(&sender.send(&[binaries::sample(GOOD)], &[]).object());
    // To the last byte.
    let filler = audit.join("filler");
    let mut file = fs::File::create(&filler).expect("a file");
    while std::io::Write::write_all(&mut file, &[7; 512]).is_ok() {}
    let _full = file.sync_all();
    drop(file);
    let mut refused = 0;
    for number in 0..8 {
        let picture = link.workplace.write(&format!("{number}.png"), &pictures::noise_png(16, 16 + number));
        let object = sender.send(&[&picture], &["--mode", "exact"]).object();
        if object["status"] == "rejected" {
            assert_eq!(outcome::check_rejected(&object), "AUDIT_UNAVAILABLE", "{object}");
            refused += 1;
        }
    }
    assert!(refused > 0, "the disk was not full");
    fs::remove_file(&filler).expect("removed");
    outcome::check_delivered(&sender.send(&[binaries::sample(GOOD)], &["--mode", "exact"]).object());
    sender.service.terminate();
    let whole = ["audit".as_ref(), "verify".as_ref(), audit.as_os_str()];
    let _sound = latentwire_tests::Run::latentwire(whole).expect_success();
    drop(disk);
}

#[test]
fn a_model_whose_files_were_changed_is_not_loaded() {
    for (file, flip_at) in
        [("decoder.onnx", 1000), ("tables.bin", 500), ("encoder.onnx", 1000), ("decode.toml", 5)]
    {
        let workplace = Workplace::new();
        let models = copy_of_models(&workplace);
        let path = models.join("ae224-chest").join(file);
        let mut bytes = fs::read(&path).expect("a model's file");
        bytes[flip_at] ^= 1;
        fs::write(&path, bytes).expect("a model's file");
        let models = models.to_str().expect("a path");
        let sender =
            Sender::launch(&workplace, "sender.key", free_address(), free_address(), &["--models", models]);
        let log = failed_start(sender);
        assert!(log.contains(file) || file == "decode.toml", "the line must name {file}:\n{log}");
        assert!(log.contains("sender-svc: "), "{log}");
    }
}

#[test]
fn a_receiver_does_not_start_on_a_changed_model_either() {
    let workplace = Workplace::new();
    let models = copy_of_models(&workplace);
    let path = models.join("ae224-fundus/decoder.onnx");
    let mut bytes = fs::read(&path).expect("a model's file");
    *bytes.last_mut().expect("a model has bytes") ^= 1;
    fs::write(&path, bytes).expect("a model's file");
    let models = models.to_str().expect("a path");
    let data = workplace.path("receiver-data");
    let launch = Receiver::launch(&workplace, &data, free_address(), free_address(), &["--models", models]);
    let log = failed_start(launch);
    assert!(log.contains("decoder.onnx"), "{log}");
}

/// Manifest, net and decode.toml all changed to fit one another: the digests inside the folder say nothing any more.
#[test]
fn a_model_that_was_swapped_whole_is_not_loaded() {
    let workplace = Workplace::new();
    let models = workplace.path("models");
    copy(&binaries::repository().join("common/codec/tests/models/sound"), &models);
    let shipped = binaries::repository().join("models/ae224-chest");
    let launches = || {
        let flags = ["--models", models.to_str().expect("a path")];
        let data = workplace.path("receiver-data");
        let mut receiver = Receiver::launch(&workplace, &data, free_address(), free_address(), &flags);
        let mut sender = Sender::launch(&workplace, "sender.key", free_address(), free_address(), &flags);
        for launch in [&mut receiver, &mut sender] {
            launch.arguments.retain(|argument| argument != "--unpinned-models");
        }
        [receiver, sender]
    };
    for launch in launches() {
        let log = failed_start(launch);
        assert!(log.contains("--model-pin") && log.contains("--unpinned-models"), "{log}");
    }
    // Beside one that is pinned, it is left alone and named.
    copy(&shipped, &models.join("ae224-chest"));
    for launch in launches() {
        let service = Service::start(launch).expect("it starts");
        let log = service.log();
        assert!(log.contains("this model is not pinned and is left alone"), "{log}");
        assert!(log.contains("\"models\":1,") || log.contains("models=1 "), "{log}");
    }
}

#[test]
fn a_pinned_model_that_is_missing_is_an_error() {
    let workplace = Workplace::new();
    let pin = "ab".repeat(32);
    let launch =
        Sender::launch(&workplace, "sender.key", free_address(), free_address(), &["--model-pin", &pin]);
    let log = failed_start(launch);
    assert!(log.contains("abababab"), "the line must name the digest:\n{log}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let workplace = Workplace::new();
    let key = workplace.path("sender.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("the mode can be changed");
    let launch = Sender::launch(&workplace, "sender.key", free_address(), free_address(), &[]);
    let log = failed_start(launch);
    assert!(log.contains("chmod 600"), "{log}");
}

#[test]
fn a_receivers_key_is_no_senders_key() {
    let workplace = Workplace::new();
    let launch = Sender::launch(&workplace, "receiver.key", free_address(), free_address(), &[]);
    let log = failed_start(launch);
    assert!(log.contains("sender") && log.contains("receiver"), "{log}");
}

/// A good picture sent in vain: its JSON object.
fn refused(sender: &Sender) -> Value {
    let run = sender.send(&[binaries::sample(GOOD)], &[]);
    assert_eq!(run.exit, 1, "{run:?}");
    run.object()
}

fn assert_good_goes_through(link: &Link) {
    outcome::check_delivered(&link.send(&[binaries::sample(GOOD)], &[]).expect_success().object());
}

/// Sends more to a receiver than it has room for, less than a megabyte, and looks at what is left.
fn check_full(workplace: &Workplace, sender: &Sender, receiver: &Receiver) {
    let small = workplace.write("small.png", &pictures::noise_png(64, 64));
    let before = client::list_images(receiver.images).len();
    let large = workplace.write("large.png", &pictures::noise_png(1200, 1200));
    let first = sender.send(&[&small], &["--mode", "exact"]).expect_success().object();
    let run = sender.send(&[&large], &["--mode", "exact"]);
    assert_eq!(run.exit, 1, "{run:?}");
    let object = run.object();
    assert_eq!(outcome::check_rejected(&object), "STORAGE_FULL", "{object}");
    assert_eq!(object["error"]["code"], "RESOURCE_EXHAUSTED", "{object}");
    let half_written = workplace::half_written(&receiver.data);
    assert!(half_written.is_empty(), "{half_written:?}");
    assert_eq!(client::list_images(receiver.images).len(), before + 1);
    let second = sender.send(&[&small], &["--mode", "exact"]).expect_success().object();
    for id in [&first["transfer_id"], &second["transfer_id"]] {
        let target = workplace.path("from-a-full-disk");
        let _got = receiver.get(id.as_str().expect("an id"), &target).expect_success();
        assert!(fs::read(&target).expect("the received file") == fs::read(&small).expect("the sent file"));
    }
}

/// A service that must not start: its log, one clear line and no panic.
fn failed_start(launch: Launch) -> String {
    let mut service = Service::spawn(launch);
    let status = service.exit_within(Duration::from_secs(60)).expect("it must end by itself");
    let log = service.log();
    assert!(!status.success(), "it must fail:\n{log}");
    assert!(!log.contains("panicked"), "{log}");
    log
}

fn copy_of_models(workplace: &Workplace) -> PathBuf {
    let target = workplace.new_folder("models");
    copy(&binaries::repository().join("models"), &target);
    target
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let copy = to.join(file.strip_prefix(from).expect("a file of it"));
        fs::create_dir_all(copy.parent().expect("a model has a folder")).expect("a folder can be made");
        fs::copy(&file, &copy).expect("a file can be copied");
    }
}

/// A file system of one megabyte.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// Mounts it, if this process may.
    fn mount(at: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}
