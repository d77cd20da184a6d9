//! A sender that breaks the protocol: the session ends, all cryptographic causes look alike, nothing is stored.

mod support;

use latentwire_proto::Bytes;
use latentwire_proto::v1::session_request::Step;
use latentwire_proto::v1::session_response::Step as AnswerStep;
use latentwire_proto::v1::transfer_service_client::TransferServiceClient;
use latentwire_proto::v1::{Cancel, Hello, Meta, MetaRecord, Open, OpenVerdict, Segment, SessionRequest};
use latentwire_sealing::{ControlKind, Initiator};
use latentwire_wire::{Outgoing, Reason};
use prost::Message as _;
use support::peers::{RawSender, honest_record};
use support::{SENDER, Site, assert_clean, eventually, id, latent, noise, reason, rng};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

const SEGMENT: u32 = 1_024;

/// What a peer sees must be the same to the byte for every cryptographic cause.
fn assert_unauthentic(status: &Status) {
    assert_eq!(status.code(), Code::DataLoss, "{status:?}");
    assert_eq!(reason(status), Reason::PayloadAuthenticationFailed);
    assert_eq!(status.message(), Reason::PayloadAuthenticationFailed.sentence());
}

/// Plays an honest transfer's messages after a change, and expects the session to end unauthentic.
async fn play(site: &Site, what: &str, outgoing: &Outgoing, change: impl FnOnce(&mut Vec<Step>)) {
    let mut peer = RawSender::connect(site).await;
    let mut steps = peer.messages(outgoing, 0, SEGMENT);
    change(&mut steps);
    peer.send_all(steps).await;
    let status = peer.status().await.unwrap_or_else(|| panic!("{what}: the session went on"));
    assert_unauthentic(&status);
}

fn flip(step: &mut Step, bit: usize) {
    let bytes = match step {
        Step::Open(open) => &mut open.noise,
        Step::Meta(meta) => &mut meta.ciphertext,
        Step::Segment(segment) => &mut segment.ciphertext,
        Step::Hello(hello) => &mut hello.noise,
        Step::Cancel(_) => panic!("nothing to flip"),
    };
    let mut changed = bytes.to_vec();
    changed[bit / 8] ^= 1 << (bit % 8);
    *bytes = changed.into();
}

fn bits(step: &Step) -> usize {
    8 * match step {
        Step::Open(open) => open.noise.len(),
        Step::Meta(meta) => meta.ciphertext.len(),
        Step::Segment(segment) => segment.ciphertext.len(),
        Step::Hello(hello) => hello.noise.len(),
        Step::Cancel(_) => 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_raw_sender_passes() {
    // Without this, all that follows could fail for a wrong reason.
    let site = Site::new().await;
    let mut peer = RawSender::connect(&site).await;
    for (number, slot) in [(1, 0), (2, 3), (3, 0)] {
        let outgoing = latent(number, 5_000);
        let steps = peer.messages(&outgoing, slot, SEGMENT);
        peer.send_all(steps).await;
        assert_eq!(peer.open_ack().await.verdict(), OpenVerdict::Accepted);
        let receipt = peer.receipt().await;
        assert_eq!(receipt.transfer_id, outgoing.transfer_id[..]);
        assert_eq!(site.sink.get(SENDER, id(number)).expect("stored").coded, outgoing.coded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_anywhere_ends_the_session() {
    let site = Site::new().await;
    let outgoing = latent(1, 2_500);
    let count = RawSender::connect(&site).await.messages(&outgoing, 0, SEGMENT).len();
    for index in 0..count {
        for part in 0..8 {
            let what = format!("message {index}, part {part}");
            play(&site, &what, &outgoing, |steps| {
                let bit = (bits(&steps[index]) - 1) * part / 7;
                flip(&mut steps[index], bit);
            })
            .await;
        }
    }
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_out_of_place_end_the_session() {
    let site = Site::new().await;
    // More than 256 segments, so that one and its neighbour under the same row key can change places.
    let outgoing = latent(1, 300 * 1_024);
    let small = latent(1, 5_000);
    play(&site, "neighbours swapped", &small, |steps| steps.swap(3, 4)).await;
    play(&site, "i and i + 256 swapped", &outgoing, |steps| steps.swap(4, 4 + 256)).await;
    play(&site, "one dropped", &small, |steps| drop(steps.remove(3))).await;
    play(&site, "one twice", &small, |steps| steps.insert(4, steps[3].clone())).await;
    play(&site, "the last first", &small, |steps| {
        let last = steps.pop().expect("segments");
        steps.insert(2, last);
    })
    .await;
    for (index, last) in [(2, true), (6, false)] {
        play(&site, "a wrong last flag", &small, |steps| {
            let Step::Segment(segment) = &mut steps[index] else { panic!("no segment") };
            assert_ne!(segment.last, last);
            segment.last = last;
        })
        .await;
    }
    for (what, bytes) in [("empty", 0), ("shorter than a tag", 15), ("longer than its place", 2_000)] {
        play(&site, what, &small, |steps| {
            let Step::Segment(segment) = &mut steps[3] else { panic!("no segment") };
            segment.ciphertext = noise(1, bytes).into();
        })
        .await;
    }
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_after_the_last_ends_the_session_but_undoes_nothing() {
    let site = Site::new().await;
    // Whether the sink is still at work or done, what had arrived whole stays.
    for number in 0..10 {
        play(&site, "one after the last", &latent(number, 5_000), |steps| steps.push(steps[3].clone())).await;
    }
    eventually("all are stored", || site.sink.len() == 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_out_of_order_end_the_session() {
    let site = Site::new().await;
    let outgoing = latent(1, 5_000);
    play(&site, "a segment before its Open", &outgoing, |steps| drop(steps.drain(..2))).await;
    play(&site, "a Meta before its Open", &outgoing, |steps| drop(steps.remove(0))).await;
    play(&site, "a segment before its Meta", &outgoing, |steps| drop(steps.remove(1))).await;
    play(&site, "a Meta twice", &outgoing, |steps| steps.insert(2, steps[1].clone())).await;
    play(&site, "a Meta after a segment", &outgoing, |steps| steps.swap(1, 2)).await;
    play(&site, "an Open twice", &outgoing, |steps| steps.insert(1, steps[0].clone())).await;
    for slot in [1, 3, 4, u32::MAX] {
        play(&site, "a segment in another slot", &outgoing, |steps| {
            let Step::Segment(segment) = &mut steps[2] else { panic!("no segment") };
            segment.slot = slot;
        })
        .await;
        play(&site, "a Meta in another slot", &outgoing, |steps| {
            let Step::Meta(meta) = &mut steps[1] else { panic!("no Meta") };
            meta.slot = slot;
        })
        .await;
    }
    play(&site, "a Cancel outside the four", &outgoing, |steps| {
        steps.truncate(1);
        steps.push(Step::Cancel(Cancel { slot: 99 }));
    })
    .await;
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_open_in_a_taken_slot_and_one_outside_the_four() {
    let site = Site::new().await;
    for slot in [0, 4, 1_000] {
        let mut peer = RawSender::connect(&site).await;
        let first = peer.messages(&latent(1, 5_000), 0, SEGMENT);
        peer.send_all(first[..3].to_vec()).await;
        let second = peer.messages(&latent(2, 5_000), slot, SEGMENT);
        peer.send_all(second).await;
        assert_unauthentic(&peer.status().await.expect("an error"));
    }
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_without_content_and_a_second_hello() {
    let site = Site::new().await;
    let mut peer = RawSender::connect(&site).await;
    peer.send_message(SessionRequest { step: None }).await;
    assert_unauthentic(&peer.status().await.expect("an error"));
    let mut peer = RawSender::connect(&site).await;
    let hello = peer.sent[0].clone();
    peer.send_message(hello).await;
    assert_unauthentic(&peer.status().await.expect("an error"));
    let mut peer = RawSender::dial(&site).await;
    peer.send(Step::Open(Open { noise: Bytes::new() })).await;
    assert_unauthentic(&peer.status().await.expect("an error"));
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_early_is_truncated_at_every_place() {
    let site = Site::new().await;
    let outgoing = latent(1, 5_000);
    let count = RawSender::connect(&site).await.messages(&outgoing, 0, SEGMENT).len();
    for kept in 1..count {
        let mut peer = RawSender::connect(&site).await;
        let steps = peer.messages(&outgoing, 0, SEGMENT);
        peer.send_all(steps[..kept].to_vec()).await;
        drop(std::mem::replace(&mut peer.requests, tokio::sync::mpsc::channel(1).0));
        let status = peer.status().await.expect("an error");
        assert_eq!((status.code(), reason(&status)), (Code::DataLoss, Reason::StreamTruncated));
    }
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_bytes_are_worth_nothing() {
    let site = Site::new().await;
    let mut victim = RawSender::connect(&site).await;
    let steps = victim.messages(&latent(1, 5_000), 0, SEGMENT);
    victim.send_all(steps).await;
    assert_eq!(victim.open_ack().await.verdict(), OpenVerdict::Accepted);
    victim.receipt().await;
    let recording = victim.sent.clone();

    // The whole session again: the receiver's new ephemeral key makes another session of it.
    let mut replay = RawSender::dial(&site).await;
    for message in recording.clone() {
        replay.send_message(message).await;
    }
    assert_unauthentic(&replay.status().await.expect("an error"));
    assert_eq!(site.sink.len(), 1);

    // Parts of it inside a new session of the same peer.
    for start in 1..recording.len() {
        let mut splice = RawSender::connect(&site).await;
        for message in recording[start..].iter().cloned() {
            splice.send_message(message).await;
        }
        assert_unauthentic(&splice.status().await.expect("an error"));
    }

    // Segments of one transfer in another of the same session.
    let mut peer = RawSender::connect(&site).await;
    let first = peer.messages(&latent(2, 5_000), 0, SEGMENT);
    let mut second = peer.messages(&latent(3, 5_000), 1, SEGMENT);
    let Step::Segment(stolen) = first[2].clone() else { panic!("no segment") };
    second[2] = Step::Segment(Segment { slot: 1, ..stolen });
    peer.send_all(vec![first[0].clone()]).await;
    peer.send_all(second).await;
    assert_unauthentic(&peer.status().await.expect("an error"));

    // Message 1 alone: an answer, but no state that outlives it.
    let mut alone = RawSender::dial(&site).await;
    alone.send_message(recording[0].clone()).await;
    assert!(matches!(alone.answer().await.expect("an answer").step, Some(AnswerStep::HelloReply(_))));
    drop(alone);
    eventually("nothing is kept", || site.sessions.open_sessions() <= 1).await;
    assert_eq!(site.sink.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receivers_own_bytes_are_refused() {
    let site = Site::new().await;
    let mut peer = RawSender::connect(&site).await;
    let open = peer.messages(&latent(1, 5_000), 0, SEGMENT).remove(0);
    peer.send(open).await;
    let Some(AnswerStep::OpenAck(ack)) = peer.answer().await.expect("an answer").step else {
        panic!("no OpenAck")
    };
    peer.send(Step::Open(Open { noise: ack.noise })).await;
    assert_unauthentic(&peer.status().await.expect("an error"));
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_declared_length_is_refused_before_anything_is_kept() {
    let site = Site::new().await;
    for declared in [(1_u64 << 30) + 1, 1 << 40, u64::MAX] {
        let mut peer = RawSender::connect(&site).await;
        let mut plaintext = peer.propose(&latent(1, 5_000), 0, SEGMENT).open.to_vec();
        plaintext[60..68].copy_from_slice(&declared.to_be_bytes());
        let open = peer.open_step(&plaintext);
        peer.send(open).await;
        let status = peer.status().await.expect("an error");
        assert_eq!((status.code(), reason(&status)), (Code::OutOfRange, Reason::TransferTooLarge));
    }
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_fields_of_an_open_break_its_commitment() {
    let site = Site::new().await;
    // Version, form, padding, slot, id, digest, segment size, length, secret, commitment.
    for byte in [0, 1, 2, 3, 7, 8, 24, 59, 67, 68, 100, 131] {
        let mut peer = RawSender::connect(&site).await;
        let mut plaintext = peer.propose(&latent(1, 5_000), 0, SEGMENT).open.to_vec();
        plaintext[byte] ^= 4;
        let open = peer.open_step(&plaintext);
        peer.send(open).await;
        assert_unauthentic(&peer.status().await.expect("an error"));
    }
    for length in [0, 99, 163, 165, 1_000] {
        let mut peer = RawSender::connect(&site).await;
        let open = peer.open_step(&vec![1; length]);
        peer.send(open).await;
        assert_unauthentic(&peer.status().await.expect("an error"));
    }
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_message_of_another_kind_is_refused() {
    let site = Site::new().await;
    let mut peer = RawSender::connect(&site).await;
    let plaintext = peer.propose(&latent(1, 5_000), 0, SEGMENT).open.to_vec();
    let noise = peer.keys().sealer.seal(ControlKind::Receipt, &plaintext).expect("sealed").into();
    peer.send(Step::Open(Open { noise })).await;
    assert_unauthentic(&peer.status().await.expect("an error"));
}

/// An authentic Meta that lies.
async fn play_record(site: &Site, what: &str, lie: impl FnOnce(&mut MetaRecord) -> Vec<u8>) {
    let outgoing = latent(1, 5_000);
    let mut peer = RawSender::connect(site).await;
    let mut proposal = peer.propose(&outgoing, 1, SEGMENT);
    let encoded = lie(&mut honest_record(&outgoing));
    let mut lying = vec![peer.open_step(&proposal.open)];
    lying
        .push(Step::Meta(Meta { slot: 1, ciphertext: proposal.meta.seal(&encoded).expect("sealed").into() }));
    let padded =
        latentwire_sealing::padding::pad(outgoing.padding, outgoing.coded.to_vec()).expect("padding");
    for piece in padded.chunks(SEGMENT as usize) {
        let mut buffer = piece.to_vec();
        let position = proposal.segments.seal(&mut buffer).expect("sealed");
        lying.push(Step::Segment(Segment { slot: 1, last: position.last, ciphertext: buffer.into() }));
    }
    peer.send_all(lying).await;
    let status = peer.status().await.unwrap_or_else(|| panic!("{what}: the session went on"));
    assert_unauthentic(&status);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_lies_is_refused() {
    let site = Site::new().await;
    play_record(&site, "no protobuf", |_| vec![0xff; 40]).await;
    play_record(&site, "another coded digest", |record| {
        record.coded_sha256 = vec![1; 32].into();
        record.encode_to_vec()
    })
    .await;
    play_record(&site, "a short coded digest", |record| {
        record.coded_sha256 = vec![1; 31].into();
        record.encode_to_vec()
    })
    .await;
    play_record(&site, "another source digest", |record| {
        record.source_sha256 = vec![1; 32].into();
        record.encode_to_vec()
    })
    .await;
    play_record(&site, "no source digest", |record| {
        record.source_sha256 = Bytes::new();
        record.encode_to_vec()
    })
    .await;
    for length in [0, 1, 4_999, 5_001, u64::MAX] {
        play_record(&site, "another length", |record| {
            record.coded_bytes = length;
            record.encode_to_vec()
        })
        .await;
    }
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_refused_open_is_bounded() {
    let site = Site::new().await;
    site.sink.on_admit(id(1), Reason::StorageFull);
    // As much as an honest sender may have on the way is thrown away.
    let mut peer = RawSender::connect(&site).await;
    let steps = peer.messages(&latent(1, 200_000), 0, 65_536);
    peer.send_all(steps).await;
    assert_eq!(peer.open_ack().await.reason, "STORAGE_FULL");
    let next = peer.messages(&latent(2, 5_000), 0, SEGMENT);
    peer.send_all(next).await;
    assert_eq!(peer.open_ack().await.verdict(), OpenVerdict::Accepted);
    peer.receipt().await;
    // More is not.
    let steps = peer.messages(&latent(1, 2_000_000), 0, 65_536);
    peer.send_all(steps).await;
    assert_unauthentic(&peer.status().await.expect("an error"));
    assert_eq!(site.sink.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_handshake_is_refused_and_says_nothing() {
    let site = Site::new().await;
    let (_, honest) = Initiator::start(&site.sender, &site.receiver, &mut rng()).expect("hello");
    let length = honest.noise.len();
    let mut broken: Vec<Vec<u8>> = vec![Vec::new(), vec![0; length], honest.noise[..length - 1].to_vec()];
    broken.push([honest.noise.clone(), vec![0]].concat());
    for byte in (0..length).step_by(97) {
        let mut flipped = honest.noise.clone();
        flipped[byte] ^= 1;
        broken.push(flipped);
    }
    let mut texts = std::collections::HashSet::new();
    for noise in broken {
        let mut peer = RawSender::dial(&site).await;
        peer.send(Step::Hello(Hello { version: 1, suite: 1, noise: noise.into() })).await;
        let status = peer.status().await.expect("an error");
        assert_eq!((status.code(), reason(&status)), (Code::Unauthenticated, Reason::HandshakeFailed));
        texts.insert((status.message().to_owned(), status.details().to_vec()));
    }
    assert_eq!(texts.len(), 1, "all handshake failures look alike");
    for (version, suite) in [(0, 1), (2, 1), (1, 0), (1, 2), (u32::MAX, u32::MAX)] {
        let mut peer = RawSender::dial(&site).await;
        peer.send(Step::Hello(Hello { version, suite, noise: honest.noise.clone().into() })).await;
        let status = peer.status().await.expect("an error");
        assert_eq!((status.code(), reason(&status)), (Code::FailedPrecondition, Reason::VersionUnsupported));
    }
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_over_the_limit_are_refused_unread() {
    let site = Site::new().await;
    let mut peer = RawSender::connect(&site).await;
    peer.send(Step::Segment(Segment { slot: 0, last: false, ciphertext: vec![0; 200_000].into() })).await;
    let status = peer.status().await.expect("an error");
    assert_eq!((status.code(), reason(&status)), (Code::OutOfRange, Reason::TransferTooLarge));
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_stream_is_refused() {
    let site = Site::new().await;
    let mut client = TransferServiceClient::new(site.channel());
    let (_requests, outbound) = tokio::sync::mpsc::channel::<SessionRequest>(1);
    let mut request = tonic::Request::new(ReceiverStream::new(outbound));
    request.metadata_mut().insert("grpc-encoding", "gzip".parse().expect("a value"));
    let status = client.session(request).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unimplemented);
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_nothing_is_harmless() {
    let site = Site::new().await;
    let mut peer = RawSender::connect(&site).await;
    for slot in 0..4 {
        peer.send(Step::Cancel(Cancel { slot })).await;
    }
    let steps = peer.messages(&latent(1, 5_000), 0, SEGMENT);
    peer.send_all(steps[..4].to_vec()).await;
    peer.send(Step::Cancel(Cancel { slot: 0 })).await;
    assert_eq!(peer.open_ack().await.verdict(), OpenVerdict::Accepted);
    let receipt = peer.receipt().await;
    assert_eq!(receipt.error.expect("an error").reason, "CANCELLED");
    // The same transfer again, in the same slot, under new keys.
    let steps = peer.messages(&latent(1, 5_000), 0, SEGMENT);
    peer.send_all(steps).await;
    assert_eq!(peer.open_ack().await.verdict(), OpenVerdict::Accepted);
    assert!(peer.receipt().await.error.is_none());
    assert_eq!(site.sink.len(), 1);
}
