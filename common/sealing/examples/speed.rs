//! How long a handshake takes at both ends, and how fast segments are sealed and opened, also below the chaos cipher.
//!
//! `cargo run --profile ci -p latentwire-sealing --example speed`

use std::time::{Duration, Instant};

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use latentwire_sealing::at_rest::{self, DataKey};
use latentwire_sealing::{
    ChaosBytes, ControlKind, CryptoError, Established, Form, ImageSecret, Initiator, InnerLayer, OpenBody,
    PaddingPolicy, Responder, Role, SecretKey, TrustEntry, TrustStore, padding,
};
use sha2::{Digest, Sha256};

const ROUNDS: u32 = 200;
const IMAGE_BYTES: usize = 64 << 20;

fn main() -> Result<(), CryptoError> {
    let mut rng = UnwrapErr(SysRng);
    let sender = SecretKey::generate(Role::Sender, &mut rng);
    let receiver = SecretKey::generate(Role::Receiver, &mut rng);
    let mut trust = TrustStore::default();
    trust.add(TrustEntry::new("speed", *sender.public_key()))?;
    let now = time::OffsetDateTime::UNIX_EPOCH;

    let (mut at_sender, mut at_receiver) = (Duration::ZERO, Duration::ZERO);
    let mut session = None;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let (initiator, hello) = Initiator::start(&sender, receiver.public_key(), &mut rng)?;
        at_sender += started.elapsed();

        let started = Instant::now();
        let responder = Responder::read(&receiver, &hello, &mut rng)?.authorise(&trust, now)?;
        let (there, reply, _) = responder.reply(&mut rng)?;
        at_receiver += started.elapsed();

        let started = Instant::now();
        let here = initiator.finish(&reply)?;
        at_sender += started.elapsed();
        session = Some((here, there));
    }
    let milliseconds = |total: Duration| total.as_secs_f64() * 1e3 / f64::from(ROUNDS);
    println!("handshake, sender    {:7.3} ms", milliseconds(at_sender));
    println!("handshake, receiver  {:7.3} ms", milliseconds(at_receiver));

    let (mut here, mut there) = session.expect("ROUNDS is not zero");
    let image = vec![0x5a_u8; IMAGE_BYTES];
    for segment_bytes in [65_536, 16_384, 1_024] {
        transfer(&mut here, &mut there, &image, segment_bytes)?;
    }

    chaos(&here, &there, &image)?;

    let key = DataKey::generate(&mut rng);
    let started = Instant::now();
    let object = at_rest::seal(&mut rng, &key, &[1; 16], &image)?;
    println!("at rest, seal        {:7.3} GB/s", rate(started));
    let started = Instant::now();
    at_rest::open(&key, &[1; 16], &object)?;
    println!("at rest, open        {:7.3} GB/s", rate(started));
    Ok(())
}

/// Seals and opens one image; prints the rates and the cost of an Open at both ends.
fn transfer(
    here: &mut Established,
    there: &mut Established,
    image: &[u8],
    segment_bytes: u32,
) -> Result<(), CryptoError> {
    let body = OpenBody {
        slot: 0,
        transfer_id: [1; 16],
        form: Form::Exact,
        decoder_digest: [0; 32],
        segment_bytes,
        padded_bytes: image.len() as u64,
        padding: PaddingPolicy::None,
        inner_layer: InnerLayer::None,
    };
    let started = Instant::now();
    let secret = ImageSecret::generate(&mut UnwrapErr(SysRng));
    let mut proposal = here.secrets.propose(&body, secret, &[0; 32])?;
    let open = here.sealer.seal(ControlKind::Open, &proposal.open)?;
    let mut accepted = there.secrets.accept(&there.opener.open(ControlKind::Open, &open)?)?;
    println!("open, both ends      {:7.3} ms", started.elapsed().as_secs_f64() * 1e3);

    let mut segments: Vec<Vec<u8>> =
        image.chunks(segment_bytes as usize).map(|chunk| [chunk, &[0; 16]].concat()).collect();
    segments.iter_mut().for_each(|segment| segment.truncate(segment.len() - 16));
    let started = Instant::now();
    for segment in &mut segments {
        proposal.segments.seal(segment)?;
    }
    println!("seal, {segment_bytes:6} B      {:7.3} GB/s", rate(started));
    proposal.segments.finish()?;

    let count = segments.len();
    let started = Instant::now();
    for (index, segment) in segments.iter_mut().enumerate() {
        accepted.segments.open(index + 1 == count, segment)?;
    }
    println!("open, {segment_bytes:6} B      {:7.3} GB/s", rate(started));
    accepted.segments.finish().map(|_| ())
}

/// What the chaos cipher below the segments costs each end: the four stages, sealing or opening and the digest together.
fn chaos(here: &Established, there: &Established, image: &[u8]) -> Result<(), CryptoError> {
    let body = OpenBody {
        slot: 0,
        transfer_id: [2; 16],
        form: Form::Exact,
        decoder_digest: [0; 32],
        segment_bytes: 65_536,
        padded_bytes: image.len() as u64,
        padding: PaddingPolicy::None,
        inner_layer: InnerLayer::Chaos4,
    };
    let digest = Sha256::digest(image).into();
    let secret = ImageSecret::generate(&mut UnwrapErr(SysRng));
    let mut proposal = here.secrets.propose(&body, secret, &[0; 32])?;
    let mut accepted = there.secrets.accept(&proposal.open)?;
    let started = Instant::now();
    let bytes = ChaosBytes::scramble(image.to_vec(), &proposal.tags, &digest);
    let mut segments = Vec::new();
    while proposal.segments.next_plaintext_bytes().is_some() {
        segments.push(proposal.segments.seal_chaos(&bytes)?);
    }
    println!("chaos4 and seal      {:7.3} GB/s", rate(started));
    let started = Instant::now();
    let mut padded = Vec::with_capacity(image.len());
    for (mut segment, position) in segments {
        accepted.segments.open(position.last, &mut segment)?;
        padded.extend_from_slice(&segment);
    }
    let complete = accepted.segments.finish()?;
    padding::unpad_chaos(complete, padded, image.len() as u64, &digest, &accepted.tags)?;
    println!("open and chaos4      {:7.3} GB/s", rate(started));
    Ok(())
}

fn rate(started: Instant) -> f64 {
    IMAGE_BYTES as f64 / started.elapsed().as_secs_f64() / 1e9
}
