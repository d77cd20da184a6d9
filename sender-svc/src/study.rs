//! `SendStudy`: several images over one call, each with its own end.

use std::{mem, sync::Arc};

use latentwire_proto::{
    Bytes,
    v1::{
        ImageHeader, SendStudyRequest, SendStudyResponse, Transfer, TransferStatus, send_study_request::Part,
    },
};
use latentwire_service::audit::Party;
use latentwire_service::measures::count_request_error;
use latentwire_service::status::{Failure, RequestError, reason, reason_of, to_status, transfer_error};
use latentwire_wire::Progress;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    engine::{Engine, Room, Task},
    intake::{Accepted, Gathering, next_message},
    send_service::{header_missing, refuse},
};

/// One call of `SendStudy`.
///
/// An image begins with its header and ends with the next header or the end of the stream. What is wrong with one image
/// ends that image alone; what is wrong with the stream ends the call, and with it the image that was coming in. A client
/// that only rests too long, or is cut off because the service stops, still has its last image sent if as many bytes of it
/// have come as its header announced.
pub struct Study {
    engine: Arc<Engine>,
    max_file_bytes: u64,
    caller: Option<Party>,
    responses: mpsc::Sender<Result<SendStudyResponse, Status>>,
    under_way: JoinSet<()>,
}

/// The image that the stream is in.
enum Current {
    /// None yet.
    None,
    /// One that is taken in.
    Taken(Box<Incoming>),
    /// One that was rejected; its chunks are passed over.
    Refused,
}

struct Incoming {
    accepted: Accepted,
    room: Room,
    file: Gathering,
}

impl Study {
    /// A call whose answers go to `responses`.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        max_file_bytes: u64,
        caller: Option<Party>,
        responses: mpsc::Sender<Result<SendStudyResponse, Status>>,
    ) -> Self {
        Self { engine, max_file_bytes, caller, responses, under_way: JoinSet::new() }
    }

    /// Takes the images in, and waits for the end of each.
    pub async fn run(
        mut self,
        mut parts: impl Stream<Item = Result<SendStudyRequest, Status>> + Unpin,
        stop: CancellationToken,
    ) {
        let mut current = Current::None;
        let fault = loop {
            let in_image = matches!(current, Current::Taken(_));
            match next_message(&mut parts, &stop, in_image).await.map(|next| next.map(|request| request.part))
            {
                Ok(Some(Some(Part::Header(header)))) => {
                    self.finish(mem::replace(&mut current, Current::None)).await;
                    current = self.begin(header).await;
                }
                Ok(Some(Some(Part::Chunk(chunk)))) if !matches!(current, Current::None) => {
                    current = self.take(current, &chunk).await;
                }
                Ok(Some(Some(Part::Chunk(_)) | None)) => break Some(refuse(header_missing())),
                Ok(None) => break None,
                Err(status) => break Some(status),
            }
        };
        if fault.as_ref().is_none_or(|status| is_whole(&current, status)) {
            self.finish(current).await;
        }
        while self.under_way.join_next().await.is_some() {}
        if let Some(status) = fault {
            // A client that has gone hears of nothing.
            let _ = self.responses.send(Err(status)).await;
        }
    }

    async fn begin(&mut self, header: ImageHeader) -> Current {
        let about = about(&header);
        let accepted = match Accepted::check(header, self.engine.destinations(), self.max_file_bytes) {
            Ok(accepted) => Accepted { caller: self.caller.clone(), ..accepted },
            Err(failure) => return self.reject(about, &failure).await,
        };
        let about = identified(about, &accepted);
        match self.engine.room().await {
            Ok(room) => {
                let file = Gathering::new(accepted.file_bytes, self.max_file_bytes);
                Current::Taken(Box::new(Incoming { accepted, room, file }))
            }
            Err(error) => self.reject(about, &error.into()).await,
        }
    }

    async fn take(&mut self, current: Current, chunk: &Bytes) -> Current {
        match current {
            Current::Taken(mut incoming) => match incoming.file.push(chunk) {
                Ok(()) => Current::Taken(incoming),
                Err(error) => {
                    self.reject(identified(Transfer::default(), &incoming.accepted), &error.into()).await
                }
            },
            Current::None | Current::Refused => current,
        }
    }

    /// Sends the image that has come in whole.
    async fn finish(&mut self, current: Current) {
        let Current::Taken(incoming) = current else { return };
        let Incoming { accepted, room, file } = *incoming;
        match file.finish() {
            Ok(source) => {
                let (progress, changes) = watch::channel(None);
                let task = Task { accepted, source, room, progress };
                let (engine, responses) = (Arc::clone(&self.engine), self.responses.clone());
                self.under_way.spawn(follow(engine, task, changes, responses));
            }
            Err(error) => {
                self.reject(identified(Transfer::default(), &accepted), &error.into()).await;
            }
        }
    }

    async fn reject(&self, transfer: Transfer, failure: &Failure) -> Current {
        let status = to_status(failure);
        count_request_error(&reason_of(&status));
        let transfer = Transfer {
            status: TransferStatus::Rejected.into(),
            error: Some(transfer_error(&status)),
            ..transfer
        };
        let _ = self.responses.send(Ok(response(transfer, Progress::default()))).await;
        Current::Refused
    }
}

/// Sends one image, tells of its progress, and then of its end.
async fn follow(
    engine: Arc<Engine>,
    task: Task,
    mut changes: watch::Receiver<Option<(Transfer, Progress)>>,
    responses: mpsc::Sender<Result<SendStudyResponse, Status>>,
) {
    let about = identified(Transfer::default(), &task.accepted);
    let sending = tokio::spawn(async move { engine.send(task).await });
    let mut last = Progress::default();
    // The sender of `changes` is dropped when the image has ended.
    while changes.changed().await.is_ok() {
        let Some((transfer, progress)) = changes.borrow_and_update().clone() else { continue };
        last = progress;
        // Progress that a slow client has no room for is not worth waiting for.
        let _ = responses.try_send(Ok(response(transfer, progress)));
    }
    let transfer = match sending.await {
        Ok(Ok(delivered)) => {
            last.bytes_sent = last.bytes_total;
            delivered
        }
        Ok(Err(rejection)) => rejection.transfer,
        Err(_panicked) => Transfer {
            status: TransferStatus::Rejected.into(),
            error: Some(transfer_error(&to_status(&RequestError::Panicked.into()))),
            ..about
        },
    };
    let _ = responses.send(Ok(response(transfer, last))).await;
}

/// Whether the image that was coming in lacks nothing, though the call ended without saying so.
fn is_whole(current: &Current, fault: &Status) -> bool {
    let why = reason_of(fault);
    let cut_off = why == reason::STREAM_IDLE || why == reason::SHUTTING_DOWN;
    cut_off && matches!(current, Current::Taken(incoming) if incoming.file.is_whole())
}

fn response(transfer: Transfer, progress: Progress) -> SendStudyResponse {
    SendStudyResponse {
        transfer: Some(transfer),
        bytes_sent: progress.bytes_sent,
        bytes_total: progress.bytes_total,
    }
}

/// What a header says of its image, right or wrong.
fn about(header: &ImageHeader) -> Transfer {
    Transfer {
        transfer_id: header.transfer_id.clone(),
        destination: header.destination.clone(),
        study_group: header.study_group.clone(),
        sequence: header.sequence,
        ..Transfer::default()
    }
}

fn identified(transfer: Transfer, accepted: &Accepted) -> Transfer {
    Transfer {
        transfer_id: accepted.transfer_id.to_vec().into(),
        destination: accepted.destination.name.clone(),
        study_group: accepted.study_group.clone(),
        sequence: accepted.sequence,
        ..transfer
    }
}
