//! A receiver in this process, on ports that the operating system chooses, and real senders for it.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use getrandom::{SysRng, rand_core::UnwrapErr};
use latentwire_codec::imaging::Limits;
use latentwire_codec::model::Parts;
use latentwire_codec::{Codec, CodecConfig, Floors, Header, Mode, Policy, Prepared, SessionOptions};
use latentwire_proto::v1::image_service_client::ImageServiceClient;
use latentwire_proto::v1::{
    GetImageHeader, GetImageRequest, MetaRecord, get_image_request::Key, get_image_response::Part,
};
use latentwire_service::convert;
use latentwire_service::keys::write_new_key_file;
use latentwire_service::sealing::{
    Form, InnerLayer, PaddingPolicy, PublicKey, Role, SecretKey, TrustEntry, TrustStore,
};
use latentwire_wire::{Delivered, Outgoing, Segmentation, SessionLimits, Uplink, WireError};
use receiver_svc::{Config, Running, run};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// Name of the sender in the receiver's trust store.
pub const PEER: &str = "clinic-a";

/// Keys and folders of one receiver and one sender; outlives restarts of the receiver.
pub struct Site {
    pub folder: TempDir,
    pub sender: SecretKey,
    pub receiver: PublicKey,
}

impl Site {
    pub fn new() -> Self {
        Self::with_entry(|_entry| {})
    }

    /// A site whose trust-store entry for the sender is changed first.
    pub fn with_entry(change: impl FnOnce(&mut TrustEntry)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (sender, receiver) = (new_key(Role::Sender), new_key(Role::Receiver));
        write_new_key_file(&folder.path().join("receiver.key"), &receiver).expect("the key is new");
        let mut entry = TrustEntry::new(PEER, *sender.public_key());
        change(&mut entry);
        let mut trust = TrustStore::default();
        trust.add(entry).expect("a good entry");
        fs::write(folder.path().join("trust.toml"), trust.to_toml()).expect("written");
        let receiver = *receiver.public_key();
        Self { folder, sender, receiver }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The receiver's configuration over the small models that the codec's tests use, with further flags.
    pub fn config(&self, extra: &[&str]) -> Config {
        let path = |name: &str| self.folder.path().join(name).into_os_string();
        let mut line: Vec<OsString> = vec!["receiver-svc".into()];
        for flag in ["--listen-transfer", "--listen-image", "--admin"] {
            line.extend([flag.into(), "127.0.0.1:0".into()]);
        }
        line.extend(["--key".into(), path("receiver.key"), "--trust".into(), path("trust.toml")]);
        line.extend(["--data".into(), path("data"), "--models".into(), models().into()]);
        line.extend(["--onnxruntime".into(), onnxruntime().into()]);
        // The machine that tests run on may have little free space.
        line.extend(["--min-free-bytes".into(), "0".into()]);
        line.extend(extra.iter().map(Into::into));
        // The last one of a repeated flag holds.
        let mut config = Config::try_parse_from(dedup(line)).expect("the flags are right");
        config.models.unpinned_models = config.models.model_pin.is_empty();
        config
    }

    pub async fn start(&self, extra: &[&str]) -> Receiver {
        let shutdown = CancellationToken::new();
        let running = run(self.config(extra), shutdown.clone()).await.expect("the receiver starts");
        let channel = channel(running.image_address).await;
        let images = ImageServiceClient::new(channel).max_decoding_message_size(2 << 20);
        Receiver { images, running, shutdown }
    }

    pub async fn uplink(&self, receiver: &Receiver) -> Result<Uplink, WireError> {
        let channel = channel(receiver.running.transfer_address).await;
        Uplink::connect(channel, &self.sender, &self.receiver, SessionLimits::default()).await
    }
}

/// Keeps the last value of a flag that is given twice.
fn dedup(line: Vec<OsString>) -> Vec<OsString> {
    let mut kept: Vec<OsString> = vec![line[0].clone()];
    for pair in line[1..].chunks(2) {
        if let Some(position) = kept.iter().position(|flag| *flag == pair[0]) {
            kept[position + 1] = pair[1].clone();
        } else {
            kept.extend_from_slice(pair);
        }
    }
    kept
}

/// A receiver that runs until the end of the test.
pub struct Receiver {
    pub images: ImageServiceClient<Channel>,
    pub running: Running,
    shutdown: CancellationToken,
}

impl Receiver {
    /// The file behind an id.
    pub async fn get(&self, key: Key) -> Result<(GetImageHeader, Vec<u8>), Status> {
        let request = GetImageRequest { key: Some(key) };
        let mut parts = self.images.clone().get_image(request).await?.into_inner();
        let mut file = Vec::new();
        let mut header = None;
        while let Some(message) = parts.message().await? {
            match message.part.expect("a part") {
                Part::Header(first) => assert!(header.replace(first).is_none(), "one header"),
                Part::Chunk(chunk) => {
                    assert!(header.is_some() && chunk.len() <= 256 << 10);
                    file.extend_from_slice(&chunk);
                }
            }
        }
        Ok((header.expect("a header"), file))
    }

    /// Stops the receiver as SIGTERM would.
    pub async fn stop(self) -> anyhow::Result<()> {
        drop(self.images);
        self.shutdown.cancel();
        self.running.wait().await
    }
}

pub async fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("an address")
        .connect()
        .await
        .expect("it listens")
}

pub fn new_key(role: Role) -> SecretKey {
    SecretKey::generate(role, &mut UnwrapErr(SysRng))
}

/// The codec of a sender.
pub fn codec() -> Codec {
    Codec::load(&codec_config()).expect("the models load")
}

/// What it loads.
pub fn codec_config() -> CodecConfig {
    CodecConfig {
        models: models(),
        pins: None,
        research: false,
        parts: Parts { encoder: true, decoder: true },
        sessions: SessionOptions::default(),
        dylib: Some(onnxruntime()),
        limits: Limits::default(),
    }
}

/// Any latent, however bad.
pub fn latent_policy() -> Policy {
    Policy {
        floors: Floors::NONE,
        below_floor: latentwire_codec::BelowFloor::SendMarked,
        ..Policy::default()
    }
}

/// The file's own bytes.
pub fn exact_policy() -> Policy {
    Policy { mode: Mode::Exact, ..Policy::default() }
}

/// What a sender hands to its session.
pub fn outgoing(transfer_id: [u8; 16], prepared: &Prepared) -> Outgoing {
    let digest = Header::parse(&prepared.coded).expect("just coded").decoder_digest().map(|digest| digest.0);
    Outgoing {
        transfer_id,
        form: if digest.is_some() { Form::Latent } else { Form::Exact },
        decoder_digest: digest.unwrap_or_default(),
        coded: prepared.coded.clone().into(),
        source_sha256: prepared.source_sha256,
        meta: MetaRecord {
            image: Some(convert::summary_from_report(&prepared.report)),
            certificate: prepared.certificate.as_ref().map(convert::certificate_to_proto),
            study_group: "study-1".to_owned(),
            sequence: 3,
            ..MetaRecord::default()
        },
        padding: PaddingPolicy::Padme,
        inner_layer: InnerLayer::None,
        segmentation: prepared.rows.map_or(Segmentation::Fixed, |rows| Segmentation::Rows {
            head_bytes: rows.head_bytes,
            row_bytes: rows.row_bytes,
        }),
        urgent: false,
        exact_fallback: None,
    }
}

pub async fn deliver(uplink: &Uplink, outgoing: Outgoing) -> Result<Delivered, WireError> {
    uplink.deliver(outgoing, None).await
}

pub fn sample(name: &str) -> Vec<u8> {
    let path = repository().join("samples").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate lies in a folder of the checkout")
        .to_owned()
}

fn models() -> PathBuf {
    repository().join("common/codec/tests/models/sound")
}

/// The library that `scripts/fetch-onnxruntime.sh` brought.
pub fn onnxruntime() -> PathBuf {
    let folder = repository().join(".onnxruntime");
    let found = fs::read_dir(&folder).ok().and_then(|mut entries| {
        entries.find_map(|entry| {
            let path = entry.ok()?.path();
            path.file_name()?.to_str()?.starts_with("libonnxruntime").then_some(path)
        })
    });
    found.expect("ONNX Runtime is missing: run scripts/fetch-onnxruntime.sh")
}
