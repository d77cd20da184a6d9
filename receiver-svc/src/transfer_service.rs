//! Sender-facing side: hands every stream to the session driver.

use std::pin::Pin;
use std::sync::Arc;

use latentwire_proto::v1::transfer_service_server::TransferService;
use latentwire_proto::v1::{SessionRequest, SessionResponse};
use latentwire_service::audit::Audit;
use latentwire_service::status::to_status;
use latentwire_wire::{SessionServer, WireError};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::sink::Sink;

/// TransferService over the session driver.
pub struct Transfers {
    sessions: Arc<SessionServer<Sink>>,
    audit: Audit,
}

impl Transfers {
    /// Serves these sessions, and writes down those that are refused or break.
    pub fn new(sessions: Arc<SessionServer<Sink>>, audit: Audit) -> Self {
        Self { sessions, audit }
    }
}

#[tonic::async_trait]
impl TransferService for Transfers {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<SessionResponse, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut set_up = false;
        let from = request.remote_addr();
        let audit = self.audit.clone();
        let answers = self.sessions.serve(request).map(move |answer| {
            count(&answer, &mut set_up);
            answer.map_err(|error| {
                audit.note(crate::audit::session(&error, set_up, from));
                // Precise here, coarse for the peer.
                tracing::warn!(%error, "session ended");
                to_status(&error.into())
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Counts a session by its first answer, the handshake's, and by the error that ends it.
fn count(answer: &Result<SessionResponse, WireError>, set_up: &mut bool) {
    match answer {
        Ok(_) if *set_up => {}
        Ok(_) => {
            *set_up = true;
            metrics::counter!("latentwire_sessions_total").increment(1);
        }
        Err(error) => {
            let name = if *set_up {
                "latentwire_session_errors_total"
            } else {
                "latentwire_handshake_failures_total"
            };
            metrics::counter!(name, "reason" => error.reason().as_str()).increment(1);
        }
    }
}
