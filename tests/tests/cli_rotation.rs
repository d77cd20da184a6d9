//! `latentwire keys rotate` on a running link: both keys hold while they overlap, and the old one does not after.

use std::{
    ffi::OsStr,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use latentwire_tests::{
    Receiver, Run, Sender, Workplace, client, outcome, pictures,
    process::{Service, free_address},
    workplace::{DESTINATION, PEER},
};
use serde_json::Value;

/// How long a changed trust store may take to hold.
const NOTICED: Duration = Duration::from_secs(60);

/// Stages the next key of a file, or puts it in place.
fn rotate(key: &Path, finish: bool) -> Value {
    let arguments = ["keys", "rotate", "--json"].map(OsStr::new).into_iter();
    let finish = finish.then_some(OsStr::new("--finish"));
    Run::latentwire(arguments.chain(finish).chain([key.as_os_str()])).expect_success().object()
}

/// A sender that pins these keys of its receiver.
fn sender_pinning(workplace: &Workplace, transfer: SocketAddr, keys: &[&Path]) -> Sender {
    let address = free_address();
    let mut launch = Sender::launch(workplace, "sender.key", address, transfer, &[]);
    let place = launch.arguments.iter().position(|argument| argument == "--destination").expect("the flag");
    let keys: Vec<_> = keys.iter().map(|key| key.to_str().expect("text")).collect();
    launch.arguments[place + 1] = format!("{DESTINATION}=http://{transfer},{}", keys.join(",")).into();
    let service = Service::start(launch).unwrap_or_else(|log| panic!("sender-svc did not start:\n{log}"));
    Sender { service, address }
}

fn send(sender: &Sender, picture: &Path) -> Value {
    sender.send(&[picture], &["--mode", "exact"]).object()
}

#[track_caller]
fn arrives(sender: &Sender, picture: &Path) {
    outcome::check_delivered(&send(sender, picture));
}

#[track_caller]
fn refused(sender: &Sender, picture: &Path) {
    let object = send(sender, picture);
    let reason = outcome::check_rejected(&object);
    assert!(["PEER_NOT_ALLOWED", "HANDSHAKE_FAILED"].contains(&reason.as_str()), "{object}");
}

fn picture(workplace: &Workplace) -> PathBuf {
    workplace.write("picture.png", &pictures::noise_png(60, 40))
}

#[test]
fn a_receiver_changes_its_key_and_loses_no_image() {
    let workplace = Workplace::new();
    let (key, picture) = (workplace.path("receiver.key"), picture(&workplace));
    // What the sender's administrator holds: files of their own.
    let old =
        workplace.write("pinned-old.pub", &fs::read(workplace.path("receiver.key.pub")).expect("there"));
    let staged = rotate(&key, false);
    let staged = Path::new(staged["staged_public_file"].as_str().expect("a file"));
    let next = workplace.write("pinned-next.pub", &fs::read(staged).expect("there"));

    let mut receiver = Receiver::start(&workplace, &[]);
    let (transfer, images) = (receiver.transfer, receiver.images);
    let both = sender_pinning(&workplace, transfer, &[&old, &next]);
    arrives(&both, &picture);
    assert!(receiver.service.terminate().status.success());
    let finished = rotate(&key, true);
    let retired = PathBuf::from(finished["retired_file"].as_str().expect("a file"));
    let mut receiver = Receiver::start_at(&workplace, transfer, images);
    // The sender was not restarted: it finds the next key by itself.
    arrives(&both, &picture);
    drop(both);
    let next_alone = sender_pinning(&workplace, transfer, &[&next]);
    arrives(&next_alone, &picture);
    assert_eq!(client::list_images(images).len(), 3);

    // Whoever still has the old secret is nobody any more.
    assert!(receiver.service.terminate().status.success());
    fs::copy(&retired, &key).expect("the old key is put back");
    let _impostor = Receiver::start_at(&workplace, transfer, images);
    refused(&next_alone, &picture);
    assert_eq!(client::list_images(images).len(), 3);
}

#[test]
fn a_sender_changes_its_key_and_the_old_one_is_revoked() {
    let workplace = Workplace::new();
    let (key, picture) = (workplace.path("sender.key"), picture(&workplace));
    let mut receiver = Receiver::start(&workplace, &[]);
    let mut before = Sender::start(&workplace, receiver.transfer, &[]);
    arrives(&before, &picture);

    let staged = rotate(&key, false);
    workplace.trust(PEER, Path::new(staged["staged_public_file"].as_str().expect("a file")));
    receiver.service.signal_reload();
    arrives(&before, &picture);
    let finished = rotate(&key, true);
    arrives(&before, &picture);
    assert!(before.service.terminate().status.success());
    let after = Sender::start(&workplace, receiver.transfer, &[]);
    arrives(&after, &picture);

    let fingerprint = finished["old"]["fingerprint"].as_str().expect("text");
    let store = workplace.path("trust.toml");
    let revoke =
        ["trust", "revoke", store.to_str().expect("text"), "--name", PEER, "--fingerprint", fingerprint];
    let _revoked = Run::latentwire(revoke).expect_success();
    receiver.service.signal_reload();
    let retired = Path::new(finished["retired_file"].as_str().expect("a file"));
    let retired = retired.file_name().expect("a name").to_str().expect("text");
    let old = Sender::start_as(&workplace, retired, receiver.transfer, &[]);
    // The store is read again at the signal, in the service's own time.
    let begun = Instant::now();
    while send(&old, &picture)["status"] == "delivered" {
        assert!(begun.elapsed() < NOTICED, "the revocation was not noticed: {}", receiver.service.log());
        thread::sleep(Duration::from_millis(100));
    }
    refused(&old, &picture);
    arrives(&after, &picture);
}
