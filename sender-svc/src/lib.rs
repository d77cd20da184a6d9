//! The sender: takes image files from the PACS side, codes and seals them, and delivers them to receivers.
//!
//! ```text
//! SendService ─► intake ─► engine ─► codec (blocking, a bounded number at once)
//!  SendImage     header     │  ├──► outgoing ─► uplinks ─► wire ═══ gRPC ═══► receiver-svc
//!  SendStudy     chunks     │  │       one live session a destination, renewed on limits and failure
//!  GetTransfer              │  └──► once more over a fresh session if the link broke: same id, new keys
//!  ListTransfers, Watch ◄───┴── transfer log (in memory, bounded)
//! ```
//!
//! [`run`] starts everything and says where it listens; start reading there, then [`engine`].
#![forbid(unsafe_code)]

mod audit;
pub mod config;
pub mod engine;
pub mod intake;
mod measures;
mod outgoing;
pub mod send_service;
mod study;
mod transfer;
pub mod transfer_log;
pub mod uplinks;

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use latentwire_codec::Codec;
use latentwire_proto::{FILE_DESCRIPTOR_SET, v1::send_service_server::SendServiceServer};
use latentwire_service::sealing::Role;
use latentwire_service::{
    admin::AdminServer,
    audit::Audit,
    callers::Callers,
    dial::Dial,
    drain::Drain,
    grpc::{GrpcServer, MAX_CHUNK_MESSAGE_BYTES, add_reflection},
    health::Readiness,
    keys::load_secret_key,
    listen,
    tls::{Listener, ServerTls},
    trust::Trust,
    trust_changes,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::{Routes, RoutesBuilder};

pub use config::Config;
pub use latentwire_service::destinations;

use destinations::Destinations;
use engine::Engine;
use send_service::{IntakeLimits, Sender};
use transfer_log::TransferLog;
use uplinks::Uplinks;

/// Services whose health is reported.
const SERVICES: &[&str] = &["latentwire.v1.SendService"];

/// Time that open sessions get for an orderly end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A sender that serves.
pub struct Running {
    /// Where SendService listens.
    pub send_address: SocketAddr,
    /// Where the admin port listens.
    pub admin_address: SocketAddr,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Waits for the end that the shutdown token began.
    ///
    /// # Errors
    /// The server failed, or transfers were still under way when the drain timeout had passed.
    pub async fn wait(self) -> anyhow::Result<()> {
        self.serving.await.context("the server panicked")?
    }
}

/// Starts a sender: binds its ports, serves NOT_SERVING while the models load, and returns when it is ready.
/// Cancelling `shutdown` ends it gracefully.
///
/// # Errors
/// The configuration, a key, a port or a model is not as it must be; one sentence says what to do.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<Running> {
    let identity = load_secret_key(&config.key, config.key_source, Role::Sender)?;
    let destinations =
        Destinations::read(&config.destination, config.destinations.as_deref(), &config.uplink_tls)?;
    for destination in destinations.iter() {
        let tried = Dial::new(&destination.address, &destination.tls);
        tried.with_context(|| format!("destination {}", destination.name))?;
    }
    measures::started(config.limits.max_concurrent, config.models.pool, &destinations)?;
    let codec_config = config.codec()?;
    let trust = config.trust.as_deref().map(Trust::load).transpose()?;
    let tls = ServerTls::load(&config.tls)?;
    let callers = listen::callers("--listen", config.listen, &config.callers)?;
    let send_listener = listen::bind("--listen", config.listen, &config.network, tls.as_ref()).await?;
    let admin_listener = listen::bind_admin("--admin", config.admin, &config.network, tls.as_ref()).await?;
    let (send_address, admin_address) = (send_listener.tcp.local_addr()?, admin_listener.tcp.local_addr()?);

    let drain = Drain::new();
    let (readiness, health) = Readiness::new(SERVICES).await;
    let audit = Audit::open(&config.audit, None, identity.public_key()).await?;
    let callers = callers.map(|callers| callers.noting_refusals(audit.clone()));
    let uplinks = Uplinks::new(identity, &destinations, config.session.limits(), trust.clone());
    uplinks.say_who_is_not_trusted(&destinations);
    let log = TransferLog::new(config.transfer_log as usize);
    let engine = Arc::new(Engine::new(destinations, uplinks, log, audit, usize::from(config.models.pool)));
    let limits =
        IntakeLimits { max_file_bytes: config.limits.max_file_bytes, idle: config.limits.idle_timeout() };
    let sender = Sender::new(Arc::clone(&engine), drain.clone(), limits);

    let mut routes = RoutesBuilder::default();
    routes.add_service(SendServiceServer::new(sender).max_decoding_message_size(MAX_CHUNK_MESSAGE_BYTES));
    routes.add_service(health);
    if listen::serves_reflection(send_address, &config.network) {
        add_reflection(&mut routes, FILE_DESCRIPTOR_SET, SERVICES)?;
    }
    let admin = AdminServer::new(admin_listener, readiness.clone())?;
    let mut admin = admin.looking_up(measures::look(Arc::downgrade(&engine)));
    if let Some(trust) = trust.clone() {
        admin = admin.looking_up(trust.measured());
    }
    let stop = CancellationToken::new();
    tokio::spawn(admin.serve(stop.clone()));
    if let Some(tls) = tls {
        tokio::spawn(tls.watch(stop.clone()));
    }
    if let Some(trust) = trust {
        tokio::spawn(Arc::clone(&engine).keep_to(trust.subscribe(), stop.clone()));
        let audit = engine.audit().clone();
        tokio::spawn(trust_changes::write_down_changes(audit, trust.subscribe(), stop.clone()));
        tokio::spawn(trust.watch(stop.clone()));
    }
    if let Some(callers) = callers.clone() {
        tokio::spawn(callers.watch(stop.clone()));
    }
    let server =
        tokio::spawn(serve(config.clone(), send_listener, callers, routes.routes(), drain.token().clone()));

    let loaded = tokio::task::spawn_blocking(move || Codec::load(&codec_config)).await;
    let codec = match loaded.context("loading the models panicked")? {
        Ok(codec) => codec,
        Err(error) => {
            drain.begin(&readiness).await;
            stop.cancel();
            // Nobody was served, so this waits for the listener alone; what it says of itself matters no more.
            let _ = server.await;
            engine.audit().clone().close().await;
            return Err(error.into());
        }
    };
    tracing::info!(models = codec.models().len(), onnxruntime = codec.runtime_version(), "models are loaded");
    latentwire_service::measures::models_loaded(&codec);
    engine.models_loaded(Arc::new(codec));
    readiness.ready().await;
    tracing::info!(%send_address, %admin_address, "serving");
    let end = End { engine, drain, readiness, stop, drain_timeout: config.limits.drain_timeout() };
    let serving = tokio::spawn(end.wait_for(shutdown, server));
    Ok(Running { send_address, admin_address, serving })
}

async fn serve(
    config: Config,
    listener: Listener,
    callers: Option<Callers>,
    routes: Routes,
    stop: CancellationToken,
) -> anyhow::Result<bool> {
    Ok(GrpcServer::new(&config.limits).serve(listener, callers, routes, stop).await?)
}

/// What the end of a sender touches.
struct End {
    engine: Arc<Engine>,
    drain: Drain,
    readiness: Readiness,
    stop: CancellationToken,
    drain_timeout: Duration,
}

impl End {
    /// NOT_SERVING, no new calls, transfers under way finish, sessions end, the admin port goes last.
    async fn wait_for(
        self,
        shutdown: CancellationToken,
        mut server: JoinHandle<anyhow::Result<bool>>,
    ) -> anyhow::Result<()> {
        let failed = tokio::select! {
            () = shutdown.cancelled() => None,
            ended = &mut server => Some(ended),
        };
        self.drain.begin(&self.readiness).await;
        let begun = Instant::now();
        let served = match failed {
            Some(ended) => ended,
            None => server.await,
        };
        let left = self.drain_timeout.saturating_sub(begun.elapsed()).max(CLOSE_TIMEOUT);
        let drained = self.drain.finish(left).await;
        // A receiver that does not answer any more must not hold the end up.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.engine.close()).await;
        self.engine.audit().clone().close().await;
        self.stop.cancel();
        let calls_ended = served.context("the server panicked")??;
        anyhow::ensure!(
            drained && calls_ended,
            "transfers were still under way at the end of --drain-timeout"
        );
        tracing::info!("stopped");
        Ok(())
    }
}
