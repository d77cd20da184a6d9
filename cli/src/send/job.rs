//! One image on its way: the file read and uploaded, the transfer followed to its end.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use latentwire_proto::v1::{
    Delivery, ImageHeader, SendStudyRequest, SendStudyResponse, Transfer, TransferStatus,
    send_service_client::SendServiceClient, send_study_request::Part,
};
use latentwire_service::dial::Connection;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;

use super::resume::{Entry, Known, ResumeList};
use crate::{
    args::{SendArgs, TransferId, is_standard_stream},
    failure::Failure,
    file_digest::FileDigest,
    outcome::{ImageStatus, Outcome},
    paths::{self, display},
    policy,
    progress::{Bars, ImageBar},
};

/// Bytes of the file in one message.
const CHUNK_BYTES: usize = 256 * 1024;

/// Messages read ahead of the network.
const CHUNKS_AHEAD: usize = 4;

/// One image to be sent.
pub struct Job {
    file: PathBuf,
    id: TransferId,
    header: ImageHeader,
    timeout: Duration,
    list: Option<Arc<ResumeList>>,
}

/// How a job ended.
pub enum Ended {
    /// In this run.
    Now(Box<Outcome>),
    /// In a run before this one.
    Before,
}

impl Job {
    /// The image of a file, the `index`-th of the command.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn new(
        args: &SendArgs,
        index: usize,
        file: PathBuf,
        list: Option<Arc<ResumeList>>,
    ) -> Result<Self, Failure> {
        let drawn = || TransferId::random().map_err(|error| Failure::internal(error.to_string()));
        let in_study = !args.study_group.is_empty();
        let header = ImageHeader {
            destination: args.destination.clone(),
            policy: Some(policy::to_send(&args.policy, &args.sealing)),
            delivery: Delivery::Wait.into(),
            study_group: args.study_group.clone(),
            sequence: if in_study { u32::try_from(index).unwrap_or(u32::MAX) } else { 0 },
            ..ImageHeader::default()
        };
        let id = args.transfer_id.map_or_else(drawn, Ok)?;
        Ok(Self { file, id, header, timeout: Duration::from_secs(args.timeout), list })
    }

    /// Sends the image, unless the list says that this is done.
    ///
    /// # Errors
    /// The list cannot be written; an image that was not taken is no error.
    pub async fn run(mut self, channel: Connection, bars: &Bars) -> Result<Ended, Failure> {
        let bar = bars.image(&display(&self.file));
        let length = paths::length(&self.file);
        let entry = match self.look_up(&bar).await {
            Ok(Looked::Delivered) => {
                bars.done(&bar, length, None);
                return Ok(Ended::Before);
            }
            Ok(Looked::ToSend(entry)) => entry,
            Err(Unusable::File(failure)) => {
                let outcome = Outcome::rejected(display(&self.file), None, None, failure);
                bars.done(&bar, length, Some(&outcome));
                return Ok(Ended::Now(Box::new(outcome)));
            }
            Err(Unusable::List(failure)) => return Err(failure),
        };
        let (path, id) = (display(&self.file), self.id.to_string());
        let list = self.list.clone();
        let outcome = match self.transfer(channel, &bar, entry.as_ref()).await {
            Ok(transfer) => outcome_of(path, id, &transfer),
            Err(failure) => Outcome::rejected(path, Some(id), None, failure),
        };
        if let (Some(list), Some(entry)) = (list, entry)
            && outcome.error.is_none()
        {
            tokio::task::block_in_place(|| list.done(entry, outcome.status.word()))?;
        }
        bars.done(&bar, length, Some(&outcome));
        Ok(Ended::Now(Box::new(outcome)))
    }

    /// Asks the list whether the file is to be sent, and under which id; from then on the list knows the id.
    async fn look_up(&mut self, bar: &ImageBar) -> Result<Looked, Unusable> {
        let Some(list) = self.list.clone() else { return Ok(Looked::ToSend(None)) };
        bar.at("reading", 0, 1);
        let file = self.file.clone();
        let digest = tokio::task::spawn_blocking(move || FileDigest::of(&file)).await;
        let digest = digest
            .map_err(|error| Unusable::List(Failure::internal(error.to_string())))?
            .map_err(|error| Unusable::File(Failure::file(&self.file, &error)))?;
        let entry = Entry::new(&self.file, digest, &self.header.destination);
        let known = tokio::task::block_in_place(|| list.begin(&entry, self.id)).map_err(Unusable::List)?;
        match known {
            Known::Delivered => Ok(Looked::Delivered),
            Known::Begun(id) => {
                self.id = id;
                Ok(Looked::ToSend(Some(entry)))
            }
        }
    }

    /// Uploads the file and follows the transfer to its end.
    async fn transfer(
        mut self,
        channel: Connection,
        bar: &ImageBar,
        entry: Option<&Entry>,
    ) -> Result<Transfer, Failure> {
        let (source, length) = open(&self.file).await?;
        self.header.transfer_id = self.id.0.to_vec().into();
        self.header.file_bytes = length;
        let (parts, requests) = mpsc::channel(CHUNKS_AHEAD);
        let expected = entry.map(|entry| entry.digest().clone());
        bar.at("upload", 0, length);
        let reader = tokio::spawn(read_parts(source, self.header, expected, parts, bar.clone()));
        let mut request = Request::new(ReceiverStream::new(requests));
        request.set_timeout(self.timeout);
        let answer = follow(channel, request, bar).await;
        match reader.await {
            Ok(Err(error)) => Err(Failure::file(&self.file, &error)),
            Ok(Ok(())) | Err(_) => answer,
        }
    }
}

/// What the list says of a file.
enum Looked {
    Delivered,
    ToSend(Option<Entry>),
}

/// Why nothing can be said of a file.
enum Unusable {
    /// It cannot be read: its image is rejected.
    File(Failure),
    /// The list cannot be written: nothing more can be sent.
    List(Failure),
}

type Source = Box<dyn AsyncRead + Send + Unpin>;

/// The file, and its length.
async fn open(path: &Path) -> Result<(Source, u64), Failure> {
    if is_standard_stream(path) {
        let bytes = tokio::task::block_in_place(|| paths::read(path))?;
        let length = bytes.len() as u64;
        return Ok((Box::new(io::Cursor::new(bytes)), length));
    }
    let fail = |error: io::Error| Failure::file(path, &error);
    let file = tokio::fs::File::open(path).await.map_err(fail)?;
    let metadata = file.metadata().await.map_err(fail)?;
    if !metadata.is_file() {
        return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "not a file")));
    }
    Ok((Box::new(file), metadata.len()))
}

/// Reads the file piece by piece; a piece is read when the network has taken the ones before.
///
/// The last piece is held back until the whole file is known to be the one expected, so that a file that was changed
/// meanwhile does not travel under the entry of another.
async fn read_parts(
    mut source: Source,
    header: ImageHeader,
    expected: Option<FileDigest>,
    parts: mpsc::Sender<SendStudyRequest>,
    bar: ImageBar,
) -> io::Result<()> {
    let (mut read, length) = (0, header.file_bytes);
    let mut digest = Sha256::new();
    let mut next = Part::Header(header);
    loop {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        (&mut source).take(CHUNK_BYTES as u64).read_to_end(&mut chunk).await?;
        let at_end = chunk.is_empty();
        digest.update(&chunk);
        read += chunk.len() as u64;
        if at_end && expected.as_ref().is_some_and(|expected| !expected.is(&digest.clone().finalize())) {
            return Err(io::Error::other("the file was changed while it was being sent; send it again"));
        }
        if parts.send(SendStudyRequest { part: Some(next) }).await.is_err() || at_end {
            return Ok(()); // at the end, or the call has ended, and its status says why
        }
        // The service says nothing before it has coded the image.
        if read < length {
            bar.at("upload", read, length);
        } else {
            bar.at("coding", 0, 1);
        }
        next = Part::Chunk(chunk.into());
    }
}

async fn follow(
    channel: Connection,
    request: Request<ReceiverStream<SendStudyRequest>>,
    bar: &ImageBar,
) -> Result<Transfer, Failure> {
    let mut responses = SendServiceClient::new(channel).send_study(request).await?.into_inner();
    let mut last = None;
    while let Some(SendStudyResponse { transfer, bytes_sent, bytes_total }) = responses.message().await? {
        let Some(transfer) = transfer else { continue };
        bar.at(step_word(transfer.status()), bytes_sent, bytes_total);
        last = Some(transfer);
    }
    last.ok_or_else(|| Failure::protocol("the sender ended the call without saying what became of the image"))
}

fn step_word(status: TransferStatus) -> &'static str {
    match status {
        TransferStatus::Unspecified | TransferStatus::Queued => "coding",
        TransferStatus::Sending => "sending",
        TransferStatus::Delivered => "arrived",
        TransferStatus::Rejected => "rejected",
    }
}

/// What a transfer's last message means.
fn outcome_of(path: String, id: String, transfer: &Transfer) -> Outcome {
    let image = transfer.image.as_ref();
    match transfer.status() {
        TransferStatus::Delivered => Outcome::new(path, Some(id), ImageStatus::Delivered, image),
        TransferStatus::Queued => Outcome::new(path, Some(id), ImageStatus::Queued, image),
        TransferStatus::Rejected => {
            let failure = transfer.error.as_ref().map_or_else(
                || Failure::protocol("the sender rejected the image without a reason"),
                |error| Failure::rejected(&error.code, &error.reason, &error.message),
            );
            Outcome::rejected(path, Some(id), image, failure)
        }
        TransferStatus::Unspecified | TransferStatus::Sending => {
            let failure = Failure::protocol("the sender ended the call before the image had arrived");
            Outcome::rejected(path, Some(id), image, failure)
        }
    }
}
