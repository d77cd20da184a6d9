//! `latentwire.v1`: the messages and gRPC services that all parts speak.
//!
//! The source is `latentwire/v1/*.proto`; the Rust code in `src/gen` is generated from it and checked
//! in, so that building needs neither protoc nor a build script. After a change of a `.proto` file:
//! `cargo run -p latentwire-proto --example generate`, then `scripts/check-proto.sh`.
//!
//! ```
//! use latentwire_proto::v1::{Hello, SessionRequest, session_request::Step};
//!
//! let first = SessionRequest { step: Some(Step::Hello(Hello { version: 1, suite: 1, noise: vec![0; 64].into() })) };
//! assert!(prost::Message::encoded_len(&first) > 64);
//! ```

/// Messages, service clients (`*_client`) and service servers (`*_server`) of package `latentwire.v1`.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    clippy::wildcard_enum_match_arm,
    clippy::semicolon_if_nothing_returned,
    reason = "generated code: comments come from the .proto files, the rest from prost and tonic"
)]
pub mod v1 {
    include!("gen/latentwire.v1.rs");
}

/// Encoded `google.protobuf.FileDescriptorSet` of the package and its imports, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptor.bin");

pub use prost::bytes::Bytes;

/// A gRPC code as the specification writes it and `TransferError.code` holds it, for example `FAILED_PRECONDITION`.
#[must_use]
pub fn code_name(code: tonic::Code) -> &'static str {
    use tonic::Code;
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
