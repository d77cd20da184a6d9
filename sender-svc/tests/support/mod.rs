//! A sender in this process, on ports that the operating system chooses, and a client for it.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{
    ffi::OsString,
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use clap::Parser;
use latentwire_proto::v1::{
    ImageHeader, SendImageRequest, SendImageResponse, SendStudyRequest, SendStudyResponse, Transfer,
    send_image_request, send_service_client::SendServiceClient, send_study_request,
};
use latentwire_service::sealing::{Role, SecretKey};
use latentwire_service::{keys::write_new_key_file, status::reason_of};
use sender_svc::{Config, Running, run};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};

/// Name of the only destination.
pub const DESTINATION: &str = "clinic-b";

/// A sender that runs until the end of the test.
pub struct Sender {
    pub client: SendServiceClient<Channel>,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    shutdown: CancellationToken,
    running: Running,
    _folder: TempDir,
}

impl Sender {
    /// A sender whose receiver should be at `receiver`, with further flags.
    pub async fn start(receiver: SocketAddr, extra: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let config = config(folder.path(), receiver, extra);
        let shutdown = CancellationToken::new();
        let running = run(config, shutdown.clone()).await.expect("the sender starts");
        let (address, admin) = (running.send_address, running.admin_address);
        let client =
            SendServiceClient::connect(format!("http://{address}")).await.expect("the sender listens");
        Self { client, address, admin, shutdown, running, _folder: folder }
    }

    /// A sender whose receiver is down.
    pub async fn alone(extra: &[&str]) -> Self {
        Self::start(nobody(), extra).await
    }

    pub async fn send_image(&self, parts: Vec<send_image_request::Part>) -> Result<Transfer, Status> {
        let requests = parts.into_iter().map(|part| SendImageRequest { part: Some(part) });
        let response =
            self.client.clone().send_image(tokio_stream::iter(requests.collect::<Vec<_>>())).await?;
        let SendImageResponse { transfer } = response.into_inner();
        Ok(transfer.expect("an answer holds its transfer"))
    }

    /// Sends a file under a header, in one chunk.
    pub async fn send(&self, header: ImageHeader, file: &[u8]) -> Result<Transfer, Status> {
        use send_image_request::Part;
        self.send_image(vec![Part::Header(header), Part::Chunk(file.to_vec().into())]).await
    }

    /// All answers to a study, and the status that ended it if it did not end well.
    pub async fn send_study(
        &self,
        parts: Vec<send_study_request::Part>,
    ) -> (Vec<SendStudyResponse>, Option<Status>) {
        let requests: Vec<_> = parts.into_iter().map(|part| SendStudyRequest { part: Some(part) }).collect();
        let mut responses = match self.client.clone().send_study(tokio_stream::iter(requests)).await {
            Ok(response) => response.into_inner(),
            Err(status) => return (Vec::new(), Some(status)),
        };
        let mut received = Vec::new();
        loop {
            match responses.message().await {
                Ok(Some(response)) => received.push(response),
                Ok(None) => return (received, None),
                Err(status) => return (received, Some(status)),
            }
        }
    }

    /// Stops the sender as SIGTERM would.
    pub async fn stop(self) -> anyhow::Result<()> {
        drop(self.client);
        self.shutdown.cancel();
        self.running.wait().await
    }
}

/// The configuration of a sender over the tiny models that the codec's tests use.
pub fn config(folder: &Path, receiver: SocketAddr, extra: &[&str]) -> Config {
    let key = folder.join("sender.key");
    write_new_key_file(&key, &new_key(Role::Sender)).expect("the key is new");
    let receiver_key = new_key(Role::Receiver);
    let destination = format!("{DESTINATION}=http://{receiver},{}", receiver_key.public_key());
    let mut line: Vec<OsString> =
        ["sender-svc", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"].map(Into::into).into();
    line.extend(["--destination".into(), destination.into(), "--key".into(), key.into()]);
    line.extend(["--models".into(), repository().join("common/codec/tests/models/sound").into()]);
    line.extend(["--onnxruntime".into(), onnxruntime().into(), "--unpinned-models".into()]);
    line.extend(extra.iter().map(Into::into));
    Config::try_parse_from(line).expect("the flags are right")
}

pub fn new_key(role: Role) -> SecretKey {
    SecretKey::generate(role, &mut getrandom::rand_core::UnwrapErr(getrandom::SysRng))
}

/// An address of this machine where nobody listens.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("127.0.0.1 has free ports");
    listener.local_addr().expect("bound")
}

/// A header that is right.
pub fn header() -> ImageHeader {
    ImageHeader { destination: DESTINATION.to_owned(), ..ImageHeader::default() }
}

/// A small grey picture.
pub fn png() -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 40, 30);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let pixels: Vec<u8> =
        (0..1200_u32).map(|index| u8::try_from((index % 40) * 6).expect("below 256")).collect();
    encoder.write_header().and_then(|mut writer| writer.write_image_data(&pixels)).expect("a picture");
    file
}

/// Checks code and reason of a refusal, and that it is one sentence without anything of the request's file in it.
#[track_caller]
pub fn expect_refusal<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) {
    let status = answer.expect_err(reason);
    assert_eq!((status.code(), reason_of(&status).as_str()), (code, reason), "{status:?}");
    assert!(!status.message().is_empty() && !status.message().contains('\n'), "{status:?}");
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate lies in a folder of the checkout")
        .to_owned()
}

/// The library that `scripts/fetch-onnxruntime.sh` brought.
fn onnxruntime() -> PathBuf {
    let folder = repository().join(".onnxruntime");
    let found = fs::read_dir(&folder).ok().and_then(|mut entries| {
        entries.find_map(|entry| {
            let path = entry.ok()?.path();
            path.file_name()?.to_str()?.starts_with("libonnxruntime").then_some(path)
        })
    });
    found.expect("ONNX Runtime is missing: run scripts/fetch-onnxruntime.sh")
}
