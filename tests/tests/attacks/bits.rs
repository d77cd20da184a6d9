//! Every bit of a small whole transcript, in both directions: N9.

use std::{collections::VecDeque, convert::Infallible};

use getrandom::{
    SysRng,
    rand_core::{TryCryptoRng, TryRng, UnwrapErr},
};
use latentwire_proto::v1::{SessionRequest, session_request::Step, session_response::Step as Answer};
use latentwire_sealing::{
    ControlKind, CryptoError, Established, Form, Hello, ImageSecret, Initiator, InnerLayer, OpenBody,
    PaddingPolicy, Responder, Role, SecretKey, TrustEntry, TrustStore, WireReason,
};
use latentwire_tests::proxy::{Act, Rule, Way};
use prost::Message as _;

use crate::{
    cases::Cases,
    noise::random,
    peer::Keys,
    raw::{End, RawCall},
    stand::{HostileLink, Stand, file, honest, sender_reason},
};

const UNAUTHENTIC: &str = "PAYLOAD_AUTHENTICATION_FAILED";
const FAILED: &str = "HANDSHAKE_FAILED";

/// Gives out the same bytes each time it is made, so that a handshake can be begun again.
struct Again(VecDeque<u8>);

impl TryRng for Again {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill_with(|| self.0.pop_front().expect("enough was drawn"));
        Ok(())
    }
}

impl TryCryptoRng for Again {}

/// Every message of the original with one bit turned.
fn flips(original: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..original.len() * 8).map(|bit| {
        let mut changed = original.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    })
}

fn refused<T>(cases: &mut Cases, result: Result<T, CryptoError>, reason: WireReason) {
    let error = result.err().expect("a turned bit was taken");
    assert_eq!(error.wire_reason(), reason, "{error}");
    cases.one();
}

/// The product's own two ends in one thread: tens of thousands of transcripts in seconds.
#[test]
fn n09_every_bit_of_a_transcript() {
    let mut cases = Cases::of("n09_every_bit_of_a_transcript");
    let mut rng = UnwrapErr(SysRng);
    let (sender, receiver) =
        (SecretKey::generate(Role::Sender, &mut rng), SecretKey::generate(Role::Receiver, &mut rng));
    let mut trust = TrustStore::default();
    trust.add(TrustEntry::new("clinic", *sender.public_key())).expect("an entry");
    let draws: [u8; 96] = random();
    let start =
        || Initiator::start(&sender, receiver.public_key(), &mut Again(draws.into())).expect("roles fit");
    let (initiator, hello) = start();
    for noise in flips(&hello.noise) {
        let changed = Hello { noise, ..hello.clone() };
        refused(&mut cases, Responder::read(&receiver, &changed, &mut rng), WireReason::HandshakeFailed);
    }
    for bit in 0..32 {
        for (version, suite) in [(1 ^ 1 << bit, 1), (1, 1 ^ 1 << bit)] {
            let changed = Hello { version, suite, ..hello.clone() };
            refused(
                &mut cases,
                Responder::read(&receiver, &changed, &mut rng),
                WireReason::VersionUnsupported,
            );
        }
    }
    let responder = Responder::read(&receiver, &hello, &mut rng).expect("an honest Hello");
    let responder = responder.authorise(&trust, time::OffsetDateTime::now_utc()).expect("pinned");
    let (there, reply, _) = responder.reply(&mut rng).expect("keys");
    for changed in flips(&reply) {
        refused(&mut cases, start().0.finish(&changed), WireReason::HandshakeFailed);
    }
    let here = initiator.finish(&reply).expect("an honest reply");
    transfer(&mut cases, here, there);
}

/// Open, OpenAck, Meta, two segments and Receipt.
fn transfer(cases: &mut Cases, mut here: Established, mut there: Established) {
    let unauthentic = WireReason::PayloadAuthenticationFailed;
    let body = OpenBody {
        slot: 0,
        transfer_id: random(),
        form: Form::Exact,
        decoder_digest: [0; 32],
        segment_bytes: 1_024,
        padded_bytes: 1_124,
        padding: PaddingPolicy::None,
        inner_layer: InnerLayer::None,
    };
    let secret = ImageSecret::generate(&mut UnwrapErr(SysRng));
    let mut proposal = here.secrets.propose(&body, secret, &[7; 32]).expect("a proposal");
    let sealed = here.sealer.seal(ControlKind::Open, &proposal.open).expect("short");
    for changed in flips(&sealed) {
        refused(cases, there.opener.open(ControlKind::Open, &changed), unauthentic);
    }
    let open = there.opener.open(ControlKind::Open, &sealed).expect("as it was sent");
    for (kind, length) in [(ControlKind::OpenAck, 20), (ControlKind::Receipt, 110)] {
        let sealed = there.sealer.seal(kind, &vec![5; length]).expect("short");
        for changed in flips(&sealed) {
            refused(cases, here.opener.open(kind, &changed), unauthentic);
        }
        here.opener.open(kind, &sealed).expect("as it was sent");
    }
    let accept = || there.secrets.accept(&open).expect("an honest Open");
    let record = proposal.meta.seal(&[3; 120]).expect("a record");
    for changed in flips(&record) {
        refused(cases, accept().meta.open(&changed), unauthentic);
    }
    accept().meta.open(&record).expect("as it was sent");
    let mut segments = Vec::new();
    while let Some(length) = proposal.segments.next_plaintext_bytes() {
        let mut buffer = vec![9; length];
        let position = proposal.segments.seal(&mut buffer).expect("the length that was asked for");
        segments.push((position.last, buffer));
    }
    for (index, (last, ciphertext)) in segments.iter().enumerate() {
        let up_to = || {
            let mut acceptance = accept();
            for (last, ciphertext) in &segments[..index] {
                acceptance.segments.open(*last, &mut ciphertext.clone()).expect("as it was sent");
            }
            acceptance
        };
        for mut changed in flips(ciphertext) {
            let sent = changed.clone();
            refused(cases, up_to().segments.open(*last, &mut changed), unauthentic);
            assert_eq!(changed, sent, "the buffer holds something unauthentic");
        }
        refused(cases, up_to().segments.open(!last, &mut ciphertext.clone()), unauthentic);
    }
}

/// What surrounds the sealed bytes in a message: protobuf's tags and lengths, version, suite, `last`.
fn surroundings(message: &[u8], sealed: usize) -> impl Iterator<Item = usize> + use<> {
    let (head, all) = (message.len() - sealed, message.len());
    assert!(head < 24, "the sealed bytes stand at the end");
    (0..head * 8).filter(move |bit| bit / 8 < all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n09_every_bit_of_the_protobuf_around_it() {
    let mut cases = Cases::of("n09_every_bit_of_the_protobuf_around_it");
    let mut stand = Stand::start().await;
    let mut image = honest();
    image.segment_bytes = 4_096;
    let count = stand.connect().await.messages(&image).len();
    // Hello, Open, Meta, the first and the last segment.
    for place in [0, 1, 2, 3, count] {
        let mut bit = 0;
        loop {
            let mut call = RawCall::begin(stand.receiver.transfer, &[]).await;
            let image = image.with_fresh_id();
            let Some(harmless) = turned(&stand, &mut call, &image, place, bit).await else { break };
            let end = call.end().await;
            let End::Status(_, reason) = &end else { panic!("{end:?}") };
            let stored = stand.kept().await.images.contains(image.id.as_slice());
            if harmless {
                assert!(stored, "bit {bit} of message {place}: another spelling of `true`");
            } else {
                // A Segment's tag and a Cancel's are a bit apart; a Cancel can do no more than the stream's end.
                let cancelled = end == End::Status(0, "no reason: Ok ".to_owned());
                let typed =
                    [UNAUTHENTIC, FAILED, "VERSION_UNSUPPORTED", "TRANSFER_TOO_LARGE", "STREAM_TRUNCATED"];
                assert!(
                    cancelled || typed.contains(&reason.as_str()),
                    "bit {bit} of message {place}: {end:?}"
                );
                assert!(!stored, "bit {bit} of message {place} was taken");
            }
            cases.one();
            bit += 1;
        }
    }
    stand.settle().await;
    stand.still_sound().await;
}

/// Plays a transfer with one bit turned in what surrounds the sealed bytes of one message; None where there is no such bit. Says
/// whether the message means the same as before.
async fn turned(
    stand: &Stand,
    call: &mut RawCall,
    image: &crate::peer::Image,
    place: usize,
    bit: usize,
) -> Option<bool> {
    use crate::{noise::Initiator as ByHand, noise::Lies, peer};
    let (secret, key) = peer::encapsulation_key(&random());
    let (initiator, noise) =
        ByHand::start(&stand.sender_scalar(), stand.public.as_bytes(), &key, &Lies::default());
    let hello = Step::Hello(latentwire_proto::v1::Hello { version: 1, suite: 1, noise: noise.into() });
    let mut harmless = false;
    let mut turn = |step: Step, now: bool| -> Option<Vec<u8>> {
        let message = SessionRequest { step: Some(step) };
        let mut bytes = message.encode_to_vec();
        if now {
            let at = surroundings(&bytes, sealed_bytes(&message)).nth(bit)?;
            bytes[at / 8] ^= 1 << (at % 8);
            harmless = SessionRequest::decode(bytes.as_slice()).is_ok_and(|read| read == message);
        }
        Some(RawCall::message(&bytes))
    };
    call.send(turn(hello, place == 0)?).await;
    if place == 0 {
        call.finish();
        return Some(false);
    }
    let Some(Answer::HelloReply(reply)) = call.answer().await.expect("an answer").step else {
        panic!("no HelloReply")
    };
    let (payload, (hash, there, back)) = initiator.finish(&reply.noise).expect("an honest reply");
    let ciphertext = ml_kem::ml_kem_768::Ciphertext::try_from(payload.as_slice()).expect("1,088 bytes");
    let pq = ml_kem::kem::Decapsulate::decapsulate(&secret, &ciphertext).into();
    let mut keys = Keys { hash, pq, there: (there, 0), back: (back, 0) };
    for (index, step) in (1..).zip(peer::messages(&mut keys, image)) {
        call.send(turn(step, index == place)?).await;
    }
    call.finish();
    Some(harmless)
}

fn sealed_bytes(message: &SessionRequest) -> usize {
    match message.step.as_ref().expect("a step") {
        Step::Hello(hello) => hello.noise.len(),
        Step::Open(open) => open.noise.len(),
        Step::Meta(meta) => meta.ciphertext.len(),
        Step::Segment(segment) => segment.ciphertext.len(),
        Step::Cancel(_) => 0,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n09_bits_between_processes() {
    let mut cases = Cases::of("n09_bits_between_processes");
    let mut link = HostileLink::start().await;
    let bits = if crate::cases::long() { 24 } else { 4 };
    // Hello, Open, Meta, the segment.
    for at in 0..4 {
        for round in 0..bits {
            // Spread over whatever length it has; counted round.
            let act = Act::Flip { bit: round * 7_919 + at };
            let expected = if at == 0 { FAILED } else { UNAUTHENTIC };
            let rule = Rule { way: Way::ToReceiver, at, act };
            assert_eq!(link.rejected("a turned bit", vec![rule]).await, expected, "message {at}");
            cases.one();
        }
    }
    link.still_sound().await;
    // HelloReply, OpenAck, Receipt.
    for at in 0..3 {
        for round in 0..bits {
            let rule = Rule { way: Way::ToSender, at, act: Act::Flip { bit: round * 7_919 + at } };
            if at == 2 {
                link.not_believed(rule).await;
                cases.one();
                continue;
            }
            link.play(vec![rule]).await;
            let status = link.send(random(), file()).await.expect_err("a turned bit of an answer");
            let expected = if at == 0 { FAILED } else { UNAUTHENTIC };
            assert_eq!(sender_reason(&status), expected, "answer {at}");
            cases.one();
        }
        // A small image follows its Open at once: it may have come whole before its sender gave it up.
        link.stand.settle().await;
    }
    link.still_sound().await;
}
