//! The flags of both ends; every one has an environment twin.

use std::path::PathBuf;

use clap::Args;

use crate::args::KeySource;

/// TLS of a service's own ports.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// This service's certificate and those between it and the CA, PEM. With it every gRPC port speaks TLS 1.3 alone, the admin
    /// port beyond loopback too. Read again when a file changes and on SIGHUP.
    #[arg(long, env = "LATENTWIRE_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// Private key of that certificate, PEM.
    #[arg(long, env = "LATENTWIRE_TLS_KEY", value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// How that key is kept.
    #[arg(long, env = "LATENTWIRE_TLS_KEY_SOURCE", value_name = "SOURCE", value_enum, default_value_t)]
    pub tls_key_source: KeySource,
    /// CA, PEM, that client certificates are checked against. With it whoever connects must have one (mutual TLS).
    #[arg(long, env = "LATENTWIRE_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_certificate")]
    pub tls_client_ca: Option<PathBuf>,
    /// Let clients without a certificate connect too, for callers that have a token instead; one that is shown is checked.
    #[arg(long, env = "LATENTWIRE_TLS_CLIENT_CERTIFICATE_OPTIONAL", requires = "tls_client_ca")]
    pub tls_client_certificate_optional: bool,
}

impl TlsArgs {
    /// Whether TLS is asked for.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.tls_certificate.is_some()
    }
}

/// TLS towards a service at an https address.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "TLS as a client")]
pub struct ClientTlsArgs {
    /// CA, PEM, that the service's certificate is checked against; for https. The system's own CAs are not used.
    #[arg(long, env = "LATENTWIRE_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Certificate to show to the service, PEM, with those between it and the CA.
    #[arg(long, env = "LATENTWIRE_CLIENT_CERTIFICATE", value_name = "FILE", requires = "client_key")]
    pub client_certificate: Option<PathBuf>,
    /// Private key of that certificate, PEM.
    #[arg(long, env = "LATENTWIRE_CLIENT_KEY", value_name = "FILE", requires = "client_certificate")]
    pub client_key: Option<PathBuf>,
    /// How that key, and a token, are kept.
    #[arg(long, env = "LATENTWIRE_CLIENT_KEY_SOURCE", value_name = "SOURCE", value_enum, default_value_t)]
    pub client_key_source: KeySource,
}
