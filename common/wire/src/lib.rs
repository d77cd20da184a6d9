//! The Session driver of both ends: key agreement and sealed transfers over one bidirectional gRPC stream.
//!
//! `docs/PROTOCOL.md` is normative. This crate joins the messages of `latentwire-proto` with the cryptography of
//! `latentwire-sealing`, and adds time: every wait has a limit, every buffer a bound.
//!
//! # Sender
//!
//! ```no_run
//! # use latentwire_wire::{Outgoing, SessionLimits, Uplink, WireError};
//! # use latentwire_sealing::{PublicKey, SecretKey};
//! # async fn example(identity: SecretKey, receiver: PublicKey, outgoing: Outgoing) -> Result<(), WireError> {
//! let channel = tonic::transport::Endpoint::from_static("http://receiver.example:50061").connect_lazy();
//! let uplink = Uplink::connect(channel, &identity, &receiver, SessionLimits::default()).await?;
//! let delivered = uplink.deliver(outgoing, None).await?; // from any number of tasks; four are on the way at once
//! println!("{} bytes on the wire", delivered.sealed_bytes);
//! uplink.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! After an error, [`WireError::retry`] says whether to try the whole transfer again (same transfer id, new session
//! and new keys) and [`Uplink::is_open`] whether this session still takes transfers. Dropping the future of `deliver`
//! cancels the transfer.
//!
//! # Receiver
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use latentwire_wire::{ReceiverLimits, SessionServer, TransferSink, system_clock};
//! # use latentwire_sealing::{SecretKey, TrustStore};
//! # fn example<S: TransferSink>(identity: SecretKey, trust: TrustStore, sink: S) {
//! let (reload_trust, trust) = tokio::sync::watch::channel(Arc::new(trust));
//! let sessions = SessionServer::new(Arc::new(identity), trust, Arc::new(sink), ReceiverLimits::default(), system_clock());
//! // In `TransferService::session(&self, request)`:
//! //     let stream = self.sessions.serve(request).map(|item| item.map_err(to_status));
//! // with `latentwire_wire::transfer_server(service)` for the message limits.
//! # let _ = (reload_trust, sessions); }
//! ```
//!
//! [`TransferSink`] is what the service implements: look-up, admission before a byte is kept, and storing. Sending a new
//! store through the watch channel ends the live sessions of keys that it no longer admits, at once.
//!
//! # Order of a session
//!
//! Every Open gets exactly one OpenAck; every accepted Open exactly one end, a Receipt or a NeedExact, also after a
//! Cancel. A sender reuses a slot only after that end. Transfers of up to 256 KiB follow their Open at once; longer ones
//! wait for its answer, because they may be resumed; so do those below the chaos cipher and in row mode, which a receiver
//! refuses unless its [`ReceiverLimits`] allow them. What follows an Open that was not accepted is thrown away, up to
//! that bound.
//!
//! Failures of the peer's cryptography or order end the session, and all its causes look alike to the peer
//! ([`Reason`]); refusals by the sink concern one transfer, and the session goes on.
#![forbid(unsafe_code)]

mod error;
mod limits;
mod messages;
mod outgoing;
mod reason;
mod sender;
mod server;
mod sink;

pub use error::WireError;
pub use limits::{
    EARLY_BYTES, MAX_HEAD_BYTES, MAX_MESSAGE_BYTES, MAX_SLOTS, ReceiverLimits, SessionLimits, Timeouts,
};
pub use outgoing::{Delivered, ExactFallback, Outgoing, Progress, Segmentation};
pub use reason::{Reason, Retry};
pub use sender::Uplink;
pub use server::{Clock, SessionServer, SessionStream, refuse_compression, system_clock, transfer_server};
pub use sink::{Announced, Ending, Known, Outcome, Peer, Received, SinkError, TransferSink, Verdict};

/// Id of a transfer: 16 random bytes, the same for every attempt.
pub type TransferId = [u8; 16];
/// Id of a stored image: 16 random bytes, given by the receiver.
pub type ImageId = [u8; 16];
