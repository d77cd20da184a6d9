//! Opens a transfer at either end (steps 3 and 4): from an [`OpenBody`] to sealers and openers.

use zeroize::Zeroizing;

use crate::error::CryptoError;
use crate::identity::Role;
use crate::key_schedule::{Context, Prk, TransferKeys};
use crate::meta::{MetaOpener, MetaSealer};
use crate::open_body::{ImageSecret, OPEN_BODY_BYTES, OpenBody};
use crate::segment::{SegmentOpener, SegmentPlan, SegmentSealer};

/// Plaintext of an Open: `open_body ‖ commit ‖ content_tag`.
pub const OPEN_PLAINTEXT_BYTES: usize = OPEN_BODY_BYTES + 32 + 32;

/// What a session gives to its transfers: the handshake hash `h` (public) and the ML-KEM shared secret.
///
/// # Security
/// Wiped when dropped; no `Debug`. Methods take `&self`, so it may be shared by tasks in an `Arc`.
pub struct SessionSecrets {
    role: Role,
    handshake_hash: [u8; 32],
    pq_shared_secret: Zeroizing<[u8; 32]>,
}

/// A transfer at the sender: what to send first, and what seals the rest.
pub struct Proposal {
    /// Plaintext of the Open, for [`crate::ControlSealer::seal`] with [`crate::ControlKind::Open`].
    pub open: Zeroizing<Vec<u8>>,
    /// Tags to compare with OpenAck and Receipt.
    pub tags: TransferTags,
    /// Seals the one Meta record.
    pub meta: MetaSealer,
    /// Seals the segments.
    pub segments: SegmentSealer,
}

/// A transfer at the receiver, once its Open has authenticated.
pub struct Acceptance {
    /// What the transfer is; check quota, disk, model and form against it before anything is stored.
    pub body: OpenBody,
    /// The sender's tag over its source file; compare with [`TransferTags::content`] of a stored digest.
    pub content_tag: [u8; 32],
    /// Tags for OpenAck and Receipt.
    pub tags: TransferTags,
    /// Opens the one Meta record.
    pub meta: MetaOpener,
    /// Opens the segments.
    pub segments: SegmentOpener,
}

impl SessionSecrets {
    pub(crate) fn new(role: Role, handshake_hash: [u8; 32], pq_shared_secret: Zeroizing<[u8; 32]>) -> Self {
        Self { role, handshake_hash, pq_shared_secret }
    }

    /// The Noise handshake hash `h`: public, the same at both ends; for audit events.
    #[must_use]
    pub fn handshake_hash(&self) -> &[u8; 32] {
        &self.handshake_hash
    }

    /// Sender: makes the Open of a transfer and everything that seals it.
    ///
    /// # Errors
    /// [`CryptoError::TransferTooLarge`] or [`CryptoError::OpenMalformed`] where `body` breaks a rule;
    /// [`CryptoError::WrongRole`] at the receiver's end.
    pub fn propose(
        &self,
        body: &OpenBody,
        secret: ImageSecret,
        source_sha256: &[u8; 32],
    ) -> Result<Proposal, CryptoError> {
        self.expect_role(Role::Sender)?;
        body.validate()?;
        let encoded = body.encode(&secret);
        let keys = self.derive(encoded.as_slice(), &secret);
        let mut open = Zeroizing::new(Vec::with_capacity(OPEN_PLAINTEXT_BYTES));
        open.extend_from_slice(encoded.as_slice());
        open.extend_from_slice(&keys.commitment());
        open.extend_from_slice(&keys.content_tag(source_sha256));
        let plan = SegmentPlan::new(body)?;
        Ok(Proposal {
            open,
            meta: MetaSealer::new(&keys),
            segments: SegmentSealer::new(keys.share(), plan),
            tags: TransferTags { keys },
        })
    }

    /// Receiver: reads the plaintext of an Open, derives the keys over the bytes as received and compares the
    /// commitment in constant time.
    ///
    /// # Errors
    /// [`CryptoError::OpenMalformed`], [`CryptoError::TransferTooLarge`], [`CryptoError::Commitment`];
    /// [`CryptoError::WrongRole`] at the sender's end.
    pub fn accept(&self, open: &[u8]) -> Result<Acceptance, CryptoError> {
        self.expect_role(Role::Receiver)?;
        if open.len() != OPEN_PLAINTEXT_BYTES {
            return Err(CryptoError::OpenMalformed { what: "an Open has 164 bytes" });
        }
        let mut encoded = Zeroizing::new([0_u8; OPEN_BODY_BYTES]);
        encoded.copy_from_slice(&open[..OPEN_BODY_BYTES]);
        let (commitment, tag) = open[OPEN_BODY_BYTES..].split_at(32);
        let (body, secret) = OpenBody::parse(&encoded)?;
        let keys = self.derive(encoded.as_slice(), &secret);
        if !keys.commits_to(commitment) {
            return Err(CryptoError::Commitment);
        }
        let mut content_tag = [0_u8; 32];
        content_tag.copy_from_slice(tag);
        let plan = SegmentPlan::new(&body)?;
        Ok(Acceptance {
            body,
            content_tag,
            meta: MetaOpener::new(&keys),
            segments: SegmentOpener::new(keys.share(), plan),
            tags: TransferTags { keys },
        })
    }

    fn expect_role(&self, expected: Role) -> Result<(), CryptoError> {
        if self.role == expected {
            Ok(())
        } else {
            Err(CryptoError::WrongRole { expected, found: self.role })
        }
    }

    /// `prk = Extract(salt = h, ikm = ss_pq ‖ image_secret)`, bound to `ctx`.
    fn derive(&self, open_body: &[u8], secret: &ImageSecret) -> TransferKeys {
        Prk::extract(&self.handshake_hash, &[self.pq_shared_secret.as_slice(), secret.0.as_slice()])
            .bind(Context::of_open_body(open_body))
    }
}

/// The tags of one transfer: pseudo-random functions of digests, so that no content hash travels.
///
/// # Security
/// Holds the transfer's secret; wiped when dropped, no `Debug`.
pub struct TransferTags {
    keys: TransferKeys,
}

impl TransferTags {
    /// `ctx` of the transfer: public, for audit events.
    #[must_use]
    pub fn context(&self) -> &[u8; 32] {
        self.keys.context().as_bytes()
    }

    /// Tag over the source file's SHA-256 (Open).
    #[must_use]
    pub fn content(&self, source_sha256: &[u8; 32]) -> [u8; 32] {
        self.keys.content_tag(source_sha256)
    }

    /// Tag over the SHA-256 of the plaintext of the first `resume_index` segments (OpenAck).
    #[must_use]
    pub fn resume(&self, prefix_sha256: &[u8; 32]) -> [u8; 32] {
        self.keys.resume_tag(prefix_sha256)
    }

    /// Tag over the SHA-256 of the coded image as stored (Receipt).
    #[must_use]
    pub fn receipt(&self, stored_sha256: &[u8; 32]) -> [u8; 32] {
        self.keys.receipt_tag(stored_sha256)
    }

    /// Seed of the chaos layer, over the SHA-256 of the coded image.
    #[must_use]
    pub fn chaos_seed(&self, coded_sha256: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        self.keys.chaos_seed(coded_sha256)
    }
}

/// Compares two tags in constant time; false where lengths differ.
#[must_use]
pub fn tags_equal(one: &[u8], other: &[u8]) -> bool {
    use subtle::ConstantTimeEq;
    one.ct_eq(other).into()
}
