//! Pieces of the command line that several binaries share; every flag has an environment twin `LATENTWIRE_*`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use latentwire_codec::model::{DecoderDigest, ModelError};
use latentwire_codec::{CodecConfig, SessionOptions, imaging, model};
use latentwire_wire::SessionLimits;

use crate::pins::{self, PinError};

/// Folder of models where none is given: the checkout's own.
pub const DEFAULT_MODELS: &str = "models";
/// Where an installed program's models lie, seen from the program's folder.
const INSTALLED_MODELS: &str = "../share/latentwire/models";
/// Log filter where none is given.
pub const DEFAULT_LOG: &str = "info";
/// Requests at work at once where nothing is given.
pub const DEFAULT_MAX_CONCURRENT: u32 = 64;
/// Seconds until a request must have been answered, where nothing is given.
pub const DEFAULT_REQUEST_TIMEOUT: u64 = 600;
/// Seconds a stream may stay silent, where nothing is given.
pub const DEFAULT_IDLE_TIMEOUT: u64 = 30;
/// Seconds that requests at work get after SIGTERM, where nothing is given.
pub const DEFAULT_DRAIN_TIMEOUT: u64 = 25;
/// Largest image file, where nothing is given: 1 GiB.
pub const DEFAULT_MAX_FILE_BYTES: u64 = 1 << 30;
/// Threads of one inference, where nothing is given.
pub const DEFAULT_THREADS: u16 = 1;
/// Inferences at once per model, where nothing is given.
pub const DEFAULT_POOL: u16 = 2;

/// What is logged, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// What to log: a level, or directives as in `info,receiver_svc=debug`.
    #[arg(long, env = "LATENTWIRE_LOG", value_name = "FILTER", default_value = DEFAULT_LOG)]
    pub log: String,
    /// How to log: text on a terminal and JSON lines elsewhere, unless said.
    #[arg(long, env = "LATENTWIRE_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    pub log_format: LogFormat,
}

/// Form of the log on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// This service's identity and whom it trusts.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Identity")]
pub struct KeyArgs {
    /// File with this service's secret key.
    #[arg(long, env = "LATENTWIRE_KEY", value_name = "FILE")]
    pub key: PathBuf,
    /// How the key file is kept.
    #[arg(long, env = "LATENTWIRE_KEY_SOURCE", value_name = "SOURCE", value_enum, default_value_t = KeySource::File)]
    pub key_source: KeySource,
    /// Trust store: the pinned keys of the peers, TOML. Read again when it changes and on SIGHUP.
    #[arg(long, env = "LATENTWIRE_TRUST", value_name = "FILE")]
    pub trust: PathBuf,
}

/// How a secret key file is kept, which decides what is checked before it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum KeySource {
    /// An ordinary file: owned by this user, mode 0600, no symbolic link.
    #[default]
    File,
    /// Mounted by an orchestrator (compose secrets, Kubernetes): symbolic links and root's ownership are fine, but nobody
    /// but the owner may be able to write it.
    Mounted,
    /// The number of an open file descriptor, given in place of the file's name.
    Fd,
}

/// Which models are loaded, and how they run.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Models")]
pub struct ModelArgs {
    /// Folder of model folders.
    #[arg(long, env = "LATENTWIRE_MODELS", value_name = "DIR", default_value = DEFAULT_MODELS)]
    pub models: PathBuf,
    /// Decoder digest (SHA-256 of a decode.toml, hex) that may be loaded; repeat for several. Without any, the models of the folder
    /// that this release was made with, and no other.
    #[arg(long, env = "LATENTWIRE_MODEL_PIN", value_name = "HEX", value_delimiter = ',')]
    pub model_pin: Vec<String>,
    /// Load every model of the folder, whoever made or changed it. For development.
    #[arg(long, env = "LATENTWIRE_UNPINNED_MODELS", conflicts_with = "model_pin")]
    pub unpinned_models: bool,
    /// ONNX Runtime's shared library; searched for where absent.
    #[arg(long, env = "LATENTWIRE_ONNXRUNTIME", value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Threads of one inference.
    #[arg(long, env = "LATENTWIRE_THREADS", value_name = "N", default_value_t = DEFAULT_THREADS, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// Images that are coded or decoded at once.
    #[arg(long, env = "LATENTWIRE_POOL", value_name = "N", default_value_t = DEFAULT_POOL, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub pool: u16,
}

impl ModelArgs {
    /// What the codec is to load: the halves of `parts`, the research folder too where it is asked for, files of at most
    /// `max_file_bytes`.
    ///
    /// # Errors
    /// [`PinError`] where a pin is not a digest, or no model of the folder is pinned.
    pub fn codec_config(
        &self,
        parts: model::Parts,
        research: bool,
        max_file_bytes: u64,
    ) -> Result<CodecConfig, PinError> {
        let models = models_folder(&self.models);
        let named = self.model_pin.iter().map(|pin| pin.trim().parse());
        let named = named.collect::<Result<Vec<DecoderDigest>, ModelError>>()?;
        let pins = if !named.is_empty() {
            Some(named)
        } else if self.unpinned_models {
            tracing::warn!(models = %models.display(), "every model of the folder is loaded, whoever made it");
            None
        } else {
            Some(pins::shipped_of(&models, research)?)
        };
        Ok(CodecConfig {
            models,
            pins,
            research,
            parts,
            sessions: SessionOptions { pool: self.pool.into(), threads: self.threads.into() },
            dylib: self.onnxruntime.clone(),
            limits: imaging::Limits { max_file_bytes, ..imaging::Limits::default() },
        })
    }
}

/// The folder of models: as given; where that is the default and is not there, the one that was installed with this program
/// (`../share/latentwire/models`, seen from the program), if any.
pub fn models_folder(given: &Path) -> PathBuf {
    let is_there = given != Path::new(DEFAULT_MODELS) || given.is_dir();
    let installed = || {
        let program = std::env::current_exe().ok()?.canonicalize().ok()?;
        let folder = program.parent()?.join(INSTALLED_MODELS).canonicalize().ok()?;
        folder.is_dir().then_some(folder)
    };
    (!is_there).then(installed).flatten().unwrap_or_else(|| given.to_owned())
}

/// How much a service takes on, and how long it waits.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Requests at work at once; more are refused with OVERLOADED. Sessions and watches are counted apart, to the same number.
    #[arg(long, env = "LATENTWIRE_MAX_CONCURRENT", value_name = "N", default_value_t = DEFAULT_MAX_CONCURRENT, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub max_concurrent: u32,
    /// Seconds until a request must have been answered.
    #[arg(long, env = "LATENTWIRE_REQUEST_TIMEOUT", value_name = "SECONDS", default_value_t = DEFAULT_REQUEST_TIMEOUT, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub request_timeout: u64,
    /// Seconds that a peer may let a stream rest in the middle of an image.
    #[arg(long, env = "LATENTWIRE_IDLE_TIMEOUT", value_name = "SECONDS", default_value_t = DEFAULT_IDLE_TIMEOUT, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub idle_timeout: u64,
    /// Seconds that requests at work get to finish after SIGTERM.
    #[arg(long, env = "LATENTWIRE_DRAIN_TIMEOUT", value_name = "SECONDS", default_value_t = DEFAULT_DRAIN_TIMEOUT, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub drain_timeout: u64,
    /// Largest image file in bytes.
    #[arg(long, env = "LATENTWIRE_MAX_FILE_BYTES", value_name = "BYTES", default_value_t = DEFAULT_MAX_FILE_BYTES, value_parser = clap::value_parser!(u64).range(1..=DEFAULT_MAX_FILE_BYTES))]
    pub max_file_bytes: u64,
}

impl Default for LimitArgs {
    fn default() -> Self {
        Self {
            max_concurrent: DEFAULT_MAX_CONCURRENT,
            request_timeout: DEFAULT_REQUEST_TIMEOUT,
            idle_timeout: DEFAULT_IDLE_TIMEOUT,
            drain_timeout: DEFAULT_DRAIN_TIMEOUT,
            max_file_bytes: DEFAULT_MAX_FILE_BYTES,
        }
    }
}

impl LimitArgs {
    /// [`Self::request_timeout`] as a duration.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout)
    }

    /// [`Self::idle_timeout`] as a duration.
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout)
    }

    /// [`Self::drain_timeout`] as a duration.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.drain_timeout)
    }
}

/// Who may call a PACS-facing service.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Callers")]
pub struct CallersArgs {
    /// Who may call and what, TOML, as `latentwire callers` writes it: by token or client certificate. Read again when it
    /// changes and on SIGHUP. Without it everybody on this machine may call, and beyond loopback nothing is served.
    #[arg(long, env = "LATENTWIRE_CALLERS", value_name = "FILE")]
    pub callers: Option<PathBuf>,
    /// Serve everybody who reaches the port, beyond loopback too: they can send, fetch and delete.
    #[arg(long, env = "LATENTWIRE_INSECURE_CALLERS_UNAUTHENTICATED")]
    pub insecure_callers_unauthenticated: bool,
}

/// When a session takes no further images and another one follows; the protocol's own bounds unless said.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Sessions")]
pub struct SessionArgs {
    /// Images that one session may carry; then another session takes over, and those under way finish.
    #[arg(long, env = "LATENTWIRE_SESSION_IMAGES", value_name = "N", default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub session_images: u32,
    /// Bytes that one session may carry, padded.
    #[arg(long, env = "LATENTWIRE_SESSION_BYTES", value_name = "BYTES", default_value_t = 16 << 30, value_parser = clap::value_parser!(u64).range(1 << 20..=16 << 30))]
    pub session_bytes: u64,
    /// Seconds after which a session takes no further images.
    #[arg(long, env = "LATENTWIRE_SESSION_AGE", value_name = "SECONDS", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub session_age: u64,
}

impl SessionArgs {
    /// The protocol's bounds, narrowed.
    pub fn limits(&self) -> SessionLimits {
        SessionLimits {
            max_transfers: self.session_images,
            max_bytes: self.session_bytes,
            max_age: Duration::from_secs(self.session_age),
            ..SessionLimits::default()
        }
    }
}

/// What a service shows to the network.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Network")]
pub struct ListenArgs {
    /// Listen without TLS on addresses other than loopback: pictures and metrics travel in clear there.
    #[arg(long, env = "LATENTWIRE_INSECURE_PLAINTEXT_BEYOND_LOOPBACK")]
    pub insecure_plaintext_beyond_loopback: bool,
    /// Serve gRPC reflection on addresses other than loopback too.
    #[arg(long, env = "LATENTWIRE_REFLECTION")]
    pub reflection: bool,
}
