//! What is attacked: a receiver process, alone or behind a sender process and a hostile link, and what must be true of it afterwards.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use latentwire_proto::{
    Bytes,
    v1::{
        ImageHeader, ListImagesRequest, Mode, Policy, SendImageRequest, Transfer,
        image_service_client::ImageServiceClient, send_image_request::Part,
        send_service_client::SendServiceClient,
    },
};
use latentwire_sealing::{Form, InnerLayer, PaddingPolicy, PublicKey, SecretKey};
use latentwire_tests::{
    Proxy, Receiver, Sender, Workplace, admin, binaries, pictures, process::Service, proxy::Rule, workplace,
};
use latentwire_wire::{Delivered, Outgoing, Segmentation, SessionLimits, Uplink, WireError};
use tonic::Status;

use crate::{
    noise::{Key, random},
    peer::{self, Image, Peer},
};

/// Names a patient in every image that is sent here, and must never be seen in clear.
pub const CANARY: &str = "CANARY^PATIENT^19550102";

/// The 32 scalar bytes of a key: what the thief of a key file holds.
pub fn scalar(key: &SecretKey) -> Key {
    let (_, payload) = bech32::decode(&key.to_text()).expect("the product's own text");
    payload[1..].try_into().expect("33 bytes")
}

/// A receiver process, and the keys of both sides.
pub struct Stand {
    pub receiver: Receiver,
    pub workplace: Workplace,
    pub sender: SecretKey,
    pub public: PublicKey,
    before: Kept,
}

/// What a receiver has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub images: BTreeSet<Vec<u8>>,
    files: BTreeSet<PathBuf>,
}

impl Stand {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    pub async fn with(flags: &[&str]) -> Self {
        Self::over(Workplace::new(), flags).await
    }

    /// A receiver in a workplace that was prepared.
    pub async fn over(workplace: Workplace, flags: &[&str]) -> Self {
        let models = models();
        let receiver =
            Receiver::start(&workplace, &[&["--models", &models, "--min-free-bytes", "0"], flags].concat());
        let read = |name: &str| fs::read_to_string(workplace.path(name)).expect("a key file");
        let sender = SecretKey::from_text(&read("sender.key")).expect("a key");
        let public = PublicKey::from_text(&read("receiver.key.pub")).expect("a key");
        let before = kept(&receiver).await;
        Self { receiver, workplace, sender, public, before }
    }

    pub fn sender_scalar(&self) -> Key {
        scalar(&self.sender)
    }

    pub fn receiver_scalar(&self) -> Key {
        let text = fs::read_to_string(self.workplace.path("receiver.key")).expect("a key file");
        scalar(&SecretKey::from_text(&text).expect("a key"))
    }

    /// A stream on which nothing was said.
    pub async fn dial(&self) -> Peer {
        Peer::dial(self.receiver.transfer).await
    }

    /// A session of the trusted sender, by hand.
    pub async fn connect(&self) -> Peer {
        let mut peer = self.dial().await;
        peer.agree(&self.sender_scalar(), self.public.as_bytes()).await;
        peer
    }

    /// A session by the product's own sender.
    pub async fn uplink(&self) -> Result<Uplink, WireError> {
        let channel = peer::channel(self.receiver.transfer).await;
        Uplink::connect(channel, &self.sender, &self.public, SessionLimits::default()).await
    }

    /// Sends an honest image over a new session.
    pub async fn deliver(&self, image: &Image) -> Result<Delivered, WireError> {
        let uplink = self.uplink().await?;
        let delivered = uplink.deliver(outgoing(image), None).await;
        uplink.close().await;
        delivered
    }

    pub async fn kept(&self) -> Kept {
        kept(&self.receiver).await
    }

    /// What is there now is what should be there.
    pub async fn settle(&mut self) {
        self.before = self.kept().await;
    }

    /// Nothing came out of what was tried since the last look, by way of store, disk or log.
    pub async fn nothing_came_out(&self) {
        assert_eq!(self.kept().await, self.before, "something was stored");
        self.nothing_in_clear();
    }

    fn nothing_in_clear(&self) {
        let half = workplace::half_written(&self.receiver.data);
        assert!(half.is_empty(), "{half:?}");
        let log = self.receiver.service.log_file().to_owned();
        for file in workplace::files(&self.receiver.data).into_iter().chain([log]) {
            let Ok(bytes) = fs::read(&file) else { continue };
            for needle in [CANARY.as_bytes(), &noise_run()] {
                let found = bytes.windows(needle.len()).any(|window| window == needle);
                assert!(!found, "an image is in clear in {}", file.display());
            }
        }
        let log = self.receiver.service.log();
        assert!(!log.contains("panicked"), "the receiver panicked:\n{log}");
    }

    /// Nothing came out, and an honest image still passes.
    pub async fn still_sound(&mut self) {
        assert!(self.receiver.service.is_running(), "the receiver ended:\n{}", self.receiver.service.log());
        self.nothing_came_out().await;
        let image = honest();
        self.deliver(&image).await.expect("an honest image passes");
        let mut expected = self.before.images.clone();
        expected.insert(image.id.to_vec());
        assert_eq!(self.kept().await.images, expected, "the honest image, and no other");
        self.nothing_in_clear();
        self.settle().await;
    }
}

/// An honest image under a fresh id: 5 segments or so.
pub fn honest() -> Image {
    Image::exact(&file())
}

/// The file behind it.
pub fn file() -> Vec<u8> {
    pictures::noise_png(72, 64)
}

/// A run of its compressed pixels.
fn noise_run() -> Vec<u8> {
    file()[400..432].to_vec()
}

pub fn outgoing(image: &Image) -> Outgoing {
    Outgoing {
        transfer_id: image.id,
        form: if image.form == 1 { Form::Latent } else { Form::Exact },
        decoder_digest: image.decoder,
        source_sha256: image.source,
        meta: image.record.clone(),
        coded: image.coded.clone().into(),
        padding: PaddingPolicy::Padme,
        inner_layer: InnerLayer::None,
        segmentation: Segmentation::Fixed,
        urgent: false,
        exact_fallback: None,
    }
}

/// The small nets of the codec's tests: a receiver is ready in no time.
pub fn models() -> String {
    let folder = binaries::repository().join("common/codec/tests/models/sound");
    folder.to_str().expect("the checkout's path is text").to_owned()
}

async fn kept(receiver: &Receiver) -> Kept {
    let mut client = ImageServiceClient::new(peer::channel(receiver.images).await);
    let mut request = ListImagesRequest { page_size: 1000, ..ListImagesRequest::default() };
    let mut images = BTreeSet::new();
    loop {
        let page = client.list_images(request.clone()).await.expect("images are listed").into_inner();
        images.extend(page.images.into_iter().map(|image| image.transfer_id.to_vec()));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    // The catalogue's journal comes and goes, and so does what takes the place of the audit log's head.
    let settled = |file: &PathBuf| !["-wal", "-shm", ".new"].iter().any(|end| name(file).ends_with(end));
    let files = workplace::files(&receiver.data).into_iter().filter(settled).collect();
    Kept { images, files }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Peak of a process's resident memory so far, bytes.
pub fn peak_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells the peak");
    let kibibytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    kibibytes.expect("a number") * 1_024
}

/// Lets the peak begin anew at what the process has now, and tells it.
pub fn reset_peak(process: u32) -> u64 {
    fs::write(format!("/proc/{process}/clear_refs"), "5").expect("an own process's peak can be reset");
    peak_memory(process)
}

/// Waits for what must come true.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} in vain");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Sessions that a service says are open.
pub fn open_sessions(service: &Service) -> f64 {
    let metrics = admin::get(service.admin(), "/metrics").expect("metrics").body;
    let samples = admin::parse_metrics(&metrics).expect("metrics");
    let open = samples.iter().filter(|sample| sample.name == "latentwire_open_sessions");
    open.map(|sample| sample.value).sum()
}

/// Both services as processes, with a hostile link between them.
pub struct HostileLink {
    pub sender: Sender,
    pub proxy: Proxy,
    pub stand: Stand,
}

impl HostileLink {
    pub async fn start() -> Self {
        let stand = Stand::start().await;
        let proxy = Proxy::before(stand.receiver.transfer);
        let sender = Sender::start(&stand.workplace, proxy.address, &["--models", &models()]);
        Self { sender, proxy, stand }
    }

    /// The link does this from now on, and the sender has no session from before.
    pub async fn play(&self, rules: Vec<Rule>) {
        self.proxy.play(rules);
        eventually("the sender's session is over", async || open_sessions(&self.sender.service) == 0.0).await;
    }

    /// Sends a file through the sender process while the link does this; gives the reason of its rejection.
    pub async fn rejected(&self, what: &str, rules: Vec<Rule>) -> String {
        self.play(rules).await;
        let status = self.send(random(), file()).await.err();
        match status {
            Some(status) => sender_reason(&status),
            None => panic!("{what}: the image was delivered"),
        }
    }

    /// Sends a file while the link does this to receipts. No false receipt is believed: the sender asks again over another session,
    /// and hears with proof that the image is there, once.
    pub async fn not_believed(&mut self, rule: Rule) {
        self.play(vec![rule]).await;
        let _before = self.proxy.recordings();
        let id = random();
        self.send(id, file()).await.expect("the image is there, and the second answer proves it");
        assert_eq!(self.proxy.recordings().len(), 2, "a false receipt was believed");
        let images = self.stand.kept().await.images;
        let mut expected = self.stand.before.images.clone();
        expected.insert(id.to_vec());
        assert_eq!(images, expected, "the image, once");
        self.stand.settle().await;
    }

    /// The link is honest again and both ends have done what was under way; what is stored by now is nothing to wonder at.
    pub async fn settle(&mut self) {
        self.play(Vec::new()).await;
        eventually("the receiver's sessions are over", async || {
            open_sessions(&self.stand.receiver.service) == 0.0
        })
        .await;
        self.stand.settle().await;
    }

    /// The link is honest again: nothing has come out, an image passes through it.
    pub async fn still_sound(&mut self) {
        self.play(Vec::new()).await;
        self.stand.nothing_came_out().await;
        self.send(random(), file()).await.expect("an honest image passes through an honest link");
        self.stand.settle().await;
        self.stand.still_sound().await;
        assert!(self.sender.service.is_running(), "the sender ended:\n{}", self.sender.service.log());
    }

    pub async fn send(&self, id: [u8; 16], file: Vec<u8>) -> Result<Transfer, Status> {
        send(&self.sender, id, file).await
    }
}

/// Sends a file in exact form through a sender process.
pub async fn send(sender: &Sender, id: [u8; 16], file: Vec<u8>) -> Result<Transfer, Status> {
    send_to(sender.address, id, file).await
}

pub async fn send_to(address: SocketAddr, id: [u8; 16], file: Vec<u8>) -> Result<Transfer, Status> {
    let mut client = SendServiceClient::new(peer::channel(address).await);
    let policy = Policy { mode: Mode::Exact.into(), ..Policy::default() };
    let header = ImageHeader {
        transfer_id: Bytes::copy_from_slice(&id),
        policy: Some(policy),
        study_group: CANARY.into(),
        file_bytes: file.len() as u64,
        ..ImageHeader::default()
    };
    let chunks = file.chunks(1 << 19).map(|chunk| Part::Chunk(Bytes::copy_from_slice(chunk)));
    let parts: Vec<SendImageRequest> = [Part::Header(header)]
        .into_iter()
        .chain(chunks)
        .map(|part| SendImageRequest { part: Some(part) })
        .collect();
    let answer = client.send_image(tokio_stream::iter(parts)).await?;
    Ok(answer.into_inner().transfer.expect("a transfer"))
}

/// The stable reason of a sender's status.
pub fn sender_reason(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    match status.get_details_error_info() {
        Some(info) => info.reason,
        None => format!("no reason: {:?} {}", status.code(), status.message()),
    }
}
