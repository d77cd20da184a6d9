//! Values that several commands read: ids, fingerprints, moments, `-`.

use std::{fmt, path::Path, str::FromStr};

use latentwire_service::sealing::Fingerprint;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Name of standard input and standard output among files.
pub const STANDARD_STREAM: &str = "-";

/// Whether a path means standard input or standard output.
#[must_use]
pub fn is_standard_stream(path: &Path) -> bool {
    path.as_os_str() == STANDARD_STREAM
}

/// 16 bytes that name a transfer or an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransferId(pub [u8; 16]);

impl TransferId {
    /// Draws a random id.
    ///
    /// # Errors
    /// The operating system's random number generator fails.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for TransferId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl FromStr for TransferId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| "an id has 32 hexadecimal digits".to_owned())?;
        Ok(Self(bytes))
    }
}

/// The beginning of a fingerprint, as people read it out: hexadecimal digits, blanks between them or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FingerprintArg(String);

impl FingerprintArg {
    /// Fewest digits: 32 bits tell the few keys of one peer apart.
    const FEWEST: usize = 8;

    /// Whether a key's fingerprint begins so.
    #[must_use]
    pub fn fits(&self, fingerprint: &Fingerprint) -> bool {
        hex::encode(fingerprint.0).starts_with(&self.0)
    }
}

impl FromStr for FingerprintArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let digits = digits.to_ascii_lowercase();
        let most = 2 * size_of::<Fingerprint>();
        let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hexadecimal && (Self::FEWEST..=most).contains(&digits.len()) {
            Ok(Self(digits))
        } else {
            Err(format!("a fingerprint is {most} hexadecimal digits, or the first {} or more", Self::FEWEST))
        }
    }
}

/// A moment in time as RFC 3339 writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub OffsetDateTime);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339);
        parsed.map(Self).map_err(|error| format!("write it as 2027-12-31T23:59:59Z: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown_or_as_its_beginning() {
        let fingerprint = Fingerprint([0xab; 20]);
        for text in [fingerprint.to_string().as_str(), "ABAB abab", "abababab"] {
            assert!(text.parse::<FingerprintArg>().expect(text).fits(&fingerprint), "{text}");
        }
        assert!(!"abababac".parse::<FingerprintArg>().expect("eight digits").fits(&fingerprint));
        for text in ["", "abab", "abababag", "ab".repeat(21).as_str()] {
            assert!(text.parse::<FingerprintArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_id_is_shown_as_it_is_read() {
        let text = "00112233445566778899aabbccddeeff";
        assert_eq!(text.parse::<TransferId>().map(|id| id.to_string()), Ok(text.to_owned()));
        assert!("0011".parse::<TransferId>().is_err());
    }
}
