//! What is known of the other end of a connection.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use tonic::transport::server::TcpConnectInfo;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A client certificate that was verified in the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// SHA-256 of its DER, as `openssl x509 -fingerprint -sha256` prints it.
    pub sha256: [u8; 32],
    /// DNS names among its subject alternative names, in lower case.
    pub dns_names: Vec<String>,
}

impl PeerCertificate {
    /// Reads what callers are told by; a certificate that cannot be read has no names.
    pub(super) fn of(der: &CertificateDer<'_>) -> Self {
        let mut dns_names = Vec::new();
        if let Ok((_, certificate)) = X509Certificate::from_der(der)
            && let Ok(Some(alternative)) = certificate.subject_alternative_name()
        {
            for name in &alternative.value.general_names {
                if let GeneralName::DNSName(name) = name {
                    dns_names.push(name.to_ascii_lowercase());
                }
            }
        }
        Self { sha256: Sha256::digest(der).into(), dns_names }
    }
}

/// What every request knows of its connection; an extension of the request.
#[derive(Clone, Debug)]
pub struct TlsConnectInfo {
    /// Addresses of both ends.
    pub tcp: TcpConnectInfo,
    /// The client's certificate, verified; absent without TLS, and where the client showed none.
    pub certificate: Option<Arc<PeerCertificate>>,
}
