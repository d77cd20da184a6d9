//! One transfer id, delivered exactly once: repeats, conflicts, races, upgrades, cancellations.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use latentwire_sealing::Form;
use latentwire_wire::{Outgoing, Reason, Retry, SessionLimits, Verdict, WireError};
use support::sink::Order;
use support::{SENDER, Site, eventually, exact, id, latent};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_again_is_done() {
    let site = Site::new().await;
    for length in [1_000, 900_000] {
        let number = (length / 1_000) as u8;
        let uplink = site.connect().await.expect("a session");
        let first = uplink.deliver(latent(number, length), None).await.expect("delivered");
        // In the same session, and in another.
        for uplink in [uplink, site.connect().await.expect("a session")] {
            let again = uplink.deliver(latent(number, length), None).await.expect("done");
            assert!(again.already_done);
            assert_eq!(
                (again.image_id, again.form, again.verdict),
                (first.image_id, Form::Latent, Verdict::Equal)
            );
            uplink.deliver(latent(number + 1, 10), None).await.map(|_| ()).expect("the session lives on");
            site.sink.forget_orders();
        }
    }
    assert_eq!(site.sink.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_source_in_another_form_is_done() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    uplink.deliver(exact(1, 5_000), None).await.expect("delivered");
    let again = uplink.deliver(latent(1, 700), None).await.expect("done");
    assert!(again.already_done);
    assert_eq!(again.form, Form::Exact, "the stored form, not the offered one");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_content_under_the_same_id_is_a_conflict() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    uplink.deliver(latent(1, 1_000), None).await.expect("delivered");
    for length in [1_000, 600_000] {
        let other = Outgoing { source_sha256: [9; 32], ..latent(1, length) };
        let error = uplink.deliver(other, None).await.expect_err("a conflict");
        assert_eq!(error, WireError::TransferConflict);
        assert_eq!((error.code(), error.retry()), (tonic::Code::AlreadyExists, Retry::Never));
    }
    assert_eq!(site.sink.get(SENDER, id(1)).expect("stored").coded, latent(1, 1_000).coded);
    uplink.deliver(latent(2, 1_000), None).await.expect("the session lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_transfer_twice_at_once_is_refused_for_now() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    site.sink.hold();
    let first = uplink.deliver(latent(1, 1_000), None);
    tokio::pin!(first);
    let arrived = eventually("the first arrives", || site.sink.arrivals().len() == 1);
    tokio::select! {
        _ = &mut first => panic!("the sink holds it"),
        () = arrived => {}
    }
    // In another session, and in the same one.
    let other = site.connect().await.expect("a session");
    for uplink in [&other, &uplink] {
        let error = uplink.deliver(latent(1, 1_000), None).await.expect_err("refused");
        assert_eq!(error, WireError::TransferInProgress);
        assert_eq!((error.code(), error.retry()), (tonic::Code::Aborted, Retry::Backoff));
    }
    site.sink.release();
    assert!(!first.await.expect("delivered").already_done);
    assert!(other.deliver(latent(1, 1_000), None).await.expect("done").already_done);
    assert_eq!(site.sink.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_different_senders_do_not_meet() {
    let site = Site::new().await;
    let other = support::key(latentwire_sealing::Role::Sender);
    site.trust.send_modify(|store| {
        let entry = latentwire_sealing::TrustEntry::new("other-clinic", *other.public_key());
        Arc::make_mut(store).add(entry).expect("an entry");
    });
    let first = site.connect().await.expect("a session");
    first.deliver(latent(1, 1_000), None).await.expect("delivered");
    let second =
        latentwire_wire::Uplink::connect(site.channel(), &other, &site.receiver, SessionLimits::default())
            .await
            .expect("a session");
    let image = Outgoing { source_sha256: [3; 32], ..latent(1, 2_000) };
    assert!(!second.deliver(image, None).await.expect("delivered").already_done);
    assert_eq!(site.sink.get(SENDER, id(1)).expect("stored").coded.len(), 1_000);
    assert_eq!(site.sink.get("other-clinic", id(1)).expect("stored").coded.len(), 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn need_exact_upgrades_the_same_transfer() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    for (number, length) in [(1, 30_000), (2, 2_000_000)] {
        site.sink.on_complete(id(number), Order::NeedExact);
        let made = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        let fallback = move || {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(exact(number, length))
        };
        let outgoing = Outgoing { exact_fallback: Some(Box::new(fallback)), ..latent(number, 3_000) };
        let delivered = uplink.deliver(outgoing, None).await.expect("delivered");
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert_eq!((delivered.form, delivered.verdict), (Form::Exact, Verdict::Exact));
        assert!(!delivered.already_done);
        let received = site.sink.get(SENDER, id(number)).expect("stored");
        assert_eq!(received.coded, exact(number, length).coded);
        assert!(delivered.sealed_bytes > received.sealed_bytes + 3_000, "both forms were on the wire");
    }
    assert_eq!(site.sink.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn need_exact_without_a_way_fails_one_transfer() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    site.sink.on_complete(id(1), Order::NeedExact);
    let error = uplink.deliver(latent(1, 3_000), None).await.expect_err("no fallback");
    assert!(matches!(error, WireError::ExactForm(_)), "{error}");

    let failing =
        Outgoing { exact_fallback: Some(Box::new(|| Err("disk is gone".into()))), ..latent(1, 3_000) };
    let error = uplink.deliver(failing, None).await.expect_err("the fallback fails");
    assert_eq!(error, WireError::ExactForm("disk is gone".into()));

    let lying = Outgoing { exact_fallback: Some(Box::new(|| Ok(exact(2, 100)))), ..latent(1, 3_000) };
    let error = uplink.deliver(lying, None).await.expect_err("another image");
    assert!(matches!(error, WireError::ExactForm(_)), "{error}");

    assert_eq!(site.sink.len(), 0);
    uplink.deliver(latent(3, 10), None).await.expect("the session lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_the_exact_form_of_an_exact_form_fails_the_transfer() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    site.sink.on_complete(id(1), Order::AlwaysNeedExact);
    let error = uplink.deliver(exact(1, 3_000), None).await.expect_err("failed");
    assert_eq!(error.reason(), Reason::Internal);
    uplink.deliver(latent(2, 10), None).await.expect("the session lives on");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_delivery_cancels_it_and_frees_its_slot() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    for round in 0..12_u8 {
        let (progress, mut watched) = tokio::sync::watch::channel(Default::default());
        {
            let delivery = uplink.deliver(latent(round, 64 << 20), Some(progress));
            tokio::pin!(delivery);
            tokio::select! {
                done = &mut delivery => panic!("64 MiB were faster than their first segment: {done:?}"),
                seen = watched.wait_for(|progress| progress.bytes_sent > 0) => drop(seen.expect("progress")),
            }
        }
        // The same id at once: its slot may still wait for the end of the cancelled one.
        let delivered = loop {
            match uplink.deliver(latent(round, 1_000), None).await {
                Err(WireError::TransferInProgress) => tokio::task::yield_now().await,
                other => break other.expect("delivered"),
            }
        };
        assert!(!delivered.already_done);
    }
    assert_eq!(site.sink.len(), 12);
    assert_eq!(site.sink.held_admissions(), 0);
    assert_eq!(site.sessions.buffered_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_delivery_that_waits_for_its_receipt() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    site.sink.hold();
    {
        let delivery = uplink.deliver(latent(1, 1_000), None);
        tokio::pin!(delivery);
        let arrived = eventually("it arrives", || site.sink.arrivals().len() == 1);
        tokio::select! {
            _ = &mut delivery => panic!("the sink holds it"),
            () = arrived => {}
        }
    }
    site.sink.release();
    eventually("it is stored all the same", || site.sink.len() == 1).await;
    assert!(uplink.deliver(latent(1, 1_000), None).await.expect("done").already_done);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_arrived_is_stored_when_the_session_breaks() {
    let site = Site::new().await;
    site.sink.hold();
    let uplink = site.connect().await.expect("a session");
    {
        let delivery = uplink.deliver(latent(1, 1_000), None);
        tokio::pin!(delivery);
        let arrived = eventually("it arrives", || site.sink.arrivals().len() == 1);
        tokio::select! {
            _ = &mut delivery => panic!("the sink holds it"),
            () = arrived => {}
        }
    }
    drop(uplink);
    site.sink.release();
    eventually("it is stored", || site.sink.len() == 1).await;
    let retry = site.connect().await.expect("a session");
    assert!(retry.deliver(latent(1, 1_000), None).await.expect("done").already_done);
}
