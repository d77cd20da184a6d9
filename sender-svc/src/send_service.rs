//! `SendService`: what the PACS side calls.

use std::{pin::Pin, sync::Arc, time::Duration};

use latentwire_proto::v1::{
    GetTransferRequest, GetTransferResponse, ListModelsRequest, ListModelsResponse, ListTransfersRequest,
    ListTransfersResponse, SendImageRequest, SendImageResponse, SendStudyRequest, SendStudyResponse,
    Transfer, TransferStatus, WatchTransfersRequest, WatchTransfersResponse, send_image_request::Part,
    send_service_server::SendService,
};
use latentwire_service::{
    audit::caller_of,
    convert,
    drain::Drain,
    grpc::timed,
    status::{RequestError, to_status},
};
use tokio::sync::{broadcast::error::RecvError, mpsc, watch};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    engine::{Engine, Rejection, Task},
    intake::{Accepted, Gathering, next_message},
    study::Study,
    transfer_log::LookUpError,
};

/// Transfers on a page where nothing is asked for.
const DEFAULT_PAGE_SIZE: u32 = 100;

/// Most transfers on a page.
const MAX_PAGE_SIZE: u32 = 1000;

/// Changes that wait for a slow client of a stream.
const RESPONSES_AHEAD: usize = 64;

/// The service, over the engine that does the work.
#[derive(Clone)]
pub struct Sender {
    engine: Arc<Engine>,
    drain: Drain,
    limits: IntakeLimits,
}

/// What a client may send, and how slowly.
#[derive(Clone, Copy, Debug)]
pub struct IntakeLimits {
    /// Largest file in bytes.
    pub max_file_bytes: u64,
    /// How long a client may let its stream rest.
    pub idle: Duration,
}

type ResponseStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Sender {
    /// The service.
    #[must_use]
    pub fn new(engine: Arc<Engine>, drain: Drain, limits: IntakeLimits) -> Self {
        Self { engine, drain, limits }
    }

    /// Whether a new image may be begun.
    fn admits(&self) -> Result<(), RequestError> {
        if self.drain.is_stopping() {
            return Err(RequestError::ShuttingDown);
        }
        self.engine.codec().map(|_| ())
    }

    /// Runs to the end even if the client goes away: what was begun is finished, and the log knows how it ended.
    async fn send_whole(&self, task: Task) -> Result<Transfer, Status> {
        let engine = Arc::clone(&self.engine);
        let sending = self.drain.tasks().spawn(async move { engine.send(task).await });
        match sending.await {
            Ok(Ok(transfer)) => Ok(transfer),
            Ok(Err(rejection)) => {
                let Rejection { status, .. } = *rejection;
                Err(status)
            }
            Err(_panicked) => Err(to_status(&RequestError::Panicked.into())),
        }
    }
}

#[tonic::async_trait]
impl SendService for Sender {
    async fn send_image(
        &self,
        request: Request<Streaming<SendImageRequest>>,
    ) -> Result<Response<SendImageResponse>, Status> {
        self.admits().map_err(refuse)?;
        let caller = caller_of(request.extensions());
        let mut parts = timed(request.into_inner(), self.limits.idle);
        let stop = self.drain.token();
        let first = next_message(&mut parts, stop, false).await?.and_then(|next| next.part);
        let Some(Part::Header(header)) = first else { return Err(refuse(header_missing())) };
        let mut accepted = Accepted::check(header, self.engine.destinations(), self.limits.max_file_bytes)
            .map_err(|failure| to_status(&failure))?;
        accepted.caller = caller;
        let room = self.engine.room().await.map_err(refuse)?;
        let mut file = Gathering::new(accepted.file_bytes, self.limits.max_file_bytes);
        while let Some(next) = next_message(&mut parts, stop, true).await? {
            match next.part {
                Some(Part::Chunk(chunk)) => file.push(&chunk).map_err(refuse)?,
                Some(Part::Header(_)) | None => return Err(refuse(second_header())),
            }
        }
        let source = file.finish().map_err(refuse)?;
        let (progress, _) = watch::channel(None);
        let transfer = self.send_whole(Task { accepted, source, room, progress }).await?;
        Ok(Response::new(SendImageResponse { transfer: Some(transfer) }))
    }

    type SendStudyStream = ResponseStream<SendStudyResponse>;

    async fn send_study(
        &self,
        request: Request<Streaming<SendStudyRequest>>,
    ) -> Result<Response<Self::SendStudyStream>, Status> {
        self.admits().map_err(refuse)?;
        let (responses, stream) = mpsc::channel(RESPONSES_AHEAD);
        let caller = caller_of(request.extensions());
        let parts = timed(request.into_inner(), self.limits.idle);
        let study = Study::new(Arc::clone(&self.engine), self.limits.max_file_bytes, caller, responses);
        self.drain.tasks().spawn(study.run(parts, self.drain.token().clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn get_transfer(
        &self,
        request: Request<GetTransferRequest>,
    ) -> Result<Response<GetTransferResponse>, Status> {
        let request = request.into_inner();
        let id = convert::id_from_bytes("transfer_id", &request.transfer_id).map_err(refuse)?;
        match self.engine.log().find(&id, &request.destination) {
            Ok(transfer) => Ok(Response::new(GetTransferResponse { transfer: Some(transfer) })),
            Err(LookUpError::NotFound) => Err(refuse(RequestError::TransferNotFound)),
            Err(LookUpError::Ambiguous) => {
                let what = "must be given: this id went to several".to_owned();
                Err(refuse(RequestError::InvalidField { field: "destination", what }))
            }
        }
    }

    async fn list_transfers(
        &self,
        request: Request<ListTransfersRequest>,
    ) -> Result<Response<ListTransfersResponse>, Status> {
        let request = request.into_inner();
        let size = match request.page_size {
            0 => DEFAULT_PAGE_SIZE,
            asked => asked.min(MAX_PAGE_SIZE),
        };
        let before = match request.page_token.as_str() {
            "" => None,
            token => {
                Some(token.parse().map_err(|_| refuse(invalid("page_token", "is none of this service")))?)
            }
        };
        let statuses: Vec<TransferStatus> = request
            .statuses
            .iter()
            .map(|&status| TransferStatus::try_from(status))
            .collect::<Result<_, _>>()
            .map_err(|_| refuse(invalid("statuses", "is not a value of this enumeration")))?;
        let page = self.engine.log().page(size as usize, before, &statuses);
        Ok(Response::new(ListTransfersResponse {
            transfers: page.transfers,
            next_page_token: page.next.map(|number| number.to_string()).unwrap_or_default(),
        }))
    }

    type WatchTransfersStream = ResponseStream<WatchTransfersResponse>;

    async fn watch_transfers(
        &self,
        request: Request<WatchTransfersRequest>,
    ) -> Result<Response<Self::WatchTransfersStream>, Status> {
        let destination = request.into_inner().destination;
        if !destination.is_empty() && self.engine.destinations().find(&destination).is_none() {
            return Err(refuse(RequestError::DestinationUnknown { name: destination }));
        }
        let mut changes = self.engine.log().watch();
        let stop = self.drain.token().clone();
        let (responses, stream) = mpsc::channel(RESPONSES_AHEAD);
        tokio::spawn(async move {
            loop {
                let change = tokio::select! {
                    change = changes.recv() => change,
                    () = stop.cancelled() => Err(RecvError::Closed),
                    () = responses.closed() => return,
                };
                let message = match change {
                    Ok(transfer) if destination.is_empty() || transfer.destination == destination => {
                        Ok(WatchTransfersResponse { transfer: Some(transfer) })
                    }
                    Ok(_) => continue,
                    Err(RecvError::Lagged(_)) => Err(refuse(RequestError::Overloaded)),
                    Err(RecvError::Closed) => Err(refuse(RequestError::ShuttingDown)),
                };
                let over = message.is_err();
                if responses.send(message).await.is_err() || over {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }

    async fn list_models(
        &self,
        _request: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        let codec = self.engine.codec().map_err(refuse)?;
        let mut models: Vec<_> = codec.models().iter().map(convert::model_to_proto).collect();
        models.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Response::new(ListModelsResponse { models }))
    }
}

/// A request's error as its status.
pub(crate) fn refuse(error: RequestError) -> Status {
    to_status(&error.into())
}

/// An image's bytes came before its header.
pub(crate) fn header_missing() -> RequestError {
    invalid("header", "must come first, before any chunk")
}

fn second_header() -> RequestError {
    invalid("part", "must be a chunk after the header; SendStudy takes several images")
}

fn invalid(field: &'static str, what: &str) -> RequestError {
    RequestError::InvalidField { field, what: what.to_owned() }
}
