//! Connections to a gRPC service: bare or in TLS, with a token where there is one.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use clap::Args;
use http::{HeaderValue, Request, Response, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use crate::callers::{Token, TokenError};
use crate::grpc;
use crate::keys::KeySource;
use crate::peer_address::PeerAddress;
use crate::tls::{ClientTls, ClientTlsArgs, TlsError};

/// How long a server may take for its first word, HTTP/2's settings.
const FIRST_WORD: Duration = Duration::from_secs(1);

/// What a client of the PACS-facing services brings along.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialArgs {
    /// TLS to the service.
    #[command(flatten)]
    pub tls: ClientTlsArgs,
    /// File with the token that tells the service who calls; kept as a key file is (0600). Read again at every call.
    #[arg(long, env = "LATENTWIRE_TOKEN_FILE", value_name = "FILE", help_heading = "TLS as a client")]
    pub token_file: Option<PathBuf>,
}

/// Why a connection cannot even be tried.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DialError {
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A token would travel in clear.
    #[error("a token would travel to {address} in clear: write https://, or leave --token-file out")]
    TokenInClear {
        /// The address.
        address: String,
    },
}

/// How one service is reached.
#[derive(Clone, Debug)]
pub struct Dial {
    endpoint: Endpoint,
    tls: Option<ClientTls>,
}

impl Dial {
    /// To this address; `tls` is for https alone.
    ///
    /// # Errors
    /// [`TlsError`]: https without a CA, or a file that is not as it must be.
    pub fn new(address: &PeerAddress, tls: &ClientTlsArgs) -> Result<Self, TlsError> {
        let tls = if address.is_tls() {
            Some(ClientTls::load(tls)?.ok_or_else(|| TlsError::NoCa { address: address.to_string() })?)
        } else {
            None
        };
        Ok(Self { endpoint: grpc::endpoint(address), tls })
    }

    /// Connects now.
    ///
    /// # Errors
    /// Nobody answers there, or the handshake failed; [`explain`] says which.
    pub async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        match &self.tls {
            None => self.endpoint.connect().await,
            Some(tls) => self.endpoint.connect_with_connector(Connector { tls: tls.clone() }).await,
        }
    }

    /// Connects at the first call, and again whenever the connection was lost.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn connect_lazy(&self) -> Channel {
        match &self.tls {
            None => self.endpoint.connect_lazy(),
            Some(tls) => self.endpoint.connect_with_connector_lazy(Connector { tls: tls.clone() }),
        }
    }
}

/// TCP, then TLS by the files as they are at that moment.
#[derive(Clone)]
struct Connector {
    tls: ClientTls,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = BoxError;
    type Future = BoxFuture<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            let host =
                uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(host.clone())?;
            let config = tls.config()?;
            let stream = TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(443))).await?;
            stream.set_nodelay(true)?;
            let mut stream = TlsConnector::from(config).connect(name, stream).await?;
            // With TLS 1.3 a server refuses a client behind the handshake; said later, the reason would be lost. Nothing is
            // consumed here, and a server that waits for us to begin is not waited for.
            if let Ok(said) = tokio::time::timeout(FIRST_WORD, stream.fill_buf()).await {
                said?;
            }
            Ok(TokioIo::new(stream))
        })
    }
}

/// A channel that shows a token with every call, where there is one.
#[derive(Clone)]
pub struct Connection {
    channel: Channel,
    token: Option<TokenFile>,
}

#[derive(Clone, Debug)]
struct TokenFile {
    path: PathBuf,
    source: KeySource,
}

impl TokenFile {
    fn header(&self) -> Result<HeaderValue, TokenError> {
        let token = Token::read(&self.path, self.source)?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| TokenError::Form(self.path.display().to_string()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// A [`Dial`] and what is shown there.
#[derive(Clone, Debug)]
pub struct CallerDial {
    dial: Dial,
    token: Option<TokenFile>,
}

impl CallerDial {
    /// To this address with these credentials, which are tried.
    ///
    /// # Errors
    /// [`DialError`]: a file is not as it must be, or a token would travel in clear.
    pub fn new(address: &PeerAddress, credentials: &CredentialArgs) -> Result<Self, DialError> {
        let dial = Dial::new(address, &credentials.tls)?;
        let source = credentials.tls.client_key_source;
        let token = credentials.token_file.clone().map(|path| TokenFile { path, source });
        if let Some(token) = &token {
            if !address.is_tls() && !address.is_loopback() {
                return Err(DialError::TokenInClear { address: address.to_string() });
            }
            token.header()?;
        }
        Ok(Self { dial, token })
    }

    /// Connects now.
    ///
    /// # Errors
    /// As [`Dial::connect`].
    pub async fn connect(&self) -> Result<Connection, tonic::transport::Error> {
        Ok(Connection { channel: self.dial.connect().await?, token: self.token.clone() })
    }

    /// Connects at the first call, and again whenever the connection was lost.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn connect_lazy(&self) -> Connection {
        Connection { channel: self.dial.connect_lazy(), token: self.token.clone() }
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = <Channel as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Service::poll_ready(&mut self.channel, context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // A file that cannot be read any more sends no token; the service's refusal and this line say why.
        match self.token.as_ref().map(TokenFile::header) {
            Some(Ok(value)) => {
                request.headers_mut().insert(header::AUTHORIZATION, value);
            }
            Some(Err(error)) => tracing::error!(%error, "called without a token"),
            None => {}
        }
        Service::call(&mut self.channel, request)
    }
}

/// The innermost cause of a connection's error, and what to do where TLS is the matter.
#[must_use]
pub fn explain(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let advice = [
        ("UnknownIssuer", "its certificate is not of the CA that --ca names"),
        ("BadSignature", "its certificate is not of the CA that --ca names"),
        (
            "NotValidForName",
            "its certificate is for another name: use that name, or one with this name in it",
        ),
        ("certificate expired", "renew its certificate, and check this machine's clock"),
        (
            "CertificateRequired",
            "it asks for a client certificate: pass --client-certificate and --client-key",
        ),
        ("InvalidContentType", "it does not speak TLS: write http://, or start it with --tls-certificate"),
        (
            "received fatal alert",
            "it does not take this client's certificate: is it valid, and of the CA that it names by --tls-client-ca?",
        ),
    ];
    let advice = advice.into_iter().find(|(word, _)| text.contains(word));
    advice.map_or_else(|| text.clone(), |(_, advice)| format!("{text}: {advice}"))
}
