//! What Latentwire's services share: everything around the journey that is not the journey.
//!
//! ```text
//! main ─► args (clap, env twins) ─► telemetry ─► keys, trust ─► bind ─► GrpcServer ─► Drain
//!                                    tls, callers ──┘
//!                                                   AdminServer: /metrics /healthz /readyz
//!                                                   Readiness:   grpc.health.v1
//! error of any crate ─► Failure ─► to_status ─► google.rpc.Status with ErrorInfo
//! codec's Policy, Report ◄─ convert ─► latentwire.v1 messages
//! ```
//!
//! Only this crate and the services name [`tonic::Status`].
#![forbid(unsafe_code)]

pub mod admin;
pub mod args;
pub mod audit;
pub mod callers;
pub mod configuration;
pub mod convert;
pub mod destinations;
pub mod dial;
pub mod drain;
pub mod floors;
pub mod grpc;
pub mod health;
pub mod keys;
pub mod listen;
pub mod measures;
pub mod notify;
pub mod peer_address;
pub mod pins;
mod reload;
pub mod research;
pub mod status;
pub mod storage_key;
pub mod telemetry;
pub mod tls;
pub mod trust;
pub mod trust_changes;

pub use latentwire_sealing as sealing;
