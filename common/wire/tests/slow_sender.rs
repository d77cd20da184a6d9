//! A sender that takes its time: every wait is bounded, and so is the whole.

mod support;

use std::time::Duration;

use latentwire_wire::{Reason, ReceiverLimits};
use support::peers::RawSender;
use support::{Site, assert_clean, latent, reason};
use tonic::Code;

const SEGMENT: u32 = 1_024;

fn impatient(limits: &mut ReceiverLimits) {
    limits.rate_window = Duration::from_secs(1);
    limits.session.timeouts.handshake = Duration::from_secs(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_stalls_anywhere_is_dropped() {
    let site = Site::with_limits(impatient).await;
    let mut silent = RawSender::dial(&site).await;
    let status = silent.status().await.expect("an error");
    assert_eq!((status.code(), reason(&status)), (Code::DeadlineExceeded, Reason::Deadline));
    let outgoing = latent(1, 5_000);
    for sent in [1, 2, 3, 5] {
        let mut peer = RawSender::connect(&site).await;
        let steps = peer.messages(&outgoing, 0, SEGMENT);
        peer.send_all(steps[..sent].to_vec()).await;
        let status = peer.status().await.expect("an error");
        assert_eq!((status.code(), reason(&status)), (Code::DeadlineExceeded, Reason::Deadline));
    }
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_drips_is_dropped() {
    let site = Site::with_limits(|limits| {
        limits.rate_window = Duration::from_millis(200);
        limits.min_bytes_per_second = 1 << 30;
    })
    .await;
    let mut peer = RawSender::connect(&site).await;
    let steps = peer.messages(&latent(1, 200_000), 0, SEGMENT);
    let mut drops = steps.into_iter();
    let dripping = async {
        // One kilobyte now and then: every wait for a single message is short, the whole would last for ever.
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            let Some(step) = drops.next() else { panic!("the receiver was patient") };
            peer.send(step).await;
            if peer.requests.is_closed() {
                break;
            }
        }
        peer.status().await.expect("an error")
    };
    let status = tokio::time::timeout(Duration::from_secs(60), dripping).await.expect("dropped in time");
    assert_eq!((status.code(), reason(&status)), (Code::DeadlineExceeded, Reason::Deadline));
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_may_not_last_for_ever() {
    let site = Site::with_limits(|limits| {
        limits.session.timeouts.transfer = Duration::from_millis(150);
        limits.min_bytes_per_second = 0;
    })
    .await;
    let mut peer = RawSender::connect(&site).await;
    let steps = peer.messages(&latent(1, 5_000), 0, SEGMENT);
    peer.send_all(steps[..3].to_vec()).await;
    let status = peer.status().await.expect("an error");
    assert_eq!((status.code(), reason(&status)), (Code::DeadlineExceeded, Reason::Deadline));
    assert_clean(&site).await;
}
