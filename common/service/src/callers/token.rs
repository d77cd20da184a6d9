//! Bearer tokens: 256 random bits, shown once, known to the service by their SHA-256 alone.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::keys::{KeyFileError, KeySource, read_secret_file};

/// What every token begins with, so that a scan for leaked secrets finds one.
const PREFIX: &str = "latentwire-token-";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// Why a text is no token.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The file was refused.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// It does not look like one. The text is not quoted: it may be a secret.
    #[error(
        "{0} holds no token: it is latentwire-token- and 64 hexadecimal digits, as `latentwire callers token` prints it"
    )]
    Form(String),
}

/// A bearer token. Secret: no `Debug`, wiped when dropped.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A token of these random bytes.
    #[must_use]
    pub fn from_random(bytes: &[u8; TOKEN_BYTES]) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 2 * TOKEN_BYTES));
        text.push_str(PREFIX);
        text.push_str(&Zeroizing::new(hex::encode(bytes)));
        Self(text)
    }

    /// Reads a token from a file that is kept as a secret key file is.
    ///
    /// # Errors
    /// [`TokenError`]: others may read the file, or it holds no token.
    pub fn read(path: &Path, source: KeySource) -> Result<Self, TokenError> {
        let text = read_secret_file(path, source)?;
        Self::parse(&text).ok_or_else(|| TokenError::Form(path.display().to_string()))
    }

    /// A token as it is written; white space around it is nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.strip_prefix(PREFIX)?;
        let formed = digits.len() == 2 * TOKEN_BYTES
            && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        formed.then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The token itself, for `authorization: Bearer` and for whoever it was made for.
    ///
    /// # Security
    /// Whoever has it can call as its owner: never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the callers' file holds of it.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.0.as_bytes())
    }
}

/// SHA-256 of a token. Without salt or stretching: a token has 256 random bits, which nobody guesses.
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// The digest of what a caller sent, be it a token or not.
    #[must_use]
    pub fn of(presented: &[u8]) -> Self {
        Self(Sha256::digest(presented).into())
    }
}

impl ConstantTimeEq for TokenDigest {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TokenDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        sha256_of_hex(text).map(Self)
    }
}

/// 64 hexadecimal digits, colons between bytes allowed, as `openssl x509 -fingerprint` writes them.
pub(super) fn sha256_of_hex(text: &str) -> Result<[u8; 32], String> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    let mut bytes = [0; 32];
    hex::decode_to_slice(&digits, &mut bytes)
        .map_err(|_| "is not a SHA-256: write 64 hexadecimal digits".to_owned())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_digest_alone() {
        let token = Token::from_random(&[0xab; 32]);
        let text = token.expose().to_owned();
        assert_eq!(text, format!("latentwire-token-{}", "ab".repeat(32)));
        let again = Token::parse(&format!(" {text}\n")).expect("a token");
        assert!(bool::from(again.digest().ct_eq(&token.digest())));
        let read: TokenDigest = token.digest().to_string().parse().expect("a digest");
        assert!(bool::from(read.ct_eq(&TokenDigest::of(text.as_bytes()))));
        for wrong in [&text[..text.len() - 1], &text.to_uppercase(), "", "latentwire-token-", &text[1..]] {
            assert!(Token::parse(wrong).is_none(), "{wrong}");
        }
    }
}
