//! Failures as a person and a program see them: gRPC code, stable reason, one sentence, exit code.

use std::{fmt, io, path::Path};

use latentwire_proto::code_name;
use latentwire_service::dial::explain;
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// What the process ends with; documented in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done.
    Done = 0,
    /// Some image was rejected, or the service refused.
    Rejected = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The service cannot be reached.
    Unreachable = 3,
    /// A local file, key or model cannot be read or written.
    Local = 4,
    /// Ctrl-C, as a shell counts it.
    Interrupted = 130,
    /// The reader of standard output has gone, as a shell counts SIGPIPE.
    OutputClosed = 141,
    /// SIGTERM, as a shell counts it.
    Terminated = 143,
}

impl Exit {
    /// Whether whoever started the command knows why it ended, so that nothing needs to be said.
    #[must_use]
    pub fn is_silent(self) -> bool {
        matches!(self, Self::Interrupted | Self::OutputClosed | Self::Terminated)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// gRPC status code, for example `FAILED_PRECONDITION`.
    pub code: String,
    /// Stable reason, for example `FIDELITY_BELOW_FLOOR`.
    pub reason: String,
    /// A sentence for a person.
    pub message: String,
    /// What the process ends with if this ends it.
    #[serde(skip)]
    pub exit: Exit,
}

impl Failure {
    /// The command line is wrong in a way that the parser cannot see.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new("INVALID_ARGUMENT", "USAGE", message, Exit::Usage)
    }

    /// A local file cannot be read or written.
    #[must_use]
    pub fn file(path: &Path, error: &io::Error) -> Self {
        let known = [
            (io::ErrorKind::NotFound, "NOT_FOUND"),
            (io::ErrorKind::PermissionDenied, "PERMISSION_DENIED"),
            (io::ErrorKind::AlreadyExists, "ALREADY_EXISTS"),
            (io::ErrorKind::StorageFull, "RESOURCE_EXHAUSTED"),
        ];
        let code =
            known.into_iter().find(|(kind, _)| *kind == error.kind()).map_or("UNKNOWN", |(_, code)| code);
        Self::new(code, "LOCAL_FILE", format!("{}: {error}", path.display()), Exit::Local)
    }

    /// Something else on this machine is not as it must be: a key, a trust store, a model.
    #[must_use]
    pub fn local(reason: &str, message: impl Into<String>) -> Self {
        Self::new("FAILED_PRECONDITION", reason, message, Exit::Local)
    }

    /// The command was ended by a signal.
    #[must_use]
    pub fn interrupted(exit: Exit) -> Self {
        Self::new("CANCELLED", "INTERRUPTED", "interrupted", exit)
    }

    /// Nobody reads standard output any more.
    #[must_use]
    pub fn output_closed() -> Self {
        Self::new("CANCELLED", "OUTPUT_CLOSED", "standard output was closed", Exit::OutputClosed)
    }

    /// Something that should not happen, on this machine.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new("INTERNAL", "INTERNAL", message, Exit::Local)
    }

    /// The service sent something that the protocol does not allow.
    #[must_use]
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new("INTERNAL", "UNEXPECTED_ANSWER", message, Exit::Rejected)
    }

    /// The service answered with a failed transfer.
    #[must_use]
    pub fn rejected(code: &str, reason: &str, message: &str) -> Self {
        Self::new(code, reason, message, Exit::Rejected)
    }

    /// Makes a failure.
    #[must_use]
    pub fn new(code: &str, reason: &str, message: impl Into<String>, exit: Exit) -> Self {
        Self { code: code.to_owned(), reason: reason.to_owned(), message: message.into(), exit }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let code = code_name(status.code());
        if let Some(info) = status.get_details_error_info() {
            return Self::rejected(code, &info.reason, status.message());
        }
        // A connection that broke has a cause on this side; a status that was sent has none.
        let broken = std::error::Error::source(&status).map(explain);
        if status.code() == Code::Unavailable || broken.is_some() {
            let cause = broken.unwrap_or_else(|| status.message().to_owned());
            let (code, message) = ("UNAVAILABLE", format!("the service went away: {cause}"));
            return Self::new(code, "SERVICE_UNREACHABLE", message, Exit::Unreachable);
        }
        Self::rejected(code, code, status.message())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.replace(['\n', '\r'], " ");
        if self.code == self.reason {
            write!(formatter, "{}: {message}", self.code)
        } else {
            write!(formatter, "{} {}: {message}", self.code, self.reason)
        }
    }
}

impl std::error::Error for Failure {}

/// The innermost cause, which names the system's own error.
#[must_use]
pub fn root(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn status_with_a_reason_is_a_refusal_and_without_one_an_unreachable_service() {
        let details = ErrorDetails::with_error_info("PEER_UNAVAILABLE", "latentwire.v1", []);
        let refused = Failure::from(Status::with_error_details(Code::Unavailable, "peer down", details));
        assert_eq!((refused.code.as_str(), refused.reason.as_str()), ("UNAVAILABLE", "PEER_UNAVAILABLE"));
        assert_eq!(refused.exit, Exit::Rejected);
        let gone = Failure::from(Status::unavailable("connection reset"));
        assert_eq!((gone.reason.as_str(), gone.exit), ("SERVICE_UNREACHABLE", Exit::Unreachable));
    }

    #[test]
    fn a_failure_is_one_line() {
        let failure = Failure::rejected("NOT_FOUND", "IMAGE_NOT_FOUND", "two\nlines");
        assert_eq!(failure.to_string(), "NOT_FOUND IMAGE_NOT_FOUND: two lines");
    }
}
