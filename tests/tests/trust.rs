//! The receiver's trust store is its administrator's: a peer that is taken off it is out at once, without a restart.

use std::time::{Duration, Instant};

use latentwire_tests::{Link, binaries, outcome, workplace::PEER};
use serde_json::Value;

const GOOD: &str = "brain_mri/test/sartaj_0b938fbd0a.jpg";

/// The file is looked at every two seconds.
const NOTICED: Duration = Duration::from_secs(40);

#[test]
fn a_peer_that_is_taken_off_the_list_is_out_and_comes_back() {
    let mut link = Link::open();
    outcome::check_delivered(&send(&link));
    let public_key = link.workplace.path("sender.key.pub");

    // A signal makes it hold at once, on the session that is open.
    link.workplace.distrust(PEER);
    link.receiver.service.signal_reload();
    let refused = until(&link, "rejected");
    let reason = outcome::check_rejected(&refused);
    assert!(["PEER_NOT_ALLOWED", "HANDSHAKE_FAILED"].contains(&reason.as_str()), "{refused}");

    // Without one, the file is found changed.
    link.workplace.trust(PEER, &public_key);
    outcome::check_delivered(&until(&link, "delivered"));
    link.workplace.distrust(PEER);
    let _refused = outcome::check_rejected(&until(&link, "rejected"));
}

#[test]
fn a_trust_store_that_cannot_be_read_leaves_the_old_one_in_force() {
    let mut link = Link::open();
    let _store = link.workplace.write("trust.toml", b"this is no trust store [");
    link.receiver.service.signal_reload();
    let begun = Instant::now();
    while !link.receiver.service.log().contains("trust store unchanged") {
        assert!(begun.elapsed() < NOTICED, "nothing is said: {}", link.receiver.service.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    outcome::check_delivered(&send(&link));
    assert!(link.receiver.service.is_running());
}

#[test]
fn an_expired_key_is_refused() {
    let link = Link::open();
    let public_key = link.workplace.path("sender.key.pub");
    link.workplace.distrust(PEER);
    let store = link.workplace.path("trust.toml");
    let arguments = ["trust".as_ref(), "add".as_ref(), store.as_os_str(), "--name".as_ref(), PEER.as_ref()];
    let key =
        ["--key".as_ref(), public_key.as_os_str(), "--not-after".as_ref(), "2020-01-01T00:00:00Z".as_ref()];
    let _added = latentwire_tests::Run::latentwire(arguments.into_iter().chain(key)).expect_success();
    let refused = until(&link, "rejected");
    let reason = outcome::check_rejected(&refused);
    assert!(["PEER_NOT_ALLOWED", "HANDSHAKE_FAILED"].contains(&reason.as_str()), "{refused}");
}

#[test]
fn a_sender_sends_to_no_receiver_whose_key_has_ended_or_is_revoked() {
    let workplace = latentwire_tests::Workplace::new();
    let store = workplace.path("receivers.toml").to_string_lossy().into_owned();
    let key = workplace.path("receiver.key.pub").to_string_lossy().into_owned();
    let trust = |arguments: &[&str]| {
        let _shown = latentwire_tests::Run::latentwire([&["trust"], arguments].concat()).expect_success();
    };
    trust(&["add", &store, "--name", "clinic-b", "--key", &key]);
    let receiver = latentwire_tests::Receiver::start(&workplace, &[]);
    let sender = latentwire_tests::Sender::start(&workplace, receiver.transfer, &["--trust", &store]);
    let mut link = Link { sender, receiver, workplace };
    outcome::check_delivered(&send(&link));
    // Its time runs out on the open session.
    let ends = time::OffsetDateTime::now_utc().unix_timestamp() + 3;
    let ends = time::OffsetDateTime::from_unix_timestamp(ends).expect("a moment");
    let ends = ends.format(&time::format_description::well_known::Rfc3339).expect("a moment");
    let entry = std::fs::read_to_string(&store).expect("the store");
    let _store = link.workplace.write("receivers.toml", format!("{entry}not_after = {ends}\n").as_bytes());
    link.sender.service.signal_reload();
    said(&link, "the session ends: its receiver is trusted no more", 1);
    let refused = send(&link);
    assert_eq!(outcome::check_rejected(&refused), "PEER_NOT_ALLOWED");
    assert!(link.sender.service.log().contains("expired"), "{}", link.sender.service.log());
    assert!(!link.sender.service.log().contains("trust store unchanged"), "{}", link.sender.service.log());
    // A longer validity is read while it runs.
    trust(&["remove", &store, "--name", "clinic-b"]);
    trust(&["add", &store, "--name", "clinic-b", "--key", &key]);
    outcome::check_delivered(&until(&link, "delivered"));
    // Revoked: the session is over as soon as that is read.
    trust(&["revoke", &store, "--name", "clinic-b"]);
    link.sender.service.signal_reload();
    said(&link, "the session ends: its receiver is trusted no more", 2);
    assert_eq!(outcome::check_rejected(&send(&link)), "PEER_NOT_ALLOWED");
    // What the sender refuses reaches no receiver: it holds the two that were delivered, which are one.
    assert_eq!(link.receiver.list().expect_success().objects().len(), 2);
    let folder = latentwire_tests::Sender::audit_at(&link.workplace, link.sender.address);
    let arguments = ["audit".as_ref(), "export".as_ref(), folder.as_os_str()];
    let records = latentwire_tests::Run::latentwire(arguments).expect_success().objects();
    assert!(records.iter().any(|record| record["kind"] == "key_revoked"), "{records:?}");
}

/// Waits until the sender has said this so often.
fn said(link: &Link, what: &str, times: usize) {
    let begun = Instant::now();
    while link.sender.service.log().matches(what).count() < times {
        assert!(begun.elapsed() < NOTICED, "{what:?} was not said: {}", link.sender.service.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Sends until the image ends this way.
fn until(link: &Link, status: &str) -> Value {
    let begun = Instant::now();
    loop {
        let object = send(link);
        if object["status"] == status {
            return object;
        }
        assert!(begun.elapsed() < NOTICED, "the changed trust store was not noticed: {object}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn send(link: &Link) -> Value {
    link.send(&[binaries::sample(GOOD)], &["--mode", "exact"]).object()
}
