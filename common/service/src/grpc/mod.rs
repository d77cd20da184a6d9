//! The gRPC server that every service runs: HTTP/2 tuned, gated, drained.
//!
//! ```text
//! TCP (nodelay) ─► TLS ─► preface in time ─► h2 (windows, keepalive) ─► Gate ─► CallersLayer ─► routes
//!                                                                         │ metrics: started, handled, handling seconds
//!                                                                         │ compressed: COMPRESSION_REFUSED
//!                                                                         │ one global permit, held until the response body ends; none left: OVERLOADED
//!                                                                         │   (a Session has its bounds in the session driver)
//!                                                                         │ deadline on the response's head: DEADLINE
//!                                                                         └ panics: INTERNAL
//! ```

mod gate;
mod methods;
mod observed_body;
mod preface;
mod timed;

use std::time::Duration;

use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::service::{Routes, RoutesBuilder};
use tonic::transport::{Endpoint, Server};

pub use gate::{Admission, Gate, GateLayer};
pub use timed::{Timed, timed};

use crate::args::LimitArgs;
use crate::callers::{Callers, CallersLayer};
use crate::tls::{Listener, Protocol, incoming};
use preface::Prefaced;

/// Largest message of SendService and ImageService: a 1 MiB chunk and its frame.
pub const MAX_CHUNK_MESSAGE_BYTES: usize = (1 << 20) + (64 << 10);
/// Largest message of a Session: a 64 KiB segment, its tag and its frame.
pub const MAX_SESSION_MESSAGE_BYTES: usize = 128 << 10;
/// Size of the chunks that ImageService sends.
pub const CHUNK_BYTES: usize = 256 << 10;

/// HTTP/2 stream window; tonic's default of 64 KiB costs more than half of the throughput on a loopback link.
const STREAM_WINDOW: u32 = 8 << 20;
/// HTTP/2 connection window.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Largest HTTP/2 frame.
const FRAME_BYTES: u32 = (1 << 20) - 1;
/// Largest head of a request; ours have no metadata to speak of.
const HEADER_BYTES: u32 = 16 << 10;
/// Streams of one connection.
const STREAMS: u32 = 256;
/// A silent peer is asked this often whether it lives.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// And has this long to answer.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a peer that has connected may take to begin with HTTP/2.
const PREFACE_TIMEOUT: Duration = Duration::from_secs(10);
/// What a client waits for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages that a client's connection buffers for sending.
const CLIENT_BUFFER: usize = 64;

/// A gRPC server's settings; [`Self::serve`] runs it on one listener, and may be called for several.
#[derive(Clone)]
pub struct GrpcServer {
    gate: GateLayer,
    drain_timeout: Duration,
}

impl GrpcServer {
    /// A server with these limits; all its listeners share one [`Admission`].
    pub fn new(limits: &LimitArgs) -> Self {
        let admission = Admission::new(limits.max_concurrent as usize);
        Self {
            gate: GateLayer::new(admission, limits.request_timeout()),
            drain_timeout: limits.drain_timeout(),
        }
    }

    /// Serves whom `callers` admit, everybody where there are none, until `stop`; then accepts no more and lets what is at work finish, for the drain timeout at most.
    /// Returns whether everything finished.
    ///
    /// # Errors
    /// The transport's, where it fails as a whole.
    pub async fn serve(
        &self,
        listener: Listener,
        callers: Option<Callers>,
        routes: Routes,
        stop: CancellationToken,
    ) -> Result<bool, tonic::transport::Error> {
        let incoming = incoming(listener, Protocol::Grpc, stop.clone());
        let incoming = incoming.map(|accepted| accepted.map(|stream| Prefaced::new(stream, PREFACE_TIMEOUT)));
        let server = Server::builder()
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_BYTES)
            .max_concurrent_streams(STREAMS)
            .http2_max_header_list_size(HEADER_BYTES)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .layer(self.gate.ending_watches_at(&stop))
            .layer(CallersLayer::new(callers))
            .add_routes(routes.prepare());
        let drained = stop.clone();
        let serving = server.serve_with_incoming_shutdown(incoming, async move { drained.cancelled().await });
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(self.drain_timeout).await;
        };
        tokio::select! {
            served = serving => served.map(|()| true),
            () = overdue => Ok(false),
        }
    }
}

/// Adds gRPC reflection, v1 and v1alpha (which grpcurl 1.8 asks for), over an encoded file descriptor set. It lists `services`,
/// those that are served there, and health; the details of a status can be looked up too.
///
/// # Errors
/// The descriptor set is not one.
pub fn add_reflection(
    routes: &mut RoutesBuilder,
    descriptors: &[u8],
    services: &[&str],
) -> Result<(), tonic_reflection::server::Error> {
    let builder = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health");
        services.iter().fold(builder, |builder, service| builder.with_service_name(*service))
    };
    routes.add_service(builder().build_v1()?);
    routes.add_service(builder().build_v1alpha()?);
    Ok(())
}

/// A client endpoint tuned as the servers are.
pub fn endpoint(address: &crate::peer_address::PeerAddress) -> Endpoint {
    Endpoint::from(address.uri())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .buffer_size(CLIENT_BUFFER)
}
