//! Wrong keys, stolen keys, stripped payloads and bad points in the handshake: N1, N2, N12 to N15.

use latentwire_proto::v1::{HelloReply, SessionResponse, session_response::Step as Answer};
use latentwire_tests::{
    Sender, Workplace,
    proxy::{Act, Message, Rule, Way},
};

use crate::{
    cases::Cases,
    noise::{Initiator, Key, Lies, agree, prologue, public, random},
    observer::{Observer, Script},
    peer::{Keys, encapsulation_key},
    stand::{HostileLink, Stand, file, honest, models, send, sender_reason},
};

const FAILED: &str = "HANDSHAKE_FAILED";
const UNAUTHENTIC: &str = "PAYLOAD_AUTHENTICATION_FAILED";
const NOT_ALLOWED: &str = "PEER_NOT_ALLOWED";

/// All points whose result is zero with every key, and their second spellings (RFC 7748, section 6.1).
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn low_order() -> impl Iterator<Item = Key> {
    LOW_ORDER.iter().map(|text| hex::decode(text).expect("hex").try_into().expect("32 bytes"))
}

/// What the receiver says to a message 1 under this key with these lies.
async fn told(stand: &Stand, sender: &Key, lies: &Lies) -> String {
    let (_, key) = encapsulation_key(&random());
    let (_, message) = Initiator::start(sender, stand.public.as_bytes(), &key, lies);
    let mut peer = stand.dial().await;
    peer.hello(1, 1, message).await;
    peer.reason().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n01_wrong_receiver_static() {
    let mut cases = Cases::of("n01_wrong_receiver_static");
    let mut stand = Stand::start().await;
    // Meant for another receiver; or meant for this one, but sealed to another key.
    let own = *stand.public.as_bytes();
    for round in 0..16 {
        let other = public(&random());
        let (_, key) = encapsulation_key(&random());
        let bound = (round % 2 == 0).then(|| prologue(1, 1, &own));
        let lies = Lies { prologue: bound, ..Lies::default() };
        let (_, message) = Initiator::start(&stand.sender_scalar(), &other, &key, &lies);
        let mut peer = stand.dial().await;
        peer.hello(1, 1, message).await;
        assert_eq!(peer.reason().await, FAILED);
        cases.one();
    }
    stand.still_sound().await;

    // A sender process that pins another receiver's key, and one that the address leads astray.
    let other = Workplace::new();
    let astray = Sender::start(&other, stand.receiver.transfer, &["--models", &models()]);
    let status = send(&astray, random(), file()).await.expect_err("another key is pinned");
    assert_eq!(sender_reason(&status), FAILED);
    cases.one();
    stand.still_sound().await;

    // What an impostor can answer to a Hello that he cannot read.
    let mut link = HostileLink::start().await;
    link.play(Vec::new()).await;
    link.send(random(), file()).await.expect("an honest link");
    link.stand.settle().await;
    let recorded = link.proxy.recordings().remove(0).answers.remove(0);
    let Some(Answer::HelloReply(HelloReply { noise })) = &recorded.step else { panic!("no HelloReply") };
    let resized = |length: usize| {
        let mut noise = noise.to_vec();
        noise.resize(length, 7);
        noise
    };
    let mut replies: Vec<Vec<u8>> = vec![noise.to_vec(), random::<1_136>().to_vec(), vec![0; 1_136]];
    replies.extend([0, 1, 32, 48, 1_135, 1_137, 65_535].map(resized));
    for reply in replies {
        let step = Some(Answer::HelloReply(HelloReply { noise: reply.into() }));
        let act = Act::Replace(vec![Message::Answer(SessionResponse { step })]);
        let rule = Rule { way: Way::ToSender, at: 0, act };
        assert_eq!(link.rejected("an impostor's reply", vec![rule]).await, FAILED);
        cases.one();
    }
    link.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n02_wrong_sender_static() {
    let mut cases = Cases::of("n02_wrong_sender_static");
    let workplace = Workplace::new();
    // A key of the receiver's role that somebody has put into the trust store.
    let hub = workplace.generate_key("receiver", "hub.key");
    workplace.trust("hub", &hub);
    let mut stand = Stand::over(workplace, &[]).await;
    let hub = std::fs::read_to_string(stand.workplace.path("hub.key")).expect("a key file");
    let hub = crate::stand::scalar(&latentwire_sealing::SecretKey::from_text(&hub).expect("a key"));
    assert_eq!(told(&stand, &hub, &Lies::default()).await, NOT_ALLOWED);
    cases.one();
    // The receiver's own.
    assert_eq!(told(&stand, &stand.receiver_scalar(), &Lies::default()).await, FAILED);
    cases.one();
    // The trusted sender's public key without its secret: under a secret of one's own, and without any.
    let trusted = *stand.sender.public_key().as_bytes();
    for ss in [None, Some([0; 32]), Some(random())] {
        let lies = Lies { sender: Some(trusted), ss, ..Lies::default() };
        assert_eq!(told(&stand, &random(), &lies).await, FAILED);
        cases.one();
    }
    // The trusted key with any one bit of each byte turned, the second spelling of it among them.
    for byte in 0..32 {
        let mut shown = trusted;
        shown[byte] ^= 0x80;
        let lies = Lies { sender: Some(shown), ..Lies::default() };
        assert_eq!(told(&stand, &stand.sender_scalar(), &lies).await, FAILED);
        cases.one();
    }
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n12_ml_kem_stripped_or_invalid() {
    let mut cases = Cases::of("n12_ml_kem_stripped_or_invalid");
    let mut stand = Stand::start().await;
    let sender = stand.sender_scalar();
    let good = encapsulation_key(&random()).1;
    let with = |payload: Vec<u8>| Lies { payload: Some(payload), ..Lies::default() };
    for length in [0, 1, 32, 800, 1_183, 1_185, 1_568] {
        let mut other = good.clone();
        other.resize(length, 1);
        assert_eq!(told(&stand, &sender, &with(other)).await, FAILED, "{length} bytes");
        cases.one();
    }
    // A coefficient of q = 3,329 or more, wherever it stands (FIPS 203, modulus check).
    for place in (0..1_150).step_by(64).chain([1_149]) {
        let mut other = good.clone();
        (other[place], other[place + 1]) = (0xff, 0xff);
        assert_eq!(told(&stand, &sender, &with(other)).await, FAILED, "at {place}");
        cases.one();
    }
    // Who leaves the ML-KEM secret out of the keys, or takes another, commits to nothing.
    for pq in [[0; 32], random()] {
        let mut peer = stand.connect().await;
        let keys = peer.keys();
        *keys = Keys { pq, ..keys.clone() };
        let steps = peer.messages(&honest());
        peer.send_all(steps).await;
        assert_eq!(peer.reason().await, UNAUTHENTIC);
        cases.one();
    }
    stand.still_sound().await;

    // A receiver that strips it, or answers with a ciphertext of its own.
    let observer = Observer::new(stand.receiver_scalar()).await;
    let sender = Sender::start(&stand.workplace, observer.address, &["--models", &models()]);
    for length in [0, 32, 768, 1_087, 1_089, 1_568] {
        observer.play(Script { payload: Some(vec![1; length]), ..Script::honest() });
        let status = send(&sender, random(), file()).await.expect_err("no ML-KEM ciphertext");
        assert_eq!(sender_reason(&status), FAILED, "{length} bytes");
        cases.one();
    }
    assert_eq!(observer.log().attempts.len(), 0, "an Open came after a handshake that failed");
    observer.play(Script::honest());
    send(&sender, random(), file()).await.expect("an honest receiver");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n13_key_compromise_impersonation() {
    let mut cases = Cases::of("n13_key_compromise_impersonation");
    let mut stand = Stand::start().await;
    let (stolen, victim) = (stand.receiver_scalar(), *stand.sender.public_key().as_bytes());
    let own: Key = random();
    // With the receiver's key the thief computes `ss` and so writes a message 1 of the victim's; message 2 he cannot use.
    for round in 0..12 {
        let (_, key) = encapsulation_key(&random());
        let lies = Lies { sender: Some(victim), ss: Some(agree(&stolen, &victim)), ..Lies::default() };
        let (initiator, message) = Initiator::start(&own, stand.public.as_bytes(), &key, &lies);
        let mut peer = stand.dial().await;
        peer.hello(1, 1, message).await;
        let reply = peer.hello_reply().await.expect("message 1 proves nothing, and is answered");
        assert!(initiator.finish(&reply).is_none(), "the thief has read message 2");
        // All that is left is to guess.
        let guess = match round % 3 {
            0 => [0; 32],
            1 => random(),
            _ => agree(&stolen, &reply[..32].try_into().expect("32 bytes")),
        };
        peer.keys = Some(Keys { hash: random(), pq: guess, there: (guess, 0), back: (guess, 0) });
        let steps = peer.messages(&honest());
        peer.send_all(steps).await;
        assert_eq!(peer.reason().await, UNAUTHENTIC);
        cases.one();
    }
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n14_low_order_points() {
    let mut cases = Cases::of("n14_low_order_points");
    let mut stand = Stand::start().await;
    let zero = Some([0; 32]);
    for point in low_order() {
        let ephemeral = Lies { ephemeral: Some(point), es: zero, ..Lies::default() };
        assert_eq!(told(&stand, &stand.sender_scalar(), &ephemeral).await, FAILED);
        cases.one();
        let sender = Lies { sender: Some(point), ss: zero, ..Lies::default() };
        assert_eq!(told(&stand, &random(), &sender).await, FAILED);
        cases.one();
    }
    stand.still_sound().await;
    let observer = Observer::new(stand.receiver_scalar()).await;
    let sender = Sender::start(&stand.workplace, observer.address, &["--models", &models()]);
    for point in low_order() {
        observer.play(Script { ephemeral: Some(point), ..Script::honest() });
        let status = send(&sender, random(), file()).await.expect_err("a point of low order");
        assert_eq!(sender_reason(&status), FAILED);
        cases.one();
    }
    assert_eq!(observer.log().attempts.len(), 0, "an Open came after a handshake that failed");
    observer.play(Script::honest());
    send(&sender, random(), file()).await.expect("an honest receiver");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n15_unknown_peer() {
    let mut cases = Cases::of("n15_unknown_peer");
    let mut stand = Stand::start().await;
    for _ in 0..24 {
        assert_eq!(told(&stand, &random(), &Lies::default()).await, NOT_ALLOWED);
        cases.one();
    }
    // A stranger's whole transfer: nothing of it is read.
    let mut peer = stand.dial().await;
    let (_, key) = encapsulation_key(&random());
    let (_, message) = Initiator::start(&random(), stand.public.as_bytes(), &key, &Lies::default());
    peer.hello(1, 1, message).await;
    peer.keys = Some(Keys { hash: random(), pq: random(), there: (random(), 0), back: (random(), 0) });
    let steps = peer.messages(&honest());
    peer.send_all(steps).await;
    assert_eq!(peer.reason().await, NOT_ALLOWED);
    cases.one();
    stand.still_sound().await;
    // A stranger's process, which knows the receiver's key.
    stand.workplace.generate_key("sender", "stranger.key");
    let stranger =
        Sender::start_as(&stand.workplace, "stranger.key", stand.receiver.transfer, &["--models", &models()]);
    let status = send(&stranger, random(), file()).await.expect_err("nobody knows him");
    assert_eq!(sender_reason(&status), NOT_ALLOWED);
    cases.one();
    stand.still_sound().await;
}
