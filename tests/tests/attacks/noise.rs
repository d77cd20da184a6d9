//! `Noise_IK_25519_AESGCM_SHA256` by hand, with every key, point and payload in the test's power: what a liar needs and the
//! product's own handshake does not allow. Written from the Noise specification (revision 34), not from the product.

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

const NAME: &[u8; 28] = b"Noise_IK_25519_AESGCM_SHA256";

pub type Key = [u8; 32];

pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}

pub fn public(secret: &Key) -> Key {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// X25519, zero results included.
pub fn agree(secret: &Key, peer: &Key) -> Key {
    StaticSecret::from(*secret).diffie_hellman(&PublicKey::from(*peer)).to_bytes()
}

pub fn prologue(version: u32, suite: u32, receiver: &Key) -> Vec<u8> {
    let id: Key = Sha256::digest(receiver).into();
    [b"latentwire/1".as_slice(), &version.to_be_bytes(), &suite.to_be_bytes(), &id].concat()
}

pub fn seal(key: &Key, nonce: &[u8; 12], associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let payload = Payload { msg: plaintext, aad: associated };
    Aes256Gcm::new(key.into()).encrypt(nonce.into(), payload).expect("a short text")
}

pub fn open(key: &Key, nonce: &[u8; 12], associated: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let payload = Payload { msg: ciphertext, aad: associated };
    Aes256Gcm::new(key.into()).decrypt(nonce.into(), payload).ok()
}

/// Nonce of a Noise message: 32 zero bits, then the counter.
pub fn counter(position: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&position.to_be_bytes());
    nonce
}

/// Noise's SymmetricState.
#[derive(Clone)]
pub struct Symmetric {
    chain: Key,
    hash: Key,
    key: Option<(Key, u64)>,
}

impl Symmetric {
    pub fn new(prologue: &[u8], receiver: &Key) -> Self {
        let mut name = [0; 32];
        name[..NAME.len()].copy_from_slice(NAME);
        let mut new = Self { chain: name, hash: name, key: None };
        new.mix_hash(prologue);
        new.mix_hash(receiver);
        new
    }

    pub fn mix_hash(&mut self, data: &[u8]) {
        self.hash = Sha256::new().chain_update(self.hash).chain_update(data).finalize().into();
    }

    pub fn mix_key(&mut self, secret: &Key) {
        let (chain, key) = two(&self.chain, secret);
        self.chain = chain;
        self.key = Some((key, 0));
    }

    pub fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let (key, position) = self.key.as_mut().expect("a key was mixed in");
        let sealed = seal(key, &counter(*position), &self.hash, plaintext);
        *position += 1;
        self.mix_hash(&sealed);
        sealed
    }

    pub fn open(&mut self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (key, position) = self.key.as_mut().expect("a key was mixed in");
        let opened = open(key, &counter(*position), &self.hash, sealed)?;
        *position += 1;
        self.mix_hash(sealed);
        Some(opened)
    }

    /// Handshake hash, key from initiator to responder, key back.
    pub fn split(&self) -> (Key, Key, Key) {
        let (there, back) = two(&self.chain, &[]);
        (self.hash, there, back)
    }
}

fn two(chain: &Key, secret: &[u8]) -> (Key, Key) {
    let mut output = [0; 64];
    Hkdf::<Sha256>::new(Some(chain), secret).expand(&[], &mut output).expect("64 bytes are few");
    let (first, second) = output.split_at(32);
    (first.try_into().expect("32 bytes"), second.try_into().expect("32 bytes"))
}

/// What a liar says in message 1 in place of the truth.
#[derive(Clone, Default)]
pub struct Lies {
    /// Prologue of another version, suite or receiver.
    pub prologue: Option<Vec<u8>>,
    /// Shown as the ephemeral key.
    pub ephemeral: Option<Key>,
    /// Shown as the static key.
    pub sender: Option<Key>,
    /// Taken for the results of `es` and of `ss`.
    pub es: Option<Key>,
    pub ss: Option<Key>,
    /// Payload in place of the encapsulation key.
    pub payload: Option<Vec<u8>>,
}

/// The sender's end after message 1.
pub struct Initiator {
    symmetric: Symmetric,
    ephemeral: Key,
    sender: Key,
}

impl Initiator {
    /// Message 1 around this payload.
    pub fn start(sender: &Key, receiver: &Key, payload: &[u8], lies: &Lies) -> (Self, Vec<u8>) {
        let bound = lies.prologue.clone().unwrap_or_else(|| prologue(1, 1, receiver));
        let mut symmetric = Symmetric::new(&bound, receiver);
        let ephemeral = random();
        let shown = lies.ephemeral.unwrap_or_else(|| public(&ephemeral));
        symmetric.mix_hash(&shown);
        let mut message = shown.to_vec();
        symmetric.mix_key(&lies.es.unwrap_or_else(|| agree(&ephemeral, receiver)));
        message.extend(symmetric.seal(&lies.sender.unwrap_or_else(|| public(sender))));
        symmetric.mix_key(&lies.ss.unwrap_or_else(|| agree(sender, receiver)));
        message.extend(symmetric.seal(lies.payload.as_deref().unwrap_or(payload)));
        (Self { symmetric, ephemeral, sender: *sender }, message)
    }

    /// Reads message 2; gives its payload and the keys.
    pub fn finish(mut self, message: &[u8]) -> Option<(Vec<u8>, (Key, Key, Key))> {
        let (shown, payload) = message.split_first_chunk::<32>()?;
        self.symmetric.mix_hash(shown);
        self.symmetric.mix_key(&agree(&self.ephemeral, shown));
        self.symmetric.mix_key(&agree(&self.sender, shown));
        let payload = self.symmetric.open(payload)?;
        Some((payload, self.symmetric.split()))
    }
}

/// The receiver's end after message 1.
pub struct Responder {
    symmetric: Symmetric,
    their_ephemeral: Key,
    pub sender: Key,
    pub payload: Vec<u8>,
}

impl Responder {
    pub fn read(receiver: &Key, message: &[u8]) -> Option<Self> {
        let own = public(receiver);
        let mut symmetric = Symmetric::new(&prologue(1, 1, &own), &own);
        let (their_ephemeral, rest) = message.split_first_chunk::<32>()?;
        symmetric.mix_hash(their_ephemeral);
        symmetric.mix_key(&agree(receiver, their_ephemeral));
        let (sender, payload) = rest.split_at_checked(48)?;
        let sender: Key = symmetric.open(sender)?.try_into().ok()?;
        symmetric.mix_key(&agree(receiver, &sender));
        let payload = symmetric.open(payload)?;
        Some(Self { symmetric, their_ephemeral: *their_ephemeral, sender, payload })
    }

    /// What message 2 holds, if these are the results of `ee` and `se`: the thief of the static keys can only guess.
    pub fn guess(mut self, message: &[u8], ee: &Key, se: &Key) -> Option<Vec<u8>> {
        let (shown, payload) = message.split_first_chunk::<32>()?;
        self.symmetric.mix_hash(shown);
        self.symmetric.mix_key(ee);
        self.symmetric.mix_key(se);
        self.symmetric.open(payload)
    }

    /// Message 2 around this payload; `shown` in place of the ephemeral key, whose results are zero then.
    pub fn reply(mut self, payload: &[u8], shown: Option<Key>) -> (Vec<u8>, (Key, Key, Key)) {
        let ephemeral = random();
        let key = shown.unwrap_or_else(|| public(&ephemeral));
        self.symmetric.mix_hash(&key);
        for peer in [self.their_ephemeral, self.sender] {
            self.symmetric.mix_key(&if shown.is_some() { [0; 32] } else { agree(&ephemeral, &peer) });
        }
        let message = [key.as_slice(), &self.symmetric.seal(payload)].concat();
        (message, self.symmetric.split())
    }
}

#[test]
fn both_ends_by_hand_agree_with_each_other_and_with_the_product() {
    use latentwire_sealing as product;
    let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
    let receiver = product::SecretKey::generate(product::Role::Receiver, &mut rng);
    let sender = product::SecretKey::generate(product::Role::Sender, &mut rng);
    let secret = crate::stand::scalar(&receiver);
    let (_, hello) = product::Initiator::start(&sender, receiver.public_key(), &mut rng).expect("roles fit");
    let responder = Responder::read(&secret, &hello.noise).expect("an honest message 1");
    assert_eq!(&responder.sender, sender.public_key().as_bytes());
    let ours = crate::stand::scalar(&sender);
    let key = crate::peer::encapsulation_key(&[7; 64]).1;
    let (initiator, noise) = Initiator::start(&ours, &public(&secret), &key, &Lies::default());
    let hello = product::Hello { version: 1, suite: 1, noise };
    let theirs = product::Responder::read(&receiver, &hello, &mut rng).expect("our message 1");
    let mut trust = product::TrustStore::default();
    trust.add(product::TrustEntry::new("us", *sender.public_key())).expect("an entry");
    let authorised = theirs.authorise(&trust, time::OffsetDateTime::now_utc()).expect("pinned");
    let (established, reply, _) = authorised.reply(&mut rng).expect("keys");
    let (_, (hash, ..)) = initiator.finish(&reply).expect("their message 2");
    assert_eq!(&hash, established.secrets.handshake_hash());
}
