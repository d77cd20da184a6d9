//! The receiver: takes sealed images from senders, stores them sealed, and gives them back.
//!
//! ```text
//! TransferService ─► wire (session) ─► Sink ─► quota ─► Decoder (once, compared) ─► Archive ─► receipt
//!   senders                                                                          │ sealed objects, catalogue
//! ImageService ◄─ file in chunks ◄─ Decoder (on demand) ◄────────────────────────────┘
//!   PACS side
//! ```
//!
//! [`run`] starts everything and says where it listens; start reading there, then [`sink`].
#![forbid(unsafe_code)]

pub mod archive;
mod audit;
pub mod config;
pub mod decoder;
pub mod image_service;
mod measures;
pub mod quota;
pub mod record;
pub mod sink;
mod storage_key;
pub mod transfer_service;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use latentwire_codec::Codec;
use latentwire_codec::model::Parts;
use latentwire_proto::FILE_DESCRIPTOR_SET;
use latentwire_proto::v1::image_service_server::ImageServiceServer;
use latentwire_service::admin::AdminServer;
use latentwire_service::audit::Audit;
use latentwire_service::drain::Drain;
use latentwire_service::grpc::{GrpcServer, MAX_CHUNK_MESSAGE_BYTES, add_reflection};
use latentwire_service::health::Readiness;
use latentwire_service::keys::load_secret_key;
use latentwire_service::listen;
use latentwire_service::research::Research;
use latentwire_service::sealing::Role;
use latentwire_service::tls::{Listener, ServerTls};
use latentwire_service::trust::Trust;
use latentwire_service::trust_changes;
use latentwire_wire::{SessionServer, system_clock, transfer_server};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;

pub use config::Config;

use archive::Archive;
use decoder::Decoder;
use image_service::Images;
use sink::Sink;
use transfer_service::Transfers;

/// Services whose health is reported.
const SERVICES: &[&str; 2] = &["latentwire.v1.TransferService", "latentwire.v1.ImageService"];
/// How often the data folder is tried.
const DATA_CHECK: Duration = Duration::from_secs(5);

/// A receiver that serves.
pub struct Running {
    /// Where TransferService listens.
    pub transfer_address: SocketAddr,
    /// Where ImageService listens.
    pub image_address: SocketAddr,
    /// Where the admin port listens.
    pub admin_address: SocketAddr,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Where it listens, as one line of JSON for whoever started it.
    pub fn listening(&self) -> String {
        format!(
            r#"{{"event":"listening","transfer":"{}","image":"{}","admin":"{}"}}"#,
            self.transfer_address, self.image_address, self.admin_address
        )
    }

    /// Waits for the end that the shutdown token began.
    ///
    /// # Errors
    /// A server failed, or work was still under way when the drain timeout had passed.
    pub async fn wait(self) -> anyhow::Result<()> {
        self.serving.await.context("the server panicked")?
    }
}

/// Starts a receiver: binds its ports, serves NOT_SERVING while the models load, and returns when it is ready.
/// Cancelling `shutdown` ends it gracefully.
///
/// # Errors
/// The configuration, a key, the data folder, a port or a model is not as it must be; one sentence says what to do.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<Running> {
    measures::started(config.limits.max_concurrent, config.models.pool)?;
    if !config.allow_research.is_empty() {
        tracing::warn!(allowed = %config.allow_research, "senders may use what serves research and not a hospital");
    }
    let identity =
        Arc::new(load_secret_key(&config.identity.key, config.identity.key_source, Role::Receiver)?);
    let trust = Trust::load(&config.identity.trust)?;
    let parts = Parts { encoder: false, decoder: true };
    let research = config.allow_research.allows(Research::Models);
    let codec_config = config.models.codec_config(parts, research, config.limits.max_file_bytes)?;
    let tls = ServerTls::load(&config.tls)?;
    let callers = listen::callers("--listen-image", config.listen_image, &config.callers)?;
    let ports = Ports::bind(&config, tls.as_ref()).await?;
    let (transfer_address, image_address) = (ports.transfer.tcp.local_addr()?, ports.image.tcp.local_addr()?);
    let admin_address = ports.admin.tcp.local_addr()?;
    let storage = config.storage.clone();
    let opened = tokio::task::spawn_blocking(move || Archive::open(&storage)).await;
    let archive = opened.context("opening the data folder panicked")??;
    let audit = Audit::open(&config.audit, Some(&config.storage.data), identity.public_key()).await?;
    let callers = callers.map(|callers| callers.noting_refusals(audit.clone()));

    let drain = Drain::new();
    let decoder = Decoder::new(config.models.pool.into());
    let sink = Sink::new(archive.clone(), decoder.clone(), drain.clone(), audit.clone());
    let sessions = Arc::new(SessionServer::new(
        identity,
        trust.subscribe(),
        Arc::new(sink),
        config.receiver_limits(),
        system_clock(),
    ));
    let (readiness, health) = Readiness::new(SERVICES).await;
    let mut transfer_routes = RoutesBuilder::default();
    transfer_routes.add_service(transfer_server(Transfers::new(Arc::clone(&sessions), audit.clone())));
    transfer_routes.add_service(health.clone());
    let mut image_routes = RoutesBuilder::default();
    let images = Images::new(archive.clone(), decoder.clone(), drain.clone(), audit.clone());
    image_routes
        .add_service(ImageServiceServer::new(images).max_decoding_message_size(MAX_CHUNK_MESSAGE_BYTES));
    image_routes.add_service(health);
    let [transfers, images] = SERVICES;
    for (routes, address, service) in
        [(&mut transfer_routes, transfer_address, transfers), (&mut image_routes, image_address, images)]
    {
        if listen::serves_reflection(address, &config.network) {
            add_reflection(routes, FILE_DESCRIPTOR_SET, &[service])?;
        }
    }

    let stop = CancellationToken::new();
    let admin = AdminServer::new(ports.admin, readiness.clone())?
        .looking_up(measures::look(&archive, &decoder, &sessions))
        .looking_up(trust.clone().measured());
    tokio::spawn(admin.serve(stop.clone()));
    tokio::spawn(trust_changes::write_down_changes(audit.clone(), trust.subscribe(), stop.clone()));
    tokio::spawn(trust.watch(stop.clone()));
    if let Some(tls) = tls {
        tokio::spawn(tls.watch(stop.clone()));
    }
    if let Some(callers) = callers.clone() {
        tokio::spawn(callers.watch(stop.clone()));
    }
    let server = GrpcServer::new(&config.limits);
    let stopping = drain.token().clone();
    let servers = tokio::spawn(async move {
        let transfers = server.serve(ports.transfer, None, transfer_routes.routes(), stopping.clone());
        let images = server.serve(ports.image, callers, image_routes.routes(), stopping);
        let (transfers, images) = tokio::try_join!(transfers, images)?;
        anyhow::Ok(transfers && images)
    });

    let loaded = tokio::task::spawn_blocking(move || Codec::load(&codec_config)).await;
    let codec = match loaded.context("loading the models panicked")? {
        Ok(codec) => codec,
        Err(error) => {
            drain.begin(&readiness).await;
            stop.cancel();
            sessions.drain().await;
            drop(sessions);
            // Nothing is at work yet that could end badly.
            let _ended = servers.await;
            audit.close().await;
            archive.close().await;
            return Err(error.into());
        }
    };
    tracing::info!(models = codec.models().len(), onnxruntime = codec.runtime_version(), "models are loaded");
    latentwire_service::measures::models_loaded(&codec);
    decoder.models_loaded(codec);
    archive.check_writable().await?;
    readiness.ready().await;
    tokio::spawn(watch_data_folder(archive.clone(), readiness.clone(), drain.clone()));
    tracing::info!(%transfer_address, %image_address, %admin_address, "listening");
    let drain_timeout = config.limits.drain_timeout();
    let end = End { archive, audit, sessions, drain, readiness, stop, drain_timeout };
    let serving = tokio::spawn(end.wait_for(shutdown, servers));
    Ok(Running { transfer_address, image_address, admin_address, serving })
}

/// The bound listeners.
struct Ports {
    transfer: Listener,
    image: Listener,
    admin: Listener,
}

impl Ports {
    async fn bind(config: &Config, tls: Option<&ServerTls>) -> Result<Self, listen::ListenError> {
        let network = &config.network;
        Ok(Self {
            transfer: listen::bind("--listen-transfer", config.listen_transfer, network, tls).await?,
            image: listen::bind("--listen-image", config.listen_image, network, tls).await?,
            admin: listen::bind_admin("--admin", config.admin, network, tls).await?,
        })
    }
}

/// Says NOT_SERVING while the data folder cannot be written.
async fn watch_data_folder(archive: Archive, readiness: Readiness, drain: Drain) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(DATA_CHECK) => {}
            () = drain.token().cancelled() => return,
        }
        match (archive.check_writable().await, readiness.is_ready()) {
            (Ok(()), true) => {}
            (Ok(()), false) if drain.is_stopping() => return,
            (Ok(()), false) => {
                tracing::info!("the data folder can be written again");
                readiness.ready().await;
            }
            (Err(error), was_ready) => {
                if was_ready {
                    tracing::error!(%error, "the data folder cannot be written");
                }
                readiness.not_ready().await;
            }
        }
    }
}

/// What the end of a receiver touches.
struct End {
    archive: Archive,
    audit: Audit,
    sessions: Arc<SessionServer<Sink>>,
    drain: Drain,
    readiness: Readiness,
    stop: CancellationToken,
    drain_timeout: Duration,
}

impl End {
    /// NOT_SERVING, no new transfers, those under way finish, then sessions and ports close, the admin port last.
    async fn wait_for(
        self,
        shutdown: CancellationToken,
        mut servers: JoinHandle<anyhow::Result<bool>>,
    ) -> anyhow::Result<()> {
        let failed = tokio::select! {
            () = shutdown.cancelled() => None,
            ended = &mut servers => Some(ended),
        };
        self.drain.begin(&self.readiness).await;
        let draining = tokio::time::timeout(self.drain_timeout, self.sessions.drain());
        let (stored, ended) = match failed {
            Some(ended) => (draining.await, ended),
            None => tokio::join!(draining, servers),
        };
        let drained = self.drain.finish(self.drain_timeout).await && stored.is_ok();
        self.stop.cancel();
        drop(self.sessions);
        self.audit.close().await;
        self.archive.close().await;
        let calls_ended = ended.context("the server panicked")??;
        anyhow::ensure!(drained && calls_ended, "work was still under way at the end of --drain-timeout");
        tracing::info!("stopped");
        Ok(())
    }
}
