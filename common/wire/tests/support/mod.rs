//! A real receiver on 127.0.0.1 with a sink in memory, honest senders, and a hand-driven peer of either kind.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod peers;
pub mod sink;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use latentwire_proto::v1::transfer_service_server::TransferService;
use latentwire_proto::v1::{MetaRecord, SessionRequest, SessionResponse};
use latentwire_sealing::{
    Form, InnerLayer, PaddingPolicy, PublicKey, Role, SecretKey, TrustEntry, TrustStore,
};
use latentwire_wire::{
    Clock, Outgoing, Reason, ReceiverLimits, Segmentation, SessionLimits, SessionServer, TransferId, Uplink,
    WireError, system_clock, transfer_server,
};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt};

pub use self::sink::MemorySink;

pub const SENDER: &str = "st-elsewhere";

pub fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

pub fn key(role: Role) -> SecretKey {
    SecretKey::generate(role, &mut rng())
}

/// What the receiver's service does with an error; a copy of what the services' common mapping must do.
pub fn to_status(error: &WireError) -> Status {
    let details = ErrorDetails::with_error_info(error.reason().as_str(), "latentwire.v1", HashMap::new());
    Status::with_error_details(error.code(), error.public_message(), details)
}

struct Service(SessionServer<MemorySink>);

type Answers = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>>;

#[tonic::async_trait]
impl TransferService for Service {
    type SessionStream = Answers;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let answers = self.0.serve(request).map(|item| item.map_err(|error| to_status(&error)));
        Ok(Response::new(Box::pin(answers)))
    }
}

/// A receiver, one trusted sender, and the handles to change their minds.
pub struct Site {
    pub address: SocketAddr,
    pub receiver: PublicKey,
    pub sender: SecretKey,
    pub trust: watch::Sender<Arc<TrustStore>>,
    pub sink: Arc<MemorySink>,
    pub sessions: SessionServer<MemorySink>,
    server: JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub struct SiteOptions {
    pub limits: ReceiverLimits,
    pub clock: Clock,
    pub entry: fn(TrustEntry) -> TrustEntry,
}

impl Default for SiteOptions {
    fn default() -> Self {
        Self { limits: ReceiverLimits::default(), clock: system_clock(), entry: |entry| entry }
    }
}

impl Site {
    pub async fn new() -> Self {
        Self::with(SiteOptions::default()).await
    }

    pub async fn with_limits(change: impl FnOnce(&mut ReceiverLimits)) -> Self {
        let mut limits = ReceiverLimits::default();
        change(&mut limits);
        Self::with(SiteOptions { limits, ..SiteOptions::default() }).await
    }

    pub async fn with(options: SiteOptions) -> Self {
        let (sender, identity) = (key(Role::Sender), key(Role::Receiver));
        let receiver = *identity.public_key();
        let mut store = TrustStore::default();
        store.add((options.entry)(TrustEntry::new(SENDER, *sender.public_key()))).expect("entry");
        let (trust, watched) = watch::channel(Arc::new(store));
        let sink = Arc::new(MemorySink::default());
        let sessions =
            SessionServer::new(Arc::new(identity), watched, Arc::clone(&sink), options.limits, options.clock);
        let (address, server) = serve(Service(sessions.clone())).await;
        Self { address, receiver, sender, trust, sink, sessions, server }
    }

    pub fn channel(&self) -> Channel {
        channel(self.address)
    }

    pub async fn connect(&self) -> Result<Uplink, WireError> {
        self.connect_with(SessionLimits::default()).await
    }

    pub async fn connect_with(&self, limits: SessionLimits) -> Result<Uplink, WireError> {
        Uplink::connect(self.channel(), &self.sender, &self.receiver, limits).await
    }
}

/// Serves a service on a free port with TCP_NODELAY.
pub async fn serve<T: TransferService>(service: T) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tokio::spawn(async move {
        Server::builder()
            .add_service(transfer_server(service))
            .serve_with_incoming(incoming)
            .await
            .expect("server");
    });
    (address, server)
}

pub fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("an address is a URI").connect_lazy()
}

/// Bytes that look random but are the same each time.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        })
        .collect()
}

pub fn id(number: u8) -> TransferId {
    let mut id = [0x5a; 16];
    id[0] = number;
    id
}

/// A latent of so many coded bytes; number and length decide everything about it.
pub fn latent(number: u8, length: usize) -> Outgoing {
    let coded = noise(u64::from(number) + 1, length);
    Outgoing {
        transfer_id: id(number),
        form: Form::Latent,
        decoder_digest: [7; 32],
        source_sha256: Sha256::digest([number]).into(),
        meta: MetaRecord { study_group: format!("study {number}"), ..MetaRecord::default() },
        coded: coded.into(),
        padding: PaddingPolicy::Padme,
        inner_layer: InnerLayer::None,
        segmentation: Segmentation::Fixed,
        urgent: false,
        exact_fallback: None,
    }
}

/// The same below the chaos cipher.
pub fn chaos(number: u8, length: usize) -> Outgoing {
    Outgoing { inner_layer: InnerLayer::Chaos4, ..latent(number, length) }
}

/// A raw latent of so many rows, after a head of 57 bytes.
pub fn rows(number: u8, rows: usize, row_bytes: u32) -> Outgoing {
    let segmentation = Segmentation::Rows { head_bytes: 57, row_bytes };
    Outgoing { segmentation, ..latent(number, 57 + rows * row_bytes as usize) }
}

pub fn exact(number: u8, length: usize) -> Outgoing {
    let coded = noise(u64::from(number) + 1_001, length).into();
    Outgoing { form: Form::Exact, decoder_digest: [0; 32], coded, ..latent(number, 1) }
}

/// Waits for a condition that another task brings about; fails loudly instead of hanging.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap_or_else(|_| panic!("never came: {what}"));
}

/// The stable reason that a status carries, and nothing beside it.
pub fn reason(status: &Status) -> Reason {
    let info = status.get_details_error_info().expect("every status carries ErrorInfo");
    assert_eq!(info.domain, "latentwire.v1");
    assert!(info.metadata.is_empty());
    Reason::parse(&info.reason).expect("a reason of the table")
}

/// Nothing is left of a session that has failed.
pub async fn assert_clean(site: &Site) {
    eventually("the session is gone", || site.sessions.open_sessions() == 0).await;
    assert_eq!(site.sink.len(), 0);
    assert_eq!(site.sink.held_admissions(), 0);
    assert_eq!(site.sessions.buffered_bytes(), 0);
}
