//! `latentwire models`, `inspect`, `health`, `contact-sheet`, `completions`, `man`

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;
use latentwire_service::dial::CredentialArgs;

use super::PolicyArgs;

pub(super) const MODELS_EXAMPLES: &str = "\
Examples:
  latentwire models
  latentwire models --models /opt/latentwire/models
  # those that a running sender-svc codes with
  latentwire models --sender http://127.0.0.1:50051
  # what --model-pin of the services takes
  latentwire models --json | jq -r '.decoder_digest'

With --quiet only the ids of models that load are printed.

Exit codes:
  0  every model loads
  1  a model does not load, or sender-svc refuses
  2  the command line is wrong
  3  sender-svc cannot be reached (--sender)
  4  the folder cannot be read, or holds no model";

pub(super) const INSPECT_EXAMPLES: &str = "\
Examples:
  latentwire inspect samples/dicom
  latentwire inspect --min-ssim 0.98 --below-floor reject 'archive/*.png'
  latentwire inspect --json chest.png | jq '{mode, coded_bytes, ssim}'
  # a model that serves research: by its id only, and marked
  latentwire inspect --research-models --model hd512 \\
    --below-floor send-marked chest.png

No service needs to run. With --quiet only errors are printed.

Exit codes:
  0  every image would be sent
  1  an image would be rejected, or its file cannot be read
  2  the command line is wrong, or there is nothing to inspect
  4  the models or ONNX Runtime cannot be loaded";

pub(super) const HEALTH_EXAMPLES: &str = "\
Examples:
  latentwire health http://127.0.0.1:50051
  latentwire health 127.0.0.1:50061 --service latentwire.v1.TransferService

With --quiet nothing is printed but errors.

Exit codes:
  0  it serves
  1  it answers and does not serve, or has no such service
  2  the command line is wrong
  3  nobody answers";

pub(super) const CONTACT_SHEET_EXAMPLES: &str = "\
Examples:
  latentwire contact-sheet -o sheet.png --original-dir sent --received-dir got
  latentwire contact-sheet -o sheet.png --pairs a.png=got/a.png b.dcm=got/b.dcm

With --quiet nothing is printed.

Exit codes:
  0  the sheet is drawn
  2  the command line is wrong, or the folders have no picture in common
  4  a file cannot be read or written, or a pair differs in shape";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  # bash
  latentwire completions bash > /etc/bash_completion.d/latentwire
  # zsh, into a folder of $fpath
  latentwire completions zsh > ~/.zfunc/_latentwire
  # fish
  latentwire completions fish > ~/.config/fish/completions/latentwire.fish

Exit codes:
  0  the script is printed
  2  the command line is wrong";

pub(super) const MAN_EXAMPLES: &str = "\
Examples:
  latentwire man | man -l -
  latentwire man --output /usr/local/share/man/man1

Exit codes:
  0  the page is printed, or all are written
  2  the command line is wrong
  4  the folder cannot be written";

/// `latentwire models ...`
#[derive(Debug, Args)]
pub struct ModelsArgs {
    /// Folder of models.
    #[arg(long, env = "LATENTWIRE_MODELS", value_name = "DIR", default_value = "models")]
    pub models: PathBuf,
    /// Show the models that serve research too: below DIR/research, and whatever else is not for products.
    #[arg(long, env = "LATENTWIRE_RESEARCH_MODELS")]
    pub research_models: bool,
    /// ONNX Runtime's shared library; searched for where absent.
    #[arg(long, env = "LATENTWIRE_ONNXRUNTIME", value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Ask the sender-svc at this address for its models instead.
    #[arg(long, value_name = "URL")]
    pub sender: Option<String>,
    /// Print one JSON object a model, one a line, instead of the table.
    #[arg(long)]
    pub json: bool,
    /// What is shown to the service.
    #[command(flatten)]
    pub credentials: CredentialArgs,
}

/// `latentwire inspect ...`
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Image files, folders that are searched for them, patterns with * ? [] or **, or - for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Folder of models.
    #[arg(long, env = "LATENTWIRE_MODELS", value_name = "DIR", default_value = "models")]
    pub models: PathBuf,
    /// Load the models that serve research too: below DIR/research, and whatever else is not for products.
    #[arg(long, env = "LATENTWIRE_RESEARCH_MODELS")]
    pub research_models: bool,
    /// ONNX Runtime's shared library; searched for where absent.
    #[arg(long, env = "LATENTWIRE_ONNXRUNTIME", value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// Threads of one inference.
    #[arg(long, env = "LATENTWIRE_THREADS", value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// Print one JSON object an image, one a line, instead of the table.
    #[arg(long)]
    pub json: bool,
    /// How to code.
    #[command(flatten)]
    pub policy: PolicyArgs,
}

/// `latentwire health ...`
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Address of a gRPC port, for example http://127.0.0.1:50051.
    #[arg(value_name = "URL")]
    pub url: String,
    /// Full name of one service, for example latentwire.v1.SendService; without it, the process as a whole.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub service: String,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub timeout: u64,
    /// Print a JSON object instead of text.
    #[arg(long)]
    pub json: bool,
    /// What is shown to the service.
    #[command(flatten)]
    pub credentials: CredentialArgs,
}

/// `latentwire contact-sheet ...`
#[derive(Debug, Args)]
#[command(override_usage = "\
latentwire contact-sheet -o FILE --pairs ORIGINAL=RECEIVED...
       latentwire contact-sheet -o FILE --original-dir DIR --received-dir DIR")]
#[command(group = clap::ArgGroup::new("input").required(true).multiple(false).args(["pairs", "original_dir"]))]
pub struct ContactSheetArgs {
    /// PNG to write.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Pairs of files.
    #[arg(long, value_name = "ORIGINAL=RECEIVED", num_args = 1.., value_parser = parse_pair)]
    pub pairs: Vec<Pair>,
    /// Folder of originals, matched with --received-dir by path without the ending.
    #[arg(long, value_name = "DIR", requires = "received_dir")]
    pub original_dir: Option<PathBuf>,
    /// Folder of received files.
    #[arg(long, value_name = "DIR", requires = "original_dir")]
    pub received_dir: Option<PathBuf>,
    /// Side of a thumbnail in pixels.
    #[arg(long, value_name = "PIXELS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(32..=1024))]
    pub thumbnail: u32,
    /// Print a JSON object instead of the file's name.
    #[arg(long)]
    pub json: bool,
}

/// `latentwire completions ...`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell.
    pub shell: Shell,
}

/// `latentwire man ...`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write latentwire.1, latentwire-send.1 and so on, a page for every command, to this folder.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// An original and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// File as it was sent.
    pub original: PathBuf,
    /// File as it was received.
    pub received: PathBuf,
}

fn parse_pair(text: &str) -> Result<Pair, String> {
    match text.split_once('=') {
        Some((original, received)) if !original.is_empty() && !received.is_empty() => {
            Ok(Pair { original: original.into(), received: received.into() })
        }
        Some(_) | None => Err("a pair is written ORIGINAL=RECEIVED".to_owned()),
    }
}
