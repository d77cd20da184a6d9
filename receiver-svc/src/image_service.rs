//! PACS-facing side: lists, watches, gives back and deletes images.

use std::pin::Pin;
use std::time::Instant;

use latentwire_codec::{Mode, Restored};
use latentwire_proto::Bytes;
use latentwire_proto::v1::image_service_server::ImageService;
use latentwire_proto::v1::{self, get_image_request::Key, get_image_response::Part};
use latentwire_service::audit::{Audit, Event, Kind, Outcome, Party, caller_of};
use latentwire_service::convert::{format_name, id_from_bytes};
use latentwire_service::drain::Drain;
use latentwire_service::grpc::CHUNK_BYTES;
use latentwire_service::status::{Failure, RequestError, reason_of, to_status};
use latentwire_storage::{ImageFilter, StoredImage};
use latentwire_wire::Verdict;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::archive::{self, Archive};
use crate::audit;
use crate::decoder::{Decoded, Decoder};
use crate::record::{sha256, verdict_name};

/// Images of a page where the request names no number.
const PAGE: u32 = 100;
/// Most images of a page.
const MAX_PAGE: u32 = 1000;
/// Arrivals that wait for a slow watcher.
const WATCHED: usize = 16;

/// ImageService over an archive.
pub struct Images {
    archive: Archive,
    decoder: Decoder,
    drain: Drain,
    audit: Audit,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Images {
    /// Serves this archive, decoded by these models, until the drain begins.
    pub fn new(archive: Archive, decoder: Decoder, drain: Drain, audit: Audit) -> Self {
        Self { archive, decoder, drain, audit }
    }

    async fn list(&self, request: v1::ListImagesRequest) -> Result<v1::ListImagesResponse, Failure> {
        let most = match request.page_size {
            0 => PAGE,
            size => size.min(MAX_PAGE),
        };
        let before = match request.page_token.as_str() {
            "" => None,
            token => Some(
                token
                    .parse::<i64>()
                    .map_err(|_| invalid("page_token", "must come from the response before"))?,
            ),
        };
        let filter = ImageFilter { peer: request.peer, study_group: request.study_group };
        let (images, next) = self.archive.list(filter, before, most).await?;
        Ok(v1::ListImagesResponse {
            images,
            next_page_token: next.map(|next| next.to_string()).unwrap_or_default(),
        })
    }

    async fn find(&self, key: Option<Key>) -> Result<StoredImage, Failure> {
        match key {
            Some(Key::ImageId(id)) => self.archive.find(id_from_bytes("image_id", &id)?).await,
            Some(Key::TransferId(id)) => {
                self.archive.find_by_transfer(id_from_bytes("transfer_id", &id)?).await
            }
            None => Err(invalid("key", "must be image_id or transfer_id").into()),
        }
    }

    /// Gives an image out; a refusal is written down too, within bounds.
    async fn get(
        &self,
        request: v1::GetImageRequest,
        caller: Option<Party>,
    ) -> Result<(v1::GetImageHeader, Bytes), Failure> {
        let asked = match &request.key {
            Some(Key::ImageId(id)) => (Some(id.clone()), None),
            Some(Key::TransferId(id)) => (None, Some(id.clone())),
            None => (None, None),
        };
        let given = self.give(request, caller.clone()).await;
        if let Err(failure) = &given {
            self.refused(Kind::ImageFetched, asked, caller, failure);
        }
        given
    }

    async fn remove(&self, image_id: &[u8], caller: Option<Party>) -> Result<(), Failure> {
        let image_id = id_from_bytes("image_id", image_id)?;
        self.audit.check().await?;
        let stored = self.archive.find(image_id).await?;
        let (mut event, whose) = audit::access(
            Kind::ImageDeleted,
            &archive::image(&stored)?,
            &archive::attributes(&stored)?,
            None,
        );
        event.caller = caller;
        self.archive.delete(image_id).await?;
        tracing::info!(image_id = hex::encode(image_id), "image deleted");
        Ok(self.audit.record(event, Some(whose)).await?)
    }

    fn refused(
        &self,
        kind: Kind,
        asked: (Option<Bytes>, Option<Bytes>),
        caller: Option<Party>,
        failure: &Failure,
    ) {
        let mut event = Event::new(kind, Outcome::Failed);
        event.caller = caller;
        event.reason = Some(reason_of(&to_status(failure)));
        let id = |id: Bytes| hex::encode(&id[..id.len().min(16)]);
        (event.image_id, event.transfer_id) = (asked.0.map(id), asked.1.map(id));
        self.audit.note(event);
    }

    async fn give(
        &self,
        request: v1::GetImageRequest,
        caller: Option<Party>,
    ) -> Result<(v1::GetImageHeader, Bytes), Failure> {
        let stored = self.find(request.key).await?;
        let coded = self.archive.open_object(stored.image_id).await?;
        let begin = Instant::now();
        let Decoded { restored, identity, .. } = self.decoder.restore(Wiped(coded)).await?;
        let decode_ms = begin.elapsed().as_secs_f64() * 1000.0;
        check_decoder(&stored, &restored)?;
        // Written down before the first byte goes out: what cannot be, does not.
        let (mut event, whose) = audit::access(
            Kind::ImageFetched,
            &archive::image(&stored)?,
            &archive::attributes(&stored)?,
            identity.as_ref(),
        );
        event.caller = caller;
        self.audit.record(event, Some(whose)).await?;
        let file = Bytes::from(restored.file);
        let header = v1::GetImageHeader {
            image: Some(archive::image(&stored)?),
            file_bytes: file.len() as u64,
            file_sha256: Bytes::copy_from_slice(&sha256(&file)),
            format: format_name(restored.format).to_owned(),
            decode_ms,
        };
        Ok((header, file))
    }
}

/// The opened coded image, wiped when it is dropped.
struct Wiped(zeroize::Zeroizing<Vec<u8>>);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The pixels must be those that were found equal when the image came: another processor or runtime since then may decode
/// otherwise, and then the stated figures hold no more.
fn check_decoder(stored: &StoredImage, restored: &Restored) -> Result<(), Failure> {
    let attributes = archive::attributes(stored)?;
    let same = match &restored.reconstruction_sha256 {
        Some(digest) if restored.mode == Mode::Latent => {
            attributes.reconstruction_sha256.is_empty() || attributes.reconstruction_sha256[..] == digest[..]
        }
        Some(_) | None => true,
    };
    if same {
        return Ok(());
    }
    let image_id = hex::encode(stored.image_id);
    metrics::counter!("latentwire_decoder_changes_total").increment(1);
    tracing::warn!(
        image_id,
        then = attributes.runtime_version,
        "the decoder gives other pixels than when the image came"
    );
    let certified = attributes.certificate.is_some_and(|certificate| certificate.certified);
    let equal = attributes.image.is_some_and(|image| image.verdict == verdict_name(Verdict::Equal));
    if certified && equal {
        return Err(RequestError::DecoderChanged.into());
    }
    Ok(())
}

fn invalid(field: &'static str, what: &str) -> RequestError {
    RequestError::InvalidField { field, what: what.to_owned() }
}

fn status(failure: Failure) -> Status {
    to_status(&failure)
}

#[tonic::async_trait]
impl ImageService for Images {
    type GetImageStream = Answers<v1::GetImageResponse>;
    type WatchImagesStream = Answers<v1::WatchImagesResponse>;

    async fn list_images(
        &self,
        request: Request<v1::ListImagesRequest>,
    ) -> Result<Response<v1::ListImagesResponse>, Status> {
        self.list(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn get_image(
        &self,
        request: Request<v1::GetImageRequest>,
    ) -> Result<Response<Self::GetImageStream>, Status> {
        let caller = caller_of(request.extensions());
        let (header, file) = self.get(request.into_inner(), caller).await.map_err(status)?;
        let head = std::iter::once(Part::Header(header));
        let chunks = (0..file.len()).step_by(CHUNK_BYTES);
        let chunks = chunks.map(move |begin| file.slice(begin..file.len().min(begin + CHUNK_BYTES)));
        let parts = head.chain(chunks.map(Part::Chunk));
        let answers = parts.map(|part| Ok(v1::GetImageResponse { part: Some(part) }));
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }

    async fn watch_images(
        &self,
        request: Request<v1::WatchImagesRequest>,
    ) -> Result<Response<Self::WatchImagesStream>, Status> {
        let peer = request.into_inner().peer;
        let (answers, stream) = mpsc::channel(WATCHED);
        let mut arrivals = self.archive.watch();
        let stop = self.drain.token().clone();
        tokio::spawn(async move {
            loop {
                let arrived = tokio::select! {
                    arrived = arrivals.recv() => arrived,
                    () = stop.cancelled() => Err(RecvError::Closed),
                    () = answers.closed() => return,
                };
                let answer = match arrived {
                    Ok(image) if peer.is_empty() || image.peer == peer => {
                        Ok(v1::WatchImagesResponse { image: Some(image) })
                    }
                    Ok(_others) => continue,
                    Err(RecvError::Lagged(_)) => Err(to_status(&RequestError::Overloaded.into())),
                    Err(RecvError::Closed) => Err(to_status(&RequestError::ShuttingDown.into())),
                };
                let over = answer.is_err();
                if answers.send(answer).await.is_err() || over {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn delete_image(
        &self,
        request: Request<v1::DeleteImageRequest>,
    ) -> Result<Response<v1::DeleteImageResponse>, Status> {
        let caller = caller_of(request.extensions());
        let image_id = request.into_inner().image_id;
        let removed = self.remove(&image_id, caller.clone()).await;
        removed.map_err(|failure| {
            self.refused(Kind::ImageDeleted, (Some(image_id), None), caller, &failure);
            status(failure)
        })?;
        Ok(Response::new(v1::DeleteImageResponse {}))
    }
}
