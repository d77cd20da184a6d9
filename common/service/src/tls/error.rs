//! Why TLS cannot be set up; every text names the file and what to do.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::keys::KeyFileError;

/// Why TLS cannot be set up; local, it names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// An https address, and nothing to check the certificate against.
    #[error(
        "{address} asks for TLS, and no CA is given: pass --ca FILE (ca.crt of `latentwire certs dev`, your own CA, or /etc/ssl/certs/ca-certificates.crt)"
    )]
    NoCa {
        /// The address.
        address: String,
    },
    /// It cannot be read.
    #[error("{what} {} cannot be read ({cause}): name a PEM file that this user may read", path.display())]
    Io {
        /// Certificate or CA.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// There is no certificate in it, or one that is none.
    #[error("{what} {}: {problem}: name a PEM file with -----BEGIN CERTIFICATE-----", path.display())]
    NotCertificates {
        /// Certificate or CA.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The key file was refused.
    #[error("TLS {0}")]
    KeyFile(KeyFileError),
    /// There is no key in it.
    #[error("TLS key {} holds no private key that can be used: name a PEM file with -----BEGIN PRIVATE KEY----- (PKCS #8, not encrypted)", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key are not one pair.
    #[error("certificate {} and key {} do not belong together ({cause}): name the two files of one pair", certificate.display(), key.display())]
    Pair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What rustls says.
        cause: String,
    },
    /// It is not valid now.
    #[error("certificate {} {when}: renew it (for development: `latentwire certs dev` into a new folder), and check this machine's clock", path.display())]
    NotValidNow {
        /// The file.
        path: PathBuf,
        /// Since or until when.
        when: String,
    },
    /// rustls does not take the configuration.
    #[error("TLS cannot be set up with {}: {cause}", path.display())]
    Rejected {
        /// The file that matters most.
        path: PathBuf,
        /// What rustls says.
        cause: String,
    },
}

impl TlsError {
    pub(super) fn io(what: &'static str, path: &Path, cause: std::io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), cause }
    }
}
