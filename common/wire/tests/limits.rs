//! Bounds of a session and of the receiver, and how sessions end in order.

mod support;

use std::time::Duration;

use latentwire_wire::{Reason, Retry, SessionLimits, WireError};
use support::peers::RawSender;
use support::{Site, eventually, id, latent};

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_starts_no_more_than_a_session_may_hold() {
    let site = Site::new().await;
    let few = SessionLimits { max_transfers: 3, ..SessionLimits::default() };
    let uplink = site.connect_with(few).await.expect("a session");
    for number in 0..3 {
        assert!(uplink.is_open());
        uplink.deliver(latent(number, 10), None).await.expect("delivered");
    }
    assert!(!uplink.is_open());
    let error = uplink.deliver(latent(3, 10), None).await.expect_err("exhausted");
    assert_eq!(error, WireError::SessionExpired { limit: "number of transfers" });
    assert_eq!(error.retry(), Retry::NewSession);

    let small = SessionLimits { max_bytes: 100_000, ..SessionLimits::default() };
    let uplink = site.connect_with(small).await.expect("a session");
    uplink.deliver(latent(4, 60_000), None).await.expect("delivered");
    let error = uplink.deliver(latent(5, 60_000), None).await.expect_err("exhausted");
    assert_eq!(error, WireError::SessionExpired { limit: "bytes" });

    let short = SessionLimits { max_age: Duration::from_millis(50), ..SessionLimits::default() };
    let uplink = site.connect_with(short).await.expect("a session");
    eventually("the session grows old", || !uplink.is_open()).await;
    let error = uplink.deliver(latent(6, 10), None).await.expect_err("exhausted");
    assert_eq!(error, WireError::SessionExpired { limit: "age" });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_keeps_the_same_bounds() {
    let site = Site::with_limits(|limits| limits.session.max_transfers = 2).await;
    let uplink = site.connect().await.expect("a session");
    for number in 0..2 {
        uplink.deliver(latent(number, 10), None).await.expect("delivered");
    }
    let error = uplink.deliver(latent(2, 10), None).await.expect_err("exhausted");
    assert_eq!(error.reason(), Reason::SessionExpired);
    assert!(!uplink.is_open(), "the caller is to start another");

    let site = Site::with_limits(|limits| limits.session.max_bytes = 100_000).await;
    let uplink = site.connect().await.expect("a session");
    uplink.deliver(latent(0, 60_000), None).await.expect("delivered");
    let error = uplink.deliver(latent(1, 60_000), None).await.expect_err("exhausted");
    assert_eq!(error.reason(), Reason::SessionExpired);

    let site = Site::with_limits(|limits| limits.session.max_age = Duration::ZERO).await;
    let uplink = site.connect().await.expect("a session");
    let error = uplink.deliver(latent(1, 10), None).await.expect_err("exhausted");
    assert_eq!(error.reason(), Reason::SessionExpired);
}

#[tokio::test(flavor = "multi_thread")]
async fn larger_than_the_receiver_takes() {
    let site = Site::with_limits(|limits| limits.max_transfer_bytes = 100_000).await;
    let uplink = site.connect().await.expect("a session");
    for length in [200_000, 2_000_000] {
        let error = uplink.deliver(latent(1, length), None).await.expect_err("too large");
        assert_eq!((error.reason(), error.code()), (Reason::TransferTooLarge, tonic::Code::OutOfRange));
    }
    uplink.deliver(latent(1, 50_000), None).await.expect("the session lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_image_and_one_above_the_protocol_are_refused_at_home() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    assert!(matches!(uplink.deliver(latent(1, 0), None).await, Err(WireError::Crypto(_))));
    let mut outgoing = latent(1, 1);
    outgoing.meta.study_group = "x".repeat(70_000);
    let error = uplink.deliver(outgoing, None).await.expect_err("a record over 64 KiB");
    assert!(matches!(error, WireError::Crypto(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_transfers_have_a_common_bound() {
    let site = Site::with_limits(|limits| limits.max_buffered_bytes = 1_000_000).await;
    let uplink = site.connect().await.expect("a session");
    site.sink.hold();
    let first = uplink.deliver(latent(1, 700_000), None);
    tokio::pin!(first);
    tokio::select! {
        _ = &mut first => panic!("the sink holds it"),
        () = eventually("it arrives", || site.sink.arrivals().len() == 1) => {}
    }
    assert!(site.sessions.buffered_bytes() >= 700_000);
    let error = uplink.deliver(latent(2, 700_000), None).await.expect_err("no room");
    assert_eq!((error.reason(), error.retry()), (Reason::Overloaded, Retry::Backoff));
    site.sink.release();
    first.await.expect("delivered");
    assert_eq!(site.sessions.buffered_bytes(), 0);
    uplink.deliver(latent(2, 700_000), None).await.expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn announcing_reserves_but_does_not_allocate() {
    let site = Site::new().await;
    let mut peer = RawSender::connect(&site).await;
    // A gigabyte is announced, and nothing follows.
    let mut outgoing = latent(1, 1);
    outgoing.padding = latentwire_sealing::PaddingPolicy::None;
    let mut body = RawSender::body(&outgoing, 0, 65_536);
    body.padded_bytes = 1 << 30;
    let secret = latentwire_sealing::ImageSecret::generate(&mut support::rng());
    let proposal = peer.keys().secrets.propose(&body, secret, &outgoing.source_sha256).expect("a proposal");
    let before = resident_bytes();
    let open = peer.open_step(&proposal.open);
    peer.send(open).await;
    assert_eq!(peer.open_ack().await.verdict(), latentwire_proto::v1::OpenVerdict::Accepted);
    assert_eq!(site.sessions.buffered_bytes(), 1 << 30);
    assert!(resident_bytes().saturating_sub(before) < 64 << 20, "memory grew with an announcement");
}

/// Resident memory of this process (Linux; 0 elsewhere, where the test checks the reservation alone).
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_counted() {
    let site = Site::with_limits(|limits| limits.max_sessions_per_peer = 2).await;
    let one = site.connect().await.expect("a session");
    let two = site.connect().await.expect("a session");
    let error = site.connect().await.err().expect("a third is too much");
    assert_eq!((error.reason(), error.retry()), (Reason::Overloaded, Retry::Backoff));
    one.close().await;
    eventually("its place is free", || site.sessions.open_sessions() == 1).await;
    let three = site.connect().await.expect("a session");
    drop((two, three));

    let site = Site::with_limits(|limits| limits.max_sessions = 1).await;
    let _one = site.connect().await.expect("a session");
    let error = site.connect().await.err().expect("a second is too much");
    assert_eq!(error.reason(), Reason::Overloaded);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_handshakes_are_bounded_and_leave_nothing() {
    let site = Site::with_limits(|limits| {
        limits.max_pending_handshakes = 4;
        limits.session.timeouts.handshake = Duration::from_secs(3);
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(RawSender::dial(&site).await);
    }
    let mut reasons = Vec::new();
    for peer in &mut silent {
        reasons.push(peer.status().await.expect("refused").code());
    }
    let overloaded = reasons.iter().filter(|code| **code == tonic::Code::ResourceExhausted).count();
    let late = reasons.iter().filter(|code| **code == tonic::Code::DeadlineExceeded).count();
    assert_eq!((overloaded, late), (4, 4));
    eventually("all places are free", || site.sessions.open_sessions() == 0).await;
    site.connect().await.expect("a session");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_ends_in_order() {
    let site = Site::with_limits(|limits| limits.session.timeouts.idle = Duration::from_secs(2)).await;
    let uplink = site.connect().await.expect("a session");
    uplink.deliver(latent(1, 10), None).await.expect("delivered");
    eventually("the sender sees its end", || !uplink.is_open()).await;
    let error = uplink.deliver(latent(2, 10), None).await.expect_err("over");
    assert_eq!(error.retry(), Retry::NewSession);
    site.connect().await.expect("a session").deliver(latent(2, 10), None).await.expect("delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_what_is_open_and_takes_no_more() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    let idle = site.connect().await.expect("a session");
    site.sink.hold();
    let first = uplink.deliver(latent(1, 10), None);
    tokio::pin!(first);
    tokio::select! {
        _ = &mut first => panic!("the sink holds it"),
        () = eventually("it arrives", || site.sink.arrivals().len() == 1) => {}
    }
    let drained = site.sessions.drain();
    tokio::pin!(drained);
    tokio::select! {
        () = &mut drained => panic!("a transfer is open"),
        () = eventually("the idle session ends", || !idle.is_open()) => {}
    }
    let error = uplink.deliver(latent(2, 10), None).await.expect_err("draining");
    assert_eq!((error.reason(), error.retry()), (Reason::PeerUnavailable, Retry::Backoff));
    let error = site.connect().await.err().expect("draining");
    assert_eq!(error.reason(), Reason::PeerUnavailable);
    site.sink.release();
    first.await.expect("delivered");
    drained.await;
    assert!(site.sink.get(support::SENDER, id(1)).is_some());
    assert_eq!(site.sessions.open_sessions(), 0);
}
