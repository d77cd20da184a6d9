//! Harness of the cross-crate and cross-process tests: the real binaries as child processes on 127.0.0.1.
//!
//! ```text
//! Link ─► Workplace   a temporary folder: fresh keys, trust store, data, logs      (`latentwire keys`, `trust`)
//!      ├► Receiver    receiver-svc, ready                                         (/readyz)
//!      └► Sender      sender-svc, ready, with the receiver as its only destination
//! Gateway, Modality   pacs-gateway before a sender, and who stores there
//! SecuredLink         the same behind TLS that asks both ends for a certificate
//! Proxy               a link that lies: between a sender and a receiver, message by message
//! link.send(...), link.get(...)  ─►  Run      what `latentwire` answered: exit code, JSON lines, errors
//! ```
//!
//! Dropping a service sends SIGTERM, waits, and fails the test if it did not end with exit code 0 in time. When a
//! test fails, its folder stays, and its place is printed.
//!
//! The tests in `tests/` hold one concern a file. They need the binaries of the same profile (`cargo build
//! --workspace`) and ONNX Runtime's library; `make test` brings both.
#![forbid(unsafe_code)]

pub mod admin;
pub mod binaries;
pub mod client;
pub mod gateway;
pub mod link;
pub mod modality;
pub mod outcome;
pub mod pictures;
pub mod process;
pub mod proxy;
pub mod run;
pub mod secured;
pub mod wait;
pub mod workplace;

pub use gateway::Gateway;
pub use link::{Link, Receiver, Sender};
pub use modality::{Instance, Modality};
pub use proxy::Proxy;
pub use run::Run;
pub use secured::SecuredLink;
pub use wait::wait_until;
pub use workplace::Workplace;
