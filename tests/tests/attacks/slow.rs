//! Peers that take their time: below gRPC, in a message, between messages: N17.
//!
//! The session driver's own waits are tried with short timers, in this process; the process is tried with the timers that it has.

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration, time::Instant};

use latentwire_proto::v1::{
    SessionRequest, SessionResponse, session_request::Step, transfer_service_server::TransferService,
};
use latentwire_sealing::{Role, SecretKey, TrustEntry, TrustStore};
use latentwire_service::status::to_status;
use latentwire_wire::{
    Announced, Known, Outcome, Peer as Named, Received, ReceiverLimits, SessionServer, SinkError, TransferId,
    TransferSink, Verdict, system_clock, transfer_server,
};
use prost::Message as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tokio_stream::{Stream, StreamExt, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use crate::{
    cases::{Cases, long},
    flood::{PREFACE, frame_head, headers},
    noise::{Initiator, Key, Lies, random},
    peer::{Image, Peer, encapsulation_key},
    raw::{End, RawCall},
    stand::{Stand, eventually, honest, scalar},
};

const DEADLINE: &str = "DEADLINE";
/// Every wait of the receiver in this process.
const SHORT: Duration = Duration::from_millis(600);

/// Counts what comes whole, and keeps nothing.
#[derive(Default)]
struct Counting(std::sync::atomic::AtomicUsize);

impl TransferSink for Counting {
    type Admission = ();

    async fn known(&self, _peer: &Named, _id: &TransferId) -> Result<Option<Known>, SinkError> {
        Ok(None)
    }

    async fn admit(&self, _peer: &Named, _announced: &Announced) -> Result<(), SinkError> {
        Ok(())
    }

    async fn complete(&self, _peer: &Named, received: Received, (): ()) -> Result<Outcome, SinkError> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Outcome::Stored {
            image_id: received.announced.transfer_id,
            verdict: Verdict::Exact,
            decode_ms: 0.0,
        })
    }
}

/// The product's session driver with short timers.
struct Impatient {
    address: SocketAddr,
    sender: Key,
    receiver: Key,
    sink: Arc<Counting>,
    sessions: SessionServer<Counting>,
    _trust: watch::Sender<Arc<TrustStore>>,
    server: JoinHandle<()>,
}

struct Service(SessionServer<Counting>);

type Answers = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>>;

#[tonic::async_trait]
impl TransferService for Service {
    type SessionStream = Answers;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let answers = self.0.serve(request).map(|item| item.map_err(|error| to_status(&error.into())));
        Ok(Response::new(Box::pin(answers)))
    }
}

impl Impatient {
    async fn new() -> Self {
        let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
        let (sender, identity) =
            (SecretKey::generate(Role::Sender, &mut rng), SecretKey::generate(Role::Receiver, &mut rng));
        let mut store = TrustStore::default();
        store.add(TrustEntry::new("clinic-a", *sender.public_key())).expect("an entry");
        let (trust, watched) = watch::channel(Arc::new(store));
        let mut limits =
            ReceiverLimits { rate_window: SHORT, min_bytes_per_second: 100_000, ..ReceiverLimits::default() };
        limits.session.timeouts.handshake = SHORT;
        limits.session.timeouts.idle = SHORT;
        limits.session.timeouts.stall = SHORT;
        let sink = Arc::new(Counting::default());
        let receiver = *identity.public_key().as_bytes();
        let sessions =
            SessionServer::new(Arc::new(identity), watched, Arc::clone(&sink), limits, system_clock());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let service = transfer_server(Service(sessions.clone()));
        let server = tokio::spawn(async move {
            let server = Server::builder().add_service(service);
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("it serves");
        });
        Self { address, sender: scalar(&sender), receiver, sink, sessions, _trust: trust, server }
    }

    async fn connect(&self) -> Peer {
        let mut peer = Peer::dial(self.address).await;
        peer.agree(&self.sender, &self.receiver).await;
        peer
    }

    async fn is_sound(&self) {
        eventually("the slow sessions are gone", async || self.sessions.open_sessions() == 0).await;
        assert_eq!(self.sessions.buffered_bytes(), 0);
        let before = self.sink.0.load(std::sync::atomic::Ordering::Relaxed);
        let mut peer = self.connect().await;
        let steps = peer.messages(&honest());
        peer.send_all(steps).await;
        let _ack = peer.open_ack().await;
        assert!(peer.receipt().await.error.is_none(), "an honest image passes");
        assert_eq!(self.sink.0.load(std::sync::atomic::Ordering::Relaxed), before + 1);
    }
}

impl Drop for Impatient {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n17_slow_loris() {
    let mut cases = Cases::of("n17_slow_loris");
    let receiver = Arc::new(Impatient::new().await);
    let mut all = JoinSet::new();
    let count = receiver.connect().await.messages(&honest()).len();
    // Silence from any message on: before the first, and before each of a transfer's.
    let address = receiver.address;
    all.spawn(async move { Peer::dial(address).await.reason().await });
    for sent in 1..count {
        let receiver = Arc::clone(&receiver);
        all.spawn(async move {
            let mut peer = receiver.connect().await;
            let steps = peer.messages(&honest());
            peer.send_all(steps[..sent].to_vec()).await;
            peer.reason().await
        });
    }
    // A message that never ends: a byte of Hello now and then, and the same of an Open and of a segment.
    for drip in [1, 7, 100] {
        let receiver = Arc::clone(&receiver);
        all.spawn(async move {
            let (_, key) = encapsulation_key(&random());
            let (_, noise) = Initiator::start(&receiver.sender, &receiver.receiver, &key, &Lies::default());
            let step = Step::Hello(latentwire_proto::v1::Hello { version: 1, suite: 1, noise: noise.into() });
            let message = RawCall::message(&SessionRequest { step: Some(step) }.encode_to_vec());
            let mut call = RawCall::begin(receiver.address, &[]).await;
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            let dripping = async {
                for piece in message[..message.len() - 1].chunks(drip) {
                    tick.tick().await;
                    if !call.send(piece.to_vec()).await {
                        break;
                    }
                }
            };
            // The slowest would take a minute; its end is the receiver's business.
            let _ = tokio::time::timeout(SHORT * 3, dripping).await;
            match call.end().await {
                End::Status(4, reason) => reason,
                other @ (End::Status(..) | End::Reset) => format!("{other:?}"),
            }
        });
    }
    // Segments that come, but too slowly: each wait is short, the whole would last for ever.
    for pause in [60, 100, 200] {
        let receiver = Arc::clone(&receiver);
        all.spawn(async move {
            let mut peer = receiver.connect().await;
            let mut image: Image = honest();
            image.set_coded(vec![7; 60 * 1_024]);
            let steps = peer.messages(&image);
            let mut tick = tokio::time::interval(Duration::from_millis(pause));
            for step in steps {
                tick.tick().await;
                peer.send(step).await;
                if peer.requests.as_ref().is_none_or(tokio::sync::mpsc::Sender::is_closed) {
                    break;
                }
            }
            peer.reason().await
        });
    }
    while let Some(reason) = all.join_next().await {
        assert_eq!(reason.expect("no panic"), DEADLINE);
        cases.one();
    }
    // A session that is set up and says nothing ends in order.
    let mut idle = receiver.connect().await;
    assert!(idle.status().await.is_none());
    cases.one();
    receiver.is_sound().await;
    assert_eq!(
        receiver.sink.0.load(std::sync::atomic::Ordering::Relaxed),
        1,
        "nothing of the slow came whole"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n17_slow_loris_below_grpc() {
    let mut cases = Cases::of("n17_slow_loris_below_grpc");
    let mut stand = Stand::start().await;
    let address = stand.receiver.transfer;
    let images = stand.receiver.images;
    // What is sent at once, what follows a byte a second, and within how many seconds the receiver hangs up.
    let mut slow = Vec::new();
    for address in [address, images] {
        for sent in [0, 1, 12] {
            slow.push((address, PREFACE[..sent].to_vec(), PREFACE[sent..].to_vec(), 20));
        }
    }
    if long() {
        // Behind the preface HTTP/2's own pings find out: 20 s until one is sent, 20 s for its answer.
        let begun = headers(1);
        let (half, rest) = begun.split_at(begun.len() / 2);
        slow.push((address, PREFACE.to_vec(), Vec::new(), 60));
        slow.push((address, [PREFACE, half].concat(), rest.to_vec(), 60));
        slow.push((address, [PREFACE, &begun].concat(), Vec::new(), 60));
        slow.push((address, [PREFACE, &begun, &frame_head(16_000, 0, 0, 1)[..]].concat(), vec![0; 100], 60));
    }
    let mut all = JoinSet::new();
    for (address, first, drops, seconds) in slow {
        all.spawn(async move {
            let begun = Instant::now();
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.write_all(&first).await.expect("room");
            let (mut answers, mut requests) = stream.split();
            let mut bytes = [0; 4_096];
            let hung_up = async { while answers.read(&mut bytes).await.is_ok_and(|count| count > 0) {} };
            let drip = async {
                let mut tick = tokio::time::interval(Duration::from_secs(1));
                for byte in drops {
                    tick.tick().await;
                    // It may have hung up: the other branch knows.
                    let _ = requests.write_all(&[byte]).await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = hung_up => {}
                () = drip => {}
            }
            assert!(begun.elapsed() < Duration::from_secs(seconds), "{:?}", begun.elapsed());
        });
    }
    // The handshake's own limit, at the same time.
    all.spawn(async move { assert_eq!(Peer::dial(address).await.reason().await, DEADLINE) });
    while let Some(done) =
        tokio::time::timeout(Duration::from_secs(90), all.join_next()).await.expect("hung up in time")
    {
        done.expect("no panic");
        cases.one();
    }
    stand.still_sound().await;
}
