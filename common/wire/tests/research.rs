//! What serves research, the chaos cipher and row mode: refused unless the receiver allows it, and whole where it does.

mod support;

use latentwire_proto::v1::session_request::Step;
use latentwire_proto::v1::{Meta, MetaRecord, OpenAckBody, OpenVerdict, ReceiptStatus};
use latentwire_sealing::{Form, InnerLayer, PaddingPolicy};
use latentwire_wire::{
    MAX_HEAD_BYTES, Outgoing, Reason, ReceiverLimits, Retry, Segmentation, SessionLimits, WireError,
};
use prost::Message as _;
use support::peers::{RawReceiver, RawSender, honest_record};
use support::sink::Order;
use support::{SENDER, Site, assert_clean, chaos, eventually, exact, id, latent, reason, rows};

const SEGMENT: u32 = 1_024;

/// A receiver that allows both.
async fn allowing() -> Site {
    Site::with_limits(|limits| (limits.allow_chaos4, limits.allow_rows) = (true, true)).await
}

fn assert_unauthentic(status: &tonic::Status, what: &str) {
    assert_eq!(reason(status), Reason::PayloadAuthenticationFailed, "{what}: {status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_is_taken_unless_it_is_allowed() {
    type Change = fn(&mut ReceiverLimits);
    let nothing: Change = |_| ();
    let chaos_alone: Change = |limits| limits.allow_chaos4 = true;
    let rows_alone: Change = |limits| limits.allow_rows = true;
    for (allowed, chaos_comes, rows_come) in
        [(nothing, false, false), (chaos_alone, true, false), (rows_alone, false, true)]
    {
        let site = Site::with_limits(allowed).await;
        let uplink = site.connect().await.expect("a session");
        for (outgoing, comes, reason) in [
            (chaos(1, 400_000), chaos_comes, Reason::InnerLayerUnsupported),
            (chaos(2, 4_000), chaos_comes, Reason::InnerLayerUnsupported),
            (rows(3, 300, 96), rows_come, Reason::SegmentationUnsupported),
            (rows(4, 20_000, 4), rows_come, Reason::SegmentationUnsupported),
        ] {
            let number = outgoing.transfer_id[0];
            match uplink.deliver(outgoing, None).await {
                Ok(_) => assert!(comes, "transfer {number}"),
                Err(error) => {
                    assert!(!comes, "transfer {number}: {error}");
                    assert_eq!((error.reason(), error.retry()), (reason, Retry::Never));
                }
            }
            assert_eq!(site.sink.get(SENDER, id(number)).is_some(), comes, "transfer {number}");
        }
        assert_eq!(site.sink.held_admissions(), 0);
        assert!(uplink.is_open(), "a refusal concerns one transfer");
        uplink.deliver(latent(9, 100_000), None).await.expect("the session goes on");
    }
}

/// A receiver that refuses sees the Open and nothing of the image.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_follows_the_open_before_its_answer() {
    for outgoing in [|| chaos(1, 3_000), || rows(1, 30, 96)] {
        let receiver = RawReceiver::new(|mut session| async move {
            let refused = session.next_open().await;
            let ack = OpenAckBody {
                slot: refused.body.slot,
                verdict: OpenVerdict::Refused.into(),
                reason: "INNER_LAYER_UNSUPPORTED".into(),
                ..OpenAckBody::default()
            };
            session.open_ack(&ack).await;
            let next = session.next_open().await;
            assert_eq!(next.body.inner_layer, InnerLayer::None);
            let ack = OpenAckBody { slot: next.body.slot, ..ack };
            session.open_ack(&ack).await;
        })
        .await;
        let uplink = receiver.connect(SessionLimits::default()).await.expect("a session");
        let refused = uplink.deliver(outgoing(), None).await.expect_err("refused");
        assert_eq!(refused.reason(), Reason::InnerLayerUnsupported);
        let refused = uplink.deliver(latent(2, 3_000), None).await.expect_err("refused too");
        assert_eq!(refused.reason(), Reason::InnerLayerUnsupported, "the second Open came next");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_through_the_chaos_cipher_arrives_whole() {
    let site = allowing().await;
    let uplink = site.connect().await.expect("a session");
    for (number, length) in [1, 2, 1_000, 65_536, 262_145, 1_000_000].into_iter().enumerate() {
        for (round, padding) in
            [PaddingPolicy::Padme, PaddingPolicy::Fixed, PaddingPolicy::None].iter().enumerate()
        {
            let number = (10 * round + number) as u8;
            let outgoing = Outgoing { padding: *padding, ..chaos(number, length) };
            let coded = outgoing.coded.clone();
            let delivered = uplink.deliver(outgoing, None).await.expect("delivered");
            let received = site.sink.get(SENDER, id(number)).expect("stored");
            assert_eq!(received.coded, coded);
            assert_eq!(received.announced.inner_layer, InnerLayer::Chaos4);
            assert_eq!(received.sealed_bytes, delivered.sealed_bytes, "both ends count the same bytes");
            assert!(delivered.seal_ms > 0.0 && delivered.open_ms > 0.0);
        }
    }
    let plain = uplink.deliver(latent(50, 65_536), None).await.expect("delivered");
    let scrambled = uplink.deliver(chaos(51, 65_536), None).await.expect("delivered");
    assert_eq!(plain.sealed_bytes, scrambled.sealed_bytes, "the cipher adds no byte");
    assert_eq!(site.sessions.buffered_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_chaos_transfers_interleave() {
    let site = allowing().await;
    let uplink = std::sync::Arc::new(site.connect().await.expect("a session"));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..30_u8 {
        let uplink = std::sync::Arc::clone(&uplink);
        let outgoing = if number % 3 == 0 { latent } else { chaos }(number, 1 + usize::from(number) * 11_003);
        tasks.spawn(async move { uplink.deliver(outgoing, None).await });
    }
    while let Some(delivered) = tasks.join_next().await {
        delivered.expect("no panic").expect("delivered");
    }
    for number in 0..30_u8 {
        let received = site.sink.get(SENDER, id(number)).expect("stored");
        assert_eq!(received.coded, latent(number, 1 + usize::from(number) * 11_003).coded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_arrive_whole_and_joined_to_their_head() {
    let site = allowing().await;
    let uplink = site.connect().await.expect("a session");
    for (number, (count, row_bytes)) in
        [(1, 4), (256, 12), (257, 12), (700, 96), (5, 65_536), (20_000, 4)].into_iter().enumerate()
    {
        let number = number as u8;
        let outgoing = rows(number, count, row_bytes);
        let coded = outgoing.coded.clone();
        let delivered = uplink.deliver(outgoing, None).await.expect("delivered");
        let received = site.sink.get(SENDER, id(number)).expect("stored");
        assert_eq!(received.coded, coded, "{count} rows of {row_bytes}");
        assert_eq!(received.announced.padding, PaddingPolicy::Rows);
        assert!(received.meta.head.is_empty(), "the head stands in the image");
        assert_eq!(received.sealed_bytes, delivered.sealed_bytes, "both ends count the same bytes");
    }
    assert_eq!(site.sink.held_admissions(), 0);
    assert_eq!(site.sessions.buffered_bytes(), 0);
}

/// A tag of 16 bytes a row, and the framing of a protobuf message.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_row_costs() {
    let site = allowing().await;
    let uplink = site.connect().await.expect("a session");
    let one = uplink.deliver(rows(1, 400, 120), None).await.expect("delivered").sealed_bytes;
    let more = uplink.deliver(rows(2, 600, 120), None).await.expect("delivered").sealed_bytes;
    let overhead = (more - one) - 200 * 120;
    assert!((200 * 16..=200 * 32).contains(&overhead), "{overhead} bytes for 200 rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exact_form_of_what_was_asked_for_in_rows_travels_in_fixed_segments() {
    let site = allowing().await;
    let uplink = site.connect().await.expect("a session");
    for number in [1, 2] {
        site.sink.on_complete(id(number), Order::NeedExact);
    }
    let fallback = |number, inner_layer| -> latentwire_wire::ExactFallback {
        Box::new(move || Ok(Outgoing { inner_layer, ..exact(number, 20_000) }))
    };
    let asked = Outgoing { exact_fallback: Some(fallback(1, InnerLayer::None)), ..rows(1, 300, 96) };
    let delivered = uplink.deliver(asked, None).await.expect("delivered");
    assert_eq!(delivered.form, Form::Exact);
    let received = site.sink.get(SENDER, id(1)).expect("stored");
    assert_eq!(received.announced.padding, PaddingPolicy::Padme);
    assert_eq!(received.coded, exact(1, 20_000).coded);

    let asked = Outgoing { exact_fallback: Some(fallback(2, InnerLayer::Chaos4)), ..chaos(2, 90_000) };
    uplink.deliver(asked, None).await.expect("delivered");
    let received = site.sink.get(SENDER, id(2)).expect("stored");
    assert_eq!((received.announced.inner_layer, received.announced.form), (InnerLayer::Chaos4, Form::Exact));
    assert_eq!(received.coded, exact(2, 20_000).coded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_given_up_while_it_is_scrambled_leaves_its_slot() {
    let site = allowing().await;
    let uplink = site.connect().await.expect("a session");
    for number in 0..6 {
        // Dropped at once: the cipher is still at work on it, or its Open has gone out.
        let delivery = uplink.deliver(chaos(number, 3_000_000), None);
        let _ = tokio::time::timeout(std::time::Duration::ZERO, delivery).await;
    }
    for number in 10..14 {
        uplink.deliver(chaos(number, 50_000), None).await.expect("delivered");
    }
    uplink.close().await;
    eventually("nothing is held", || site.sink.held_admissions() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_is_resumed() {
    for outgoing in [|| chaos(1, 600_000), || rows(1, 6_000, 100)] {
        let receiver = RawReceiver::new(|mut session| async move {
            let acceptance = session.next_open().await;
            let ack = OpenAckBody {
                slot: acceptance.body.slot,
                verdict: OpenVerdict::Accepted.into(),
                resume_index: 3,
                resume_tag: vec![1; 32].into(),
                ..OpenAckBody::default()
            };
            session.open_ack(&ack).await;
            while session.next().await.is_some() {}
        })
        .await;
        let uplink = receiver.connect(SessionLimits::default()).await.expect("a session");
        let error = uplink.deliver(outgoing(), None).await.expect_err("resumed");
        assert!(matches!(error, WireError::OutOfOrder { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_attempt_starts_at_zero_under_new_keys() {
    let site = allowing().await;
    for outgoing in [|| chaos(1, 300_000), || rows(2, 3_000, 100)] {
        // Cut off half way.
        let mut peer = RawSender::connect(&site).await;
        let mut steps = peer.messages(&outgoing(), 0, SEGMENT);
        steps.truncate(steps.len() / 2);
        peer.send_all(steps).await;
        assert_eq!(peer.open_ack().await.verdict(), OpenVerdict::Accepted);
        drop(peer);
        eventually("the first attempt is forgotten", || site.sessions.buffered_bytes() == 0).await;
        let mut peer = RawSender::connect(&site).await;
        let steps = peer.messages(&outgoing(), 0, SEGMENT);
        peer.send_all(steps).await;
        let ack = peer.open_ack().await;
        assert_eq!((ack.verdict(), ack.resume_index), (OpenVerdict::Accepted, 0));
        assert_eq!(peer.receipt().await.status(), ReceiptStatus::Stored);
        let again = site.connect().await.expect("a session").deliver(outgoing(), None).await;
        assert!(again.expect("known").already_done);
    }
}

/// Sends what a liar would, of bytes and of Meta; gives how the session ends.
async fn lie(
    site: &Site,
    outgoing: &Outgoing,
    change: impl FnOnce(&mut MetaRecord),
    segments: &[u8],
) -> tonic::Status {
    let mut peer = RawSender::connect(site).await;
    let mut proposal = peer.propose(outgoing, 0, SEGMENT);
    let mut record = honest_record(outgoing);
    change(&mut record);
    let mut steps = vec![peer.open_step(&proposal.open)];
    let ciphertext = proposal.meta.seal(&record.encode_to_vec()).expect("a record").into();
    steps.push(Step::Meta(Meta { slot: 0, ciphertext }));
    steps.extend(RawSender::plain_segments(&mut proposal.segments, 0, segments));
    peer.send_all(steps).await;
    peer.status().await.expect("the session ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_one_thing_and_sends_another_is_refused() {
    let site = allowing().await;
    for length in [5_000, 300_000] {
        let said_chaos = chaos(1, length);
        let status = lie(&site, &said_chaos, |_| (), &said_chaos.coded).await;
        assert_unauthentic(&status, "chaos announced, plain bytes sent");

        let mut peer = RawSender::connect(&site).await;
        let honest = chaos(1, length);
        let mut steps = peer.messages(&honest, 0, SEGMENT);
        let said_plain = Outgoing { inner_layer: InnerLayer::None, ..honest };
        let other = peer.propose(&said_plain, 0, SEGMENT);
        let ciphertext = other.meta.seal(&honest_record(&said_plain).encode_to_vec()).expect("sealed").into();
        steps[0] = peer.open_step(&other.open);
        steps[1] = Step::Meta(Meta { slot: 0, ciphertext });
        peer.send_all(steps).await;
        assert_unauthentic(&peer.status().await.expect("the session ends"), "another transfer's segments");
    }
    let honest = rows(2, 300, 24);
    let body = honest.coded[57..].to_vec();
    let no_head = |record: &mut MetaRecord| record.head.clear();
    assert_unauthentic(&lie(&site, &honest, no_head, &body).await, "rows without a head");
    let other_head = |record: &mut MetaRecord| record.head = vec![7; 57].into();
    assert_unauthentic(&lie(&site, &honest, other_head, &body).await, "another head");
    let short = |record: &mut MetaRecord| record.head.truncate(56);
    assert_unauthentic(&lie(&site, &honest, short, &body).await, "a shorter head");
    let long = |record: &mut MetaRecord| {
        record.head = vec![7; MAX_HEAD_BYTES + 1].into();
        record.coded_bytes = (MAX_HEAD_BYTES + 1 + 300 * 24) as u64;
    };
    assert_unauthentic(&lie(&site, &honest, long, &body).await, "a head above the limit");
    let lengths = |record: &mut MetaRecord| record.coded_bytes = u64::MAX;
    assert_unauthentic(&lie(&site, &honest, lengths, &body).await, "another length");
    let headed = |record: &mut MetaRecord| record.head = vec![7; 57].into();
    let plain = latent(3, 5_000);
    assert_unauthentic(&lie(&site, &plain, headed, &plain.coded).await, "a head without rows");
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_change_places_are_refused() {
    let site = allowing().await;
    for (one, other) in [(0, 256), (1, 2), (256, 512)] {
        let mut peer = RawSender::connect(&site).await;
        let mut steps = peer.messages(&rows(1, 600, 24), 0, SEGMENT);
        // Open and Meta come before row 0.
        steps.swap(2 + one, 2 + other);
        peer.send_all(steps).await;
        assert_unauthentic(&peer.status().await.expect("the session ends"), "rows that share a key");
    }
    assert_clean(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_travel_in_rows_fails_at_the_sender() {
    let site = allowing().await;
    let uplink = site.connect().await.expect("a session");
    let with = |number, head_bytes, row_bytes| Outgoing {
        segmentation: Segmentation::Rows { head_bytes, row_bytes },
        ..latent(number, 100_000)
    };
    for (number, head_bytes, row_bytes) in [
        (1, 100_000, 4),
        (2, 200_000, 4),
        (3, 4, 6),
        (4, 4, 65_540),
        (5, 4, 0),
        (6, 66_000, 4),
        (7, 50_000, 400),
        (8, 0, 400),
    ] {
        let error = uplink.deliver(with(number, head_bytes, row_bytes), None).await.expect_err("no rows");
        assert!(matches!(error, WireError::Crypto(_) | WireError::Internal(_)), "{number}: {error}");
        assert!(uplink.is_open(), "{number}");
    }
    assert_clean_but_open(&site);
    uplink.deliver(rows(9, 300, 24), None).await.expect("the session goes on");
}

fn assert_clean_but_open(site: &Site) {
    assert_eq!((site.sink.len(), site.sink.held_admissions()), (0, 0));
    assert_eq!(site.sessions.buffered_bytes(), 0);
}
