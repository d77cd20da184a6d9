//! Files that are read again while the service runs: when one of them changes, and on SIGHUP.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(2);

/// What tells one version of a file from the next: time, length, inode.
type Version = Option<(Option<SystemTime>, u64, u64)>;

/// Calls `reload` when the time, length or inode of a file changes, and on SIGHUP, until `stop`. What cannot be read is
/// logged as "`what` unchanged" and changes nothing; several files that belong together (certificate and key) may change one
/// after the other: the first reload fails, the second does it.
pub async fn watch<T: Display, E: Display>(
    what: &'static str,
    files: Vec<PathBuf>,
    stop: CancellationToken,
    mut reload: impl FnMut() -> Result<T, E>,
) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::warn!(%error, what, "no SIGHUP handler; the files are not watched");
            return;
        }
    };
    let mut seen = versions(&files);
    let mut tick = tokio::time::interval(POLL);
    loop {
        let asked = tokio::select! {
            _received = hangup.recv() => true,
            _at = tick.tick() => false,
            () = stop.cancelled() => return,
        };
        let now = versions(&files);
        if !asked && now == seen {
            continue;
        }
        seen = now;
        match reload() {
            Ok(read) => tracing::info!(%read, "{what} read again"),
            Err(error) => tracing::error!(%error, "{what} unchanged"),
        }
    }
}

fn versions(files: &[PathBuf]) -> Vec<Version> {
    use std::os::unix::fs::MetadataExt;
    let version = |file: &PathBuf| {
        let status = std::fs::metadata(file).ok()?;
        Some((status.modified().ok(), status.len(), status.ino()))
    };
    files.iter().map(version).collect()
}
