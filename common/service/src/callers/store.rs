//! The callers in force, fed from their file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::file::{CallerFileError, CallerList};
use crate::reload;

/// The callers in force; clones share them.
#[derive(Clone, Debug)]
pub struct Callers {
    path: PathBuf,
    current: watch::Sender<Arc<CallerList>>,
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
        Ok(Self { path: path.to_owned(), current: watch::Sender::new(Arc::new(list)) })
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
