//! Expired, revoked and not yet valid keys, before and in the middle of a session, and clocks that are wrong: N16, N28.

use std::{fs, time::Duration};

use latentwire_proto::v1::{OpenVerdict, session_request::Step};
use latentwire_sealing::{Role, SecretKey, TrustEntry, TrustStore};
use latentwire_tests::workplace::PEER;
use time::OffsetDateTime;

use crate::{
    cases::Cases,
    stand::{Stand, eventually, honest},
};

const NOT_ALLOWED: &str = "PEER_NOT_ALLOWED";
const HOUR: time::Duration = time::Duration::HOUR;

/// The receiver's trust store with this entry of the sender; none: the sender is off it.
fn trust(stand: &mut Stand, change: impl FnOnce(TrustEntry) -> Option<TrustEntry>) {
    let mut store = TrustStore::default();
    if let Some(entry) = change(TrustEntry::new(PEER, *stand.sender.public_key())) {
        store.add(entry).expect("a good entry");
    }
    fs::write(stand.workplace.path("trust.toml"), store.to_toml()).expect("the store can be written");
    stand.receiver.service.signal_reload();
}

/// Waits until a new session of the sender is refused, or taken.
async fn admits(stand: &Stand, expected: Result<(), &str>) {
    eventually("the receiver has read its trust store", async || match stand.uplink().await {
        Ok(uplink) => {
            uplink.close().await;
            expected.is_ok()
        }
        Err(error) => expected.err() == Some(error.reason().as_str()),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n16_expired_or_revoked_peer() {
    let mut cases = Cases::of("n16_expired_or_revoked_peer");
    let mut stand = Stand::start().await;
    let now = OffsetDateTime::now_utc();
    type Change = fn(TrustEntry, OffsetDateTime) -> Option<TrustEntry>;
    let outs: [Change; 6] = [
        |entry, now| Some(TrustEntry { not_after: Some(now - HOUR), ..entry }),
        |entry, now| Some(TrustEntry { not_before: Some(now + HOUR), ..entry }),
        |entry, now| Some(TrustEntry { revoked_at: Some(now - HOUR), ..entry }),
        |entry, now| Some(TrustEntry { revoked_at: Some(now), not_after: Some(now + HOUR), ..entry }),
        |entry, now| Some(TrustEntry { not_before: Some(now - HOUR), not_after: Some(now), ..entry }),
        |_, _| None,
    ];
    for out in outs {
        trust(&mut stand, |entry| out(entry, now));
        admits(&stand, Err(NOT_ALLOWED)).await;
        cases.one();
        let error = stand.deliver(&honest()).await.expect_err("not admitted");
        assert_eq!(error.reason().as_str(), NOT_ALLOWED);
        stand.nothing_came_out().await;
        trust(&mut stand, Some);
        admits(&stand, Ok(())).await;
    }
    // In mid-session: silent, opened, described, half sent, and all but the last segment.
    let count = stand.connect().await.messages(&honest()).len();
    for sent in [0, 1, 2, 3, count - 1] {
        for out in [outs[0], outs[2], outs[5]] {
            let mut peer = stand.connect().await;
            let steps: Vec<Step> = peer.messages(&honest());
            peer.send_all(steps[..sent].to_vec()).await;
            if sent > 0 {
                assert_eq!(peer.open_ack().await.verdict(), OpenVerdict::Accepted);
            }
            trust(&mut stand, |entry| out(entry, now));
            assert_eq!(peer.reason().await, NOT_ALLOWED, "after {sent} messages");
            peer.send_all(steps[sent..].to_vec()).await;
            cases.one();
            stand.nothing_came_out().await;
            trust(&mut stand, Some);
            admits(&stand, Ok(())).await;
        }
    }
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n28_clock_skew_on_validity() {
    let mut cases = Cases::of("n28_clock_skew_on_validity");
    // Whatever a clock says: the same key, one moment to either side of its bounds, and far away.
    let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
    let key = *SecretKey::generate(Role::Sender, &mut rng).public_key();
    let at = |seconds: i64| OffsetDateTime::from_unix_timestamp(1_795_262_400 + seconds).expect("in range");
    let nanosecond = time::Duration::nanoseconds(1);
    let bounded =
        TrustEntry { not_before: Some(at(0)), not_after: Some(at(100)), ..TrustEntry::new("a", key) };
    let revoked = TrustEntry { revoked_at: Some(at(50)), ..bounded.clone() };
    let far = [OffsetDateTime::UNIX_EPOCH, at(-1), at(0) - nanosecond, at(100), at(101), at(3_000_000_000)];
    for (entry, refused, taken) in [
        (&bounded, far.to_vec(), vec![at(0), at(1), at(100) - nanosecond]),
        (&revoked, [&far[..], &[at(50), at(51), at(99)]].concat(), vec![at(0), at(50) - nanosecond]),
    ] {
        let mut store = TrustStore::default();
        store.add(entry.clone()).expect("a good entry");
        for now in refused {
            assert!(store.check(&key, Role::Sender, now).is_err(), "{now} was taken");
            cases.one();
        }
        for now in taken {
            store.check(&key, Role::Sender, now).expect("valid at that moment");
        }
    }
    // A process, whose clock passes the bound in the middle of a session: no Open more.
    let mut stand = Stand::start().await;
    let now = OffsetDateTime::now_utc();
    let end = now + time::Duration::SECOND * 3;
    trust(&mut stand, |entry| Some(TrustEntry { not_after: Some(end), ..entry }));
    let mut peer = stand.connect().await;
    let left = end - OffsetDateTime::now_utc();
    tokio::time::sleep(Duration::try_from(left).unwrap_or_default() + Duration::from_millis(50)).await;
    let steps = peer.messages(&honest());
    peer.send_all(steps).await;
    assert_eq!(peer.reason().await, NOT_ALLOWED);
    cases.one();
    admits(&stand, Err(NOT_ALLOWED)).await;
    stand.nothing_came_out().await;
    trust(&mut stand, Some);
    admits(&stand, Ok(())).await;
    stand.still_sound().await;
}
