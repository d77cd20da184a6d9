//! Recorded, reflected and spliced messages: N3, N4, N5, N10.

use latentwire_proto::v1::{Segment, SessionRequest, session_request::Step};
use latentwire_tests::proxy::{Act, Message, Recording, Rule, Way};

use crate::{
    cases::Cases,
    noise::random,
    stand::{HostileLink, Stand, eventually, file, honest, open_sessions},
};

const UNAUTHENTIC: &str = "PAYLOAD_AUTHENTICATION_FAILED";
const FAILED: &str = "HANDSHAKE_FAILED";

/// One honest transfer between the processes, as the link heard it.
async fn recorded(link: &mut HostileLink) -> Recording {
    link.play(Vec::new()).await;
    let _before = link.proxy.recordings();
    link.send(random(), file()).await.expect("an honest image passes");
    link.stand.settle().await;
    let mut recordings = link.proxy.recordings();
    assert_eq!(recordings.len(), 1);
    recordings.remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n03_replay_of_a_whole_transfer() {
    let mut cases = Cases::of("n03_replay_of_a_whole_transfer");
    let mut link = HostileLink::start().await;
    let recording = recorded(&mut link).await;
    assert!(recording.requests.len() >= 4, "Hello, Open, Meta, segments");
    // To the receiver: all of it, and all but its first or last messages.
    for from in 0..recording.requests.len() {
        for to in from + 1..=recording.requests.len() {
            let mut peer = link.stand.dial().await;
            for message in &recording.requests[from..to] {
                peer.send_message(message.clone()).await;
            }
            peer.end();
            let reason = peer.reason().await;
            if (from, to) == (0, 1) {
                // Message 1 alone is answered, and leads nowhere: N4.
                assert_eq!(reason, "the stream ended in order");
            } else {
                assert_eq!(reason, UNAUTHENTIC, "{from}..{to}");
            }
            cases.one();
        }
    }
    // Within a session of the same sender.
    for from in 1..recording.requests.len() {
        let mut peer = link.stand.connect().await;
        for message in &recording.requests[from..] {
            peer.send_message(message.clone()).await;
        }
        assert_eq!(peer.reason().await, UNAUTHENTIC, "from {from} on");
        cases.one();
    }
    link.stand.still_sound().await;
    // To the sender: the receiver's recorded answers, one at a time and all.
    for (at, answer) in recording.answers.iter().enumerate() {
        let old = Message::Answer(answer.clone());
        let rule = Rule { way: Way::ToSender, at, act: Act::Replace(vec![old]) };
        if at == 2 {
            link.not_believed(rule).await;
            cases.one();
            continue;
        }
        link.play(vec![rule]).await;
        let status = link.send(random(), file()).await.expect_err("an old answer is no answer");
        let expected = if at == 0 { FAILED } else { UNAUTHENTIC };
        assert_eq!(crate::stand::sender_reason(&status), expected, "answer {at}");
        cases.one();
        // A small image follows its Open at once: it may have come whole before its sender gave it up.
        link.stand.settle().await;
    }
    link.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n04_replay_of_message_1_alone() {
    let mut cases = Cases::of("n04_replay_of_message_1_alone");
    let mut link = HostileLink::start().await;
    let recording = recorded(&mut link).await;
    let first = &recording.requests[0];
    let sessions = |link: &HostileLink| open_sessions(&link.stand.receiver.service);
    link.proxy.cut();
    eventually("the honest session is over", async || sessions(&link) == 0.0).await;
    let mut replies = Vec::new();
    for _ in 0..40 {
        let mut peer = link.stand.dial().await;
        peer.send_message(first.clone()).await;
        let reply = peer.hello_reply().await.expect("message 1 is answered");
        assert!(!replies.contains(&reply), "two answers under one ephemeral key");
        replies.push(reply);
        cases.one();
    }
    eventually("no state is left of them", async || sessions(&link) == 0.0).await;
    link.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n05_reflection() {
    let mut cases = Cases::of("n05_reflection");
    let mut link = HostileLink::start().await;
    // The sender's own messages, back to it as the answers that are due.
    for (at, expected) in [(0, FAILED), (1, UNAUTHENTIC), (2, UNAUTHENTIC), (3, UNAUTHENTIC)] {
        let rule = Rule { way: Way::ToReceiver, at, act: Act::Reflect };
        assert_eq!(link.rejected("its own message", vec![rule]).await, expected, "message {at}");
        cases.one();
    }
    link.still_sound().await;
    // The receiver's own, back to it as a Hello or an Open.
    let recording = recorded(&mut link).await;
    link.settle().await;
    for at in 0..recording.answers.len() {
        let rule = Rule { way: Way::ToSender, at, act: Act::Reflect };
        if at == 2 {
            link.not_believed(rule).await;
        } else {
            link.play(vec![rule]).await;
            link.send(random(), file()).await.expect_err("the answer never comes");
            link.settle().await;
        }
        cases.one();
    }
    link.still_sound().await;
    // Straight: what the receiver says, said to it in the same session.
    let stand = &mut link.stand;
    let mut peer = stand.connect().await;
    let steps = peer.messages(&honest());
    peer.send(steps[0].clone()).await;
    let answer = peer.answer().await.expect("an OpenAck").step;
    let Some(latentwire_proto::v1::session_response::Step::OpenAck(ack)) = answer else {
        panic!("no OpenAck")
    };
    peer.send(Step::Open(latentwire_proto::v1::Open { noise: ack.noise })).await;
    assert_eq!(peer.reason().await, UNAUTHENTIC);
    cases.one();
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n10_splices() {
    let mut cases = Cases::of("n10_splices");
    let mut stand = Stand::start().await;
    let image = honest();
    // Message i of one session in the place of message i of another, by the same sender, of the same image.
    let count = stand.connect().await.messages(&image).len();
    for index in 0..count {
        let mut donor = stand.connect().await;
        let stolen = donor.messages(&image)[index].clone();
        let mut peer = stand.connect().await;
        let mut steps = peer.messages(&image.with_fresh_id());
        steps[index] = stolen;
        peer.send_all(steps).await;
        assert_eq!(peer.reason().await, UNAUTHENTIC, "message {index} of another session");
        cases.one();
    }
    // Of one transfer in another of the same session: each message after the Open.
    for index in 1..count {
        let mut peer = stand.connect().await;
        let first = peer.messages(&image.with_fresh_id());
        let second = crate::peer::Image { slot: 1, ..image.with_fresh_id() };
        let mut second = peer.messages(&second);
        match (&first[index], &mut second[index]) {
            (Step::Meta(stolen), Step::Meta(meta)) => meta.ciphertext = stolen.ciphertext.clone(),
            (Step::Segment(stolen), Step::Segment(segment)) => segment.ciphertext = stolen.ciphertext.clone(),
            (_, _) => panic!("messages of one kind"),
        }
        peer.send(first[0].clone()).await;
        peer.send_all(second).await;
        assert_eq!(peer.reason().await, UNAUTHENTIC, "message {index} of another transfer");
        cases.one();
    }
    // The head of one image and the tail of another, cut at every segment.
    for cut in 3..count {
        let mut peer = stand.connect().await;
        let first = peer.messages(&image.with_fresh_id());
        let second = peer.messages(&image.with_fresh_id());
        let spliced: Vec<Step> = first[..cut].iter().chain(&second[cut..]).cloned().collect();
        peer.send_all(spliced).await;
        assert_eq!(peer.reason().await, UNAUTHENTIC, "cut at {cut}");
        cases.one();
    }
    stand.still_sound().await;

    // Between the processes: a segment that the link has kept from the transfer before.
    let mut link = HostileLink::start().await;
    let recording = recorded(&mut link).await;
    for (at, request) in recording.requests.iter().enumerate().skip(1) {
        let old: SessionRequest = request.clone();
        for act in
            [Act::Replace(vec![Message::Request(old.clone())]), Act::Inject(vec![Message::Request(old)])]
        {
            let rule = Rule { way: Way::ToReceiver, at, act };
            assert_eq!(link.rejected("an old message", vec![rule]).await, UNAUTHENTIC, "at {at}");
            cases.one();
        }
    }
    let made_up = Segment { slot: 0, last: true, ciphertext: vec![7; 2_000].into() };
    let made_up = Message::Request(SessionRequest { step: Some(Step::Segment(made_up)) });
    let rule = Rule { way: Way::ToReceiver, at: 3, act: Act::Inject(vec![made_up]) };
    assert_eq!(link.rejected("a made-up segment", vec![rule]).await, UNAUTHENTIC);
    cases.one();
    link.still_sound().await;
}
