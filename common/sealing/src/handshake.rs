//! Key agreement: `Noise_IK_25519_AESGCM_SHA256` with an ephemeral ML-KEM-768 exchange in its two payloads
//! (steps 1 and 2).

use ml_kem::kem::{Decapsulate, Encapsulate, Kem, KeyExport};
use ml_kem::{MlKem768, ml_kem_768};
use rand_core::CryptoRng;
use snow::{Builder, HandshakeState};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::control::{ControlOpener, ControlSealer, control_channel};
use crate::error::CryptoError;
use crate::identity::{PublicKey, Role, SecretKey};
use crate::labels;
use crate::resolver::Resolver;
use crate::transfer::SessionSecrets;
use crate::trust::{TrustEntry, TrustStore};

/// Protocol version in Hello.
pub const PROTOCOL_VERSION: u32 = 1;
/// Cipher suite in Hello: Noise_IK_25519_AESGCM_SHA256 with ML-KEM-768.
pub const SUITE: u32 = 1;
/// Length of Noise message 1: e 32, s 32 + 16, encapsulation key 1,184 + 16.
pub const HELLO_NOISE_BYTES: usize = 1_280;
/// Length of Noise message 2: e 32, ML-KEM ciphertext 1,088 + 16.
pub const REPLY_NOISE_BYTES: usize = 1_136;

const NOISE_NAME: &str = "Noise_IK_25519_AESGCM_SHA256";
const ENCAPSULATION_KEY_BYTES: usize = 1_184;
const KEM_CIPHERTEXT_BYTES: usize = 1_088;

/// Step 1 as it travels: version and suite in clear (bound by the prologue) and Noise message 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// [`PROTOCOL_VERSION`].
    pub version: u32,
    /// [`SUITE`].
    pub suite: u32,
    /// Noise message 1, [`HELLO_NOISE_BYTES`] long.
    pub noise: Vec<u8>,
}

/// The sender's end between Hello and HelloReply.
pub struct Initiator {
    noise: HandshakeState,
    decapsulation_key: ml_kem_768::DecapsulationKey,
    receiver: PublicKey,
}

impl Initiator {
    /// Step 1: writes the Hello for a pinned receiver.
    ///
    /// # Errors
    /// [`CryptoError::WrongRole`] unless `identity` is a sender's and `receiver` a receiver's key;
    /// [`CryptoError::OwnKey`] where both are one key.
    pub fn start<R: CryptoRng + ?Sized>(
        identity: &SecretKey,
        receiver: &PublicKey,
        rng: &mut R,
    ) -> Result<(Self, Hello), CryptoError> {
        expect_role(Role::Sender, identity.role())?;
        expect_role(Role::Receiver, receiver.role())?;
        if identity.public_key().as_bytes() == receiver.as_bytes() {
            return Err(CryptoError::OwnKey);
        }
        let (decapsulation_key, encapsulation_key) = MlKem768::generate_keypair_from_rng(&mut &mut *rng);
        let mut noise = noise_builder(rng)
            .local_private_key(identity.expose_scalar())
            .and_then(|builder| builder.remote_public_key(receiver.as_bytes()))
            .map_err(handshake_error)?
            .prologue(&prologue(PROTOCOL_VERSION, SUITE, receiver))
            .and_then(Builder::build_initiator)
            .map_err(handshake_error)?;
        let mut message = vec![0_u8; HELLO_NOISE_BYTES];
        let written =
            noise.write_message(&encapsulation_key.to_bytes(), &mut message).map_err(handshake_error)?;
        debug_assert_eq!(written, HELLO_NOISE_BYTES, "the layout of message 1 is fixed");
        let hello = Hello { version: PROTOCOL_VERSION, suite: SUITE, noise: message };
        Ok((Self { noise, decapsulation_key, receiver: *receiver }, hello))
    }

    /// Step 2: reads the HelloReply's Noise message; the receiver is authenticated from here on.
    ///
    /// # Errors
    /// [`CryptoError::HandshakeLength`], [`CryptoError::HandshakeAuthentication`] or [`CryptoError::NonContributory`];
    /// all are HANDSHAKE_FAILED.
    pub fn finish(mut self, reply: &[u8]) -> Result<Established, CryptoError> {
        expect_length(REPLY_NOISE_BYTES, reply.len())?;
        let mut payload = Zeroizing::new([0_u8; KEM_CIPHERTEXT_BYTES]);
        let length = self.noise.read_message(reply, payload.as_mut_slice()).map_err(handshake_error)?;
        expect_length(KEM_CIPHERTEXT_BYTES, length)?;
        let ciphertext = ml_kem_768::Ciphertext::try_from(payload.as_slice())
            .map_err(|_| CryptoError::HandshakeAuthentication)?;
        let shared = Zeroizing::new(<[u8; 32]>::from(self.decapsulation_key.decapsulate(&ciphertext)));
        establish(Role::Sender, self.noise, shared, self.receiver)
    }
}

/// The receiver's end after Hello: the peer's key is known, but not yet whether it is allowed.
pub struct Responder {
    noise: HandshakeState,
    encapsulation_key: ml_kem_768::EncapsulationKey,
    peer: PublicKey,
}

impl Responder {
    /// Step 1 at the receiver: reads a Hello. Nothing is kept but this value; nothing is stored for the peer.
    ///
    /// # Errors
    /// [`CryptoError::VersionUnsupported`] for another version or suite; [`CryptoError::WrongRole`] where `identity`
    /// is no receiver's key; [`CryptoError::HandshakeLength`], [`CryptoError::HandshakeAuthentication`],
    /// [`CryptoError::NonContributory`], [`CryptoError::PeerKeyInvalid`], [`CryptoError::EncapsulationKeyInvalid`],
    /// all HANDSHAKE_FAILED on the wire.
    pub fn read<R: CryptoRng + ?Sized>(
        identity: &SecretKey,
        hello: &Hello,
        rng: &mut R,
    ) -> Result<Self, CryptoError> {
        expect_role(Role::Receiver, identity.role())?;
        let Hello { version, suite, ref noise } = *hello;
        if version != PROTOCOL_VERSION || suite != SUITE {
            return Err(CryptoError::VersionUnsupported { version, suite });
        }
        expect_length(HELLO_NOISE_BYTES, noise.len())?;
        let mut state = noise_builder(rng)
            .local_private_key(identity.expose_scalar())
            .map_err(handshake_error)?
            .prologue(&prologue(version, suite, identity.public_key()))
            .and_then(Builder::build_responder)
            .map_err(handshake_error)?;
        let mut payload = [0_u8; ENCAPSULATION_KEY_BYTES];
        let length = state.read_message(noise, &mut payload).map_err(handshake_error)?;
        expect_length(ENCAPSULATION_KEY_BYTES, length)?;
        let peer = state.get_remote_static().ok_or(CryptoError::HandshakeAuthentication)?;
        let peer = <[u8; 32]>::try_from(peer).map_err(|_| CryptoError::PeerKeyInvalid)?;
        let peer = PublicKey::from_bytes(Role::Sender, peer)?;
        if peer.as_bytes() == identity.public_key().as_bytes() {
            return Err(CryptoError::PeerKeyInvalid);
        }
        let encapsulation_key = ml_kem_768::EncapsulationKey::new(&payload.into())
            .map_err(|_| CryptoError::EncapsulationKeyInvalid)?;
        Ok(Self { noise: state, encapsulation_key, peer })
    }

    /// The key that the Hello was written with, for the log; not yet allowed.
    #[must_use]
    pub fn peer(&self) -> &PublicKey {
        &self.peer
    }

    /// Asks the trust store whether this sender may talk to us now.
    ///
    /// # Errors
    /// [`CryptoError::PeerNotAllowed`].
    pub fn authorise(
        self,
        trust: &TrustStore,
        now: OffsetDateTime,
    ) -> Result<AuthorisedResponder, CryptoError> {
        let entry = trust.check(&self.peer, Role::Sender, now)?.clone();
        Ok(AuthorisedResponder { responder: self, entry })
    }
}

/// The receiver's end once the trust store has admitted the peer; only this can reply.
pub struct AuthorisedResponder {
    responder: Responder,
    entry: TrustEntry,
}

impl AuthorisedResponder {
    /// What the trust store says of the peer.
    #[must_use]
    pub fn entry(&self) -> &TrustEntry {
        &self.entry
    }

    /// Step 2: encapsulates, writes Noise message 2 ([`REPLY_NOISE_BYTES`] long) and derives the session.
    ///
    /// The peer's trust entry is handed back beside them.
    ///
    /// # Errors
    /// [`CryptoError::NonContributory`] for a low-order ephemeral key.
    pub fn reply<R: CryptoRng + ?Sized>(
        self,
        rng: &mut R,
    ) -> Result<(Established, Vec<u8>, TrustEntry), CryptoError> {
        let Responder { mut noise, encapsulation_key, peer } = self.responder;
        let (ciphertext, shared) = encapsulation_key.encapsulate_with_rng(rng);
        let shared = Zeroizing::new(<[u8; 32]>::from(shared));
        let mut message = vec![0_u8; REPLY_NOISE_BYTES];
        let written = noise.write_message(&ciphertext, &mut message).map_err(handshake_error)?;
        debug_assert_eq!(written, REPLY_NOISE_BYTES, "the layout of message 2 is fixed");
        Ok((establish(Role::Receiver, noise, shared, peer)?, message, self.entry))
    }
}

/// A session: both directions of control messages, and what transfers derive their keys from.
///
/// The three parts are owned apart, so that a writing and a reading task can each have theirs.
pub struct Established {
    /// Seals our control messages, in order.
    pub sealer: ControlSealer,
    /// Opens the peer's control messages, in order.
    pub opener: ControlOpener,
    /// Derives the keys of each transfer (steps 3 and 4).
    pub secrets: SessionSecrets,
    /// The peer's static key.
    pub peer: PublicKey,
}

fn establish(
    role: Role,
    noise: HandshakeState,
    pq_shared_secret: Zeroizing<[u8; 32]>,
    peer: PublicKey,
) -> Result<Established, CryptoError> {
    let mut handshake_hash = [0_u8; 32];
    handshake_hash.copy_from_slice(noise.get_handshake_hash());
    let transport = noise.into_stateless_transport_mode().map_err(handshake_error)?;
    let (sealer, opener) = control_channel(transport);
    let secrets = SessionSecrets::new(role, handshake_hash, pq_shared_secret);
    Ok(Established { sealer, opener, secrets, peer })
}

fn noise_builder<'a, R: CryptoRng + ?Sized>(rng: &mut R) -> Builder<'a> {
    let params = NOISE_NAME.parse().expect("the pattern name is a constant that snow knows");
    Builder::with_resolver(params, Box::new(Resolver::new(rng)))
}

/// `"latentwire/1" ‖ u32be(version) ‖ u32be(suite) ‖ SHA-256(receiver's static key)`.
fn prologue(version: u32, suite: u32, receiver: &PublicKey) -> Vec<u8> {
    [labels::PROLOGUE, &version.to_be_bytes(), &suite.to_be_bytes(), &receiver.id()].concat()
}

fn expect_role(expected: Role, found: Role) -> Result<(), CryptoError> {
    if expected == found { Ok(()) } else { Err(CryptoError::WrongRole { expected, found }) }
}

fn expect_length(expected: usize, found: usize) -> Result<(), CryptoError> {
    if expected == found { Ok(()) } else { Err(CryptoError::HandshakeLength { expected, found }) }
}

fn handshake_error(error: snow::Error) -> CryptoError {
    if error == snow::Error::Dh { CryptoError::NonContributory } else { CryptoError::HandshakeAuthentication }
}
