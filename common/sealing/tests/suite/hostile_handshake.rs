//! Hostile handshakes and control messages: every one fails closed.

use latentwire_sealing::resolver::Resolver;
use latentwire_sealing::{
    ControlKind, CryptoError, HELLO_NOISE_BYTES, Hello, Initiator, MAX_CONTROL_BYTES, PROTOCOL_VERSION,
    PeerRefusal, PublicKey, REPLY_NOISE_BYTES, Responder, Role, SUITE, SecretKey, TrustStore, WireReason,
};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState};
use x25519_dalek::StaticSecret;

use crate::keys::LOW_ORDER_POINTS;
use crate::support::{Pair, ScriptedRng, now, system_rng};

const NOISE: &str = "Noise_IK_25519_AESGCM_SHA256";

fn start(pair: &Pair) -> (Initiator, Hello) {
    Initiator::start(&pair.sender, pair.receiver.public_key(), &mut system_rng()).expect("roles fit")
}

fn read(pair: &Pair, hello: &Hello) -> Result<Responder, CryptoError> {
    Responder::read(&pair.receiver, hello, &mut system_rng())
}

fn reply(pair: &Pair, hello: &Hello) -> Vec<u8> {
    let responder = read(pair, hello).expect("honest hello").authorise(&pair.trust, now()).expect("pinned");
    responder.reply(&mut system_rng()).expect("honest hello").1
}

/// The precise cause, after a check that the wire learns only that the handshake failed.
fn refused<T>(result: Result<T, CryptoError>) -> CryptoError {
    let error = result.err().expect("a hostile handshake");
    assert_eq!(error.wire_reason(), WireReason::HandshakeFailed, "{error}");
    error
}

fn prologue(version: u32, suite: u32, receiver: &PublicKey) -> Vec<u8> {
    [b"latentwire/1".as_slice(), &version.to_be_bytes(), &suite.to_be_bytes(), &receiver.id()].concat()
}

/// The scalar behind a key, by way of its text: what a thief of the key file holds.
fn stolen_scalar(key: &SecretKey) -> [u8; 32] {
    let (_, payload) = bech32::decode(&key.to_text()).expect("our own text");
    payload[1..].try_into().expect("33 bytes")
}

/// A Noise initiator outside our API, so that it can lie.
fn raw_initiator(
    resolver: Box<dyn CryptoResolver + Send>,
    scalar: &[u8; 32],
    receiver: &PublicKey,
    prologue: &[u8],
) -> HandshakeState {
    Builder::with_resolver(NOISE.parse().expect("a pattern"), resolver)
        .local_private_key(scalar)
        .and_then(|builder| builder.remote_public_key(receiver.as_bytes()))
        .and_then(|builder| builder.prologue(prologue))
        .and_then(Builder::build_initiator)
        .expect("all keys are there")
}

fn raw_hello(state: &mut HandshakeState, payload: &[u8]) -> Hello {
    let mut noise = vec![0; 65_535];
    let length = state.write_message(payload, &mut noise).expect("the first turn");
    noise.truncate(length);
    Hello { version: PROTOCOL_VERSION, suite: SUITE, noise }
}

fn honest_resolver() -> Box<dyn CryptoResolver + Send> {
    Box::new(Resolver::new(&mut system_rng()))
}

#[test]
fn wrong_receiver_static() {
    let (pair, other) = (Pair::new(), Pair::new());
    let (_, hello) =
        Initiator::start(&pair.sender, other.receiver.public_key(), &mut system_rng()).expect("roles fit");
    assert_eq!(refused(read(&pair, &hello)), CryptoError::HandshakeAuthentication);
}

#[test]
fn impostor_of_the_receiver_cannot_reply() {
    let pair = Pair::new();
    let (initiator, hello) = start(&pair);
    let impostor = Pair { receiver: SecretKey::generate(Role::Receiver, &mut system_rng()), ..Pair::new() };
    refused(read(&impostor, &hello));
    // It cannot read the Hello, so the best it can do is a reply of another session.
    let (_, other_hello) =
        Initiator::start(&pair.sender, impostor.receiver.public_key(), &mut system_rng()).expect("roles fit");
    let impostor_trusting = Pair { trust: pair.trust.clone(), ..impostor };
    let foreign = reply(&impostor_trusting, &other_hello);
    assert_eq!(refused(initiator.finish(&foreign)), CryptoError::HandshakeAuthentication);
}

#[test]
fn unknown_sender_static() {
    let pair = Pair::new();
    let stranger = SecretKey::generate(Role::Sender, &mut system_rng());
    let (_, hello) =
        Initiator::start(&stranger, pair.receiver.public_key(), &mut system_rng()).expect("roles fit");
    let responder = read(&pair, &hello).expect("well formed");
    assert_eq!(responder.peer(), stranger.public_key());
    let error = responder.authorise(&pair.trust, now()).err().expect("not pinned");
    assert!(matches!(error, CryptoError::PeerNotAllowed { why: PeerRefusal::Unknown, .. }));
    assert_eq!(error.wire_reason(), WireReason::PeerNotAllowed);
}

#[test]
fn revoked_and_expired_senders() {
    let mut pair = Pair::new();
    pair.trust.revoke("clinic", now());
    let (_, hello) = start(&pair);
    let error = read(&pair, &hello).expect("well formed").authorise(&pair.trust, now()).err();
    assert!(matches!(error, Some(CryptoError::PeerNotAllowed { why: PeerRefusal::Revoked, .. })));
}

#[test]
fn a_receivers_key_cannot_initiate() {
    let pair = Pair::new();
    let mut trust = TrustStore::default();
    let double = SecretKey::generate(Role::Receiver, &mut system_rng());
    trust.add(latentwire_sealing::TrustEntry::new("hub", *double.public_key())).expect("a fresh key");
    let receiver = pair.receiver.public_key();
    let mut state =
        raw_initiator(honest_resolver(), &stolen_scalar(&double), receiver, &prologue(1, 1, receiver));
    let hello = raw_hello(&mut state, &encapsulation_key());
    let error =
        read(&pair, &hello).expect("well formed").authorise(&trust, now()).err().expect("a receiver's key");
    assert!(matches!(error, CryptoError::PeerNotAllowed { why: PeerRefusal::Role, .. }));
}

#[test]
fn the_receivers_own_key_cannot_initiate() {
    let pair = Pair::new();
    let receiver = pair.receiver.public_key();
    let own = stolen_scalar(&pair.receiver);
    let mut state = raw_initiator(honest_resolver(), &own, receiver, &prologue(1, 1, receiver));
    let hello = raw_hello(&mut state, &encapsulation_key());
    assert_eq!(refused(read(&pair, &hello)), CryptoError::PeerKeyInvalid);
}

/// A valid encapsulation key, from a fixed seed.
fn encapsulation_key() -> Vec<u8> {
    use ml_kem::kem::{FromSeed, KeyExport};
    let (_, key) = ml_kem::MlKem768::from_seed(&[7; 64].into());
    key.to_bytes().to_vec()
}

#[test]
fn every_bit_of_message_1() {
    let pair = Pair::new();
    let (_, hello) = start(&pair);
    assert_eq!(hello.noise.len(), HELLO_NOISE_BYTES);
    read(&pair, &hello).expect("honest hello");
    for bit in 0..hello.noise.len() * 8 {
        let mut changed = hello.clone();
        changed.noise[bit / 8] ^= 1 << (bit % 8);
        refused(read(&pair, &changed));
    }
}

#[test]
fn every_bit_of_message_2() {
    let pair = Pair::new();
    let draws: Vec<u8> = (0..96).collect();
    let again = || {
        let mut rng = ScriptedRng::new(&[&draws]);
        Initiator::start(&pair.sender, pair.receiver.public_key(), &mut rng).expect("roles fit")
    };
    let (initiator, hello) = again();
    let honest = reply(&pair, &hello);
    assert_eq!(honest.len(), REPLY_NOISE_BYTES);
    initiator.finish(&honest).expect("honest reply");
    for bit in 0..honest.len() * 8 {
        let mut changed = honest.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        refused(again().0.finish(&changed));
    }
}

#[test]
fn every_other_length() {
    let pair = Pair::new();
    let (_, hello) = start(&pair);
    for length in (0..HELLO_NOISE_BYTES).chain([HELLO_NOISE_BYTES + 1, 65_535, 1 << 20]) {
        let mut cut = hello.clone();
        cut.noise.resize(length, 0);
        assert!(matches!(refused(read(&pair, &cut)), CryptoError::HandshakeLength { .. }));
    }
    for length in [0, 1, 32, 48, REPLY_NOISE_BYTES - 1, REPLY_NOISE_BYTES + 1, 65_535] {
        let (initiator, hello) = start(&pair);
        let mut cut = reply(&pair, &hello);
        cut.resize(length, 0);
        assert!(matches!(refused(initiator.finish(&cut)), CryptoError::HandshakeLength { .. }));
    }
}

#[test]
fn other_versions_and_suites() {
    let pair = Pair::new();
    let (_, hello) = start(&pair);
    for (version, suite) in [(0, 1), (2, 1), (1, 0), (1, 2), (u32::MAX, u32::MAX)] {
        let other = Hello { version, suite, ..hello.clone() };
        let error = read(&pair, &other).err().expect("unknown");
        assert_eq!(error, CryptoError::VersionUnsupported { version, suite });
        assert_eq!(error.wire_reason(), WireReason::VersionUnsupported);
    }
}

#[test]
fn the_prologue_binds_version_suite_and_receiver() {
    let pair = Pair::new();
    let receiver = pair.receiver.public_key();
    let scalar = stolen_scalar(&pair.sender);
    let payload = encapsulation_key();
    let good = prologue(1, 1, receiver);
    let hello = raw_hello(&mut raw_initiator(honest_resolver(), &scalar, receiver, &good), &payload);
    read(&pair, &hello).expect("the same prologue by hand");
    let other = Pair::new();
    let bad = [
        prologue(2, 1, receiver),
        prologue(1, 2, receiver),
        prologue(1, 1, other.receiver.public_key()),
        b"latentwire/1".to_vec(),
        Vec::new(),
    ];
    for prologue in bad {
        let hello = raw_hello(&mut raw_initiator(honest_resolver(), &scalar, receiver, &prologue), &payload);
        assert_eq!(refused(read(&pair, &hello)), CryptoError::HandshakeAuthentication);
    }
}

#[test]
fn stripped_or_invalid_ml_kem_keys() {
    let pair = Pair::new();
    let receiver = pair.receiver.public_key();
    let scalar = stolen_scalar(&pair.sender);
    let good = encapsulation_key();
    let with = |payload: &[u8]| {
        let mut state = raw_initiator(honest_resolver(), &scalar, receiver, &prologue(1, 1, receiver));
        read(&pair, &raw_hello(&mut state, payload))
    };
    with(&good).expect("a valid key");
    for length in [0, 32, 800, 1_183, 1_185, 1_568] {
        let mut other = good.clone();
        other.resize(length, 1);
        assert!(matches!(refused(with(&other)), CryptoError::HandshakeLength { .. }), "{length}");
    }
    // A coefficient of q = 3,329 or more fails FIPS 203's modulus check, wherever it stands.
    for place in [0, 3, 600, 1_149] {
        let mut other = good.clone();
        (other[place], other[place + 1]) = (0xff, 0xff);
        assert_eq!(refused(with(&other)), CryptoError::EncapsulationKeyInvalid, "{place}");
    }
    let mut just_q = good.clone();
    (just_q[0], just_q[1]) = (0x01, (just_q[1] & 0xf0) | 0x0d);
    assert_eq!(refused(with(&just_q)), CryptoError::EncapsulationKeyInvalid);
}

#[test]
fn low_order_points_as_static_and_ephemeral() {
    let pair = Pair::new();
    let receiver = pair.receiver.public_key();
    let payload = encapsulation_key();
    for text in LOW_ORDER_POINTS {
        let point: [u8; 32] = hex::decode(text).expect("hex").try_into().expect("32 bytes");
        for place in [Place::Static, Place::Ephemeral] {
            let liar = Liar::new(place, Lie { shown: point, known: None });
            let mut state = raw_initiator(Box::new(liar), &[5; 32], receiver, &prologue(1, 1, receiver));
            let error = refused(read(&pair, &raw_hello(&mut state, &payload)));
            assert_eq!(error, CryptoError::NonContributory, "{text}");
        }
    }
}

#[test]
fn low_order_ephemeral_of_the_receiver() {
    let pair = Pair::new();
    for text in LOW_ORDER_POINTS {
        let point: [u8; 32] = hex::decode(text).expect("hex").try_into().expect("32 bytes");
        let (initiator, hello) = start(&pair);
        let liar = Liar::new(Place::Ephemeral, Lie { shown: point, known: None });
        let (scalar, bound) = (stolen_scalar(&pair.receiver), prologue(1, 1, pair.receiver.public_key()));
        let mut state = Builder::with_resolver(NOISE.parse().expect("a pattern"), Box::new(liar))
            .local_private_key(&scalar)
            .and_then(|builder| builder.prologue(&bound))
            .and_then(Builder::build_responder)
            .expect("all keys are there");
        let mut payload = vec![0; 2_000];
        state.read_message(&hello.noise, &mut payload).expect("honest hello");
        let mut message = vec![0; REPLY_NOISE_BYTES];
        state.write_message(&[1; 1_088], &mut message).expect("its turn");
        assert_eq!(refused(initiator.finish(&message)), CryptoError::NonContributory, "{text}");
    }
}

#[test]
fn a_stolen_receiver_key_does_not_impersonate_senders() {
    // The thief computes es and ss of message 1 with the receiver's scalar, but never se (KCI resistance from message 2 on).
    let pair = Pair::new();
    let receiver = pair.receiver.public_key();
    let victim = *pair.sender.public_key().as_bytes();
    let lie = Lie { shown: victim, known: Some((*receiver.as_bytes(), stolen_scalar(&pair.receiver))) };
    let liar = Liar::new(Place::Static, lie);
    let mut state = raw_initiator(Box::new(liar), &[5; 32], receiver, &prologue(1, 1, receiver));
    let hello = raw_hello(&mut state, &encapsulation_key());
    let responder = read(&pair, &hello).expect("message 1 alone can be forged: nothing may hang on it");
    assert_eq!(responder.peer(), pair.sender.public_key());
    let message = responder
        .authorise(&pair.trust, now())
        .and_then(|responder| responder.reply(&mut system_rng()))
        .expect("the receiver cannot know yet")
        .1;
    assert_eq!(state.read_message(&message, &mut [0; 2_000]), Err(snow::Error::Decrypt));
}

#[test]
fn reflection_and_replay() {
    let pair = Pair::new();
    let (initiator, hello) = start(&pair);
    refused(initiator.finish(&hello.noise));
    let (initiator, _) = start(&pair);
    refused(initiator.finish(&hello.noise[..REPLY_NOISE_BYTES]));

    // A replayed Hello is answered, but nothing of the first session opens in the second.
    let (initiator, hello) = start(&pair);
    let first = read(&pair, &hello).and_then(|r| r.authorise(&pair.trust, now())).expect("pinned");
    let (_, first_reply, _) = first.reply(&mut system_rng()).expect("honest hello");
    let mut here = initiator.finish(&first_reply).expect("honest reply");
    let message = here.sealer.seal(ControlKind::Open, b"recorded").expect("short");
    let second = read(&pair, &hello).and_then(|r| r.authorise(&pair.trust, now())).expect("pinned");
    let (mut there, _, _) = second.reply(&mut system_rng()).expect("honest hello");
    assert!(there.opener.open(ControlKind::Open, &message).is_err());
}

#[test]
fn control_messages_changed_moved_or_mislabelled() {
    let pair = Pair::new();
    let text = b"0123456789";
    let (mut here, mut there) = pair.session();
    let messages: Vec<Vec<u8>> =
        (0..3).map(|_| here.sealer.seal(ControlKind::Open, text).expect("short")).collect();
    let closed = |result: Result<_, CryptoError>| {
        let error: CryptoError = Result::<zeroize::Zeroizing<Vec<u8>>, _>::err(result).expect("hostile");
        assert_eq!(error.wire_reason(), WireReason::PayloadAuthenticationFailed);
        error
    };
    for bit in 0..messages[0].len() * 8 {
        let mut changed = messages[0].clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        closed(there.opener.open(ControlKind::Open, &changed));
    }
    for length in 0..messages[0].len() {
        closed(there.opener.open(ControlKind::Open, &messages[0][..length]));
    }
    closed(there.opener.open(ControlKind::Open, &vec![0; 65_536]));
    closed(there.opener.open(ControlKind::Open, &messages[1]));
    closed(here.opener.open(ControlKind::Open, &messages[0]));
    assert_eq!(there.opener.open(ControlKind::Open, &messages[0]).expect("in order").as_slice(), text);
    closed(there.opener.open(ControlKind::Open, &messages[0]));
    closed(there.opener.open(ControlKind::Open, &messages[2]));
    for kind in [ControlKind::OpenAck, ControlKind::NeedExact, ControlKind::Receipt] {
        let message = there.sealer.seal(kind, text).expect("short");
        let position = match closed(here.opener.open(ControlKind::Open, &message)) {
            CryptoError::ControlKind { position } => position,
            other => panic!("{other}"),
        };
        assert!(position < 3);
    }
    assert!(here.sealer.seal(ControlKind::Open, &vec![0; MAX_CONTROL_BYTES]).is_ok());
    let too_long = here.sealer.seal(ControlKind::Open, &vec![0; MAX_CONTROL_BYTES + 1]);
    assert!(matches!(too_long, Err(CryptoError::ControlTooLong { .. })));
}

/// Which of its keys a liar lies about.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Static,
    Ephemeral,
}

/// What it shows as its public key, and a (peer key, scalar) with which it can compute the result after all.
#[derive(Clone)]
struct Lie {
    shown: [u8; 32],
    known: Option<([u8; 32], [u8; 32])>,
}

/// A resolver like ours whose static or ephemeral key shows a point of its choice.
struct Liar {
    honest: Resolver,
    place: Place,
    lie: Lie,
    resolved: std::cell::Cell<u32>,
}

impl Liar {
    fn new(place: Place, lie: Lie) -> Self {
        Self { honest: Resolver::new(&mut system_rng()), place, lie, resolved: std::cell::Cell::new(0) }
    }
}

impl CryptoResolver for Liar {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        self.honest.resolve_rng()
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        // snow resolves the static key's Diffie-Hellman first, the ephemeral key's second.
        let place = if self.resolved.replace(self.resolved.get() + 1) == 0 {
            Place::Static
        } else {
            Place::Ephemeral
        };
        let honest = self.honest.resolve_dh(choice)?;
        if place != self.place {
            return Some(honest);
        }
        Some(Box::new(LyingDh { honest, lie: self.lie.clone() }))
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        self.honest.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        self.honest.resolve_cipher(choice)
    }
}

struct LyingDh {
    honest: Box<dyn Dh>,
    lie: Lie,
}

impl Dh for LyingDh {
    fn name(&self) -> &'static str {
        self.honest.name()
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, privkey: &[u8]) {
        self.honest.set(privkey);
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        self.honest.generate(rng)
    }

    fn pubkey(&self) -> &[u8] {
        &self.lie.shown
    }

    fn privkey(&self) -> &[u8] {
        self.honest.privkey()
    }

    /// A low-order key's result is zero whatever the peer; a stolen peer scalar gives the true result.
    fn dh(&self, pubkey: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        match &self.lie.known {
            None => {
                out[..32].fill(0);
                Ok(())
            }
            Some((peer, scalar)) if peer == &pubkey[..32] => {
                let shared = StaticSecret::from(*scalar).diffie_hellman(&self.lie.shown.into());
                out[..32].copy_from_slice(shared.as_bytes());
                Ok(())
            }
            Some(_) => self.honest.dh(pubkey, out),
        }
    }
}
