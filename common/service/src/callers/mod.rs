//! Who may call the PACS-facing services, and what: SendService of a sender, ImageService of a receiver.
//!
//! ```text
//! callers.toml ─► CallerList (parsed whole or not at all) ─► Callers (in force; read again when the file changes)
//!                                                               │
//! call ─► Gate ─► CallersLayer: identify (token, else certificate) ─► rule of the method ─► service
//!                   │ nobody we know: UNAUTHENTICATED CALLER_UNKNOWN        │ request extension Caller
//!                   └ may not do this: PERMISSION_DENIED CALLER_NOT_ALLOWED └ span call{caller}
//! ```
//!
//! A refused caller learns nothing of what exists: the answer is the same for every method, known or not. A call of a
//! caller that a new file no longer admits ends at once, a watch too.

mod file;
mod layer;
mod permission;
mod store;
mod token;

use std::sync::Arc;

pub use file::{CallerEntry, CallerFileError, CallerList, Credential};
pub use layer::{CallersGate, CallersLayer};
pub use permission::{Permission, Rule, rule_of};
pub use store::Callers;
pub use token::{Token, TokenDigest, TokenError};

/// Who makes a call: the name of an entry in the callers' file.
///
/// The layer puts it into the extensions of every request that it authenticated, so that a handler, or the audit log, finds
/// it by `request.extensions().get::<Caller>()`. It is absent where callers are not authenticated: on loopback without
/// `--callers`, with `--insecure-callers-unauthenticated`, and at TransferService, whose peers are the trust store's.
/// It holds a name alone, never a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Name in the callers' file.
    pub name: Arc<str>,
}
