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
