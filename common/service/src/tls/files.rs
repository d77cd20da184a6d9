//! PEM files: certificates, keys, and how long a certificate is valid.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::error::TlsError;
use crate::keys::{KeyFileError, KeySource, read_secret_file_up_to};

/// Largest file of certificates: the system's bundle has some 250 KiB.
const MAX_CERTIFICATE_BYTES: u64 = 4 << 20;
/// Largest file of a private key.
const MAX_KEY_BYTES: u64 = 32 << 10;

/// Between which moments a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub not_before: OffsetDateTime,
    /// Last moment.
    pub not_after: OffsetDateTime,
}

impl Validity {
    /// What is wrong with it at this moment, if anything: "expired at …", "is not valid before …".
    #[must_use]
    pub fn fault(&self, now: OffsetDateTime) -> Option<String> {
        let text = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_else(|_| at.to_string());
        if now > self.not_after {
            return Some(format!("expired at {}", text(self.not_after)));
        }
        (now < self.not_before).then(|| format!("is not valid before {}", text(self.not_before)))
    }
}

/// Reads the certificates of a PEM file, at least one.
pub(super) fn certificates(
    what: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let io = |cause| TlsError::io(what, path, cause);
    let wrong = |problem: &str| TlsError::NotCertificates {
        what,
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(MAX_CERTIFICATE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_CERTIFICATE_BYTES {
        return Err(wrong("it is far too large"));
    }
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let read = read.map_err(|_| wrong("it is not PEM"))?;
    if read.is_empty() {
        return Err(wrong("there is no certificate in it"));
    }
    if let Some(place) = read.iter().position(|der| X509Certificate::from_der(der).is_err()) {
        return Err(wrong(&format!("certificate {} in it is damaged", place + 1)));
    }
    Ok(read)
}

/// Reads the CAs of a PEM file.
pub(super) fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates("CA", path)? {
        store.add(certificate).map_err(|error| TlsError::NotCertificates {
            what: "CA",
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
    }
    Ok(store)
}

/// Reads a private key after the checks of `source`.
pub(super) fn private_key(path: &Path, source: KeySource) -> Result<PrivateKeyDer<'static>, TlsError> {
    let unusable = || TlsError::NotAKey { path: path.to_owned() };
    let text = read_secret_file_up_to(path, source, MAX_KEY_BYTES).map_err(|error| {
        if matches!(error, KeyFileError::NotAKeyFile { .. }) { unusable() } else { TlsError::KeyFile(error) }
    })?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| unusable())
}

/// SHA-256 of the first certificate of a PEM file, as the callers' file names it.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub fn certificate_sha256(path: &Path) -> Result<[u8; 32], TlsError> {
    let chain = certificates("certificate", path)?;
    Ok(chain.first().map(|der| Sha256::digest(der).into()).unwrap_or_default())
}

/// How long a certificate is valid; `None` if it is none.
#[must_use]
pub fn validity_of(der: &[u8]) -> Option<Validity> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    Some(Validity {
        not_before: validity.not_before.to_datetime(),
        not_after: validity.not_after.to_datetime(),
    })
}

/// Refuses a chain whose first certificate is not valid now; says until when it is.
pub(super) fn check_validity(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Validity, TlsError> {
    let damaged = || TlsError::NotCertificates {
        what: "certificate",
        path: path.to_owned(),
        problem: "the first certificate is damaged".to_owned(),
    };
    let validity = chain.first().and_then(|der| validity_of(der)).ok_or_else(damaged)?;
    match validity.fault(OffsetDateTime::now_utc()) {
        Some(when) => Err(TlsError::NotValidNow { path: path.to_owned(), when }),
        None => Ok(validity),
    }
}
