//! TLS around gRPC, the admin port and DICOM: rustls over aws-lc-rs, X25519MLKEM768 first.
//!
//! ```text
//! --tls-certificate, --tls-key, --tls-client-ca ─► ServerTls ─► accept(listener) ─► Accepted (who: PeerCertificate)
//!                                  read again when a file changes, on SIGHUP; open connections go on
//! --ca, --client-certificate, --client-key ─► ClientTls ─► a new configuration a connection
//! ```
//!
//! TLS 1.3 alone for gRPC and HTTP; DICOM, whose devices are older, may use 1.2 too. No session resumption and no early data:
//! every connection proves both ends anew, and connections live long. A peer is checked against the given CA alone; the
//! system's roots are never used (name their file to use them).

mod accept;
mod args;
mod client;
mod connection;
mod error;
mod files;
mod server;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

pub use accept::{Accepted, HANDSHAKE_FAILURES, Listener, incoming};
pub use args::{ClientTlsArgs, TlsArgs};
pub use client::ClientTls;
pub use connection::{PeerCertificate, TlsConnectInfo};
pub use error::TlsError;
pub use files::{Validity, certificate_sha256, validity_of};
pub use server::{Protocol, ServerTls};

/// The cryptography of every TLS connection: aws-lc-rs, X25519MLKEM768 before X25519 and the NIST curves.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
