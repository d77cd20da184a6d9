//! A hostile link: stands between a sender and a receiver, speaks gRPC with both, and does to their messages what a test says.
//!
//! ```text
//! sender-svc ─► Proxy ─► receiver-svc        Rule { way: ToReceiver, at: 3, act: Flip { bit: 17 } }
//!                 │ recordings(): what came in, before anything was done to it
//! ```
//!
//! It holds no key: what it can do, anybody on the line can do.

use std::{
    mem,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use latentwire_proto::v1::{
    Hello, HelloReply, NeedExact, Open, OpenAck, Receipt, SessionRequest, SessionResponse,
    session_request::Step as Request,
    session_response::Step as Answer,
    transfer_service_client::TransferServiceClient,
    transfer_service_server::{TransferService, TransferServiceServer},
};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    sync::{mpsc, watch},
};
use tokio_stream::{Stream, wrappers::ReceiverStream, wrappers::TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{
    Response, Status, Streaming,
    transport::{Endpoint, Server},
};

/// Messages that may wait in one direction.
const QUEUE: usize = 64;

/// Direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the sender.
    ToReceiver,
    /// From the receiver.
    ToSender,
}

/// What is done to one message of every session.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its direction.
    pub way: Way,
    /// Its place in that direction, from 0: Hello or HelloReply.
    pub at: usize,
    /// What becomes of it.
    pub act: Act,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// A bit of its sealed bytes is turned; counted round.
    Flip {
        /// Which.
        bit: usize,
    },
    /// Its sealed bytes are cut to this length, or filled up to it with zeros.
    Resize {
        /// Bytes that are left.
        bytes: usize,
    },
    /// Its slot is another; where it has one in clear.
    Slot(u32),
    /// Its `last` flag is turned.
    Last,
    /// Its version and suite are others.
    Version(u32, u32),
    /// It is lost.
    Drop,
    /// It comes twice.
    Duplicate,
    /// It comes after the next one.
    SwapWithNext,
    /// Others come before it, recorded elsewhere or made up.
    Inject(Vec<Message>),
    /// Others come in its place.
    Replace(Vec<Message>),
    /// It goes back to where it came from, as what is due there; its true way it does not go.
    Reflect,
    /// The stream ends in order before it.
    End,
    /// Both directions end at once before it.
    Cut,
    /// It and all after it in its direction wait until the session is cut; see [`Proxy::wait_held`].
    Hold,
}

/// A message of either direction.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// From the sender.
    Request(SessionRequest),
    /// From the receiver.
    Answer(SessionResponse),
}

/// What one session said, as it came in.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The sender's messages.
    pub requests: Vec<SessionRequest>,
    /// The receiver's messages.
    pub answers: Vec<SessionResponse>,
}

/// A running proxy.
#[derive(Debug)]
pub struct Proxy {
    /// Where senders connect.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    // Ends its tasks when dropped, without waiting: a test may drop it inside another runtime.
    runtime: Option<Runtime>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    state: Mutex<State>,
    held: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    recordings: Vec<Recording>,
    /// Recordings that were taken away.
    taken: usize,
    sessions: Vec<CancellationToken>,
}

impl Proxy {
    /// Stands before this receiver, and passes everything on as it is until [`Self::play`].
    ///
    /// # Panics
    /// The machine has no port or thread left.
    #[must_use]
    pub fn before(upstream: SocketAddr) -> Self {
        let shared = Arc::new(Shared { upstream, state: Mutex::default(), held: watch::Sender::new(0) });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be made");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("127.0.0.1 has free ports");
        listener.set_nonblocking(true).expect("a listener can be told not to block");
        let address = listener.local_addr().expect("a bound listener has an address");
        let service = TransferServiceServer::new(Link(Arc::clone(&shared)));
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("a listener of this runtime");
            let server = Server::builder().add_service(service);
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("the proxy serves");
        });
        Self { address, shared, runtime: Some(runtime) }
    }

    /// Does this to every session that begins from now on; ends those that are open, so that the next transfer begins one.
    pub fn play(&self, rules: Vec<Rule>) {
        self.shared.state().rules = rules;
        self.cut();
    }

    /// Ends every open session.
    pub fn cut(&self) {
        for session in mem::take(&mut self.shared.state().sessions) {
            session.cancel();
        }
    }

    /// What the sessions said since the last call, in the order in which they began.
    #[must_use]
    pub fn recordings(&self) -> Vec<Recording> {
        let mut state = self.shared.state();
        state.taken += state.recordings.len();
        mem::take(&mut state.recordings)
    }

    /// How often a message was [held](Act::Hold) so far.
    #[must_use]
    pub fn held(&self) -> usize {
        *self.shared.held.borrow()
    }

    /// Waits until a message is held for the n-th time.
    pub async fn wait_held(&self, count: usize) {
        let mut held = self.shared.held.subscribe();
        // The sender of the channel lives as long as the proxy.
        let _ = held.wait_for(|held| *held >= count).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Link(Arc<Shared>);

type Answers = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>>;

#[tonic::async_trait]
impl TransferService for Link {
    type SessionStream = Answers;

    async fn session(
        &self,
        request: tonic::Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let over = CancellationToken::new();
        let (index, rules) = {
            let mut state = self.0.state();
            state.recordings.push(Recording::default());
            state.sessions.push(over.clone());
            (state.taken + state.recordings.len() - 1, state.rules.clone())
        };
        let (inlet, outlet) = mpsc::channel(QUEUE);
        let (to_sender, answers) = mpsc::channel(QUEUE);
        let to_receiver = inlet.downgrade();
        let session = Session { shared: Arc::clone(&self.0), index, rules, to_receiver, to_sender, over };
        tokio::spawn(session.relay(request.into_inner(), inlet, outlet));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

#[derive(Clone)]
struct Session {
    shared: Arc<Shared>,
    index: usize,
    rules: Vec<Rule>,
    /// Weak: the receiver must see the end of the requests when their pump has ended.
    to_receiver: mpsc::WeakSender<SessionRequest>,
    to_sender: mpsc::Sender<Result<SessionResponse, Status>>,
    over: CancellationToken,
}

impl Session {
    async fn relay(
        self,
        requests: Streaming<SessionRequest>,
        inlet: mpsc::Sender<SessionRequest>,
        outlet: mpsc::Receiver<SessionRequest>,
    ) {
        let over = self.over.clone();
        let there = self.clone().pump_requests(requests, inlet);
        let back = self.pump_answers(outlet);
        tokio::select! {
            () = over.cancelled() => {}
            ((), ()) = async { tokio::join!(there, back) } => {}
        }
    }

    async fn pump_requests(
        self,
        mut requests: Streaming<SessionRequest>,
        _inlet: mpsc::Sender<SessionRequest>,
    ) {
        let mut late = None;
        let mut at = 0;
        while let Ok(Some(message)) = requests.message().await {
            self.record(|recording| recording.requests.push(message.clone()));
            let acted = self.act(Way::ToReceiver, at, Message::Request(message), &mut late).await;
            let Some(out) = acted else { return };
            at += 1;
            if !self.pass(out).await {
                return;
            }
        }
        self.pass(late.into_iter().collect()).await;
    }

    async fn pump_answers(self, outlet: mpsc::Receiver<SessionRequest>) {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.shared.upstream));
        let channel = endpoint.expect("an address is a URL").connect_lazy();
        let mut client = TransferServiceClient::new(channel);
        let ended = match client.session(ReceiverStream::new(outlet)).await {
            Ok(answers) => self.pump_stream(answers.into_inner()).await,
            Err(status) => Err(status),
        };
        if let Err(status) = ended {
            // The sender may have gone.
            let _gone = self.to_sender.send(Err(status)).await;
        }
        self.over.cancel();
    }

    async fn pump_stream(&self, mut answers: Streaming<SessionResponse>) -> Result<(), Status> {
        let mut late = None;
        let mut at = 0;
        while let Some(message) = answers.message().await? {
            self.record(|recording| recording.answers.push(message.clone()));
            let acted = self.act(Way::ToSender, at, Message::Answer(message), &mut late).await;
            let Some(out) = acted else { return Ok(()) };
            at += 1;
            if !self.pass(out).await {
                return Ok(());
            }
        }
        self.pass(late.into_iter().collect()).await;
        Ok(())
    }

    fn record(&self, what: impl FnOnce(&mut Recording)) {
        let mut state = self.shared.state();
        let place = self.index.checked_sub(state.taken);
        if let Some(recording) = place.and_then(|place| state.recordings.get_mut(place)) {
            what(recording);
        }
    }

    /// Each message goes its own way; false where its end has gone.
    async fn pass(&self, messages: Vec<Message>) -> bool {
        for message in messages {
            let passed = match message {
                Message::Request(message) => match self.to_receiver.upgrade() {
                    Some(inlet) => inlet.send(message).await.is_ok(),
                    None => false,
                },
                Message::Answer(message) => self.to_sender.send(Ok(message)).await.is_ok(),
            };
            if !passed {
                return false;
            }
        }
        true
    }

    /// What goes on in place of a message; None where its direction is over.
    async fn act(
        &self,
        way: Way,
        at: usize,
        message: Message,
        late: &mut Option<Message>,
    ) -> Option<Vec<Message>> {
        let mut out = vec![message];
        for rule in self.rules.iter().filter(|rule| rule.way == way && rule.at == at) {
            match &rule.act {
                Act::Drop => out.clear(),
                Act::Duplicate => out = [out.clone(), out].concat(),
                Act::Inject(others) => out = [others.clone(), out].concat(),
                Act::Replace(others) => out.clone_from(others),
                Act::Reflect => out = out.into_iter().filter_map(reflected).collect(),
                Act::SwapWithNext => {
                    *late = out.pop();
                    return Some(out);
                }
                Act::End => return None,
                Act::Cut => {
                    self.over.cancel();
                    return None;
                }
                Act::Hold => {
                    self.shared.held.send_modify(|held| *held += 1);
                    self.over.cancelled().await;
                    return None;
                }
                change @ (Act::Flip { .. }
                | Act::Resize { .. }
                | Act::Slot(_)
                | Act::Last
                | Act::Version(..)) => {
                    out.iter_mut().for_each(|message| alter(message, change));
                }
            }
        }
        out.extend(late.take());
        Some(out)
    }
}

/// Changes a message in place.
fn alter(message: &mut Message, change: &Act) {
    match change {
        Act::Flip { bit } => on_sealed(message, |bytes| {
            let bit = bit % (bytes.len() * 8).max(1);
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }),
        Act::Resize { bytes: length } => on_sealed(message, |bytes| bytes.resize(*length, 0)),
        Act::Slot(slot) => match message {
            Message::Request(SessionRequest { step: Some(Request::Meta(meta)) }) => meta.slot = *slot,
            Message::Request(SessionRequest { step: Some(Request::Segment(segment)) }) => {
                segment.slot = *slot;
            }
            Message::Request(_) | Message::Answer(_) => {}
        },
        Act::Last => {
            if let Message::Request(SessionRequest { step: Some(Request::Segment(segment)) }) = message {
                segment.last = !segment.last;
            }
        }
        Act::Version(version, suite) => {
            if let Message::Request(SessionRequest { step: Some(Request::Hello(hello)) }) = message {
                (hello.version, hello.suite) = (*version, *suite);
            }
        }
        Act::Drop
        | Act::Duplicate
        | Act::SwapWithNext
        | Act::Inject(_)
        | Act::Replace(_)
        | Act::Reflect
        | Act::End
        | Act::Cut
        | Act::Hold => {}
    }
}

/// Changes what is sealed of a message: its Noise message or its ciphertext.
fn on_sealed(message: &mut Message, change: impl FnOnce(&mut Vec<u8>)) {
    let bytes = match message {
        Message::Request(SessionRequest { step: Some(step) }) => match step {
            Request::Hello(hello) => &mut hello.noise,
            Request::Open(open) => &mut open.noise,
            Request::Meta(meta) => &mut meta.ciphertext,
            Request::Segment(segment) => &mut segment.ciphertext,
            Request::Cancel(_) => return,
        },
        Message::Answer(SessionResponse { step: Some(step) }) => match step {
            Answer::HelloReply(reply) => &mut reply.noise,
            Answer::OpenAck(ack) => &mut ack.noise,
            Answer::NeedExact(need) => &mut need.noise,
            Answer::Receipt(receipt) => &mut receipt.noise,
        },
        Message::Request(SessionRequest { step: None }) | Message::Answer(SessionResponse { step: None }) => {
            return;
        }
    };
    let mut changed = bytes.to_vec();
    change(&mut changed);
    *bytes = changed.into();
}

/// The same sealed bytes as the message that would be due in the other direction.
fn reflected(message: Message) -> Option<Message> {
    let answer = |step| Some(Message::Answer(SessionResponse { step: Some(step) }));
    let request = |step| Some(Message::Request(SessionRequest { step: Some(step) }));
    match message {
        Message::Request(SessionRequest { step: Some(step) }) => match step {
            Request::Hello(Hello { noise, .. }) => answer(Answer::HelloReply(HelloReply { noise })),
            Request::Open(Open { noise }) => answer(Answer::OpenAck(OpenAck { noise })),
            Request::Meta(meta) => answer(Answer::NeedExact(NeedExact { noise: meta.ciphertext })),
            Request::Segment(segment) => answer(Answer::Receipt(Receipt { noise: segment.ciphertext })),
            Request::Cancel(_) => None,
        },
        Message::Answer(SessionResponse { step: Some(step) }) => match step {
            Answer::HelloReply(HelloReply { noise }) => {
                request(Request::Hello(Hello { version: 1, suite: 1, noise }))
            }
            Answer::OpenAck(OpenAck { noise })
            | Answer::NeedExact(NeedExact { noise })
            | Answer::Receipt(Receipt { noise }) => request(Request::Open(Open { noise })),
        },
        Message::Request(SessionRequest { step: None }) | Message::Answer(SessionResponse { step: None }) => {
            None
        }
    }
}
