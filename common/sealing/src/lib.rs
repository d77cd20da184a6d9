//! Bytes ⇄ sealed segments: identities, key agreement, key schedule and authenticated encryption.
//!
//! `docs/PROTOCOL.md` is normative; each module names its step. Pure: no network, clock, file, environment or
//! global generator. Texts, `now` and an RNG ([`rand_core::CryptoRng`]) are handed in.
//!
//! # Dataflow
//!
//! ```text
//!  sender                                                   receiver
//!  Initiator::start(identity, receiver, rng) ── Hello ────► Responder::read(identity, hello, rng)
//!                                                           Responder::authorise(trust, now)
//!  Initiator::finish(reply)  ◄────────────── HelloReply ─── AuthorisedResponder::reply(rng)
//!  Established { sealer, opener, secrets, peer }            Established { sealer, opener, secrets, peer }
//!
//!  secrets.propose(body, ImageSecret, SHA-256(source))
//!    Proposal { open, tags, meta, segments }
//!  sealer.seal(Open, &open) ───────────────── Open ───────► secrets.accept(&opener.open(Open, noise)?)
//!                                                             Acceptance { body, content_tag, tags, meta, segments }
//!  opener.open(OpenAck, noise)  ◄──────────── OpenAck ───── sealer.seal(OpenAck, protobuf)
//!  meta.seal(record) ──────────────────────── Meta ───────► meta.open(ciphertext)
//!  segments.seal(&mut buffer) … finish() ──── Segment ────► segments.open(last, &mut buffer) … finish() → Complete
//!                                                           padding::unpad(Complete, bytes, length, digest)
//!                                                           (unpad_chaos below CHAOS4, join_rows in row mode)
//!  tags_equal(tag, tags.receipt(digest)) ◄─── Receipt ───── sealer.seal(Receipt, protobuf with tags.receipt(digest))
//! ```
//!
//! Types follow the phases: nothing can be replied to before the trust store admitted the peer, a Meta record is sealed
//! once, a transfer without its last segment yields no [`Complete`] and so no bytes.
//!
//! # Example
//!
//! ```
//! use latentwire_sealing::{
//!     ControlKind, Form, ImageSecret, Initiator, InnerLayer, OpenBody, PaddingPolicy, Responder, Role, SecretKey,
//!     TrustEntry, TrustStore, padding,
//! };
//! use getrandom::{SysRng, rand_core::UnwrapErr};
//! use sha2::{Digest, Sha256};
//!
//! # fn main() -> Result<(), latentwire_sealing::CryptoError> {
//! let mut rng = UnwrapErr(SysRng);
//! let now = time::OffsetDateTime::from_unix_timestamp(1_795_262_400).expect("a moment in November 2026");
//! let (sender, receiver) = (SecretKey::generate(Role::Sender, &mut rng), SecretKey::generate(Role::Receiver, &mut rng));
//! let mut trust = TrustStore::default();
//! trust.add(TrustEntry::new("st-elsewhere", *sender.public_key()))?;
//!
//! let (initiator, hello) = Initiator::start(&sender, receiver.public_key(), &mut rng)?;
//! let responder = Responder::read(&receiver, &hello, &mut rng)?.authorise(&trust, now)?;
//! let (mut there, reply, _entry) = responder.reply(&mut rng)?;
//! let mut here = initiator.finish(&reply)?;
//!
//! let coded = b"entropy-coded latent".to_vec();
//! let body = OpenBody {
//!     slot: 0,
//!     transfer_id: [7; 16],
//!     form: Form::Latent,
//!     decoder_digest: [1; 32],
//!     segment_bytes: 65_536,
//!     padded_bytes: padding::padded_length(PaddingPolicy::Padme, coded.len() as u64)?,
//!     padding: PaddingPolicy::Padme,
//!     inner_layer: InnerLayer::None,
//! };
//! let source_sha256 = [2; 32];
//! let mut proposal = here.secrets.propose(&body, ImageSecret::generate(&mut rng), &source_sha256)?;
//! let open = here.sealer.seal(ControlKind::Open, &proposal.open)?;
//! let mut accepted = there.secrets.accept(&there.opener.open(ControlKind::Open, &open)?)?;
//! assert_eq!(accepted.body, body);
//!
//! let mut segment = padding::pad(PaddingPolicy::Padme, coded.clone())?;
//! let position = proposal.segments.seal(&mut segment)?;
//! accepted.segments.open(position.last, &mut segment)?;
//! let complete = accepted.segments.finish()?;
//! let opened = padding::unpad(complete, segment, coded.len() as u64, &Sha256::digest(&coded).into())?;
//! assert_eq!(opened, coded);
//! # Ok(())
//! # }
//! ```
//!
//! # Security
//! Hybrid post-quantum confidentiality between gateways; authentication is not post-quantum; not independently audited.
//! snow's chaining key is not wiped from memory: an accepted residual.

pub mod at_rest;
pub mod chaos;
mod control;
mod error;
mod handshake;
mod identity;
pub mod key_schedule;
mod labels;
mod meta;
mod open_body;
pub mod padding;
pub mod resolver;
mod segment;
mod storage_key;
mod transfer;
mod trust;

pub use chaos::ChaosBytes;
pub use control::{ControlKind, ControlOpener, ControlSealer, MAX_CONTROL_BYTES};
pub use error::{CryptoError, KeyTextProblem, PeerRefusal, WireReason};
pub use handshake::{
    AuthorisedResponder, Established, HELLO_NOISE_BYTES, Hello, Initiator, PROTOCOL_VERSION,
    REPLY_NOISE_BYTES, Responder, SUITE,
};
pub use identity::{Fingerprint, PUBLIC_KEY_PREFIX, PublicKey, Role, SECRET_KEY_PREFIX, SecretKey};
pub use meta::{MAX_META_BYTES, MetaOpener, MetaSealer};
pub use open_body::{
    DEFAULT_SEGMENT_BYTES, Form, ImageSecret, InnerLayer, MAX_PADDED_BYTES, MAX_SEGMENT_BYTES, MAX_SEGMENTS,
    MIN_ROW_BYTES, MIN_SEGMENT_BYTES, OPEN_BODY_BYTES, OpenBody, PaddingPolicy,
};
pub use segment::{
    Complete, SEGMENT_OVERHEAD_BYTES, SegmentOpener, SegmentPlan, SegmentPosition, SegmentSealer,
};
pub use transfer::{Acceptance, OPEN_PLAINTEXT_BYTES, Proposal, SessionSecrets, TransferTags, tags_equal};
pub use trust::{MAX_ENTRIES, MAX_LIVE_KEYS, Standing, TrustEntry, TrustStore};
