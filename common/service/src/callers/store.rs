//! The callers in force, fed from their file.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::file::{CallerFileError, CallerList};
use crate::audit::{Audit, Event, Kind, Outcome, Party};
use crate::reload;
use crate::status::{RequestError, reason_of, to_status};

/// The callers in force; clones share them.
#[derive(Clone)]
pub struct Callers {
    path: PathBuf,
    current: watch::Sender<Arc<CallerList>>,
    /// Where refusals are written down.
    audit: Audit,
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Callers {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// As [`CallerList::load`].
    pub fn load(path: &Path) -> Result<Self, CallerFileError> {
        let list = CallerList::load(path)?;
        if list.entries().is_empty() {
            tracing::warn!(file = %path.display(), "no caller is listed, so that every call is refused: `latentwire callers add`");
        }
        report(true);
        Ok(Self { path: path.to_owned(), current: watch::Sender::new(Arc::new(list)), audit: Audit::none() })
    }

    /// The same callers, their refusals written into this audit log.
    #[must_use]
    pub fn noting_refusals(self, audit: Audit) -> Self {
        Self { audit, ..self }
    }

    /// Writes down that a call was refused: whose it was where that is known, and whence; `method` is one of ours, or nothing.
    pub(super) fn note_refusal(
        &self,
        name: Option<&str>,
        address: Option<SocketAddr>,
        method: Option<&str>,
        error: &RequestError,
    ) {
        let mut event = Event::new(Kind::CallerRefused, Outcome::Refused);
        let address = address.map(|address| address.ip().to_string());
        event.caller = Some(Party { name: name.map(str::to_owned), key: None, address });
        event.reason = Some(reason_of(&to_status(&error.clone().into())));
        event.detail = Some(method.unwrap_or("a method that there is not").to_owned());
        self.audit.note(event);
    }

    /// The callers in force now.
    #[must_use]
    pub fn current(&self) -> Arc<CallerList> {
        Arc::clone(&self.current.borrow())
    }

    /// The callers in force and every later list: a new one ends the calls of those whom it no longer admits.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<CallerList>> {
        self.current.subscribe()
    }

    /// Reads the file again, whole; what cannot be read leaves the callers in force as they are.
    ///
    /// # Errors
    /// As [`CallerList::load`].
    pub fn reload(&self) -> Result<usize, CallerFileError> {
        let list = CallerList::load(&self.path).inspect_err(|_| report(false))?;
        report(true);
        let entries = list.entries().len();
        self.current.send_replace(Arc::new(list));
        Ok(entries)
    }

    /// Watches the file until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        let files = vec![self.path.clone()];
        let again = || self.reload().map(|entries| format!("{entries} callers"));
        reload::watch("callers file", files, stop, again).await;
    }
}

/// Puts into the metrics whether the file's content is what is in force.
fn report(in_force: bool) {
    metrics::gauge!("latentwire_callers_last_reload_successful").set(f64::from(u8::from(in_force)));
}
