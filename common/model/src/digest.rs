//! SHA-256 digests as they stand in manifests: 64 hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};
use sha2::{Digest, Sha256};

use crate::error::{ModelError, excerpt};

/// SHA-256 of `decode.toml`'s exact bytes: the identity of everything that decides a reconstruction.
///
/// It is bound into the sealed context (`docs/PROTOCOL.md`) and pinned in a service's configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecoderDigest(
    /// The 32 bytes of the SHA-256.
    pub [u8; 32],
);

impl DecoderDigest {
    /// The digest of a `decode.toml`, given its exact bytes.
    pub fn of(decode_toml: &[u8]) -> Self {
        Self(Sha256::digest(decode_toml).into())
    }
}

/// SHA-256 of one file of a model folder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileDigest(
    /// The 32 bytes of the SHA-256.
    pub [u8; 32],
);

impl FileDigest {
    /// The digest of a file, given its exact bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

fn from_hex(text: &str) -> Result<[u8; 32], ModelError> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).map_err(|_| ModelError::BadDigest { found: excerpt(text) })?;
    Ok(digest)
}

macro_rules! hexadecimal {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = ModelError;

            fn from_str(text: &str) -> Result<Self, ModelError> {
                from_hex(text).map(Self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

hexadecimal!(DecoderDigest);
hexadecimal!(FileDigest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_and_parse_agree_and_case_does_not_matter() {
        // FIPS 180-4: SHA-256 of the empty message.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let digest = DecoderDigest::of(b"");
        assert_eq!(digest.to_string(), empty);
        assert_eq!(empty.parse::<DecoderDigest>().unwrap(), digest);
        assert_eq!(empty.to_uppercase().parse::<DecoderDigest>().unwrap(), digest);
    }

    #[test]
    fn anything_but_64_digits_is_refused() {
        for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)] {
            assert!(matches!(text.parse::<FileDigest>(), Err(ModelError::BadDigest { .. })), "{text}");
        }
    }
}
