//! The DICOM side of a sender: takes objects by C-STORE, hands them to SendService, and answers when the receiver has them.
//!
//! ```text
//! modality ═DIMSE═► server ─► negotiation    AE titles, presentation contexts, limits; or a rejection with its reason
//!                     │
//!                     └─► association ─► dimse        command sets in, responses out
//!                            │    ▲
//!                            │    └──── outcome       success only behind the receiver's receipt; else a status, a reason
//!                            ▼
//!                          object ─► elements         the bytes as they came, a Part 10 file around them, bounded memory
//!                            │         identity       transfer id and study name, by HMAC
//!                            └─► delivery ═gRPC═► sender-svc ═══► receiver-svc
//! ```
//!
//! [`run`] starts everything and says where it listens; start reading there, then [`association`].
#![forbid(unsafe_code)]

pub mod association;
pub mod config;
pub mod delivery;
pub mod dimse;
pub mod elements;
pub mod identity;
mod measures;
pub mod negotiation;
pub mod object;
pub mod outcome;
pub mod policy;
pub mod server;
pub mod titles;
pub mod wire;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use latentwire_proto::v1::Policy;
use latentwire_service::{
    admin::AdminServer, dial::CallerDial, drain::Drain, health::Readiness, listen, tls::ServerTls,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use config::Config;

use association::Signals;
use delivery::Courier;
use identity::Identity;
use server::Gateway;
use titles::Titles;

/// Time that associations get to end once they are cut off.
const CUT_TIMEOUT: Duration = Duration::from_secs(5);

/// A gateway that serves.
pub struct Running {
    /// Where the DICOM port listens.
    pub dicom_address: SocketAddr,
    /// Where the admin port listens.
    pub admin_address: SocketAddr,
    serving: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// Waits for the end that the shutdown token began.
    ///
    /// # Errors
    /// The DICOM port failed, or an association could not even be cut off.
    pub async fn wait(self) -> anyhow::Result<()> {
        self.serving.await.context("the gateway panicked")?
    }
}

/// Starts a gateway and returns when its ports are open. Cancelling `shutdown` ends it gracefully. The sender need not run
/// yet: storing is refused for the moment until it does.
///
/// # Errors
/// The configuration, the data folder or a port is not as it must be; one sentence says what to do.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<Running> {
    config.check()?;
    let destination = config.destination.as_deref().unwrap_or_default();
    let titles = Titles::new(&config.ae_title, destination, &config.route, &config.calling_ae_title)?;
    let network = config.network();
    measures::started(titles.destinations())?;
    let tls = ServerTls::load(&config.tls)?;
    let sender = CallerDial::new(&config.sender, &config.credentials)?;
    let dicom_listener = listen::bind("--listen", config.listen, &network, tls.as_ref()).await?;
    let admin_listener = listen::bind_admin("--admin", config.admin, &network, tls.as_ref()).await?;
    let (dicom_address, admin_address) = (dicom_listener.tcp.local_addr()?, admin_listener.tcp.local_addr()?);
    let identity = Identity::open(&config.data)?;

    let policy = Policy::from(&config.policy);
    let courier = Courier::new(&sender, policy, config.limits.delivery_timeout());
    let drain_timeout = config.limits.drain_timeout();
    let gateway = Arc::new(Gateway::new(config.limits, titles, config.policy.urgent, identity, courier));
    let drain = Drain::new();
    let signals = Signals { stop: drain.token().clone(), cut: CancellationToken::new() };
    // There is no gRPC here, so that health is the admin port's alone.
    let (readiness, _health) = Readiness::new(&[]).await;
    let admin = AdminServer::new(admin_listener, readiness.clone())?;
    let admin = admin.looking_up(measures::look(Arc::downgrade(&gateway)));
    let admin_stop = CancellationToken::new();
    tokio::spawn(admin.serve(admin_stop.clone()));
    if let Some(tls) = tls {
        tokio::spawn(tls.watch(admin_stop.clone()));
    }
    let server = tokio::spawn(server::serve(gateway, dicom_listener, drain.clone(), signals.clone()));
    readiness.ready().await;
    tracing::info!(%dicom_address, %admin_address, "serving");
    let end = End { drain, readiness, signals, admin_stop, drain_timeout };
    let serving = tokio::spawn(end.wait_for(shutdown, server));
    Ok(Running { dicom_address, admin_address, serving })
}

/// What the end of a gateway touches.
struct End {
    drain: Drain,
    readiness: Readiness,
    signals: Signals,
    admin_stop: CancellationToken,
    drain_timeout: Duration,
}

impl End {
    /// Not ready, no new associations, those that are open finish or are aborted, the admin port goes last.
    async fn wait_for(self, shutdown: CancellationToken, mut server: JoinHandle<()>) -> anyhow::Result<()> {
        let failed = tokio::select! {
            () = shutdown.cancelled() => None,
            ended = &mut server => Some(ended),
        };
        self.drain.begin(&self.readiness).await;
        let served = match failed {
            Some(ended) => ended,
            None => server.await,
        };
        let mut drained = self.drain.finish(self.drain_timeout).await;
        if !drained {
            tracing::warn!(
                left = self.drain.tasks().len(),
                "the drain timeout is over: associations are aborted"
            );
            self.signals.cut.cancel();
            drained = self.drain.finish(CUT_TIMEOUT).await;
        }
        self.admin_stop.cancel();
        served.context("the DICOM port panicked")?;
        anyhow::ensure!(drained, "associations were still open after they were aborted");
        tracing::info!("stopped");
        Ok(())
    }
}
