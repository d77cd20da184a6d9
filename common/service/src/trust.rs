//! The trust store's file: read whole or not at all, and read again when it changes or on SIGHUP.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use latentwire_sealing::{CryptoError, TrustStore};
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{measures, reload};

/// Largest trust store: 10,000 entries of some 500 bytes.
const MAX_TRUST_BYTES: u64 = 8 << 20;

/// Why a trust store could not be loaded; local, it names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrustFileError {
    /// It could not be read.
    #[error("trust store {} cannot be read ({cause}): make one with `latentwire trust add`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// Others may change it.
    #[error("trust store {} can be changed by others (mode {mode:04o}): run `chmod go-w '{}'`", path.display(), path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not a trust store.
    #[error("trust store {}: {cause}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: CryptoError,
    },
    /// It is far too large.
    #[error("trust store {} has more than {MAX_TRUST_BYTES} bytes: name the right file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a trust store.
///
/// # Errors
/// [`TrustFileError`]; its text names the file.
pub fn load_trust(path: &Path) -> Result<TrustStore, TrustFileError> {
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;
    let io = |cause| TrustFileError::Io { path: path.to_owned(), cause };
    let file = std::fs::File::open(path).map_err(io)?;
    let status = file.metadata().map_err(io)?;
    let mode = status.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(TrustFileError::Permissions { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(MAX_TRUST_BYTES + 1).read_to_string(&mut text).map_err(io)?;
    if text.len() as u64 > MAX_TRUST_BYTES {
        return Err(TrustFileError::TooLarge { path: path.to_owned() });
    }
    TrustStore::parse(&text).map_err(|cause| TrustFileError::Text { path: path.to_owned(), cause })
}

/// The trust store in force, fed from its file; clones share it.
#[derive(Clone, Debug)]
pub struct Trust {
    path: PathBuf,
    current: watch::Sender<Arc<TrustStore>>,
}

impl Trust {
    /// Reads the store for the first time.
    ///
    /// # Errors
    /// As [`load_trust`].
    pub fn load(path: &Path) -> Result<Self, TrustFileError> {
        let store = load_trust(path)?;
        report(true);
        Ok(Self { path: path.to_owned(), current: watch::Sender::new(Arc::new(store)) })
    }

    /// The store in force now.
    pub fn current(&self) -> Arc<TrustStore> {
        Arc::clone(&self.current.borrow())
    }

    /// The store in force and every later one, for the sessions: a new one ends those that it no longer admits.
    pub fn subscribe(&self) -> watch::Receiver<Arc<TrustStore>> {
        self.current.subscribe()
    }

    /// Reads the file again; what cannot be read leaves the store in force as it is.
    ///
    /// # Errors
    /// As [`load_trust`].
    pub fn reload(&self) -> Result<(), TrustFileError> {
        let store = Arc::new(load_trust(&self.path).inspect_err(|_| report(false))?);
        report(true);
        self.current.send_if_modified(|current| {
            let changed = **current != *store;
            *current = Arc::clone(&store);
            changed
        });
        Ok(())
    }

    /// Puts the peers in force into the metrics, at every scrape.
    pub fn measured(self) -> impl Fn() + Send + Sync {
        move || measures::peers(&self.current(), measures::unix_seconds())
    }

    /// Watches the file until `stop`: every two seconds, and at SIGHUP. A file that cannot be read is logged and changes nothing.
    pub async fn watch(self, stop: CancellationToken) {
        let files = vec![self.path.clone()];
        let again = || self.reload().map(|()| format!("{} entries", self.current().entries().len()));
        reload::watch("trust store", files, stop, again).await;
    }
}

/// Puts into the metrics whether the file's content is what is in force.
fn report(in_force: bool) {
    metrics::gauge!("latentwire_trust_last_reload_successful").set(f64::from(u8::from(in_force)));
    if in_force {
        metrics::gauge!("latentwire_trust_last_reload_timestamp_seconds").set(measures::unix_now());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    const HEAD: &str = "# nobody yet\n";

    fn store(folder: &tempfile::TempDir, text: &str) -> PathBuf {
        let path = folder.path().join("trust.toml");
        std::fs::write(&path, text).expect("written");
        path
    }

    #[test]
    fn a_damaged_file_leaves_the_store_in_force() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = store(&folder, HEAD);
        let trust = Trust::load(&path).expect("an empty store");
        let before = trust.current();
        store(&folder, "[[peer]]\nname = 1\n");
        let error = trust.reload().expect_err("not a trust store");
        assert!(matches!(error, TrustFileError::Text { .. }), "{error}");
        assert!(Arc::ptr_eq(&before, &trust.current()));
    }

    #[test]
    fn what_others_may_change_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = store(&folder, HEAD);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).expect("changed");
        let error = Trust::load(&path).expect_err("open to others");
        assert!(error.to_string().contains("chmod go-w"), "{error}");
    }

    #[test]
    fn a_missing_file_says_what_makes_one() {
        let error = Trust::load(Path::new("/nowhere/trust.toml")).expect_err("missing");
        assert!(error.to_string().contains("latentwire trust add"), "{error}");
    }

    #[tokio::test]
    async fn a_changed_file_is_read_again() {
        use getrandom::rand_core::UnwrapErr;
        use latentwire_sealing::{Role, SecretKey, TrustEntry};
        let folder = tempfile::tempdir().expect("a folder");
        let path = store(&folder, HEAD);
        let trust = Trust::load(&path).expect("an empty store");
        let mut changes = trust.subscribe();
        let stop = CancellationToken::new();
        let watching = tokio::spawn(trust.clone().watch(stop.clone()));
        // Let the watch see the first version before there is a second.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let key = SecretKey::generate(Role::Sender, &mut UnwrapErr(getrandom::SysRng));
        let mut peers = TrustStore::default();
        peers.add(TrustEntry::new("clinic", *key.public_key())).expect("a good entry");
        store(&folder, &peers.to_toml());
        tokio::time::timeout(Duration::from_secs(60), changes.changed())
            .await
            .expect("in time")
            .expect("alive");
        assert_eq!(trust.current().entries().len(), 1);
        stop.cancel();
        watching.await.expect("ended");
    }
}
