//! What the cryptography costs, beside another implementation in the same run; one JSON object. `make crypto-cost` makes a table of it.
//!
//! ```text
//! cargo run --release -p latentwire-sealing --example crypto_cost
//! ```

use std::time::{Duration, Instant};

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce as OtherNonce, UnboundKey};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use latentwire_sealing::at_rest::{self, DataKey};
use latentwire_sealing::{
    ControlKind, CryptoError, Established, Form, ImageSecret, Initiator, InnerLayer, OpenBody, PaddingPolicy,
    Responder, Role, SecretKey, TrustEntry, TrustStore,
};

/// Handshakes of which the median is told.
const HANDSHAKES: usize = 400;
/// Bytes that a pass seals or opens, and passes of which the best is told.
const BYTES: usize = 64 << 20;
const PASSES: usize = 5;
const SEGMENT: usize = 65_536;

fn main() -> Result<(), CryptoError> {
    let (sender_ms, receiver_ms, mut session) = handshakes()?;
    let image = vec![0x5a_u8; BYTES];
    let (mut seal, mut open, mut opening_ms) = (0.0, 0.0, f64::INFINITY);
    for _ in 0..PASSES {
        let pass = transfer(&mut session, &image)?;
        (seal, open) = (pass.seal.max(seal), pass.open.max(open));
        opening_ms = pass.opening_ms.min(opening_ms);
    }
    let (rust_seal, rust_open) = rust_crypto(&image);
    let (other_seal, other_open) = aws_lc(&image);
    let key = DataKey::generate(&mut UnwrapErr(SysRng));
    let (mut rest_seal, mut rest_open) = (0.0, 0.0);
    for _ in 0..PASSES {
        let started = Instant::now();
        let object = at_rest::seal(&mut UnwrapErr(SysRng), &key, &[1; 16], &image)?;
        rest_seal = rate(started.elapsed()).max(rest_seal);
        let started = Instant::now();
        at_rest::open(&key, &[1; 16], &object)?;
        rest_open = rate(started.elapsed()).max(rest_open);
    }
    println!(
        "{{\"handshake_sender_ms\":{sender_ms:.3},\"handshake_receiver_ms\":{receiver_ms:.3},\"open_transfer_ms\":{opening_ms:.3},\
         \"segments_seal\":{seal:.3},\"segments_open\":{open:.3},\"rustcrypto_seal\":{rust_seal:.3},\"rustcrypto_open\":{rust_open:.3},\
         \"awslc_seal\":{other_seal:.3},\"awslc_open\":{other_open:.3},\"rest_seal\":{rest_seal:.3},\"rest_open\":{rest_open:.3}}}"
    );
    Ok(())
}

/// The two ends of a session.
struct Session {
    here: Established,
    there: Established,
}

/// Median milliseconds at the sender and at the receiver, ML-KEM included, and a session.
fn handshakes() -> Result<(f64, f64, Session), CryptoError> {
    let mut rng = UnwrapErr(SysRng);
    let sender = SecretKey::generate(Role::Sender, &mut rng);
    let receiver = SecretKey::generate(Role::Receiver, &mut rng);
    let mut trust = TrustStore::default();
    trust.add(TrustEntry::new("cost", *sender.public_key()))?;
    let now = time::OffsetDateTime::UNIX_EPOCH;
    let (mut at_sender, mut at_receiver) = (Vec::new(), Vec::new());
    let mut session = None;
    for _ in 0..HANDSHAKES {
        let started = Instant::now();
        let (initiator, hello) = Initiator::start(&sender, receiver.public_key(), &mut rng)?;
        let begun = started.elapsed();
        let started = Instant::now();
        let responder = Responder::read(&receiver, &hello, &mut rng)?.authorise(&trust, now)?;
        let (there, reply, _) = responder.reply(&mut rng)?;
        at_receiver.push(started.elapsed());
        let started = Instant::now();
        let here = initiator.finish(&reply)?;
        at_sender.push(begun + started.elapsed());
        session = Some(Session { here, there });
    }
    let session = session.expect("there was a handshake");
    Ok((median_ms(at_sender), median_ms(at_receiver), session))
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// What one transfer showed: GB/s, and what agreeing on its keys takes at both ends.
struct Pass {
    seal: f64,
    open: f64,
    opening_ms: f64,
}

fn transfer(session: &mut Session, image: &[u8]) -> Result<Pass, CryptoError> {
    let body = OpenBody {
        slot: 0,
        transfer_id: [1; 16],
        form: Form::Exact,
        decoder_digest: [0; 32],
        segment_bytes: 65_536,
        padded_bytes: image.len() as u64,
        padding: PaddingPolicy::None,
        inner_layer: InnerLayer::None,
    };
    let Session { here, there } = session;
    let started = Instant::now();
    let secret = ImageSecret::generate(&mut UnwrapErr(SysRng));
    let mut proposal = here.secrets.propose(&body, secret, &[0; 32])?;
    let open = here.sealer.seal(ControlKind::Open, &proposal.open)?;
    let mut accepted = there.secrets.accept(&there.opener.open(ControlKind::Open, &open)?)?;
    let opening_ms = started.elapsed().as_secs_f64() * 1e3;
    let mut segments = segments(image);
    let started = Instant::now();
    for segment in &mut segments {
        proposal.segments.seal(segment)?;
    }
    let seal = rate(started.elapsed());
    proposal.segments.finish()?;
    let count = segments.len();
    let started = Instant::now();
    for (index, segment) in segments.iter_mut().enumerate() {
        accepted.segments.open(index + 1 == count, segment)?;
    }
    let open = rate(started.elapsed());
    accepted.segments.finish()?;
    Ok(Pass { seal, open, opening_ms })
}

/// The library below our segments, under one key, 64 KiB at a time.
fn rust_crypto(image: &[u8]) -> (f64, f64) {
    let cipher = Aes256Gcm::new(&[7; 32].into());
    best(image, |number, segment, sealing| {
        let nonce = Nonce::from(nonce(number));
        let done = if sealing {
            cipher.encrypt_in_place(&nonce, b"", segment)
        } else {
            cipher.decrypt_in_place(&nonce, b"", segment)
        };
        done.expect("its own nonce and key");
    })
}

/// The same by AWS-LC.
fn aws_lc(image: &[u8]) -> (f64, f64) {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).expect("32 bytes"));
    best(image, |number, segment, sealing| {
        let nonce = OtherNonce::assume_unique_for_key(nonce(number));
        if sealing {
            key.seal_in_place_append_tag(nonce, Aad::empty(), segment).expect("short");
        } else {
            let length = key.open_in_place(nonce, Aad::empty(), segment).expect("its own").len();
            segment.truncate(length);
        }
    })
}

fn best(image: &[u8], mut work: impl FnMut(u64, &mut Vec<u8>, bool)) -> (f64, f64) {
    let mut best = (0.0, 0.0);
    for _ in 0..PASSES {
        let mut segments = segments(image);
        let mut pass = |sealing| {
            let started = Instant::now();
            for (number, segment) in (0..).zip(&mut segments) {
                work(number, segment, sealing);
            }
            rate(started.elapsed())
        };
        let (seal, open) = (pass(true), pass(false));
        best = (f64::max(best.0, seal), f64::max(best.1, open));
    }
    best
}

fn segments(image: &[u8]) -> Vec<Vec<u8>> {
    let with_room = |chunk: &[u8]| {
        let mut segment = Vec::with_capacity(SEGMENT + 16);
        segment.extend_from_slice(chunk);
        segment
    };
    image.chunks(SEGMENT).map(with_room).collect()
}

fn nonce(number: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    nonce
}

/// GB/s.
#[expect(clippy::cast_precision_loss, reason = "64 MiB")]
fn rate(took: Duration) -> f64 {
    BYTES as f64 / took.as_secs_f64() / 1e9
}
