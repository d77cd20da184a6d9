//! `latentwire send ...`

use std::path::PathBuf;

use clap::Args;
use latentwire_service::dial::CredentialArgs;

use super::{PolicyArgs, SealingArgs, TransferId};

pub(super) const EXAMPLES: &str = "\
Examples:
  latentwire send chest.dcm
  latentwire send --destination clinic-b --parallel 4 /archive/2026-11-21
  # quoted: latentwire expands the pattern, not the shell
  latentwire send 'archive/**/*.dcm'
  # cut off? the same command sends the rest
  latentwire send --resume night.jsonl /archive
  # an inbox: whatever comes, once, across restarts
  latentwire send --watch --resume inbox.jsonl /srv/inbox
  latentwire send --json *.png | jq -r 'select(.status == \"rejected\") | .path'
  dcm2pnm --write-png study.dcm - | latentwire send -

With --quiet only errors are printed.

Exit codes:
  0    every image is delivered, or queued, or was before (--resume)
  1    an image was rejected, or its file cannot be read
  2    the command line is wrong, or there is nothing to send
  3    sender-svc cannot be reached, or went away
  4    the list of --resume or the file of --report cannot be written
  130  interrupted by Ctrl-C (143: by SIGTERM); --watch always ends so";

/// `latentwire send ...`
#[derive(Debug, Args)]
pub struct SendArgs {
    /// Image files, folders that are searched for them, patterns with * ? [] or **, or - for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Address of sender-svc.
    #[arg(long, env = "LATENTWIRE_SENDER", value_name = "URL", default_value = "http://127.0.0.1:50051")]
    pub sender: String,
    /// Name of the receiver in the sender's configuration; may be left out where only one is configured.
    #[arg(
        long,
        env = "LATENTWIRE_SEND_DESTINATION",
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub destination: String,
    /// Id of the transfer, 32 hex digits, so that a repeated call sends nothing twice; with one PATH only.
    #[arg(long, value_name = "HEX")]
    pub transfer_id: Option<TransferId>,
    /// Keep a list of what is done in this file, and skip what it says was delivered before. A run that was cut off and
    /// is started again sends the rest, and what was half sent under the same transfer id.
    #[arg(long, value_name = "FILE", conflicts_with = "transfer_id")]
    pub resume: Option<PathBuf>,
    /// Keep watching the folders named, and send each picture that comes there once it is whole, until Ctrl-C. Needs
    /// --resume, so that nothing is sent twice, also after a restart.
    #[arg(long, requires = "resume")]
    pub watch: bool,
    /// With --watch: a file is whole when it has not changed for this many seconds and can be read to its end as a picture.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, requires = "watch", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub settle: u64,
    /// Study that the images belong to; travels sealed.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub study_group: String,
    /// Images under way at once, 1 to 16.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub parallel: u8,
    /// Give an image up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Print one JSON object an image, one a line, instead of the table.
    #[arg(long)]
    pub json: bool,
    /// Write the JSON lines to this file too.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// How to code.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// How to seal.
    #[command(flatten)]
    pub sealing: SealingArgs,
    /// What is shown to the service.
    #[command(flatten)]
    pub credentials: CredentialArgs,
}
