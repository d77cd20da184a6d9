//! ONNX Runtime's library and its process-wide environment.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

use crate::error::InferenceError;

/// The library file that `scripts/fetch-onnxruntime.sh` brings.
const LIBRARY: &str = "libonnxruntime.so.1.31.1";
/// Other names that the library goes by beside the executable or where the operating system's packages put it.
const OTHER_NAMES: [&str; 2] = ["libonnxruntime.so.1", "libonnxruntime.so"];

/// The process-wide ONNX Runtime environment; clones share it.
///
/// ONNX Runtime allows one environment a process, so the first successful [`Runtime::load`] decides which library is
/// used; it stays loaded until the process ends.
#[derive(Clone, Debug)]
pub struct Runtime {
    environment: Environment,
    library: PathBuf,
    version: String,
}

static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

impl Runtime {
    /// Loads ONNX Runtime's library, or returns the one already loaded.
    ///
    /// Searched in this order: `dylib`, if given; else the environment variable `ORT_DYLIB_PATH`, if set; else the
    /// folder `.onnxruntime` below the current folder, the executable's folder, and `lib/latentwire` and `lib` beside that.
    /// The first two are taken at their word: if the file is not there, that is an error.
    ///
    /// # Errors
    /// [`InferenceError::LibraryMissing`] when there is no such file, [`InferenceError::LibraryUnusable`] when the file
    /// is not an ONNX Runtime that can be used.
    pub fn load(dylib: Option<&Path>) -> Result<Self, InferenceError> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*loaded {
            return Ok(runtime.clone());
        }
        let path = find_library(dylib)?;
        let unusable = |problem: String| InferenceError::LibraryUnusable {
            path: path.clone(),
            problem: one_line(&problem),
        };
        let environment = ort::init_from(&path)
            .map_err(|error| unusable(error.to_string()))?
            .with_name("latentwire")
            .with_telemetry(false)
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let version = library_version(&path);
        let runtime = Self { environment, library: path, version };
        *loaded = Some(runtime.clone());
        Ok(runtime)
    }

    /// ONNX Runtime's own version, such as `1.31.1`.
    ///
    /// Decoders are certified for versions of the runtime, so this is recorded with each image.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The library file that was loaded.
    pub fn library(&self) -> &Path {
        &self.library
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}

/// How many sessions a net gets, and how many threads each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionOptions {
    /// Sessions of a net that can run at once; 0 counts as 1. Each holds its own copy of the weights.
    pub pool: usize,
    /// Threads that each session computes on; 0 counts as 1.
    pub threads: usize,
}

impl Default for SessionOptions {
    /// One session of one thread.
    fn default() -> Self {
        Self { pool: 1, threads: 1 }
    }
}

fn find_library(dylib: Option<&Path>) -> Result<PathBuf, InferenceError> {
    let named = dylib
        .map(Path::to_owned)
        .or_else(|| std::env::var_os("ORT_DYLIB_PATH").filter(|value| !value.is_empty()).map(PathBuf::from));
    let searched = match named {
        Some(path) => vec![path],
        None => places(std::env::current_exe().ok().as_deref()),
    };
    match searched.iter().find(|path| path.is_file()) {
        // Absolute, because the loader would look for a bare name elsewhere.
        Some(found) => found.canonicalize().map_err(|error| InferenceError::LibraryUnusable {
            path: found.clone(),
            problem: error.to_string(),
        }),
        None => Err(InferenceError::LibraryMissing { name: LIBRARY, searched }),
    }
}

/// Where the library may lie: the checkout's own folder first.
fn places(executable: Option<&Path>) -> Vec<PathBuf> {
    let beside = executable.and_then(Path::parent);
    let below = |folder: &str| beside.map(|beside| beside.join(folder));
    let folders =
        [Some(PathBuf::from(".onnxruntime")), below(""), below("../lib/latentwire"), below("../lib")];
    let names = std::iter::once(LIBRARY).chain(OTHER_NAMES);
    names.flat_map(|name| folders.iter().flatten().map(move |folder| folder.join(name))).collect()
}

/// The version that the library file itself carries.
///
/// ONNX Runtime says its version through a C function that `ort` uses but does not pass on. Its linker script gives
/// the exported symbols the ELF version `VERS_<version>`, which stands in the file as text.
fn library_version(path: &Path) -> String {
    let from_file = std::fs::read(path).ok().and_then(|bytes| symbol_version(&bytes));
    from_file.unwrap_or_else(|| {
        // A build without symbol versions still names its commit.
        let commit =
            ort::info().split("git-commit-id=").nth(1).and_then(|rest| rest.split([',', ' ']).next());
        format!("commit {}", commit.unwrap_or("unknown"))
    })
}

fn symbol_version(library: &[u8]) -> Option<String> {
    const MARK: &[u8] = b"\0VERS_";
    let start = library.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    let text = library[start..].split(|&byte| byte == 0).next()?;
    let version = std::str::from_utf8(text).ok()?;
    let sound = (1..=20).contains(&version.len()) && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    sound.then(|| version.to_owned())
}

/// The runtime's messages run over several lines.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_symbol_table() {
        assert_eq!(symbol_version(b"\x7fELF..\0VERS_1.31.1\0more").as_deref(), Some("1.31.1"));
        assert_eq!(symbol_version(b"\x7fELF..\0VERS_nonsense\0"), None);
        assert_eq!(symbol_version(b"\0VERS_"), None);
        assert_eq!(symbol_version(b""), None);
    }

    #[test]
    fn the_checkout_comes_before_the_executable_and_lib() {
        let places = places(Some(Path::new("/opt/latentwire/bin/sender-svc")));
        let folders: Vec<_> = places.iter().take(4).filter_map(|path| path.parent()).collect();
        let bin = "/opt/latentwire/bin";
        let lib = [format!("{bin}/../lib/latentwire"), format!("{bin}/../lib")];
        assert_eq!(folders, [".onnxruntime", bin, &lib[0], &lib[1]].map(Path::new));
        assert!(places.iter().take(4).all(|path| path.ends_with(LIBRARY)));
    }

    #[test]
    fn a_missing_library_is_named_with_its_remedy() {
        let error = find_library(Some(Path::new("/nowhere/libonnxruntime.so"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ONNX Runtime's library (libonnxruntime.so.1.31.1) was not found: run scripts/fetch-onnxruntime.sh, \
             or set ORT_DYLIB_PATH to the library file"
        );
        assert!(matches!(error, InferenceError::LibraryMissing { searched, .. } if searched.len() == 1));
    }
}
