//! Connections as they are accepted: bare, or behind a TLS handshake of bounded time and number.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use super::connection::{PeerCertificate, TlsConnectInfo};
use super::server::{Protocol, ServerTls};

/// What a client gets to finish the handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a client that is refused gets to read why.
const LINGER: Duration = Duration::from_secs(1);
/// Most reads of what it had sent meanwhile.
const LINGER_READS: usize = 64;
/// Handshakes at once; more connections wait in the operating system's queue.
const HANDSHAKES: usize = 1_024;
/// Connections that wait to be served.
const WAITING: usize = 64;
/// Pause when the operating system has no connection left to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Causes that a handshake fails by, as the metrics have them.
pub const HANDSHAKE_FAILURES: [&str; 8] =
    ["certificate", "lost", "no_certificate", "not_tls", "other", "refused_by_client", "timeout", "version"];

/// A bound listener and how it is secured.
pub struct Listener {
    /// The bound socket.
    pub tcp: TcpListener,
    /// TLS; without it the connection is bare.
    pub tls: Option<ServerTls>,
}

/// A connection, bare or inside TLS.
#[derive(Debug)]
pub enum Accepted {
    /// Bare.
    Plain(TcpStream),
    /// Inside TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Accepted {
    /// Does the handshake where TLS is asked for, and counts it.
    ///
    /// # Errors
    /// The handshake failed, or took too long.
    pub async fn new(stream: TcpStream, tls: Option<&ServerTls>, protocol: Protocol) -> io::Result<Self> {
        // Without it each small write waits for the acknowledgement of the one before, some 40 ms.
        stream.set_nodelay(true)?;
        let Some(tls) = tls else { return Ok(Self::Plain(stream)) };
        match shake_hands(stream, tls.config(protocol)).await {
            Ok(stream) => {
                let group = stream.get_ref().1.negotiated_key_exchange_group();
                let group = group.map_or("none", |group| group.name().as_str().unwrap_or("other"));
                metrics::counter!("latentwire_tls_handshakes_total", "group" => group).increment(1);
                Ok(Self::Tls(Box::new(stream)))
            }
            Err(error) => {
                let cause = cause_of(&error);
                metrics::counter!("latentwire_tls_handshake_failures_total", "cause" => cause).increment(1);
                tracing::info!(cause, %error, "TLS handshake failed");
                Err(error)
            }
        }
    }

    fn certificate(&self) -> Option<Arc<PeerCertificate>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => {
                let first = stream.get_ref().1.peer_certificates()?.first()?;
                Some(Arc::new(PeerCertificate::of(first)))
            }
        }
    }
}

async fn shake_hands(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<TlsStream<TcpStream>> {
    let accepting = TlsAcceptor::from(config).accept(stream).into_fallible();
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err((error, stream))) => {
            take_leave(stream).await;
            Err(error)
        }
        Err(_elapsed) => Err(io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake in time")),
    }
}

/// Ends a connection so that the alert on it arrives: one that is closed over unread bytes is reset.
async fn take_leave(mut stream: TcpStream) {
    let leaving = async {
        stream.shutdown().await?;
        let mut rest = [0; 4096];
        for _ in 0..LINGER_READS {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    // A peer that is gone, or that does not stop, makes no difference any more.
    let _ = tokio::time::timeout(LINGER, leaving).await;
}

/// A word for the metrics; nothing that a peer chose is in it.
fn cause_of(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::TimedOut {
        return "timeout";
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::NoCertificatesPresented) => "no_certificate",
        Some(rustls::Error::InvalidCertificate(_)) => "certificate",
        Some(rustls::Error::InvalidMessage(_)) => "not_tls",
        Some(rustls::Error::PeerIncompatible(_)) => "version",
        Some(rustls::Error::AlertReceived(_)) => "refused_by_client",
        Some(_) => "other",
        None => "lost",
    }
}

/// The connections of a listener, handshakes done, until `stop`.
#[must_use]
pub fn incoming(
    listener: Listener,
    protocol: Protocol,
    stop: CancellationToken,
) -> ReceiverStream<io::Result<Accepted>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(accept(listener, protocol, stop, sender));
    ReceiverStream::new(receiver)
}

async fn accept(
    listener: Listener,
    protocol: Protocol,
    stop: CancellationToken,
    connections: mpsc::Sender<io::Result<Accepted>>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    let Listener { tcp, tls } = listener;
    loop {
        let permit = Arc::clone(&handshakes).acquire_owned().await.expect("the semaphore is never closed");
        let accepted = tokio::select! {
            accepted = tcp.accept() => accepted,
            () = stop.cancelled() => return,
            () = connections.closed() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a port cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (connections, tls, stop) = (connections.clone(), tls.clone(), stop.clone());
        tokio::spawn(async move {
            let shaken = tokio::select! {
                shaken = Accepted::new(stream, tls.as_ref(), protocol) => shaken,
                () = stop.cancelled() => return,
            };
            drop(permit);
            if let Ok(accepted) = shaken {
                // The server is gone, and with it who would serve the connection.
                let _ = connections.send(Ok(accepted)).await;
            }
        });
    }
}

impl Connected for Accepted {
    type ConnectInfo = TlsConnectInfo;

    fn connect_info(&self) -> TlsConnectInfo {
        let tcp = match self {
            Self::Plain(stream) => stream.connect_info(),
            Self::Tls(stream) => stream.get_ref().0.connect_info(),
        };
        TlsConnectInfo { tcp, certificate: self.certificate() }
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
