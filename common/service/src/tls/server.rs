//! The server's side: certificate, key and client CA in force, fed from their files.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use time::format_description::well_known::Rfc3339;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::args::TlsArgs;
use super::error::TlsError;
use super::files::{Validity, certificates, check_validity, private_key, roots};
use super::provider;
use crate::keys::KeySource;
use crate::reload;

/// What is spoken inside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2, TLS 1.3.
    Grpc,
    /// HTTP/1.1, TLS 1.3.
    Http,
    /// DICOM, TLS 1.3 or 1.2 (PS3.15 B.12, B.13: BCP 195), without ALPN.
    Dicom,
}

/// One configuration for each protocol, out of the same files.
#[derive(Debug)]
struct InForce {
    grpc: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
    dicom: Arc<ServerConfig>,
    validity: Validity,
}

/// TLS of a service's ports; clones share what is in force.
#[derive(Clone, Debug)]
pub struct ServerTls {
    files: Files,
    current: watch::Sender<Arc<InForce>>,
}

#[derive(Clone, Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    key_source: KeySource,
    client_ca: Option<PathBuf>,
    client_certificate_optional: bool,
}

impl ServerTls {
    /// Reads the files for the first time; `None` where no TLS is asked for.
    ///
    /// # Errors
    /// [`TlsError`]: a file is not as it must be, or the certificate is not valid now.
    pub fn load(args: &TlsArgs) -> Result<Option<Self>, TlsError> {
        let (Some(certificate), Some(key)) = (args.tls_certificate.clone(), args.tls_key.clone()) else {
            return Ok(None);
        };
        let files = Files {
            certificate,
            key,
            key_source: args.tls_key_source,
            client_ca: args.tls_client_ca.clone(),
            client_certificate_optional: args.tls_client_certificate_optional,
        };
        let current = watch::Sender::new(Arc::new(files.read()?));
        let tls = Self { files, current };
        tracing::info!(until = tls.valid_until(), mutual = tls.files.client_ca.is_some(), "TLS is on");
        Ok(Some(tls))
    }

    /// Reads the files again; what cannot be read, or is not valid now, leaves what is in force as it is. Connections that
    /// are open go on. Gives until when the certificate is valid.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn reload(&self) -> Result<String, TlsError> {
        let read = self.files.read().inspect_err(|_| report(None))?;
        self.current.send_replace(Arc::new(read));
        Ok(format!("valid until {}", self.valid_until()))
    }

    /// Watches the files until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        let mut files = vec![self.files.certificate.clone(), self.files.key.clone()];
        files.extend(self.files.client_ca.clone());
        reload::watch("TLS certificate", files, stop, || self.reload()).await;
    }

    /// What a connection that is accepted now takes.
    #[must_use]
    pub fn config(&self, protocol: Protocol) -> Arc<ServerConfig> {
        let current = self.current.borrow();
        Arc::clone(match protocol {
            Protocol::Grpc => &current.grpc,
            Protocol::Http => &current.http,
            Protocol::Dicom => &current.dicom,
        })
    }

    /// Between which moments the certificate in force is valid.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.current.borrow().validity
    }

    fn valid_until(&self) -> String {
        let until = self.current.borrow().validity.not_after;
        until.format(&Rfc3339).unwrap_or_else(|_| until.to_string())
    }
}

impl Files {
    fn read(&self) -> Result<InForce, TlsError> {
        let chain = certificates("certificate", &self.certificate)?;
        let validity = check_validity(&self.certificate, &chain)?;
        let rejected = |cause: String| TlsError::Rejected { path: self.certificate.clone(), cause };
        let config = |versions| {
            let builder = ServerConfig::builder_with_provider(provider())
                .with_protocol_versions(versions)
                .map_err(|error| rejected(error.to_string()))?;
            let builder = match &self.client_ca {
                None => builder.with_no_client_auth(),
                Some(ca) => {
                    let verifier =
                        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(ca)?), provider());
                    let verifier = if self.client_certificate_optional {
                        verifier.allow_unauthenticated()
                    } else {
                        verifier
                    };
                    let verifier = verifier
                        .build()
                        .map_err(|error| TlsError::Rejected { path: ca.clone(), cause: error.to_string() })?;
                    builder.with_client_cert_verifier(verifier)
                }
            };
            let key = private_key(&self.key, self.key_source)?;
            let mut config =
                builder.with_single_cert(chain.clone(), key).map_err(|error| TlsError::Pair {
                    certificate: self.certificate.clone(),
                    key: self.key.clone(),
                    cause: error.to_string(),
                })?;
            // Every connection proves its client anew, against the CA that is in force then.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            Ok::<_, TlsError>(config)
        };
        let (mut grpc, dicom) = (config(&[&TLS13])?, config(&[&TLS13, &TLS12])?);
        let mut http = grpc.clone();
        grpc.alpn_protocols = vec![b"h2".to_vec()];
        http.alpn_protocols = vec![b"http/1.1".to_vec()];
        report(Some(&validity));
        Ok(InForce { grpc: Arc::new(grpc), http: Arc::new(http), dicom: Arc::new(dicom), validity })
    }
}

/// Puts into the metrics whether the files' content is what is in force, and until when it is valid.
fn report(in_force: Option<&Validity>) {
    metrics::gauge!("latentwire_tls_last_reload_successful").set(f64::from(u8::from(in_force.is_some())));
    if let Some(validity) = in_force {
        #[expect(clippy::cast_precision_loss, reason = "a moment in seconds is exact in 53 bits")]
        let until = validity.not_after.unix_timestamp() as f64;
        metrics::gauge!("latentwire_tls_certificate_expiry_timestamp_seconds").set(until);
    }
}
