//! Every `25519_AESGCM_SHA256` transcript of the cacophony and snow suites, through our resolver.

use latentwire_sealing::resolver::Resolver;
use serde_json::Value;
use snow::{Builder, HandshakeState, TransportState};

use crate::support::system_rng;

const CACOPHONY: &str = include_str!("../vectors/noise-cacophony-25519-aesgcm-sha256.json");
const SNOW: &str = include_str!("../vectors/noise-snow-25519-aesgcm-sha256.json");

#[test]
fn cacophony() {
    assert_eq!(run_suite(CACOPHONY), (59, 354), "transcripts and messages of the suite");
}

#[test]
fn snow_suite() {
    assert_eq!(run_suite(SNOW), (51, 232), "transcripts and messages of the suite");
}

fn run_suite(text: &str) -> (usize, usize) {
    let suite: Value = serde_json::from_str(text).expect("a vector file");
    let vectors = suite["vectors"].as_array().expect("a list of vectors");
    (vectors.len(), vectors.iter().map(run_transcript).sum())
}

/// Gives the number of messages compared.
fn run_transcript(vector: &Value) -> usize {
    let name = vector["protocol_name"].as_str().expect("a name");
    let one_way = name
        .split('_')
        .nth(1)
        .is_some_and(|pattern| pattern.starts_with(['N', 'K', 'X']) && is_one_way(pattern));
    let mut initiator = End::Handshake(Box::new(build(vector, "init", name)));
    let mut responder = End::Handshake(Box::new(build(vector, "resp", name)));
    let messages = vector["messages"].as_array().expect("messages");
    for (turn, message) in messages.iter().enumerate() {
        let payload = bytes(&message["payload"]);
        let expected = bytes(&message["ciphertext"]);
        let (writer, reader) = if one_way || turn % 2 == 0 {
            (&mut initiator, &mut responder)
        } else {
            (&mut responder, &mut initiator)
        };
        assert_eq!(writer.write(&payload), expected, "{name}, message {turn}");
        assert_eq!(reader.read(&expected), payload, "{name}, message {turn}");
        if let (End::Handshake(state), Some(hash)) = (&initiator, vector["handshake_hash"].as_str())
            && state.is_handshake_finished()
        {
            assert_eq!(hex::encode(state.get_handshake_hash()), hash, "{name}");
        }
        initiator = initiator.advance();
        responder = responder.advance();
    }
    messages.len()
}

/// One-way patterns: N, K, X, with or without modifiers; two-way names have two letters first.
fn is_one_way(pattern: &str) -> bool {
    !pattern[1..].starts_with(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit())
}

enum End {
    Handshake(Box<HandshakeState>),
    Transport(Box<TransportState>),
}

impl End {
    fn write(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut message = vec![0; 65_535];
        let length = match self {
            Self::Handshake(state) => state.write_message(payload, &mut message),
            Self::Transport(state) => state.write_message(payload, &mut message),
        };
        message.truncate(length.expect("the vector's turn"));
        message
    }

    fn read(&mut self, message: &[u8]) -> Vec<u8> {
        let mut payload = vec![0; 65_535];
        let length = match self {
            Self::Handshake(state) => state.read_message(message, &mut payload),
            Self::Transport(state) => state.read_message(message, &mut payload),
        };
        payload.truncate(length.expect("an honest message"));
        payload
    }

    fn advance(self) -> Self {
        match self {
            Self::Handshake(state) if state.is_handshake_finished() => {
                Self::Transport(Box::new(state.into_transport_mode().expect("finished")))
            }
            other => other,
        }
    }
}

fn build(vector: &Value, side: &str, name: &str) -> HandshakeState {
    let field = |what: &str| vector.get(format!("{side}_{what}")).map(bytes);
    let (prologue, fixed_e) = (field("prologue"), field("ephemeral"));
    let (own, remote) = (field("static"), field("remote_static"));
    let psks: Vec<[u8; 32]> = vector
        .get(format!("{side}_psks"))
        .and_then(Value::as_array)
        .map(|list| list.iter().map(|psk| bytes(psk).try_into().expect("32 bytes")).collect())
        .unwrap_or_default();
    let params = name.parse().expect("a protocol name that snow knows");
    let mut builder = Builder::with_resolver(params, Box::new(Resolver::new(&mut system_rng())));
    if let Some(prologue) = &prologue {
        builder = builder.prologue(prologue).expect("set once");
    }
    if let Some(e) = &fixed_e {
        builder = builder.fixed_ephemeral_key_for_testing_only(e);
    }
    if let Some(own) = &own {
        builder = builder.local_private_key(own).expect("set once");
    }
    if let Some(remote) = &remote {
        builder = builder.remote_public_key(remote).expect("set once");
    }
    let places = name
        .split('_')
        .nth(1)
        .expect("a pattern")
        .split("psk")
        .skip(1)
        .map(|place| place.trim_end_matches('+').parse::<u8>().expect("a place"));
    for (place, psk) in places.zip(&psks) {
        builder = builder.psk(place, psk).expect("a place of the pattern");
    }
    match side {
        "init" => builder.build_initiator(),
        _ => builder.build_responder(),
    }
    .expect("the vector gives all keys")
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("hex")).expect("hex")
}
