//! Honest peers: what is delivered, and what it is said to have cost.

mod support;

use std::collections::HashSet;

use latentwire_sealing::{Form, PaddingPolicy};
use latentwire_wire::{Outgoing, Progress, Verdict};
use support::{SENDER, Site, eventually, exact, id, latent};
use tokio::sync::watch;
use tokio::task::JoinSet;

const LENGTHS: [usize; 9] = [1, 2, 100, 65_535, 65_536, 65_537, 262_144, 262_145, 3_000_000];

#[tokio::test(flavor = "multi_thread")]
async fn every_length_arrives_whole() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    for padding in [PaddingPolicy::Padme, PaddingPolicy::Fixed, PaddingPolicy::None] {
        for (number, length) in LENGTHS.into_iter().enumerate() {
            let number = number as u8 + 20 * padding as u8;
            let outgoing = Outgoing { padding, ..latent(number, length) };
            let coded = outgoing.coded.clone();
            let delivered = uplink.deliver(outgoing, None).await.expect("delivered");
            let received = site.sink.get(SENDER, id(number)).expect("stored");
            assert_eq!(received.coded, coded);
            assert_eq!(received.meta.study_group, format!("study {number}"));
            assert_eq!(received.meta.coded_bytes, length as u64);
            assert_eq!(received.sealed_bytes, delivered.sealed_bytes, "both ends count the same bytes");
            assert!(delivered.sealed_bytes > length as u64);
            assert!(!delivered.already_done);
            assert_eq!(delivered.form, Form::Latent);
            assert_eq!(delivered.verdict, Verdict::Equal);
            assert_eq!(delivered.decode_ms, 12.5);
            assert!(delivered.seal_ms > 0.0 && delivered.transfer_ms > 0.0 && delivered.open_ms > 0.0);
            let mut image_id = id(number);
            image_id.reverse();
            assert_eq!(delivered.image_id, image_id);
        }
    }
    assert_eq!(site.sink.held_admissions(), 0);
    assert_eq!(site.sessions.buffered_bytes(), 0);
    uplink.close().await;
    support::eventually("the session ends", || site.sessions.open_sessions() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overhead_is_what_the_format_says() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    let outgoing = Outgoing { padding: PaddingPolicy::None, ..latent(1, 640 * 1024) };
    let delivered = uplink.deliver(outgoing, None).await.expect("delivered");
    let overhead = delivered.sealed_bytes - 640 * 1024;
    // Open 164 + 17, Meta, and ten segments with 16 bytes of tag and up to 14 of framing.
    assert!((400..=900).contains(&overhead), "{overhead} bytes of overhead");
    uplink.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exact_form_arrives() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    let delivered = uplink.deliver(exact(1, 50_000), None).await.expect("delivered");
    assert_eq!((delivered.form, delivered.verdict), (Form::Exact, Verdict::Exact));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_in_parallel_over_one_session() {
    let site = Site::new().await;
    let uplink = std::sync::Arc::new(site.connect().await.expect("a session"));
    let mut tasks = JoinSet::new();
    for number in 0..100_u8 {
        let uplink = std::sync::Arc::clone(&uplink);
        tasks.spawn(
            async move { uplink.deliver(latent(number, 1 + usize::from(number) * 7_001), None).await },
        );
    }
    let mut images = HashSet::new();
    while let Some(delivered) = tasks.join_next().await {
        images.insert(delivered.expect("no panic").expect("delivered").image_id);
    }
    assert_eq!(images.len(), 100);
    for number in 0..100_u8 {
        let received = site.sink.get(SENDER, id(number)).expect("stored");
        assert_eq!(received.coded, latent(number, 1 + usize::from(number) * 7_001).coded);
    }
    assert!(uplink.is_open());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sessions_of_one_sender() {
    let site = Site::new().await;
    let mut tasks = JoinSet::new();
    for number in 0..8_u8 {
        let uplink = site.connect().await.expect("a session");
        tasks.spawn(async move { uplink.deliver(latent(number, 200_000), None).await.map(|_| ()) });
    }
    while let Some(delivered) = tasks.join_next().await {
        delivered.expect("no panic").expect("delivered");
    }
    assert_eq!(site.sink.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_transfer_overtakes() {
    let site = Site::new().await;
    // Nothing completes until the gate opens: the large ones keep their slots however fast this machine is.
    site.sink.hold();
    let uplink = std::sync::Arc::new(site.connect().await.expect("a session"));
    let mut tasks = JoinSet::new();
    for number in 0..6_u8 {
        let uplink = std::sync::Arc::clone(&uplink);
        tasks.spawn(async move { uplink.deliver(latent(number, 2 << 20), None).await.map(|_| ()) });
    }
    eventually("every slot but one is taken", || site.sink.arrivals().len() == 3).await;
    let urgent = Outgoing { urgent: true, ..latent(9, 400_000) };
    let urgent = {
        let uplink = std::sync::Arc::clone(&uplink);
        tokio::spawn(async move { uplink.deliver(urgent, None).await.map(|_| ()) })
    };
    eventually("the urgent one is there", || site.sink.arrivals().contains(&id(9))).await;
    assert_eq!(site.sink.arrivals().len(), 4, "it came before all that were waiting for a slot");
    site.sink.release();
    urgent.await.expect("no panic").expect("delivered");
    while let Some(delivered) = tasks.join_next().await {
        delivered.expect("no panic").expect("delivered");
    }
    assert_eq!(site.sink.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_ends_at_the_total() {
    let site = Site::new().await;
    let uplink = site.connect().await.expect("a session");
    let (progress, watched) = watch::channel(Progress::default());
    uplink.deliver(latent(1, 1_000_000), Some(progress)).await.expect("delivered");
    let last = *watched.borrow();
    assert_eq!(last.bytes_sent, last.bytes_total);
    assert_eq!(
        last.bytes_total,
        latentwire_sealing::padding::padded_length(PaddingPolicy::Padme, 1_000_000).unwrap()
    );
}
