//! What is cut, swapped, repeated, lost or misplaced of a transfer, and a commitment that is not to its keys: N6, N7, N8, N30.

use latentwire_proto::v1::{Cancel, OpenVerdict, SessionRequest, session_request::Step};
use latentwire_tests::proxy::{Act, Rule, Way};

use crate::{
    cases::Cases,
    peer::{self, Image, open_plaintext},
    stand::{HostileLink, Stand, honest},
};

const UNAUTHENTIC: &str = "PAYLOAD_AUTHENTICATION_FAILED";
const TRUNCATED: &str = "STREAM_TRUNCATED";

/// Plays an honest transfer's messages after a change, over a session of its own; gives the reason that ends it.
async fn play(stand: &Stand, image: &Image, change: impl FnOnce(&mut Vec<Step>)) -> String {
    let mut peer = stand.connect().await;
    let mut steps = peer.messages(&image.with_fresh_id());
    change(&mut steps);
    peer.send_all(steps).await;
    peer.end();
    peer.reason().await
}

fn segment(step: &mut Step) -> &mut latentwire_proto::v1::Segment {
    match step {
        Step::Segment(segment) => segment,
        Step::Hello(_) | Step::Open(_) | Step::Meta(_) | Step::Cancel(_) => panic!("no segment"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n06_truncation() {
    let mut cases = Cases::of("n06_truncation");
    let mut stand = Stand::start().await;
    let mut image = honest();
    let count = stand.connect().await.messages(&image).len();
    for kept in 1..count {
        assert_eq!(play(&stand, &image, |steps| steps.truncate(kept)).await, TRUNCATED, "{kept} of {count}");
        cases.one();
    }
    // Every length of the last segment but its own. A short image keeps the number of sessions within reason.
    image.set_coded(image.coded[..1_024 + 80].to_vec());
    for length in 0..80 + 16 {
        let cut = play(&stand, &image, |steps| {
            let last = segment(steps.last_mut().expect("segments"));
            last.ciphertext = last.ciphertext.slice(..length);
        });
        assert_eq!(cut.await, UNAUTHENTIC, "{length} bytes of the last segment");
        cases.one();
    }
    // The last segment left out, and the one before it called the last.
    let early = play(&stand, &image, |steps| {
        steps.pop();
        segment(steps.last_mut().expect("segments")).last = true;
    });
    assert_eq!(early.await, UNAUTHENTIC);
    cases.one();
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n06_truncation_between_processes() {
    let mut cases = Cases::of("n06_truncation_between_processes");
    let mut link = HostileLink::start().await;
    // Hello, Open, Meta, one segment: the whole of a small image of the product's own sender.
    for at in 0..4 {
        for act in [Act::End, Act::Cut] {
            let rule = Rule { way: Way::ToReceiver, at, act: act.clone() };
            let reason = link.rejected("a cut link", vec![rule]).await;
            let typed =
                ["STREAM_TRUNCATED", "PEER_UNAVAILABLE", UNAUTHENTIC, "DEADLINE"].contains(&reason.as_str());
            assert!(typed, "{act:?} at {at}: {reason}");
            cases.one();
        }
    }
    for bytes in [0, 15, 16, 17, 1_000, 4_000] {
        let rule = Rule { way: Way::ToReceiver, at: 3, act: Act::Resize { bytes } };
        assert_eq!(link.rejected("a short segment", vec![rule]).await, UNAUTHENTIC);
        cases.one();
    }
    link.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n07_segments_exchanged() {
    let mut cases = Cases::of("n07_segments_exchanged");
    let mut stand = Stand::start().await;
    let image = honest();
    let count = stand.connect().await.messages(&image).len();
    for first in 2..count - 1 {
        assert_eq!(play(&stand, &image, |steps| steps.swap(first, first + 1)).await, UNAUTHENTIC);
        cases.one();
        // The flags in their right places, so that order alone is wrong.
        let flagged = play(&stand, &image, |steps| {
            steps.swap(first, first + 1);
            for (index, step) in steps.iter_mut().enumerate().skip(2) {
                segment(step).last = index + 1 == count;
            }
        });
        assert_eq!(flagged.await, UNAUTHENTIC);
        cases.one();
    }
    // i and i + 256 are sealed under one key.
    let mut long = honest();
    long.set_coded((0..300 * 1_024_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect());
    for first in [0, 1, 7, 43] {
        assert_eq!(play(&stand, &long, |steps| steps.swap(2 + first, 2 + first + 256)).await, UNAUTHENTIC);
        cases.one();
        let repeated = play(&stand, &long, |steps| steps[2 + first + 256] = steps[2 + first].clone());
        assert_eq!(repeated.await, UNAUTHENTIC);
        cases.one();
    }
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n08_messages_repeated_lost_or_misplaced() {
    let mut cases = Cases::of("n08_messages_repeated_lost_or_misplaced");
    let mut stand = Stand::start().await;
    let image = honest();
    let count = stand.connect().await.messages(&image).len();
    for index in 0..count {
        if index + 1 < count {
            assert_eq!(
                play(&stand, &image, |steps| drop(steps.remove(index))).await,
                UNAUTHENTIC,
                "{index} lost"
            );
            cases.one();
            let repeated = play(&stand, &image, |steps| steps.insert(index, steps[index].clone()));
            assert_eq!(repeated.await, UNAUTHENTIC, "{index} twice");
            cases.one();
        }
        for slot in [1, 3, 4, u32::MAX] {
            let moved = play(&stand, &image, |steps| match &mut steps[index] {
                Step::Meta(meta) => meta.slot = slot,
                Step::Segment(segment) => segment.slot = slot,
                Step::Hello(_) | Step::Open(_) | Step::Cancel(_) => {
                    steps.insert(1, Step::Cancel(Cancel { slot: slot | 4 }));
                }
            });
            assert_eq!(moved.await, UNAUTHENTIC, "{index} in slot {slot}");
            cases.one();
        }
    }
    // A message with nothing in it, a second Hello, anything before the first.
    for place in 0..count {
        let mut peer = stand.connect().await;
        let steps = peer.messages(&image.with_fresh_id());
        peer.send_all(steps[..place].to_vec()).await;
        peer.send_message(SessionRequest { step: None }).await;
        assert_eq!(peer.reason().await, UNAUTHENTIC, "an empty message at {place}");
        cases.one();
    }
    let mut peer = stand.connect().await;
    peer.hello(1, 1, vec![0; 1_280]).await;
    assert_eq!(peer.reason().await, UNAUTHENTIC);
    cases.one();
    let mut made = stand.connect().await;
    for step in made.messages(&image) {
        let mut peer = stand.dial().await;
        peer.send(step).await;
        assert_eq!(peer.reason().await, UNAUTHENTIC, "before any Hello");
        cases.one();
    }
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n08_a_segment_after_the_last_undoes_nothing() {
    let mut cases = Cases::of("n08_a_segment_after_the_last_undoes_nothing");
    let mut stand = Stand::start().await;
    let mut peer = stand.connect().await;
    let image = honest();
    let steps = peer.messages(&image);
    let again = steps[2].clone();
    peer.send_all(steps).await;
    assert_eq!(peer.open_ack().await.verdict(), OpenVerdict::Accepted);
    assert!(peer.receipt().await.error.is_none());
    peer.send(again).await;
    assert_eq!(peer.reason().await, UNAUTHENTIC);
    cases.one();
    assert!(stand.kept().await.images.contains(image.id.as_slice()), "what came whole stays");
    stand.settle().await;
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n07_n08_between_processes() {
    let mut cases = Cases::of("n07_n08_between_processes");
    let mut link = HostileLink::start().await;
    for at in 0..4 {
        for act in [Act::Duplicate, Act::SwapWithNext] {
            // A Hello has no next one before its answer; the last segment twice is a case of its own.
            if at == 3 || (at == 0 && act == Act::SwapWithNext) {
                continue;
            }
            let rule = Rule { way: Way::ToReceiver, at, act: act.clone() };
            let reason = link.rejected("out of order", vec![rule]).await;
            // A second Hello ends the session, sometimes before the image is opened in it; the receiver's reason is kept.
            assert_eq!(reason, UNAUTHENTIC, "{act:?} at {at}");
            cases.one();
        }
    }
    for at in [1, 2] {
        let rule = Rule { way: Way::ToReceiver, at, act: Act::Drop };
        assert_eq!(link.rejected("a lost message", vec![rule]).await, UNAUTHENTIC, "{at} lost");
        cases.one();
    }
    for (at, act) in [(2, Act::Slot(1)), (3, Act::Slot(2)), (3, Act::Last), (2, Act::Slot(9))] {
        let rule = Rule { way: Way::ToReceiver, at, act: act.clone() };
        assert_eq!(link.rejected("a false hint", vec![rule]).await, UNAUTHENTIC, "{act:?} at {at}");
        cases.one();
    }
    // The receiver's answers.
    let rule = Rule { way: Way::ToSender, at: 0, act: Act::Duplicate };
    let reason = link.rejected("an answer twice", vec![rule]).await;
    // The session is over before the image is opened in it, or just after.
    assert_eq!(reason, UNAUTHENTIC);
    cases.one();
    // A small image follows its Open at once: it may have come whole before its sender gave it up.
    link.stand.settle().await;
    link.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n30_wrong_commitment() {
    let mut cases = Cases::of("n30_wrong_commitment");
    let mut stand = Stand::start().await;
    let image = honest();
    // Every bit of it, every Open sealed as it must be: only the commitment is not to its keys.
    for bit in 0..256 {
        let mut peer = stand.connect().await;
        let body = image.with_fresh_id().body();
        let keys = peer.keys().transfer(&body);
        let mut plaintext = open_plaintext(&keys, &body, &image.source);
        plaintext[100 + bit / 8] ^= 1 << (bit % 8);
        let open = peer.open_step(&plaintext);
        peer.send(open).await;
        assert_eq!(peer.reason().await, UNAUTHENTIC, "bit {bit}");
        cases.one();
    }
    // A commitment to the keys of another image, or of another session.
    let mut other = stand.connect().await;
    for foreign in [true, false] {
        let mut peer = stand.connect().await;
        let (body, other_body) = (image.with_fresh_id().body(), image.with_fresh_id().body());
        let keys = if foreign { other.keys().transfer(&body) } else { peer.keys().transfer(&other_body) };
        let open = peer.open_step(&[&body[..], &keys.commitment(), &[0; 32]].concat());
        peer.send(open).await;
        assert_eq!(peer.reason().await, UNAUTHENTIC);
        cases.one();
    }
    // Nor does an Open of another length, or sealed as another kind, pass.
    for length in [0, 1, 99, 100, 163, 165, 1_000] {
        let mut peer = stand.connect().await;
        let open = peer.open_step(&vec![1; length]);
        peer.send(open).await;
        assert_eq!(peer.reason().await, UNAUTHENTIC, "{length} bytes");
        cases.one();
    }
    for kind in [0, 2, 3, 4, 255] {
        let mut peer = stand.connect().await;
        let body = image.with_fresh_id().body();
        let keys = peer.keys().transfer(&body);
        let noise = peer.keys().seal(kind, &open_plaintext(&keys, &body, &image.source)).into();
        peer.send(Step::Open(latentwire_proto::v1::Open { noise })).await;
        assert_eq!(peer.reason().await, UNAUTHENTIC, "kind {kind}");
        cases.one();
    }
    // The receiver tells the sender what it stored: a false content tag is found when Meta comes.
    let mut peer = stand.connect().await;
    let body = image.with_fresh_id().body();
    let keys = peer.keys().transfer(&body);
    let open = peer.open_step(&open_plaintext(&keys, &body, &[9; 32]));
    peer.send(open).await;
    peer.send(peer::meta(&keys, 0, &prost::Message::encode_to_vec(&image.record))).await;
    assert_eq!(peer.reason().await, UNAUTHENTIC);
    cases.one();
    stand.still_sound().await;
}
