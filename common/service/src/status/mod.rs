//! Errors of all crates as `google.rpc.Status`: code, stable reason, details. The table is in CONTRIBUTING and docs/PROTOCOL.md.

mod codec;
pub mod reason;
mod request;
mod storage;
mod wire;

use std::collections::HashMap;
use std::time::Duration;

use latentwire_codec::CodecError;
use latentwire_proto::{code_name, v1};
use latentwire_storage::StorageError;
use latentwire_wire::WireError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

pub use request::RequestError;

/// Domain of every `ErrorInfo`.
pub const DOMAIN: &str = "latentwire.v1";

/// Whatever went wrong in a call: the errors of the crates below, and the services' own.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The file, the model or the codec.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The request, or the state of the service.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The receiver's storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A session between the services.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// What a caller is told to wait where the load may pass in a moment.
pub(crate) const SOON: Duration = Duration::from_millis(500);
/// What a caller is told to wait where a person or a restart must help.
pub(crate) const LATER: Duration = Duration::from_secs(15);

/// What a failure becomes on the wire.
pub(crate) struct Classified {
    pub(crate) code: Code,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) details: ErrorDetails,
    pub(crate) metadata: Vec<(&'static str, String)>,
}

impl Classified {
    pub(crate) fn new(code: Code, reason: &'static str, error: &dyn std::fmt::Display) -> Self {
        let (message, details) = (error.to_string(), ErrorDetails::new());
        Self { code, reason, message, details, metadata: Vec::new() }
    }
}

/// The status of a failure: every one carries `ErrorInfo{reason, domain, metadata}`.
pub fn to_status(failure: &Failure) -> Status {
    let Classified { code, reason, message, mut details, metadata } = match failure {
        Failure::Codec(error) => codec::classify(error),
        Failure::Request(error) => request::classify(error),
        Failure::Storage(error) => storage::classify(error),
        Failure::Wire(error) => wire::classify(error),
    };
    let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value));
    details.set_error_info(reason, DOMAIN, metadata.collect::<HashMap<_, _>>());
    Status::with_error_details(code, message, details)
}

/// The stable reason of a status; empty if it carries none of ours.
pub fn reason_of(status: &Status) -> String {
    status
        .get_details_error_info()
        .filter(|info| info.domain == DOMAIN)
        .map(|info| info.reason)
        .unwrap_or_default()
}

/// A status as the `error` of a message: code, reason, sentence.
pub fn transfer_error(status: &Status) -> v1::TransferError {
    v1::TransferError {
        code: code_name(status.code()).to_owned(),
        reason: reason_of(status),
        message: status.message().to_owned(),
    }
}

/// A fault of ours: the log gets the cause and an id, the peer the id alone.
pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Classified {
    let id = request_id();
    tracing::error!(request_id = id, %cause, "internal error");
    request::classify(&RequestError::Internal { id })
}

/// A fault of ours as a request's error: the log gets the cause and an id, the peer the id alone.
pub fn internal_error(cause: &dyn std::fmt::Display) -> RequestError {
    let id = request_id();
    tracing::error!(request_id = id, %cause, "internal error");
    RequestError::Internal { id }
}

/// Unique within a process's log; carries nothing.
fn request_id() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:x}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
