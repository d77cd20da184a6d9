//! Peers that are driven message by message, honest or not.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use latentwire_proto::v1::session_request::Step;
use latentwire_proto::v1::session_response::Step as AnswerStep;
use latentwire_proto::v1::transfer_service_client::TransferServiceClient;
use latentwire_proto::v1::transfer_service_server::TransferService;
use latentwire_proto::v1::{
    Hello, Meta, MetaRecord, NeedExactBody, Open, OpenAckBody, Receipt, ReceiptBody, Segment, SessionRequest,
    SessionResponse,
};
use latentwire_sealing::{
    ChaosBytes, ControlKind, Established, ImageSecret, Initiator, InnerLayer, OpenBody, PaddingPolicy,
    Proposal, PublicKey, Responder, SecretKey, SegmentSealer, padding,
};
use latentwire_wire::{Outgoing, Segmentation};
use prost::Message as _;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use super::{Site, channel, rng, serve};

const PATIENCE: Duration = Duration::from_secs(60);

/// A sender that sends what a test says.
pub struct RawSender {
    pub requests: mpsc::Sender<SessionRequest>,
    pub responses: Streaming<SessionResponse>,
    pub keys: Option<Established>,
    /// Everything that was sent, for replay.
    pub sent: Vec<SessionRequest>,
}

impl RawSender {
    /// Opens the stream and sends nothing.
    pub async fn dial(site: &Site) -> Self {
        let mut client = TransferServiceClient::new(site.channel());
        let (requests, outbound) = mpsc::channel(64);
        let responses = timeout(PATIENCE, client.session(ReceiverStream::new(outbound)))
            .await
            .expect("headers in time")
            .expect("a stream")
            .into_inner();
        Self { requests, responses, keys: None, sent: Vec::new() }
    }

    /// Opens the stream and agrees on keys.
    pub async fn connect(site: &Site) -> Self {
        let mut peer = Self::dial(site).await;
        let (initiator, hello) = Initiator::start(&site.sender, &site.receiver, &mut rng()).expect("hello");
        peer.send(Step::Hello(Hello {
            version: hello.version,
            suite: hello.suite,
            noise: hello.noise.into(),
        }))
        .await;
        let Some(AnswerStep::HelloReply(reply)) = peer.answer().await.expect("an answer").step else {
            panic!("no HelloReply")
        };
        peer.keys = Some(initiator.finish(&reply.noise).expect("keys"));
        peer
    }

    pub async fn send(&mut self, step: Step) {
        self.send_message(SessionRequest { step: Some(step) }).await;
    }

    pub async fn send_message(&mut self, message: SessionRequest) {
        self.sent.push(message.clone());
        // The receiver may have ended the stream; the answer then says so.
        let _ = timeout(PATIENCE, self.requests.send(message)).await.expect("room in time");
    }

    /// The next answer, or the status that ended the stream.
    pub async fn answer(&mut self) -> Result<SessionResponse, Status> {
        let next = timeout(PATIENCE, self.responses.message()).await.expect("an answer in time")?;
        Ok(next.unwrap_or_default())
    }

    /// Reads on to the status that ends the stream; None where it ends in order.
    pub async fn status(&mut self) -> Option<Status> {
        loop {
            match timeout(PATIENCE, self.responses.message()).await.expect("an end in time") {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    }

    pub fn keys(&mut self) -> &mut Established {
        self.keys.as_mut().expect("connected")
    }

    pub fn body(outgoing: &Outgoing, slot: u32, segment_bytes: u32) -> OpenBody {
        let (policy, segment_bytes) = match outgoing.segmentation {
            Segmentation::Fixed => (outgoing.padding, segment_bytes),
            Segmentation::Rows { row_bytes, .. } => (PaddingPolicy::Rows, row_bytes),
        };
        OpenBody {
            slot,
            transfer_id: outgoing.transfer_id,
            form: outgoing.form,
            decoder_digest: outgoing.decoder_digest,
            segment_bytes,
            padded_bytes: padding::padded_length(policy, head_and_rest(outgoing).1.len() as u64)
                .expect("a length"),
            padding: policy,
            inner_layer: outgoing.inner_layer,
        }
    }

    pub fn propose(&mut self, outgoing: &Outgoing, slot: u32, segment_bytes: u32) -> Proposal {
        let body = Self::body(outgoing, slot, segment_bytes);
        let secret = ImageSecret::generate(&mut rng());
        self.keys().secrets.propose(&body, secret, &outgoing.source_sha256).expect("a proposal")
    }

    pub fn open_step(&mut self, plaintext: &[u8]) -> Step {
        Step::Open(Open {
            noise: self.keys().sealer.seal(ControlKind::Open, plaintext).expect("an Open").into(),
        })
    }

    /// All messages of an honest transfer: Open, Meta, Segments.
    pub fn messages(&mut self, outgoing: &Outgoing, slot: u32, segment_bytes: u32) -> Vec<Step> {
        let mut proposal = self.propose(outgoing, slot, segment_bytes);
        let mut steps = vec![self.open_step(&proposal.open)];
        let ciphertext =
            proposal.meta.seal(&honest_record(outgoing).encode_to_vec()).expect("a record").into();
        steps.push(Step::Meta(Meta { slot, ciphertext }));
        let (_, rest) = head_and_rest(outgoing);
        if outgoing.inner_layer == InnerLayer::Chaos4 {
            let digest = Sha256::digest(rest).into();
            let bytes = ChaosBytes::scramble(rest.to_vec(), &proposal.tags, &digest);
            while proposal.segments.next_plaintext_bytes().is_some() {
                let (ciphertext, position) = proposal.segments.seal_chaos(&bytes).expect("a segment");
                let ciphertext = ciphertext.into();
                steps.push(Step::Segment(Segment { slot, last: position.last, ciphertext }));
            }
            return steps;
        }
        steps.extend(Self::plain_segments(&mut proposal.segments, slot, rest));
        steps
    }

    /// The segments of these bytes and their padding, whatever the Open said of an inner layer.
    pub fn plain_segments(segments: &mut SegmentSealer, slot: u32, rest: &[u8]) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut start = 0;
        while let Some(length) = segments.next_plaintext_bytes() {
            let end = rest.len().min(start + length);
            let mut buffer = rest[start.min(end)..end].to_vec();
            buffer.resize(length, 0);
            let position = segments.seal(&mut buffer).expect("a segment");
            steps.push(Step::Segment(Segment { slot, last: position.last, ciphertext: buffer.into() }));
            start += length;
        }
        steps
    }

    pub async fn send_all(&mut self, steps: Vec<Step>) {
        for step in steps {
            self.send(step).await;
        }
    }

    pub async fn open_ack(&mut self) -> OpenAckBody {
        let Some(AnswerStep::OpenAck(ack)) = self.answer().await.expect("an answer").step else {
            panic!("no OpenAck")
        };
        let plaintext = self.keys().opener.open(ControlKind::OpenAck, &ack.noise).expect("OpenAck opens");
        OpenAckBody::decode(plaintext.as_slice()).expect("an OpenAckBody")
    }

    pub async fn receipt(&mut self) -> ReceiptBody {
        let Some(AnswerStep::Receipt(receipt)) = self.answer().await.expect("an answer").step else {
            panic!("no Receipt")
        };
        let plaintext = self.keys().opener.open(ControlKind::Receipt, &receipt.noise).expect("Receipt opens");
        ReceiptBody::decode(plaintext.as_slice()).expect("a ReceiptBody")
    }
}

pub fn honest_record(outgoing: &Outgoing) -> MetaRecord {
    MetaRecord {
        coded_bytes: outgoing.coded.len() as u64,
        coded_sha256: Sha256::digest(&outgoing.coded).to_vec().into(),
        source_sha256: outgoing.source_sha256.to_vec().into(),
        head: head_and_rest(outgoing).0.to_vec().into(),
        ..outgoing.meta.clone()
    }
}

/// What travels in Meta, and what in segments.
pub fn head_and_rest(outgoing: &Outgoing) -> (&[u8], &[u8]) {
    match outgoing.segmentation {
        Segmentation::Fixed => outgoing.coded.split_at(0),
        Segmentation::Rows { head_bytes, .. } => outgoing.coded.split_at(head_bytes),
    }
}

/// A receiver's session in a test's hands.
pub struct RawSession {
    pub requests: Streaming<SessionRequest>,
    pub answers: mpsc::Sender<Result<SessionResponse, Status>>,
    pub keys: Established,
}

impl RawSession {
    pub async fn next(&mut self) -> Option<Step> {
        timeout(PATIENCE, self.requests.message()).await.expect("in time").ok()??.step
    }

    pub async fn next_open(&mut self) -> latentwire_sealing::Acceptance {
        let Some(Step::Open(open)) = self.next().await else { panic!("no Open") };
        let plaintext = self.keys.opener.open(ControlKind::Open, &open.noise).expect("Open opens");
        self.keys.secrets.accept(&plaintext).expect("an honest Open")
    }

    pub async fn next_meta(&mut self) -> Meta {
        match self.next().await {
            Some(Step::Meta(meta)) => meta,
            other => panic!("no Meta but {other:?}"),
        }
    }

    pub async fn next_segment(&mut self) -> Segment {
        match self.next().await {
            Some(Step::Segment(segment)) => segment,
            other => panic!("no Segment but {other:?}"),
        }
    }

    pub async fn send(&mut self, step: AnswerStep) {
        // The sender may have left; the test sees that at its end.
        let _ = self.answers.send(Ok(SessionResponse { step: Some(step) })).await;
    }

    pub async fn open_ack(&mut self, body: &OpenAckBody) {
        let noise =
            self.keys.sealer.seal(ControlKind::OpenAck, &body.encode_to_vec()).expect("sealed").into();
        self.send(AnswerStep::OpenAck(latentwire_proto::v1::OpenAck { noise })).await;
    }

    pub async fn receipt(&mut self, body: &ReceiptBody) {
        let noise =
            self.keys.sealer.seal(ControlKind::Receipt, &body.encode_to_vec()).expect("sealed").into();
        self.send(AnswerStep::Receipt(Receipt { noise })).await;
    }

    pub async fn need_exact(&mut self, body: &NeedExactBody) {
        let noise =
            self.keys.sealer.seal(ControlKind::NeedExact, &body.encode_to_vec()).expect("sealed").into();
        self.send(AnswerStep::NeedExact(latentwire_proto::v1::NeedExact { noise })).await;
    }
}

type Script = Pin<Box<dyn Future<Output = ()> + Send>>;
type Play = Arc<Mutex<dyn FnMut(RawSession) -> Script + Send>>;

struct Scripted {
    identity: SecretKey,
    play: Play,
}

#[tonic::async_trait]
impl TransferService for Scripted {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut requests = request.into_inner();
        let (answers, stream) = mpsc::channel(16);
        let Some(Step::Hello(hello)) = requests.message().await?.and_then(|message| message.step) else {
            return Err(Status::internal("no Hello"));
        };
        let hello = latentwire_sealing::Hello {
            version: hello.version,
            suite: hello.suite,
            noise: hello.noise.to_vec(),
        };
        let responder = Responder::read(&self.identity, &hello, &mut rng()).expect("an honest Hello");
        let mut trust = latentwire_sealing::TrustStore::default();
        trust.add(latentwire_sealing::TrustEntry::new("anyone", *responder.peer())).expect("an entry");
        let now = time::OffsetDateTime::now_utc();
        let (keys, noise, _) =
            responder.authorise(&trust, now).expect("trusted").reply(&mut rng()).expect("keys");
        let reply = AnswerStep::HelloReply(latentwire_proto::v1::HelloReply { noise: noise.into() });
        answers.send(Ok(SessionResponse { step: Some(reply) })).await.expect("room");
        let script =
            (self.play.lock().expect("no test panics with the lock"))(RawSession { requests, answers, keys });
        tokio::spawn(script);
        Ok(Response::new(Box::pin(ReceiverStream::new(stream).map(|item| item))))
    }
}

/// A receiver that plays a script once a session.
pub struct RawReceiver {
    pub key: PublicKey,
    pub address: SocketAddr,
    server: JoinHandle<()>,
}

impl Drop for RawReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl RawReceiver {
    pub async fn new<F>(mut script: impl FnMut(RawSession) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let identity = super::key(latentwire_sealing::Role::Receiver);
        let key = *identity.public_key();
        let play: Play = Arc::new(Mutex::new(move |session| -> Script { Box::pin(script(session)) }));
        let (address, server) = serve(Scripted { identity, play }).await;
        Self { key, address, server }
    }

    pub async fn connect(
        &self,
        limits: latentwire_wire::SessionLimits,
    ) -> Result<latentwire_wire::Uplink, latentwire_wire::WireError> {
        let identity = super::key(latentwire_sealing::Role::Sender);
        latentwire_wire::Uplink::connect(channel(self.address), &identity, &self.key, limits).await
    }
}
