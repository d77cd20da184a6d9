//! Who records the link, and later steals static keys or breaks X25519: three promises of docs/THREAT_MODEL.md, section 2.

use latentwire_proto::v1::{session_request::Step, session_response::Step as Answer};
use latentwire_sealing::key_schedule::{Context, Prk};
use latentwire_tests::{pictures, proxy::Recording};
use prost::Message as _;

use crate::{
    cases::Cases,
    noise::{self, Key, Responder, agree, random},
    peer::{self, segment_nonce},
    stand::{CANARY, HostileLink, Stand, honest, scalar},
};

/// A transfer between the processes, as the link heard it.
async fn recorded(link: &HostileLink, file: Vec<u8>) -> Recording {
    link.play(Vec::new()).await;
    let _before = link.proxy.recordings();
    link.send(random(), file).await.expect("an honest image passes");
    link.proxy.recordings().remove(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tap_sees_no_structure() {
    let link = HostileLink::start().await;
    // A flat picture: what is behind the seal is anything but random.
    for file in [pictures::flat_png(2_000, 1_500, 7), pictures::noise_png(300, 200)] {
        let recording = recorded(&link, file.clone()).await;
        let mut capture = Vec::new();
        let mut sealed = Vec::new();
        for message in &recording.requests {
            capture.extend(message.encode_to_vec());
            match message.step.as_ref().expect("a step") {
                Step::Open(open) => sealed.extend_from_slice(&open.noise),
                Step::Meta(meta) => sealed.extend_from_slice(&meta.ciphertext),
                Step::Segment(segment) => sealed.extend_from_slice(&segment.ciphertext),
                Step::Hello(hello) => sealed.extend_from_slice(&hello.noise),
                Step::Cancel(_) => {}
            }
        }
        for message in &recording.answers {
            capture.extend(message.encode_to_vec());
        }
        for needle in [
            CANARY.as_bytes(),
            b"IHDR",
            b"IDAT",
            b"LWBS",
            &file[60..76],
            link.stand.sender.public_key().as_bytes(),
        ] {
            assert!(
                !capture.windows(needle.len()).any(|window| window == needle),
                "{needle:?} is in the capture"
            );
        }
        // Chi-square over the bytes' frequencies, 255 degrees of freedom: beyond 400 is one chance in a hundred million.
        let mut counts = [0_u32; 256];
        sealed.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
        let expected = sealed.len() as f64 / 256.0;
        let square: f64 = counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
        assert!(square < 400.0, "{} sealed bytes are not spread evenly: {square}", sealed.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stolen_static_keys_open_no_recording() {
    let mut cases = Cases::of("stolen_static_keys_open_no_recording");
    let link = HostileLink::start().await;
    let recording = recorded(&link, crate::stand::file()).await;
    let (receiver, sender) = (link.stand.receiver_scalar(), scalar(&link.stand.sender));
    let Some(Step::Hello(hello)) = &recording.requests[0].step else { panic!("no Hello") };
    let Some(Answer::HelloReply(reply)) = &recording.answers[0].step else { panic!("no HelloReply") };
    // Message 1 opens to the receiver's key: it names the sender, and nothing else.
    let ephemeral: Key = hello.noise[..32].try_into().expect("32 bytes");
    let opened = Responder::read(&receiver, &hello.noise).expect("a stolen key reads message 1");
    assert_eq!(&opened.sender, link.stand.sender.public_key().as_bytes());
    // Message 2 wants `ee`, for which neither static key is any use. Every result that the thief can compute, in every place.
    let other: Key = reply.noise[..32].try_into().expect("32 bytes");
    let computable: Vec<Key> = [&receiver, &sender, &[0; 32]]
        .iter()
        .flat_map(|secret| [&ephemeral, &other].map(|point| agree(secret, point)))
        .chain([[0; 32], agree(&receiver, link.stand.sender.public_key().as_bytes())])
        .collect();
    for ee in &computable {
        for se in &computable {
            let responder = Responder::read(&receiver, &hello.noise).expect("a stolen key reads message 1");
            assert!(responder.guess(&reply.noise, ee, se).is_none(), "message 2 opened");
            cases.one();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_x25519_opens_no_segment() {
    let mut cases = Cases::of("a_broken_x25519_opens_no_segment");
    let mut stand = Stand::start().await;
    let mut session = stand.connect().await;
    let image = honest();
    let body = image.body();
    let keys = session.keys().transfer(&body);
    let open = session.open_step(&peer::open_plaintext(&keys, &body, &image.source));
    session.send(open).await;
    let meta = peer::meta(&keys, 0, &image.record.encode_to_vec());
    session.send(meta.clone()).await;
    let pieces: Vec<&[u8]> = image.coded.chunks(1_024).collect();
    let mut segments = Vec::new();
    for (index, piece) in (0..).zip(&pieces) {
        let step = peer::segment(&keys, 0, index, index as usize + 1 == pieces.len(), piece);
        session.send(step.clone()).await;
        segments.push(step);
    }
    let _ack = session.open_ack().await;
    assert!(session.receipt().await.error.is_none());
    // Everything that X25519 protects is given away: the handshake's keys, and with them the body and its secret. Not the ML-KEM half.
    let known = session.keys().clone();
    for guess in [vec![], vec![0; 32], known.hash.to_vec(), known.there.0.to_vec(), random::<32>().to_vec()] {
        let guessed = Prk::extract(&known.hash, &[&guess, &body[68..]]).bind(Context::of_open_body(&body));
        let context = *guessed.context().as_bytes();
        let Step::Meta(meta) = &meta else { panic!("no Meta") };
        assert!(noise::open(&guessed.meta_key(), &[0; 12], &context, &meta.ciphertext).is_none());
        cases.one();
        for (index, step) in (0..).zip(&segments) {
            let Step::Segment(segment) = step else { panic!("no Segment") };
            // The nonce's prefix is secret too; even with it given away the segment stays closed.
            for prefix in [&guessed, &keys] {
                let nonce = segment_nonce(prefix, index, segment.last);
                let row = guessed.row_key(peer::row_of(index));
                assert!(noise::open(&row, &nonce, &context, &segment.ciphertext).is_none());
            }
            cases.one();
        }
    }
    stand.settle().await;
    stand.still_sound().await;
}
