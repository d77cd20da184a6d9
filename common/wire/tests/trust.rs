//! Who may talk to whom, until when.

mod support;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use latentwire_sealing::{CryptoError, Form, Role, TrustEntry, TrustStore};
use latentwire_wire::{Delivered, Reason, ReceiverLimits, SessionLimits, Uplink, WireError};
use support::{Site, SiteOptions, exact, key, latent};
use time::OffsetDateTime;

const NOW: i64 = 1_795_262_400;

fn clock(seconds: &Arc<AtomicI64>) -> latentwire_wire::Clock {
    let seconds = Arc::clone(seconds);
    Arc::new(move || OffsetDateTime::from_unix_timestamp(seconds.load(Ordering::SeqCst)).expect("a moment"))
}

fn moment(seconds: i64) -> Option<OffsetDateTime> {
    Some(OffsetDateTime::from_unix_timestamp(seconds).expect("a moment"))
}

async fn refused(site: &Site) -> WireError {
    match site.connect().await {
        Ok(_) => panic!("the session was opened"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_refused() {
    let site = Site::new().await;
    let stranger = key(Role::Sender);
    let session = Uplink::connect(site.channel(), &stranger, &site.receiver, SessionLimits::default()).await;
    let error = session.err().expect("refused");
    assert_eq!(error.reason(), Reason::PeerNotAllowed);
    assert_eq!(error.code(), tonic::Code::PermissionDenied);
    assert_eq!(site.sessions.open_sessions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_receiver_key_fails_the_handshake() {
    let site = Site::new().await;
    let other = key(Role::Receiver);
    let session =
        Uplink::connect(site.channel(), &site.sender, other.public_key(), SessionLimits::default()).await;
    let error = session.err().expect("refused");
    assert_eq!(error.reason(), Reason::HandshakeFailed);
    assert_eq!(error.code(), tonic::Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_wrong_role_start_nothing() {
    let site = Site::new().await;
    let receiver = key(Role::Receiver);
    let session = Uplink::connect(site.channel(), &receiver, &site.receiver, SessionLimits::default()).await;
    assert!(matches!(session.err().expect("refused"), WireError::Crypto(CryptoError::WrongRole { .. })));
    let to_a_sender = *key(Role::Sender).public_key();
    let session = Uplink::connect(site.channel(), &site.sender, &to_a_sender, SessionLimits::default()).await;
    assert!(matches!(session.err().expect("refused"), WireError::Crypto(CryptoError::WrongRole { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn validity_is_kept() {
    let seconds = Arc::new(AtomicI64::new(NOW));
    let entry = |entry| TrustEntry { not_before: moment(NOW), not_after: moment(NOW + 100), ..entry };
    let site = Site::with(SiteOptions { clock: clock(&seconds), entry, ..SiteOptions::default() }).await;
    seconds.store(NOW - 1, Ordering::SeqCst);
    assert_eq!(refused(&site).await.reason(), Reason::PeerNotAllowed);
    seconds.store(NOW + 100, Ordering::SeqCst);
    assert_eq!(refused(&site).await.reason(), Reason::PeerNotAllowed);
    seconds.store(NOW + 99, Ordering::SeqCst);
    let uplink = site.connect().await.expect("valid now");
    uplink.deliver(latent(1, 10), None).await.expect("delivered");
    // A live session does not outlive its key: nothing more is opened.
    seconds.store(NOW + 100, Ordering::SeqCst);
    let error = uplink.deliver(latent(2, 10), None).await.expect_err("expired");
    assert_eq!(error.reason(), Reason::PeerNotAllowed);
    assert_eq!(site.sink.len(), 1);
}

/// A delivery that has begun and is far from its end.
async fn under_way(uplink: &Uplink) -> Pin<Box<impl Future<Output = Result<Delivered, WireError>>>> {
    let (progress, mut watched) = tokio::sync::watch::channel(Default::default());
    let mut delivery = Box::pin(uplink.deliver(latent(1, 256 << 20), Some(progress)));
    tokio::select! {
        done = &mut delivery => panic!("256 MiB were faster than their first segment: {done:?}"),
        seen = watched.wait_for(|progress| progress.bytes_sent > 0) => drop(seen.expect("progress")),
    }
    delivery
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_ends_a_live_session_at_once() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    let delivery = under_way(&uplink).await;
    site.trust.send_modify(|store| {
        assert_eq!(Arc::make_mut(store).revoke(support::SENDER, OffsetDateTime::now_utc()), 1);
    });
    let error = delivery.await.expect_err("revoked");
    assert_eq!(error.reason(), Reason::PeerNotAllowed);
    assert!(!uplink.is_open());
    assert_eq!(refused(&site).await.reason(), Reason::PeerNotAllowed);
    support::eventually("the session is gone", || site.sessions.open_sessions() == 0).await;
    assert_eq!(site.sink.len(), 0);
    assert_eq!(site.sink.held_admissions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_ends_its_session_leaves_nothing_behind() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    let delivery = under_way(&uplink).await;
    let why = WireError::Peer { reason: Reason::PeerNotAllowed, message: "revoked here".into() };
    uplink.end(why.clone());
    assert_eq!(delivery.await.expect_err("ended"), why);
    assert!(!uplink.is_open());
    // Whoever comes later hears the same, and may try another session.
    let late = uplink.deliver(latent(2, 10), None).await.expect_err("over");
    assert_eq!(late, WireError::SessionEnded { cause: Box::new(why) });
    assert_eq!((late.reason(), late.retry()), (Reason::PeerNotAllowed, latentwire_wire::Retry::NewSession));
    support::eventually("the session is gone", || site.sessions.open_sessions() == 0).await;
    assert_eq!(site.sink.len(), 0);
    assert_eq!(site.sink.held_admissions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_in_the_future_ends_a_silent_session_in_time() {
    let seconds = Arc::new(AtomicI64::new(NOW));
    let limits = ReceiverLimits { trust_check: Duration::from_millis(20), ..ReceiverLimits::default() };
    let entry = |entry| TrustEntry { revoked_at: moment(NOW + 100), ..entry };
    let site = Site::with(SiteOptions { limits, clock: clock(&seconds), entry }).await;
    let uplink = site.connect().await.expect("a session");
    uplink.deliver(latent(1, 10), None).await.expect("delivered");
    seconds.store(NOW + 100, Ordering::SeqCst);
    support::eventually("the session is gone", || site.sessions.open_sessions() == 0).await;
    support::eventually("the sender knows", || !uplink.is_open()).await;
    let error = uplink.deliver(latent(2, 10), None).await.expect_err("over");
    assert_eq!(error.retry(), latentwire_wire::Retry::NewSession);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_or_renamed_peer_loses_its_session() {
    for rename in [false, true] {
        let site = Site::new().await;
        let uplink = site.connect().await.expect("a session");
        let mut store = TrustStore::default();
        if rename {
            store.add(TrustEntry::new("another-name", *site.sender.public_key())).expect("an entry");
        }
        site.trust.send_replace(Arc::new(store));
        support::eventually("the session is gone", || site.sessions.open_sessions() == 0).await;
        drop(uplink);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unrelated_change_of_the_store_disturbs_nobody() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    site.trust.send_modify(|store| {
        let entry = TrustEntry::new("newcomer", *key(Role::Sender).public_key());
        Arc::make_mut(store).add(entry).expect("an entry");
    });
    uplink.deliver(latent(1, 300_000), None).await.expect("delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_the_entry_does_not_allow_are_refused() {
    let entry = |entry| TrustEntry { allowed_forms: Some(vec![Form::Exact]), ..entry };
    let site = Site::with(SiteOptions { entry, ..SiteOptions::default() }).await;
    let uplink = site.connect().await.expect("a session");
    let error = uplink.deliver(latent(1, 10), None).await.expect_err("not allowed");
    assert_eq!(error.reason(), Reason::PeerNotAllowed);
    uplink.deliver(exact(1, 10), None).await.expect("the session lives on");
}
