//! The audit key: its public half seals, its secret half opens and proves.

use std::fmt;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use hpke::kem::XWing;
use hpke::{Deserializable, Kem, Serializable};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::AuditError;

/// Human-readable part of a secret audit key's text; the text itself is upper case.
pub const AUDIT_KEY_PREFIX: &str = "latentwire-audit-key-";
/// What stands before the hexadecimal digits of a public audit key.
const PUBLIC_PREFIX: &str = "latentwire-audit-public-key-1:";
const ID_LABEL: &[u8] = b"latentwire/1 audit key id";
const CHECK_BYTES: usize = 8;

pub(crate) type Kdf = hpke::kdf::HkdfSha256;
pub(crate) type PrivateKey = <XWing as Kem>::PrivateKey;
pub(crate) type PublicKey = <XWing as Kem>::PublicKey;

/// Public id of an audit key: first 16 bytes of `SHA-256("latentwire/1 audit key id" ‖ public key)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 16]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// The secret half: 32 bytes, from which X-Wing derives its keys. It belongs on the auditor's machine.
///
/// # Security
/// Wiped when dropped; no `Debug`, `Clone`, `Serialize` or `PartialEq`.
pub struct AuditKey {
    seed: Zeroizing<[u8; 32]>,
    public: AuditPublicKey,
}

impl AuditKey {
    /// Draws a new key.
    ///
    /// # Panics
    /// The system's generator fails; nothing on such a machine is random.
    #[must_use]
    pub fn generate() -> Self {
        let mut seed = Zeroizing::new([0_u8; 32]);
        getrandom::fill(seed.as_mut_slice()).expect("the system's generator works");
        Self::from_seed(seed)
    }

    /// Reads a key file's text: blank lines, `#` comments and exactly one `LATENTWIRE-AUDIT-KEY-1…` line.
    ///
    /// # Errors
    /// [`AuditError::Key`] where the text is not the one canonical spelling of an audit key.
    pub fn from_text(text: &str) -> Result<Self, AuditError> {
        let line = only_line(text)?;
        if line.starts_with(PUBLIC_PREFIX) {
            return Err(AuditError::Key("this is the public half; the secret one is needed here"));
        }
        let wrong = || AuditError::Key("not a LATENTWIRE-AUDIT-KEY-1… text; a character may be mistyped");
        if line.len() > 200 {
            return Err(wrong());
        }
        let checked = CheckedHrpstring::new::<Bech32m>(line).map_err(|_| wrong())?;
        if checked.hrp().to_lowercase() != AUDIT_KEY_PREFIX {
            return Err(AuditError::Key("this is another kind of key; an audit key is needed here"));
        }
        let payload: Zeroizing<Vec<u8>> = Zeroizing::new(checked.byte_iter().collect());
        let mut seed = Zeroizing::new([0_u8; 32]);
        if payload.len() != seed.len() {
            return Err(wrong());
        }
        seed.copy_from_slice(&payload);
        let key = Self::from_seed(seed);
        if key.to_text().as_str() == line { Ok(key) } else { Err(wrong()) }
    }

    /// The key as one line `LATENTWIRE-AUDIT-KEY-1…`, without a line end.
    ///
    /// # Panics
    /// Never: prefix and length are constants.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let hrp = Hrp::parse(AUDIT_KEY_PREFIX).expect("the prefix is within bech32's alphabet");
        let text = bech32::encode_upper::<Bech32m>(hrp, self.seed.as_slice());
        Zeroizing::new(text.expect("32 bytes are far below bech32m's code length"))
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &AuditPublicKey {
        &self.public
    }

    pub(crate) fn private(&self) -> PrivateKey {
        PrivateKey::from_bytes(self.seed.as_slice()).expect("any 32 bytes are a seed")
    }

    fn from_seed(seed: Zeroizing<[u8; 32]>) -> Self {
        let private = PrivateKey::from_bytes(seed.as_slice()).expect("any 32 bytes are a seed");
        Self { seed, public: AuditPublicKey(XWing::sk_to_pk(&private)) }
    }
}

/// The public half, 1,216 bytes: all that a service needs to write.
#[derive(Clone)]
pub struct AuditPublicKey(pub(crate) PublicKey);

impl AuditPublicKey {
    /// Reads a text: blank lines, `#` comments and exactly one `latentwire-audit-public-key-1:…` line.
    ///
    /// # Errors
    /// [`AuditError::Key`].
    pub fn from_text(text: &str) -> Result<Self, AuditError> {
        let line = only_line(text)?;
        if line.to_lowercase().starts_with(AUDIT_KEY_PREFIX) {
            return Err(AuditError::Key(
                "this is a SECRET audit key; the service needs the public half alone",
            ));
        }
        let wrong =
            || AuditError::Key("not a latentwire-audit-public-key-1:… text; a character may be mistyped");
        let digits = line.strip_prefix(PUBLIC_PREFIX).ok_or_else(wrong)?;
        let bytes = hex::decode(digits).map_err(|_| wrong())?;
        let (key, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or_else(wrong)?;
        let key = Self(PublicKey::from_bytes(key).map_err(|_| wrong())?);
        let right = key.id().0[..CHECK_BYTES] == *check && key.to_string() == line;
        if right { Ok(key) } else { Err(wrong()) }
    }

    /// Public id of the key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let digest = Sha256::new().chain_update(ID_LABEL).chain_update(self.0.to_bytes()).finalize();
        let mut id = [0_u8; 16];
        id.copy_from_slice(&digest[..16]);
        KeyId(id)
    }
}

impl fmt::Display for AuditPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let check = hex::encode(&self.id().0[..CHECK_BYTES]);
        write!(f, "{PUBLIC_PREFIX}{}{check}", hex::encode(self.0.to_bytes()))
    }
}

impl fmt::Debug for AuditPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditPublicKey({})", self.id())
    }
}

/// 32 bytes that are wiped.
pub(crate) type Key = Zeroizing<[u8; 32]>;

/// Takes a key out of its hexadecimal digits, which are wiped.
pub(crate) fn key_from_hex(mut digits: String) -> Option<Key> {
    let mut key = Zeroizing::new([0_u8; 32]);
    let decoded = hex::decode_to_slice(&digits, key.as_mut_slice());
    digits.zeroize();
    decoded.ok().map(|()| key)
}

fn only_line(text: &str) -> Result<&str, AuditError> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match (lines.next(), lines.next()) {
        (Some(line), None) => Ok(line),
        _ => Err(AuditError::Key("expected exactly one line with a key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_read_back_and_typos_do_not() {
        let key = AuditKey::generate();
        let text = key.to_text();
        assert!(text.starts_with("LATENTWIRE-AUDIT-KEY-1"), "{}", &text[..24]);
        let again = AuditKey::from_text(&format!("# a comment\n{}\n", text.as_str())).expect("the same key");
        assert_eq!(again.public_key().id(), key.public_key().id());
        let public = key.public_key().to_string();
        let read = AuditPublicKey::from_text(&public).expect("a public key");
        assert_eq!(read.id(), key.public_key().id());

        let typo = if public.ends_with('0') { '1' } else { '0' };
        let wrong = format!("{}{typo}", &public[..public.len() - 1]);
        assert!(AuditPublicKey::from_text(&wrong).is_err());
        let first = PUBLIC_PREFIX.len();
        let typo = if public.as_bytes()[first] == b'0' { "1" } else { "0" };
        let wrong = format!("{}{typo}{}", &public[..first], &public[first + 1..]);
        assert!(AuditPublicKey::from_text(&wrong).is_err());
        assert!(AuditKey::from_text(&text.to_lowercase()).is_err());
        assert!(AuditKey::from_text(&public).is_err_and(|error| error.to_string().contains("public half")));
        assert!(AuditPublicKey::from_text(&text).is_err_and(|error| error.to_string().contains("SECRET")));
    }
}
