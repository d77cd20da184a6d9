//! A receiver in the test's hands that plays its part by the protocol, writes down which (key, nonce) pairs it sees used, and
//! stops or lies where it is told to.
//!
//! A pair is written down as SHA-256(key ‖ nonce), and only after the record has opened under it: the log is of what was used, and
//! tells no key.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use latentwire_proto::v1::{
    HelloReply, Mode, OpenAck, OpenAckBody, OpenVerdict, Receipt, ReceiptBody, ReceiptStatus,
    ReconstructionVerdict, SessionRequest, SessionResponse, TransferError,
    session_request::Step,
    session_response::Step as Answer,
    transfer_service_server::{TransferService, TransferServiceServer},
};
use latentwire_sealing::key_schedule::TransferKeys;
use ml_kem::{kem::Encapsulate, ml_kem_768};
use prost::Message as _;
use sha2::{Digest, Sha256};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_stream::{
    Stream,
    wrappers::{ReceiverStream, TcpListenerStream},
};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use crate::{
    noise::{self, Key, Responder},
    peer::{self, OPEN, OPEN_ACK, RECEIPT},
};

/// Where it stops: it answers nothing more, and keeps the stream open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    Nowhere,
    AfterHello,
    AfterReply,
    AfterOpen,
    AfterMeta,
    AfterSegment(u32),
    BeforeReceipt,
    AfterReceipt,
}

/// How it behaves in the sessions that begin from now on.
#[derive(Clone)]
pub struct Script {
    pub stop: Stop,
    /// In place of the ML-KEM ciphertext.
    pub payload: Option<Vec<u8>>,
    /// In place of its ephemeral key; results are zero then.
    pub ephemeral: Option<Key>,
    /// What it says to hold of every image already.
    pub resume: Option<Resume>,
}

/// A resumption that the receiver cannot prove.
#[derive(Clone, Debug)]
pub struct Resume {
    pub index: u32,
    pub tag: Vec<u8>,
}

impl Script {
    pub fn honest() -> Self {
        Self { stop: Stop::Nowhere, payload: None, ephemeral: None, resume: None }
    }

    pub fn stopping(stop: Stop) -> Self {
        Self { stop, ..Self::honest() }
    }
}

/// What it saw.
#[derive(Default)]
pub struct Log {
    /// SHA-256(key ‖ nonce) of every record, in order.
    pub pairs: Vec<Key>,
    /// Open bodies' contexts, one an attempt.
    pub attempts: Vec<Key>,
    /// Segments that opened, over all attempts.
    pub segments: usize,
    /// Transfers that came whole.
    pub whole: usize,
}

pub struct Observer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    identity: Key,
    script: Mutex<Script>,
    log: Mutex<Log>,
    stopped: watch::Sender<usize>,
    /// A new script ends the sessions of the one before.
    scripts: watch::Sender<usize>,
}

impl Observer {
    /// Stands in for the receiver whose secret key this is.
    pub async fn new(identity: Key) -> Self {
        let shared = Arc::new(Shared {
            identity,
            script: Mutex::new(Script::honest()),
            log: Mutex::default(),
            stopped: watch::Sender::new(0),
            scripts: watch::Sender::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let service = TransferServiceServer::new(Service(Arc::clone(&shared)));
        let server = Server::builder().add_service(service);
        let server = tokio::spawn(async move {
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("the observer serves");
        });
        Self { address, shared, server }
    }

    pub fn play(&self, script: Script) {
        *lock(&self.shared.script) = script;
        self.shared.scripts.send_modify(|scripts| *scripts += 1);
    }

    pub fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.shared.log)
    }

    /// Waits until it has stopped for the n-th time.
    pub async fn wait_stopped(&self, count: usize) {
        let mut stopped = self.shared.stopped.subscribe();
        stopped.wait_for(|stopped| *stopped >= count).await.expect("the observer lives");
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Service(Arc<Shared>);

type Answers = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>>;

#[tonic::async_trait]
impl TransferService for Service {
    type SessionStream = Answers;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let (answers, stream) = mpsc::channel(16);
        let scripts = self.0.scripts.subscribe();
        let script = lock(&self.0.script).clone();
        let session = Session {
            shared: Arc::clone(&self.0),
            script,
            requests: request.into_inner(),
            answers,
            back: Direction([0; 32], 0),
            opened: Default::default(),
        };
        tokio::spawn(session.run(scripts));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

struct Session {
    shared: Arc<Shared>,
    script: Script,
    requests: Streaming<SessionRequest>,
    answers: mpsc::Sender<Result<SessionResponse, Status>>,
    back: Direction,
    /// Transfer ids by slot.
    opened: [Vec<u8>; 4],
}

/// One direction's key and counter.
struct Direction(Key, u64);

impl Session {
    async fn run(mut self, mut scripts: watch::Receiver<usize>) {
        // A sender that leaves ends the session; the log has what was seen.
        tokio::select! {
            _left = self.play() => {}
            _next = scripts.changed() => {}
        }
    }

    async fn play(&mut self) -> Option<()> {
        let Some(Step::Hello(hello)) = self.next().await else { return None };
        let responder = Responder::read(&self.shared.identity, &hello.noise).expect("an honest Hello");
        self.stop_at(Stop::AfterHello).await;
        let key = responder.payload.as_slice().try_into().expect("1,184 bytes");
        let key = ml_kem_768::EncapsulationKey::new(&key).expect("a valid key");
        let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
        let (ciphertext, secret) = key.encapsulate_with_rng(&mut rng);
        let payload = self.script.payload.clone().unwrap_or_else(|| ciphertext.to_vec());
        let (noise, (hash, there, back)) = responder.reply(&payload, self.script.ephemeral);
        self.answer(Answer::HelloReply(HelloReply { noise: noise.into() })).await?;
        self.stop_at(Stop::AfterReply).await;
        let mut there = Direction(there, 0);
        self.back = Direction(back, 0);
        let keys = peer::Keys { hash, pq: secret.into(), there: ([0; 32], 0), back: ([0; 32], 0) };
        let mut false_resume = self.script.resume.clone();
        loop {
            let open = match self.next().await? {
                Step::Open(open) => open,
                // What had followed an Open that is not resumed.
                Step::Meta(_) | Step::Segment(_) => continue,
                Step::Hello(_) | Step::Cancel(_) => return None,
            };
            let nonce = noise::counter(there.1);
            let plaintext = noise::open(&there.0, &nonce, &[], &open.noise)?;
            self.saw(&there.0, &nonce);
            there.1 += 1;
            assert_eq!(plaintext[0], OPEN);
            let body = &plaintext[1..101];
            let transfer = keys.transfer(body);
            lock(&self.shared.log).attempts.push(*transfer.context().as_bytes());
            self.stop_at(Stop::AfterOpen).await;
            let slot = u32::from_be_bytes(body[4..8].try_into().expect("4 bytes"));
            let mut ack =
                OpenAckBody { slot, verdict: OpenVerdict::Accepted.into(), ..OpenAckBody::default() };
            self.opened[slot as usize % 4] = body[8..24].to_vec();
            let resume = false_resume.take();
            if let Some(Resume { index, tag }) = resume.clone() {
                (ack.resume_index, ack.resume_tag) = (index, tag.into());
            }
            let noise = seal(&mut self.back, OPEN_ACK, &ack.encode_to_vec());
            self.answer(Answer::OpenAck(OpenAck { noise: noise.into() })).await?;
            if resume.is_some() {
                continue;
            }
            let coded = self.take_image(&transfer).await?;
            self.stop_at(Stop::BeforeReceipt).await;
            let receipt = ReceiptBody {
                slot,
                transfer_id: body[8..24].to_vec().into(),
                status: ReceiptStatus::Stored.into(),
                form: Mode::Exact.into(),
                verdict: ReconstructionVerdict::Exact.into(),
                tag: transfer.receipt_tag(&coded).to_vec().into(),
                image_id: vec![8; 16].into(),
                ..ReceiptBody::default()
            };
            let noise = seal(&mut self.back, RECEIPT, &receipt.encode_to_vec());
            self.answer(Answer::Receipt(Receipt { noise: noise.into() })).await?;
            self.stop_at(Stop::AfterReceipt).await;
        }
    }

    /// Meta and all segments; gives the stated digest of the coded image.
    async fn take_image(&mut self, keys: &TransferKeys) -> Option<Key> {
        let context = *keys.context().as_bytes();
        let Some(Step::Meta(meta)) = self.next().await else { return None };
        let record = noise::open(&keys.meta_key(), &[0; 12], &context, &meta.ciphertext)?;
        self.saw(&keys.meta_key(), &[0; 12]);
        let record = latentwire_proto::v1::MetaRecord::decode(record.as_slice()).expect("a MetaRecord");
        self.stop_at(Stop::AfterMeta).await;
        for index in 0.. {
            let Some(Step::Segment(segment)) = self.next().await else { return None };
            let nonce = peer::segment_nonce(keys, index, segment.last);
            let key = keys.row_key(peer::row_of(index));
            noise::open(&key, &nonce, &context, &segment.ciphertext).expect("an honest segment opens");
            self.saw(&key, &nonce);
            lock(&self.shared.log).segments += 1;
            self.stop_at(Stop::AfterSegment(index)).await;
            if segment.last {
                break;
            }
        }
        lock(&self.shared.log).whole += 1;
        Some(record.coded_sha256[..].try_into().expect("32 bytes"))
    }

    fn saw(&self, key: &Key, nonce: &[u8; 12]) {
        let pair = Sha256::new().chain_update(key).chain_update(nonce).finalize().into();
        lock(&self.shared.log).pairs.push(pair);
    }

    async fn stop_at(&self, place: Stop) {
        if self.script.stop == place {
            self.shared.stopped.send_modify(|stopped| *stopped += 1);
            self.answers.closed().await;
        }
    }

    /// The next message but for Cancels, each of which ends its transfer: the sender gives up what it could not resume.
    async fn next(&mut self) -> Option<Step> {
        loop {
            match self.requests.message().await.ok()??.step? {
                Step::Cancel(cancel) => {
                    let failed = failed_receipt(cancel.slot, &self.opened[cancel.slot as usize % 4]);
                    let noise = seal(&mut self.back, RECEIPT, &failed.encode_to_vec());
                    self.answer(Answer::Receipt(Receipt { noise: noise.into() })).await?;
                }
                step @ (Step::Hello(_) | Step::Open(_) | Step::Meta(_) | Step::Segment(_)) => {
                    return Some(step);
                }
            }
        }
    }

    async fn answer(&self, step: Answer) -> Option<()> {
        self.answers.send(Ok(SessionResponse { step: Some(step) })).await.ok()
    }
}

/// The end of a transfer that was given up.
fn failed_receipt(slot: u32, transfer_id: &[u8]) -> ReceiptBody {
    let error =
        TransferError { code: "CANCELLED".into(), reason: "CANCELLED".into(), ..TransferError::default() };
    ReceiptBody {
        slot,
        transfer_id: transfer_id.to_vec().into(),
        status: ReceiptStatus::Failed.into(),
        error: Some(error),
        ..ReceiptBody::default()
    }
}

fn seal(direction: &mut Direction, kind: u8, plaintext: &[u8]) -> Vec<u8> {
    let message =
        noise::seal(&direction.0, &noise::counter(direction.1), &[], &[&[kind], plaintext].concat());
    direction.1 += 1;
    message
}
