//! Long-term identities: X25519 keys with one role each, their text forms and fingerprints.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::error::{CryptoError, KeyTextProblem};
use crate::labels;

/// Human-readable part of a secret key's text; the text itself is upper case.
pub const SECRET_KEY_PREFIX: &str = "latentwire-secret-key-";
/// Human-readable part of a public key's text.
pub const PUBLIC_KEY_PREFIX: &str = "latentwire-public-key-";

/// Which end of a session a key may stand at; never both, so nothing can be reflected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// Initiates sessions and sends images.
    Sender = 1,
    /// Answers sessions and receives images.
    Receiver = 2,
}

impl Role {
    /// The byte that stands for the role in a key's text: 1 or 2.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The role behind a byte, if there is one.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Sender),
            2 => Some(Self::Receiver),
            _ => None,
        }
    }

    /// `sender` or `receiver`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Receiver => "receiver",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = KeyTextProblem;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "sender" => Ok(Self::Sender),
            "receiver" => Ok(Self::Receiver),
            _ => Err(KeyTextProblem::Role),
        }
    }
}

/// A long-term X25519 secret key with its role (RFC 7748, section 5).
///
/// # Security
/// Wiped when dropped; no `Debug`, `Clone`, `Serialize` or `PartialEq`.
pub struct SecretKey {
    role: Role,
    scalar: StaticSecret,
    public: PublicKey,
}

impl SecretKey {
    /// Draws a new key for one role.
    ///
    /// # Security
    /// `rng` must be the system's generator, for example `UnwrapErr(SysRng)` of the crate `getrandom`.
    #[must_use]
    pub fn generate<R: CryptoRng + ?Sized>(role: Role, rng: &mut R) -> Self {
        Self::from_scalar(role, StaticSecret::random_from_rng(rng))
    }

    /// Reads a key file's text: blank lines, `#` comments and exactly one `LATENTWIRE-SECRET-KEY-1…` line.
    ///
    /// # Errors
    /// [`CryptoError::KeyText`] where the text is not the one canonical spelling of a secret key.
    pub fn from_text(text: &str) -> Result<Self, CryptoError> {
        let payload = decode_key_text(only_line(text)?, SECRET_KEY_PREFIX, Case::Upper)?;
        let role = Role::from_code(payload[0]).ok_or(KeyTextProblem::Role)?;
        let mut bytes = Zeroizing::new([0_u8; 32]);
        bytes.copy_from_slice(&payload[1..]);
        if bytes.iter().all(|&byte| byte == 0) {
            return Err(KeyTextProblem::WeakKey.into());
        }
        Ok(Self::from_scalar(role, StaticSecret::from(*bytes)))
    }

    /// The key as one line `LATENTWIRE-SECRET-KEY-1…`, without a line end.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        encode_key_text(SECRET_KEY_PREFIX, self.role, self.scalar.as_bytes(), Case::Upper)
    }

    /// Role of the key.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// The 32 scalar bytes, unclamped, for the Noise state machine alone.
    pub(crate) fn expose_scalar(&self) -> &[u8; 32] {
        self.scalar.as_bytes()
    }

    fn from_scalar(role: Role, scalar: StaticSecret) -> Self {
        let public = PublicKey { role, bytes: x25519_dalek::PublicKey::from(&scalar).to_bytes() };
        Self { role, scalar, public }
    }
}

/// A long-term X25519 public key with its role: canonical and of full order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    role: Role,
    bytes: [u8; 32],
}

impl PublicKey {
    /// Takes 32 bytes as they came over the wire or from a store.
    ///
    /// # Errors
    /// [`CryptoError::PeerKeyInvalid`] for a low-order point or a second spelling of a key (u ≥ 2^255 − 19), so that
    /// one key has one fingerprint.
    pub fn from_bytes(role: Role, bytes: [u8; 32]) -> Result<Self, CryptoError> {
        if is_canonical(&bytes) && has_full_order(&bytes) {
            Ok(Self { role, bytes })
        } else {
            Err(CryptoError::PeerKeyInvalid)
        }
    }

    /// Reads a text: blank lines, `#` comments and exactly one `latentwire-public-key-1…` line.
    ///
    /// # Errors
    /// [`CryptoError::KeyText`] where the text is not the one canonical spelling of a public key.
    pub fn from_text(text: &str) -> Result<Self, CryptoError> {
        let payload = decode_key_text(only_line(text)?, PUBLIC_KEY_PREFIX, Case::Lower)?;
        let role = Role::from_code(payload[0]).ok_or(KeyTextProblem::Role)?;
        let mut bytes = [0_u8; 32];
        bytes.copy_from_slice(&payload[1..]);
        Self::from_bytes(role, bytes).map_err(|_| KeyTextProblem::WeakKey.into())
    }

    /// Role of the key.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The 32 bytes of the u-coordinate, little endian.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// What two people read to each other before they pin a key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = Sha256::new().chain_update(labels::FINGERPRINT).chain_update(self.bytes).finalize();
        let mut bytes = [0_u8; 20];
        bytes.copy_from_slice(&digest[..20]);
        Fingerprint(bytes)
    }

    /// `receiver_id` of the prologue: SHA-256 of the 32 key bytes.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        Sha256::digest(self.bytes).into()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&encode_key_text(PUBLIC_KEY_PREFIX, self.role, &self.bytes, Case::Lower))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = CryptoError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_text(text)
    }
}

/// First 20 bytes of `SHA-256("latentwire/1 fingerprint" ‖ public key)`, shown as ten groups of four hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 20]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (group, pair) in self.0.chunks_exact(2).enumerate() {
            let gap = if group == 0 { "" } else { " " };
            write!(f, "{gap}{:02x}{:02x}", pair[0], pair[1])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Letter case of a text form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Upper,
    Lower,
}

/// Bech32m text of `u8(role) ‖ key`.
fn encode_key_text(prefix: &str, role: Role, key: &[u8; 32], case: Case) -> Zeroizing<String> {
    let mut payload = Zeroizing::new([0_u8; 33]);
    payload[0] = role.code();
    payload[1..].copy_from_slice(key);
    encode_text(prefix, payload.as_slice(), case)
}

fn decode_key_text(text: &str, prefix: &str, case: Case) -> Result<Zeroizing<[u8; 33]>, KeyTextProblem> {
    let payload = decode_text(text, prefix, case)?;
    let mut fixed = Zeroizing::new([0_u8; 33]);
    if payload.len() != fixed.len() {
        return Err(KeyTextProblem::NotCanonical);
    }
    fixed.copy_from_slice(&payload);
    Ok(fixed)
}

/// Bech32m text (BIP-350) of a payload, in one case throughout.
pub(crate) fn encode_text(prefix: &str, payload: &[u8], case: Case) -> Zeroizing<String> {
    let hrp = Hrp::parse(prefix).expect("prefixes are constants within bech32's alphabet");
    let text = match case {
        Case::Upper => bech32::encode_upper::<Bech32m>(hrp, payload),
        Case::Lower => bech32::encode_lower::<Bech32m>(hrp, payload),
    };
    Zeroizing::new(text.expect("prefix and payload are far below bech32m's code length"))
}

/// Reads the one canonical spelling of a payload: checksum, prefix, case and padding bits are checked.
pub(crate) fn decode_text(
    text: &str,
    prefix: &str,
    case: Case,
) -> Result<Zeroizing<Vec<u8>>, KeyTextProblem> {
    if text.len() > 200 {
        return Err(KeyTextProblem::NotCanonical);
    }
    let checked = CheckedHrpstring::new::<Bech32m>(text).map_err(|_| KeyTextProblem::Checksum)?;
    let found = checked.hrp().to_lowercase();
    if found != prefix {
        return Err(match found.as_str() {
            PUBLIC_KEY_PREFIX => KeyTextProblem::PublicForSecret,
            SECRET_KEY_PREFIX => KeyTextProblem::SecretForPublic,
            _ => KeyTextProblem::OtherKind,
        });
    }
    let payload: Zeroizing<Vec<u8>> = Zeroizing::new(checked.byte_iter().collect());
    if encode_text(prefix, &payload, case).as_str() == text {
        Ok(payload)
    } else {
        Err(KeyTextProblem::NotCanonical)
    }
}

/// The one line of a key file that is neither blank nor a comment.
pub(crate) fn only_line(text: &str) -> Result<&str, KeyTextProblem> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match (lines.next(), lines.next()) {
        (Some(line), None) => Ok(line),
        _ => Err(KeyTextProblem::NotOneLine),
    }
}

/// True for u < 2^255 − 19, the only spelling that X25519 itself puts out.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let high_is_max = bytes[31] == 0x7f && bytes[1..31].iter().all(|&byte| byte == 0xff);
    bytes[31] < 0x80 && !(high_is_max && bytes[0] >= 0xed)
}

/// True unless the point's order divides 8: the clamped zero scalar is 2^254, a multiple of the cofactor.
fn has_full_order(bytes: &[u8; 32]) -> bool {
    let cofactor_multiple = StaticSecret::from([0_u8; 32]);
    cofactor_multiple.diffie_hellman(&x25519_dalek::PublicKey::from(*bytes)).was_contributory()
}
