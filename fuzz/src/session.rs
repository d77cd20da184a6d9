//! An honest session whose every draw is known, so that an input means the same in every run.

use std::{convert::Infallible, sync::LazyLock};

use latentwire_sealing::{
    Established, Hello, Initiator, Responder, Role, SecretKey, SessionSecrets, TrustEntry, TrustStore,
};
use ml_kem::{MlKem768, kem::FromSeed};
use rand_core::{TryCryptoRng, TryRng};
use time::OffsetDateTime;

/// Draws this byte for ever.
pub(crate) struct Constant(pub(crate) u8);

impl TryRng for Constant {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes([self.0; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes([self.0; 8]))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Constant {}

const SENDER: u8 = 0x11;
const RECEIVER: u8 = 0x22;
const SENDER_DRAWS: u8 = 0x33;
const RECEIVER_DRAWS: u8 = 0x44;

/// 21 November 2026.
pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_795_262_400).expect("a constant within range")
}

pub(crate) fn receiver() -> SecretKey {
    SecretKey::generate(Role::Receiver, &mut Constant(RECEIVER))
}

/// Message 1 and message 2 of every session here, made once.
pub(crate) static MESSAGES: LazyLock<(Hello, Vec<u8>)> = LazyLock::new(|| {
    let (_, hello) = hello();
    let (_, reply) = reply(&hello);
    (hello, reply)
});

/// The secrets of one session, (sender, receiver): transfers of them share no state.
pub(crate) static SECRETS: LazyLock<(SessionSecrets, SessionSecrets)> = LazyLock::new(|| {
    let (here, there) = established();
    (here.secrets, there.secrets)
});

/// The sender's first step.
pub(crate) fn hello() -> (Initiator, Hello) {
    let sender = SecretKey::generate(Role::Sender, &mut Constant(SENDER));
    Initiator::start(&sender, receiver().public_key(), &mut Constant(SENDER_DRAWS)).expect("the roles fit")
}

/// The receiver's answer to a Hello.
fn reply(hello: &Hello) -> (Established, Vec<u8>) {
    let mut draws = Constant(RECEIVER_DRAWS);
    let sender = SecretKey::generate(Role::Sender, &mut Constant(SENDER));
    let mut trust = TrustStore::default();
    trust.add(TrustEntry::new("clinic", *sender.public_key())).expect("a fresh key");
    let responder = Responder::read(&receiver(), hello, &mut draws).expect("an honest Hello");
    let responder = responder.authorise(&trust, now()).expect("the sender is pinned");
    let (established, reply, _) = responder.reply(&mut draws).expect("an honest Hello");
    (established, reply)
}

/// Both ends: (sender, receiver).
pub(crate) fn established() -> (Established, Established) {
    let (initiator, hello) = hello();
    let (there, reply) = reply(&hello);
    (initiator.finish(&reply).expect("an honest reply"), there)
}

/// The ML-KEM secret of [`established`], which no end gives away: by FIPS 203 from the fixed seed and message.
pub(crate) fn pq_shared_secret() -> [u8; 32] {
    let (_, encapsulation_key) = MlKem768::from_seed(&[SENDER_DRAWS; 64].into());
    encapsulation_key.encapsulate_deterministic(&[RECEIVER_DRAWS; 32].into()).1.into()
}
