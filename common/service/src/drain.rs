//! Stopping: NOT_SERVING, accept no more, let what is at work finish, for a bounded time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::health::Readiness;

/// What is told to stop, and what is waited for. Clones are the same drain.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Drain {
    /// Nothing is stopping yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when the process begins to stop; streams without an end of their own (watches) end then.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Work that outlives its request and is waited for is spawned here.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Whether the process has begun to stop.
    pub fn is_stopping(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Begins to stop: tells peers NOT_SERVING, then cancels [`Self::token`].
    pub async fn begin(&self, readiness: &Readiness) {
        readiness.not_ready().await;
        self.token.cancel();
        self.tasks.close();
    }

    /// Waits for the tracked tasks, at most `limit`; `false` if some were left.
    pub async fn finish(&self, limit: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }
}

/// A token that is cancelled at the first SIGTERM or SIGINT.
pub fn on_termination() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    // A reload ends nothing, also where there is nothing to read again: a handler, whoever listens, replaces the default.
    if let Err(error) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()) {
        tracing::warn!(%error, "no handler for SIGHUP");
    }
    tokio::spawn(async move {
        match termination().await {
            Ok(signal) => tracing::info!(signal, "stopping"),
            Err(error) => tracing::error!(%error, "no handler for SIGTERM: stopping"),
        }
        crate::notify::stopping();
        cancelled.cancel();
    });
    token
}

/// Resolves at the first SIGTERM or SIGINT, with its name.
///
/// # Errors
/// The handler cannot be installed.
async fn termination() -> std::io::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let name = tokio::select! {
        _received = term.recv() => "SIGTERM",
        _received = int.recv() => "SIGINT",
    };
    Ok(name)
}
