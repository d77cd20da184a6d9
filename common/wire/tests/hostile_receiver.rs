//! A receiver in the test's hands, for the sender's end: resumption, and a receiver that breaks the protocol or is silent.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use latentwire_proto::v1::session_request::Step;
use latentwire_proto::v1::{
    Mode, NeedExactBody, OpenAckBody, OpenVerdict, ReceiptBody, ReceiptStatus, ReconstructionVerdict,
    TransferError,
};
use latentwire_sealing::{Acceptance, padding};
use latentwire_wire::{Outgoing, Reason, Retry, SessionLimits, WireError};
use sha2::{Digest, Sha256};
use support::peers::{RawReceiver, RawSession};
use support::{exact, id, latent};

fn accepted(slot: u32) -> OpenAckBody {
    OpenAckBody { slot, verdict: OpenVerdict::Accepted.into(), ..OpenAckBody::default() }
}

fn honest_receipt(acceptance: &Acceptance, outgoing: &Outgoing) -> ReceiptBody {
    ReceiptBody {
        slot: acceptance.body.slot,
        transfer_id: acceptance.body.transfer_id.to_vec().into(),
        status: ReceiptStatus::Stored.into(),
        form: Mode::Latent.into(),
        verdict: ReconstructionVerdict::Equal.into(),
        tag: acceptance.tags.receipt(&Sha256::digest(&outgoing.coded).into()).to_vec().into(),
        image_id: vec![8; 16].into(),
        ..ReceiptBody::default()
    }
}

/// Every wait ends after so long: short where the end of the wait is what is tested, and nowhere else.
fn waiting_at_most(patience: Duration) -> SessionLimits {
    let mut limits = SessionLimits::default();
    limits.timeouts.open = patience;
    limits.timeouts.receipt = patience;
    limits.timeouts.stall = patience;
    limits.timeouts.handshake = patience;
    limits
}

/// Longer than any stall of a busy machine.
fn patient() -> SessionLimits {
    waiting_at_most(Duration::from_secs(20))
}

fn impatient() -> SessionLimits {
    waiting_at_most(Duration::from_secs(1))
}

/// Opens the Meta and all segments from the opener's place on; gives their plaintext.
async fn take_rest(session: &mut RawSession, mut acceptance: Acceptance) -> Vec<u8> {
    acceptance.meta.open(&session.next_meta().await.ciphertext).expect("Meta opens");
    let mut plaintext = Vec::new();
    loop {
        let segment = session.next_segment().await;
        let mut buffer = segment.ciphertext.to_vec();
        let position = acceptance.segments.open(segment.last, &mut buffer).expect("a segment opens");
        plaintext.extend(buffer);
        if position.last {
            return plaintext;
        }
    }
}

const RESUME_AT: u32 = 3;

fn padded(outgoing: &Outgoing) -> Vec<u8> {
    padding::pad(outgoing.padding, outgoing.coded.to_vec()).expect("padding")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proven_resume_is_honoured() {
    let receiver = RawReceiver::new(|mut session| async move {
        let outgoing = latent(1, 600_000);
        let mut acceptance = session.next_open().await;
        let receipt = honest_receipt(&acceptance, &outgoing);
        let held = RESUME_AT as usize * 65_536;
        let prefix = Sha256::digest(&padded(&outgoing)[..held]).into();
        let ack = OpenAckBody {
            resume_index: RESUME_AT,
            resume_tag: acceptance.tags.resume(&prefix).to_vec().into(),
            ..accepted(0)
        };
        session.open_ack(&ack).await;
        acceptance.segments = acceptance.segments.start_at(RESUME_AT).expect("a place");
        let rest = take_rest(&mut session, acceptance).await;
        assert_eq!(rest, padded(&outgoing)[held..]);
        session.receipt(&receipt).await;
        assert!(session.next().await.is_none());
    })
    .await;
    let uplink = receiver.connect(SessionLimits::default()).await.expect("a session");
    let delivered = uplink.deliver(latent(1, 600_000), None).await.expect("delivered");
    assert!(delivered.sealed_bytes < 600_000 - 2 * 65_536, "what the receiver holds is not sent again");
    uplink.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_that_proves_nothing_starts_over_at_zero() {
    let receiver = RawReceiver::new(|mut session| async move {
        let outgoing = latent(1, 600_000);
        let acceptance = session.next_open().await;
        let ack = OpenAckBody { resume_index: RESUME_AT, resume_tag: vec![1; 32].into(), ..accepted(0) };
        session.open_ack(&ack).await;
        // The sender opens anew in a free slot, and gives the first attempt up; in any order.
        let (mut cancelled, mut again) = (false, None);
        while !cancelled || again.is_none() {
            match session.next().await.expect("a message") {
                Step::Cancel(cancel) => {
                    assert_eq!(cancel.slot, acceptance.body.slot);
                    cancelled = true;
                    let failed = ReceiptBody {
                        status: ReceiptStatus::Failed.into(),
                        error: Some(TransferError { reason: "CANCELLED".into(), ..TransferError::default() }),
                        tag: Default::default(),
                        ..honest_receipt(&acceptance, &outgoing)
                    };
                    session.receipt(&failed).await;
                }
                Step::Open(open) => {
                    let kind = latentwire_sealing::ControlKind::Open;
                    let plaintext = session.keys.opener.open(kind, &open.noise).expect("Open opens");
                    again = Some(session.keys.secrets.accept(&plaintext).expect("an honest Open"));
                }
                other @ (Step::Hello(_) | Step::Meta(_) | Step::Segment(_)) => panic!("not due: {other:?}"),
            }
        }
        let again = again.expect("opened again");
        assert_eq!(again.body.transfer_id, acceptance.body.transfer_id);
        assert_ne!(again.content_tag, acceptance.content_tag, "new keys");
        session.open_ack(&accepted(again.body.slot)).await;
        let receipt = honest_receipt(&again, &outgoing);
        assert_eq!(take_rest(&mut session, again).await, padded(&outgoing));
        session.receipt(&receipt).await;
        assert!(session.next().await.is_none());
    })
    .await;
    let uplink = receiver.connect(SessionLimits::default()).await.expect("a session");
    uplink.deliver(latent(1, 600_000), None).await.expect("delivered");
    uplink.close().await;
}

/// One transfer against a script that answers its Open; gives the sender's error.
async fn fails<F>(
    length: usize,
    script: impl Fn(RawSession, Acceptance) -> F + Send + Sync + 'static,
) -> WireError
where
    F: Future<Output = ()> + Send + 'static,
{
    fails_within(patient(), length, script).await
}

async fn fails_within<F>(
    limits: SessionLimits,
    length: usize,
    script: impl Fn(RawSession, Acceptance) -> F + Send + Sync + 'static,
) -> WireError
where
    F: Future<Output = ()> + Send + 'static,
{
    let script = Arc::new(script);
    let receiver = RawReceiver::new(move |mut session| {
        let script = Arc::clone(&script);
        async move {
            let acceptance = session.next_open().await;
            script(session, acceptance).await;
        }
    })
    .await;
    let uplink = receiver.connect(limits).await.expect("a session");
    uplink.deliver(latent(1, length), None).await.expect_err("an error")
}

#[tokio::test(flavor = "multi_thread")]
async fn resuming_what_cannot_be_resumed_ends_the_session() {
    // Small transfers follow their Open at once and are never resumed.
    let error = fails(1_000, |mut session, acceptance| async move {
        session.open_ack(&OpenAckBody { resume_index: 1, ..accepted(acceptance.body.slot) }).await;
        while session.next().await.is_some() {}
    })
    .await;
    assert!(matches!(error, WireError::OutOfOrder { .. }), "{error}");
    assert_eq!(error.reason(), Reason::PayloadAuthenticationFailed);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_that_prove_nothing_end_the_session() {
    for what in 0..6 {
        let error = fails(1_000, move |mut session, acceptance| async move {
            let outgoing = latent(1, 1_000);
            let mut receipt = honest_receipt(&acceptance, &outgoing);
            session.open_ack(&accepted(0)).await;
            take_rest(&mut session, acceptance).await;
            match what {
                0 => receipt.tag = vec![0; 32].into(),
                1 => receipt.tag = Default::default(),
                2 => receipt.transfer_id = id(2).to_vec().into(),
                3 => receipt.form = Mode::Exact.into(),
                4 => receipt.image_id = vec![1; 15].into(),
                _ => receipt.slot = 1,
            }
            session.receipt(&receipt).await;
            while session.next().await.is_some() {}
        })
        .await;
        assert_eq!(error.reason(), Reason::PayloadAuthenticationFailed, "case {what}: {error}");
        assert_eq!(error.retry(), Retry::OnceOverNewSession);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_for_what_was_not_sent_is_no_receipt() {
    // The receiver claims to have stored a large image of which it got nothing yet.
    let error = fails(600_000, |mut session, acceptance| async move {
        session.open_ack(&accepted(0)).await;
        session.receipt(&honest_receipt(&acceptance, &latent(1, 600_000))).await;
        while session.next().await.is_some() {}
    })
    .await;
    assert_eq!(error.reason(), Reason::PayloadAuthenticationFailed, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn done_must_be_proven() {
    for (tag, expected) in [(vec![0; 32], false), (Vec::new(), false), (Vec::new(), true)] {
        let receiver = RawReceiver::new(move |mut session| {
            let tag = tag.clone();
            async move {
                let acceptance = session.next_open().await;
                let honest = acceptance.tags.receipt(&latent(1, 1).source_sha256).to_vec();
                let ack = OpenAckBody {
                    verdict: OpenVerdict::Done.into(),
                    image_id: vec![3; 16].into(),
                    stored_form: Mode::Exact.into(),
                    stored_tag: if expected { honest } else { tag }.into(),
                    ..accepted(0)
                };
                session.open_ack(&ack).await;
                while session.next().await.is_some() {}
            }
        })
        .await;
        let uplink = receiver.connect(patient()).await.expect("a session");
        let result = uplink.deliver(latent(1, 600_000), None).await;
        assert_eq!(result.is_ok(), expected, "{result:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_waits_for_end_the_session() {
    let error = fails(600_000, |mut session, _| async move {
        session.open_ack(&accepted(2)).await;
        while session.next().await.is_some() {}
    })
    .await;
    assert!(matches!(error, WireError::OutOfOrder { .. }), "{error}");
    let error = fails(600_000, |mut session, _| async move {
        session.open_ack(&accepted(0)).await;
        session.open_ack(&accepted(0)).await;
        while session.next().await.is_some() {}
    })
    .await;
    assert!(matches!(error, WireError::OutOfOrder { .. }), "{error}");
    let error = fails(600_000, |mut session, _| async move {
        session.need_exact(&NeedExactBody { slot: 0, reason: "X".into() }).await;
        while session.next().await.is_some() {}
    })
    .await;
    assert!(matches!(error, WireError::OutOfOrder { .. }), "{error}");
    let error = fails(600_000, |mut session, _| async move {
        session.open_ack(&OpenAckBody { slot: 0, ..OpenAckBody::default() }).await;
        while session.next().await.is_some() {}
    })
    .await;
    assert!(matches!(error, WireError::Malformed { .. }), "{error}");
    // Changed bytes, and the sender's own sent back.
    let error = fails(1_000, |mut session, _| async move {
        let noise = vec![0_u8; 60].into();
        session
            .send(latentwire_proto::v1::session_response::Step::OpenAck(latentwire_proto::v1::OpenAck {
                noise,
            }))
            .await;
        while session.next().await.is_some() {}
    })
    .await;
    assert_eq!(error.reason(), Reason::PayloadAuthenticationFailed);
}

#[tokio::test(flavor = "multi_thread")]
async fn need_exact_for_an_exact_form_ends_the_session() {
    let receiver = RawReceiver::new(|mut session| async move {
        let acceptance = session.next_open().await;
        session.open_ack(&accepted(0)).await;
        take_rest(&mut session, acceptance).await;
        session.need_exact(&NeedExactBody { slot: 0, reason: "X".into() }).await;
        while session.next().await.is_some() {}
    })
    .await;
    let uplink = receiver.connect(patient()).await.expect("a session");
    let error = uplink.deliver(exact(1, 1_000), None).await.expect_err("an error");
    assert!(matches!(error, WireError::OutOfOrder { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_receiver_is_not_waited_for() {
    let error =
        fails_within(
            impatient(),
            1_000,
            |mut session, _| async move { while session.next().await.is_some() {} },
        )
        .await;
    assert!(matches!(error, WireError::Deadline { waiting_for: "OpenAck", .. }), "{error}");
    let error = fails_within(impatient(), 1_000, |mut session, acceptance| async move {
        session.open_ack(&accepted(acceptance.body.slot)).await;
        while session.next().await.is_some() {}
    })
    .await;
    assert!(matches!(error, WireError::Deadline { waiting_for: "Receipt", .. }), "{error}");
    assert_eq!(error.retry(), Retry::Backoff);
    // One that accepts, and reads no more.
    let error = fails_within(impatient(), 64 << 20, |mut session, acceptance| async move {
        session.open_ack(&accepted(acceptance.body.slot)).await;
        session.answers.closed().await;
    })
    .await;
    assert!(matches!(error, WireError::Deadline { waiting_for: "room to send", .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_fails_what_is_open() {
    let opened = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&opened);
    let receiver = RawReceiver::new(move |mut session| {
        let counter = Arc::clone(&counter);
        async move {
            let acceptance = session.next_open().await;
            session.open_ack(&accepted(acceptance.body.slot)).await;
            counter.fetch_add(1, Ordering::SeqCst);
            // Dropped here: stream and session end without a word.
        }
    })
    .await;
    let uplink = receiver.connect(SessionLimits::default()).await.expect("a session");
    let error = uplink.deliver(latent(1, 8 << 20), None).await.expect_err("an error");
    assert_eq!(error.reason(), Reason::PeerUnavailable, "{error}");
    assert_eq!(error.retry(), Retry::Backoff);
    assert!(!uplink.is_open());
    assert_eq!(opened.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_and_nobody_speaking() {
    // A port that nothing listens on.
    let port = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        listener.local_addr().expect("an address")
    };
    let identity = support::key(latentwire_sealing::Role::Sender);
    let receiver = *support::key(latentwire_sealing::Role::Receiver).public_key();
    let connect = |address| {
        latentwire_wire::Uplink::connect(support::channel(address), &identity, &receiver, impatient())
    };
    let error = connect(port).await.err().expect("nobody there");
    assert_eq!((error.reason(), error.retry()), (Reason::PeerUnavailable, Retry::Backoff), "{error}");
    // A listener that accepts and says nothing.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let error = connect(mute.local_addr().expect("an address")).await.err().expect("nobody speaks");
    assert_eq!(error.reason(), Reason::Deadline, "{error}");
}
