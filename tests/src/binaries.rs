//! Where the programs under test and the checkout's own files lie.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The root of the checkout.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in a folder of the checkout")
}

/// A program of the workspace, from the target folder of the running test.
///
/// # Panics
/// It has not been built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the running test knows its own path");
    let deps = test.parent().expect("a test executable lies in a folder");
    let path = deps.parent().unwrap_or(deps).join(name);
    assert!(
        path.is_file(),
        "{} has not been built: run `make test`, or `cargo build --workspace` before `cargo test -p latentwire-tests`",
        path.display()
    );
    path
}

/// A file or folder of `samples/`.
#[must_use]
pub fn sample(path: &str) -> PathBuf {
    let sample = repository().join("samples").join(path);
    assert!(sample.exists(), "{} is missing from the checkout", sample.display());
    sample
}

/// Every picture of `samples/`, in the order of their names.
#[must_use]
pub fn samples() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![repository().join("samples")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("samples/ can be read") {
            let path = entry.expect("samples/ can be read").path();
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if ["png", "jpg", "tiff", "dcm"].contains(&ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
