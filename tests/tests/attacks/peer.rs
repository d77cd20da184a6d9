//! A sender that is driven message by message, with all its keys in the test's hands.

use std::{net::SocketAddr, time::Duration};

use latentwire_proto::v1::{
    Hello, Meta, MetaRecord, Open, OpenAckBody, ReceiptBody, Segment, SessionRequest, SessionResponse,
    session_request::Step, session_response::Step as Answer, transfer_service_client::TransferServiceClient,
};
use latentwire_sealing::key_schedule::{Context, Prk, TransferKeys};
use ml_kem::{
    MlKem768,
    kem::{Decapsulate, FromSeed, KeyExport},
    ml_kem_768,
};
use prost::Message as _;
use sha2::{Digest, Sha256};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Endpoint};
use tonic_types::StatusExt as _;

use crate::noise::{self, Initiator, Key, Lies, random};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Kinds of control messages, the first byte of their plaintext.
pub const OPEN: u8 = 1;
pub const OPEN_ACK: u8 = 2;
pub const RECEIPT: u8 = 4;

pub fn encapsulation_key(seed: &[u8; 64]) -> (ml_kem_768::DecapsulationKey, Vec<u8>) {
    let (secret, key) = MlKem768::from_seed(&(*seed).into());
    (secret, key.to_bytes().to_vec())
}

/// The keys of a session: handshake hash, the ML-KEM secret, a counter for each direction.
#[derive(Clone)]
pub struct Keys {
    pub hash: Key,
    pub pq: Key,
    pub there: (Key, u64),
    pub back: (Key, u64),
}

impl Keys {
    pub fn seal(&mut self, kind: u8, plaintext: &[u8]) -> Vec<u8> {
        let (key, position) = &mut self.there;
        let message = noise::seal(key, &noise::counter(*position), &[], &[&[kind], plaintext].concat());
        *position += 1;
        message
    }

    pub fn open(&mut self, kind: u8, message: &[u8]) -> Option<Vec<u8>> {
        let (key, position) = &mut self.back;
        let plaintext = noise::open(key, &noise::counter(*position), &[], message)?;
        *position += 1;
        (plaintext.first() == Some(&kind)).then(|| plaintext[1..].to_vec())
    }

    /// Keys of a transfer whose open body ends with its secret.
    pub fn transfer(&self, body: &[u8]) -> TransferKeys {
        Prk::extract(&self.hash, &[&self.pq, &body[68..100]]).bind(Context::of_open_body(body))
    }
}

/// An image as it is announced and sealed.
#[derive(Clone)]
pub struct Image {
    pub id: [u8; 16],
    /// Code of the form: 1 latent, 2 exact.
    pub form: u8,
    pub decoder: Key,
    pub coded: Vec<u8>,
    pub source: Key,
    pub slot: u32,
    pub segment_bytes: u32,
    /// Code of the padding policy: 3 is none, 4 rows.
    pub padding: u8,
    pub inner_layer: u8,
    /// In place of the true length.
    pub announced: Option<u64>,
    pub record: MetaRecord,
}

impl Image {
    /// The exact form of a file, under a fresh id.
    pub fn exact(file: &[u8]) -> Self {
        let head = [b"LWBS\x01\x02\x01\x00".as_slice(), &(file.len() as u64).to_le_bytes()].concat();
        Self::of(2, [0; 32], [&head, file].concat(), Sha256::digest(file).into())
    }

    pub fn of(form: u8, decoder: Key, coded: Vec<u8>, source: Key) -> Self {
        let mut image = Self {
            id: random(),
            form,
            decoder,
            coded: Vec::new(),
            source,
            slot: 0,
            segment_bytes: 1_024,
            padding: 3,
            inner_layer: 1,
            announced: None,
            record: MetaRecord {
                source_sha256: source.to_vec().into(),
                study_group: crate::stand::CANARY.into(),
                ..MetaRecord::default()
            },
        };
        image.set_coded(coded);
        image
    }

    /// Other bytes, truly described.
    pub fn set_coded(&mut self, coded: Vec<u8>) {
        self.record.coded_bytes = coded.len() as u64;
        self.record.coded_sha256 = Sha256::digest(&coded).to_vec().into();
        self.coded = coded;
    }

    pub fn with_fresh_id(&self) -> Self {
        Self { id: random(), ..self.clone() }
    }

    /// The 100 bytes of the open body, with a fresh secret.
    pub fn body(&self) -> Vec<u8> {
        let mut body = vec![1, self.form, self.padding, self.inner_layer];
        body.extend(self.slot.to_be_bytes());
        body.extend(self.id);
        body.extend(self.decoder);
        body.extend(self.segment_bytes.to_be_bytes());
        body.extend(self.announced.unwrap_or(self.coded.len() as u64).to_be_bytes());
        body.extend(random::<32>());
        body
    }
}

/// The plaintext of an Open: body, commitment, content tag.
pub fn open_plaintext(keys: &TransferKeys, body: &[u8], source: &Key) -> Vec<u8> {
    [body, &keys.commitment(), &keys.content_tag(source)].concat()
}

/// Nonce of a segment.
pub fn segment_nonce(keys: &TransferKeys, index: u32, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..7].copy_from_slice(&keys.nonce_prefix());
    nonce[7..11].copy_from_slice(&index.to_be_bytes());
    nonce[11] = last.into();
    nonce
}

pub fn row_of(index: u32) -> u8 {
    (index % 256) as u8
}

pub fn segment(keys: &TransferKeys, slot: u32, index: u32, last: bool, plaintext: &[u8]) -> Step {
    let nonce = segment_nonce(keys, index, last);
    let context = keys.context().as_bytes();
    let ciphertext = noise::seal(&keys.row_key(row_of(index)), &nonce, context, plaintext).into();
    Step::Segment(Segment { slot, last, ciphertext })
}

pub fn meta(keys: &TransferKeys, slot: u32, record: &[u8]) -> Step {
    let ciphertext = noise::seal(&keys.meta_key(), &[0; 12], keys.context().as_bytes(), record).into();
    Step::Meta(Meta { slot, ciphertext })
}

/// All messages of an honest transfer under these keys: Open, Meta, Segments.
pub fn messages(session: &mut Keys, image: &Image) -> Vec<Step> {
    let body = image.body();
    let keys = session.transfer(&body);
    let noise = session.seal(OPEN, &open_plaintext(&keys, &body, &image.source)).into();
    let mut steps = vec![Step::Open(Open { noise }), meta(&keys, image.slot, &image.record.encode_to_vec())];
    let pieces: Vec<&[u8]> = image.coded.chunks(image.segment_bytes as usize).collect();
    for (index, piece) in (0..).zip(&pieces) {
        let last = index as usize + 1 == pieces.len();
        steps.push(segment(&keys, image.slot, index, last, piece));
    }
    steps
}

/// A stream to a receiver in the test's hands.
pub struct Peer {
    pub requests: Option<mpsc::Sender<SessionRequest>>,
    pub answers: Streaming<SessionResponse>,
    pub keys: Option<Keys>,
}

impl Peer {
    /// Opens a stream over a connection of its own, and says nothing.
    pub async fn dial(address: SocketAddr) -> Self {
        Self::over(TransferServiceClient::new(channel(address).await)).await
    }

    pub async fn over(mut client: TransferServiceClient<tonic::transport::Channel>) -> Self {
        let (requests, outbound) = mpsc::channel(64);
        let answers = timeout(PATIENCE, client.session(ReceiverStream::new(outbound))).await;
        let answers = answers.expect("headers in time").expect("a stream").into_inner();
        Self { requests: Some(requests), answers, keys: None }
    }

    /// Sends this message 1.
    pub async fn hello(&mut self, version: u32, suite: u32, noise: Vec<u8>) {
        self.send(Step::Hello(Hello { version, suite, noise: noise.into() })).await;
    }

    /// Agrees on keys as an honest sender does.
    pub async fn agree(&mut self, sender: &Key, receiver: &Key) {
        let (secret, key) = encapsulation_key(&random());
        let (initiator, message) = Initiator::start(sender, receiver, &key, &Lies::default());
        self.hello(1, 1, message).await;
        let reply = self.hello_reply().await.expect("a reply");
        let (payload, (hash, there, back)) = initiator.finish(&reply).expect("an honest reply");
        let ciphertext = ml_kem_768::Ciphertext::try_from(payload.as_slice()).expect("1,088 bytes");
        let pq = secret.decapsulate(&ciphertext).into();
        self.keys = Some(Keys { hash, pq, there: (there, 0), back: (back, 0) });
    }

    pub async fn hello_reply(&mut self) -> Result<Vec<u8>, Status> {
        match self.answer().await?.step {
            Some(Answer::HelloReply(reply)) => Ok(reply.noise.to_vec()),
            other => panic!("no HelloReply but {other:?}"),
        }
    }

    pub fn keys(&mut self) -> &mut Keys {
        self.keys.as_mut().expect("keys were agreed on")
    }

    pub async fn send(&mut self, step: Step) {
        self.send_message(SessionRequest { step: Some(step) }).await;
    }

    pub async fn send_all(&mut self, steps: impl IntoIterator<Item = Step>) {
        for step in steps {
            self.send(step).await;
        }
    }

    pub async fn send_message(&mut self, message: SessionRequest) {
        let Some(requests) = &self.requests else { return };
        // The receiver may have ended the stream; its answer says so.
        let _ = timeout(PATIENCE, requests.send(message)).await.expect("room in time");
    }

    /// Ends the requests in order.
    pub fn end(&mut self) {
        self.requests = None;
    }

    pub async fn answer(&mut self) -> Result<SessionResponse, Status> {
        let next = timeout(PATIENCE, self.answers.message()).await.expect("an answer in time")?;
        Ok(next.unwrap_or_default())
    }

    /// Reads on to the status that ends the stream; None where it ends in order.
    pub async fn status(&mut self) -> Option<Status> {
        loop {
            match timeout(PATIENCE, self.answers.message()).await.expect("an end in time") {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
    }

    /// The reason that ends the stream.
    pub async fn reason(&mut self) -> String {
        self.status()
            .await
            .map_or_else(|| "the stream ended in order".to_owned(), |status| reason_of(&status))
    }

    pub fn open_step(&mut self, plaintext: &[u8]) -> Step {
        let noise = self.keys().seal(OPEN, plaintext).into();
        Step::Open(Open { noise })
    }

    /// All messages of an honest transfer: Open, Meta, Segments.
    pub fn messages(&mut self, image: &Image) -> Vec<Step> {
        messages(self.keys(), image)
    }

    pub async fn open_ack(&mut self) -> OpenAckBody {
        match self.answer().await.expect("an answer").step {
            Some(Answer::OpenAck(ack)) => {
                let body = self.keys().open(OPEN_ACK, &ack.noise).expect("an OpenAck opens");
                OpenAckBody::decode(body.as_slice()).expect("an OpenAckBody")
            }
            other => panic!("no OpenAck but {other:?}"),
        }
    }

    pub async fn receipt(&mut self) -> ReceiptBody {
        match self.answer().await.expect("an answer").step {
            Some(Answer::Receipt(receipt)) => {
                let body = self.keys().open(RECEIPT, &receipt.noise).expect("a Receipt opens");
                ReceiptBody::decode(body.as_slice()).expect("a ReceiptBody")
            }
            other => panic!("no Receipt but {other:?}"),
        }
    }
}

pub async fn channel(address: SocketAddr) -> tonic::transport::Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address is a URL");
    endpoint.connect().await.expect("somebody listens")
}

/// The stable reason of a status, which carries nothing beside it.
pub fn reason_of(status: &Status) -> String {
    match status.get_details_error_info() {
        Some(info) => {
            assert!(info.domain == "latentwire.v1" && info.metadata.is_empty(), "{info:?}");
            info.reason
        }
        None => format!("no reason: {:?} {}", status.code(), status.message()),
    }
}
