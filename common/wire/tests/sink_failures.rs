//! A sink that cannot: the transfer fails with a typed reason, the session and its other transfers go on.

mod support;

use std::time::Duration;

use latentwire_wire::{Reason, Retry};
use support::sink::Order;
use support::{Site, id, latent};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_at_the_end_is_told_and_the_session_lives_on() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    site.sink.on_complete(id(1), Order::Fail(Reason::StorageFull));
    let (failed, delivered) =
        tokio::join!(uplink.deliver(latent(1, 300_000), None), uplink.deliver(latent(2, 9), None));
    let error = failed.expect_err("the disk is full");
    assert_eq!(error.reason(), Reason::StorageFull);
    assert_eq!((error.code(), error.retry()), (tonic::Code::ResourceExhausted, Retry::Backoff));
    delivered.expect("delivered");
    site.sink.forget_orders();
    let retried = uplink.deliver(latent(1, 300_000), None).await.expect("there is room again");
    assert!(!retried.already_done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_before_the_first_byte() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    for (number, length) in [(1, 10), (2, 250_000), (3, 5_000_000)] {
        for reason in
            [Reason::StorageFull, Reason::ModelMismatch, Reason::TransferTooLarge, Reason::ModelNotReady]
        {
            site.sink.on_admit(id(number), reason);
            let error = uplink.deliver(latent(number, length), None).await.expect_err("refused");
            assert_eq!(error.reason(), reason);
        }
        site.sink.on_known(id(number), Reason::Internal);
        let error = uplink.deliver(latent(number, length), None).await.expect_err("refused");
        assert_eq!(error.reason(), Reason::Internal);
    }
    assert!(site.sink.arrivals().is_empty());
    assert_eq!(site.sessions.buffered_bytes(), 0);
    site.sink.forget_orders();
    uplink.deliver(latent(1, 10), None).await.expect("the session lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_the_sink_ends_one_session_and_not_the_receiver() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    site.sink.on_complete(id(1), Order::Panic);
    let error = uplink.deliver(latent(1, 10), None).await.expect_err("failed");
    assert_eq!(error.reason(), Reason::Internal);
    site.sink.forget_orders();
    let uplink = site.connect().await.expect("a session");
    uplink.deliver(latent(1, 10), None).await.expect("delivered");
    assert_eq!(site.sink.held_admissions(), 0);
    assert_eq!(site.sessions.buffered_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_slow_transfer_does_not_hold_up_the_others() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    site.sink.hold();
    site.sink.gate.add_permits(1);
    uplink.deliver(latent(1, 10), None).await.expect("the one permit");
    let slow = uplink.deliver(latent(2, 10), None);
    tokio::pin!(slow);
    tokio::select! {
        _ = &mut slow => panic!("the sink holds it"),
        () = support::eventually("it arrives", || site.sink.arrivals().len() == 2) => {}
    }
    // Another slot of the same session is answered meanwhile.
    site.sink.on_admit(id(3), Reason::StorageFull);
    let refused = tokio::time::timeout(Duration::from_secs(60), uplink.deliver(latent(3, 10), None)).await;
    assert_eq!(refused.expect("an answer").expect_err("refused").reason(), Reason::StorageFull);
    site.sink.release();
    slow.await.expect("delivered");
}
