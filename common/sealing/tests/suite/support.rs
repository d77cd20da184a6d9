//! What several tests need: sessions, transfers, and generators whose draws are known.

use std::collections::VecDeque;
use std::convert::Infallible;

use getrandom::SysRng;
use getrandom::rand_core::{TryCryptoRng, TryRng, UnwrapErr};
use latentwire_sealing::{
    Acceptance, ControlKind, Established, Form, ImageSecret, Initiator, InnerLayer, OpenBody, PaddingPolicy,
    Proposal, Responder, Role, SecretKey, TrustEntry, TrustStore, padding,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

pub fn system_rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// 21 November 2026.
pub fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_795_262_400).expect("a constant within range")
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Gives out prepared bytes and panics when they run out, so that a test knows every draw.
pub struct ScriptedRng(VecDeque<u8>);

impl ScriptedRng {
    pub fn new(draws: &[&[u8]]) -> Self {
        Self(draws.concat().into())
    }

    pub fn is_spent(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryRng for ScriptedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for byte in dst {
            *byte = self.0.pop_front().expect("the script holds enough bytes");
        }
        Ok(())
    }
}

impl TryCryptoRng for ScriptedRng {}

/// Two identities that trust each other.
pub struct Pair {
    pub sender: SecretKey,
    pub receiver: SecretKey,
    pub trust: TrustStore,
}

impl Pair {
    pub fn new() -> Self {
        let mut rng = system_rng();
        let sender = SecretKey::generate(Role::Sender, &mut rng);
        let receiver = SecretKey::generate(Role::Receiver, &mut rng);
        let mut trust = TrustStore::default();
        trust.add(TrustEntry::new("clinic", *sender.public_key())).expect("a fresh key");
        Self { sender, receiver, trust }
    }

    /// A session: (the sender's end, the receiver's end).
    pub fn session(&self) -> (Established, Established) {
        let mut rng = system_rng();
        let (initiator, hello) =
            Initiator::start(&self.sender, self.receiver.public_key(), &mut rng).expect("roles fit");
        let responder = Responder::read(&self.receiver, &hello, &mut rng).expect("honest hello");
        let responder = responder.authorise(&self.trust, now()).expect("pinned");
        let (there, reply, _) = responder.reply(&mut rng).expect("honest hello");
        (initiator.finish(&reply).expect("honest reply"), there)
    }
}

pub fn body(coded_bytes: u64, segment_bytes: u32, padding: PaddingPolicy) -> OpenBody {
    OpenBody {
        slot: 3,
        transfer_id: [0x42; 16],
        form: Form::Latent,
        decoder_digest: [9; 32],
        segment_bytes,
        padded_bytes: padding::padded_length(padding, coded_bytes).expect("a small transfer"),
        padding,
        inner_layer: InnerLayer::None,
    }
}

/// A transfer of `rows` rows of a raw latent, each of `row_bytes`.
pub fn rows_body(rows: usize, row_bytes: u32) -> OpenBody {
    let all = rows * row_bytes as usize;
    OpenBody { segment_bytes: row_bytes, ..body(all as u64, 1_024, PaddingPolicy::Rows) }
}

/// Bytes that look random and are always the same.
pub fn coded(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i.wrapping_mul(2_654_435_761) >> 7) as u8).collect()
}

/// An Open through both ends of a session.
pub fn open_transfer(
    here: &mut Established,
    there: &mut Established,
    body: &OpenBody,
) -> (Proposal, Acceptance) {
    let proposal = here
        .secrets
        .propose(body, ImageSecret::generate(&mut system_rng()), &[7; 32])
        .expect("a body within its bounds");
    let message = here.sealer.seal(ControlKind::Open, &proposal.open).expect("short");
    let open = there.opener.open(ControlKind::Open, &message).expect("in order");
    let acceptance = there.secrets.accept(&open).expect("the same session");
    (proposal, acceptance)
}

/// Seals a padded image into its segments: (last flag, ciphertext).
pub fn seal_all(proposal: &mut Proposal, padded: &[u8]) -> Vec<(bool, Vec<u8>)> {
    let mut rest = padded;
    let mut sealed = Vec::new();
    while let Some(length) = proposal.segments.next_plaintext_bytes() {
        let (head, tail) = rest.split_at(length);
        let mut buffer = head.to_vec();
        let position = proposal.segments.seal(&mut buffer).expect("the length that was asked for");
        sealed.push((position.last, buffer));
        rest = tail;
    }
    assert!(rest.is_empty(), "the segments hold all of the image");
    sealed
}

/// Opens segments until one fails; gives the plaintext only if the stream was whole.
pub fn open_all(
    mut acceptance: Acceptance,
    segments: &[(bool, Vec<u8>)],
) -> Result<Vec<u8>, latentwire_sealing::CryptoError> {
    let mut padded = Vec::new();
    for (last, ciphertext) in segments {
        let mut buffer = ciphertext.clone();
        acceptance.segments.open(*last, &mut buffer)?;
        padded.extend_from_slice(&buffer);
    }
    acceptance.segments.finish()?;
    Ok(padded)
}
