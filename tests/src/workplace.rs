//! A temporary folder with what both sides' administrators make: keys and a trust store.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use tempfile::TempDir;

use crate::run::Run;

/// Name of the sender in the receiver's trust store.
pub const PEER: &str = "clinic-a";
/// Name of the receiver in the sender's configuration.
pub const DESTINATION: &str = "clinic-b";

/// Keys, trust store, data and logs of a test; gone with it unless the test fails.
#[derive(Debug)]
pub struct Workplace {
    folder: Option<TempDir>,
    keep: AtomicBool,
}

impl Workplace {
    /// Makes fresh keys for both sides and pins the sender's at the receiver.
    ///
    /// # Panics
    /// `latentwire keys` or `latentwire trust` fails.
    #[must_use]
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("latentwire-tests-").expect("a temporary folder can be made");
        let workplace = Self { folder: Some(folder), keep: AtomicBool::new(false) };
        workplace.generate_key("receiver", "receiver.key");
        let sender = workplace.generate_key("sender", "sender.key");
        workplace.trust(PEER, &sender);
        workplace
    }

    /// A file or folder in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// A new, empty folder in it.
    #[must_use]
    pub fn new_folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("a folder can be made");
        path
    }

    /// A file in it with this content.
    #[must_use]
    pub fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file can be written");
        path
    }

    /// Makes a key pair; gives the file of the public half.
    pub fn generate_key(&self, role: &str, name: &str) -> PathBuf {
        let file = self.path(name);
        let _shown = Run::latentwire([
            "keys".as_ref(),
            "generate".as_ref(),
            "--role".as_ref(),
            role.as_ref(),
            "--output".as_ref(),
            file.as_os_str(),
        ])
        .expect_success();
        self.path(&format!("{name}.pub"))
    }

    /// Pins a sender's public key at the receiver.
    pub fn trust(&self, name: &str, public_key: &Path) {
        let store = self.path("trust.toml");
        let _shown = Run::latentwire([
            "trust".as_ref(),
            "add".as_ref(),
            store.as_os_str(),
            "--name".as_ref(),
            name.as_ref(),
            "--key".as_ref(),
            public_key.as_os_str(),
        ])
        .expect_success();
    }

    /// Takes a sender off the receiver's trust store.
    pub fn distrust(&self, name: &str) {
        let store = self.path("trust.toml");
        let arguments =
            ["trust".as_ref(), "remove".as_ref(), store.as_os_str(), "--name".as_ref(), name.as_ref()];
        let _shown = Run::latentwire(arguments).expect_success();
    }

    /// Keeps the folder if the calling thread is failing.
    pub fn keep_on_failure(&self) {
        if thread::panicking() {
            self.keep.store(true, Ordering::Relaxed);
        }
    }

    fn folder(&self) -> &Path {
        self.folder.as_ref().expect("the folder is there until the drop").path()
    }
}

impl Default for Workplace {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        self.keep_on_failure();
        if *self.keep.get_mut()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("the test's folder with its logs stays at {}", folder.keep().display());
        }
    }
}

/// Every file below a folder.
///
/// # Panics
/// A folder cannot be read.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder can be read") {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

/// The files below a data folder that are still being written: those in a folder, or of a name, for temporary ones.
#[must_use]
pub fn half_written(data: &Path) -> Vec<PathBuf> {
    let temporary = |file: &PathBuf| {
        let inside = file.strip_prefix(data).unwrap_or(file).to_string_lossy().to_lowercase();
        ["tmp", "temp", "part"].iter().any(|mark| inside.contains(mark))
    };
    files(data).into_iter().filter(temporary).collect()
}
