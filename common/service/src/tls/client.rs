//! The client's side: a new configuration out of the files for every connection, so that renewed files hold at once.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::version::TLS13;

use super::args::ClientTlsArgs;
use super::error::TlsError;
use super::files::{certificates, check_validity, private_key, roots};
use super::provider;
use crate::keys::KeySource;

/// What a client checks a service against, and shows to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    ca: PathBuf,
    /// Certificate and key.
    identity: Option<(PathBuf, PathBuf)>,
    key_source: KeySource,
}

impl ClientTls {
    /// Takes the files and tries them; `None` where no CA is given.
    ///
    /// # Errors
    /// [`TlsError`]: a file is not as it must be.
    pub fn load(args: &ClientTlsArgs) -> Result<Option<Self>, TlsError> {
        let Some(ca) = args.ca.clone() else { return Ok(None) };
        let identity = args.client_certificate.clone().zip(args.client_key.clone());
        let tls = Self { ca, identity, key_source: args.client_key_source };
        let _tried = tls.config()?;
        Ok(Some(tls))
    }

    /// The configuration of a connection that is made now.
    ///
    /// # Errors
    /// [`TlsError`]: a file is not as it must be, or the certificate is not valid now.
    pub fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let rejected = |cause: String| TlsError::Rejected { path: self.ca.clone(), cause };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| rejected(error.to_string()))?
            .with_root_certificates(roots(&self.ca)?);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates("certificate", certificate)?;
                check_validity(certificate, &chain)?;
                let secret = private_key(key, self.key_source)?;
                builder.with_client_auth_cert(chain, secret).map_err(|error| TlsError::Pair {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    cause: error.to_string(),
                })?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }
}
