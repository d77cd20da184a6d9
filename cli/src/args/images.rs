//! `latentwire get`, `latentwire list`, `latentwire watch`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use latentwire_service::dial::CredentialArgs;

use super::TransferId;

pub(super) const GET_EXAMPLES: &str = "\
Examples:
  latentwire get 00112233445566778899aabbccddeeff -o received.dcm
  # into a folder: named after the id and its format
  latentwire get 00112233445566778899aabbccddeeff -o inbox/
  latentwire get 00112233445566778899aabbccddeeff -o - | dcmdump -

The file appears whole and checked, or not at all. One that holds this image
already is left as it is. With --quiet nothing is printed.

Exit codes:
  0  the image is in the file
  1  receiver-svc has no such image or refuses, or what came is damaged
  2  the command line is wrong
  3  receiver-svc cannot be reached, or went away
  4  the file exists and holds something else, or cannot be written";

pub(super) const LIST_EXAMPLES: &str = "\
Examples:
  # what this site has received
  latentwire list
  latentwire list --peer clinic-a --study-group 2026-11-21
  # what this site has sent since sender-svc started
  latentwire list transfers
  latentwire list --json | jq -s 'map(.stored_bytes) | add'
  latentwire list --quiet | xargs -I{} latentwire get {} -o inbox/

With --quiet only ids are printed: image ids, or transfer ids.

Exit codes:
  0  everything is listed, be it nothing
  1  the service refuses
  2  the command line is wrong
  3  the service cannot be reached, or went away";

pub(super) const WATCH_EXAMPLES: &str = "\
Examples:
  # images, as they arrive here
  latentwire watch
  # what sender-svc is doing
  latentwire watch transfers --destination clinic-b
  # fetch whatever arrives, across restarts of receiver-svc
  latentwire watch -q --reconnect | xargs -I{} latentwire get {} -o inbox/
  # wait for one image
  latentwire watch --json --count 1

With --quiet only ids are printed.

Exit codes:
  0    --count lines are shown
  1    the service refuses
  2    the command line is wrong
  3    the service cannot be reached, or went away (not with --reconnect)
  130  interrupted by Ctrl-C (143: by SIGTERM)";

/// `latentwire get ...`
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Transfer id or image id, 32 hex digits.
    #[arg(value_name = "ID")]
    pub id: TransferId,
    /// Address of receiver-svc's ImageService.
    #[arg(long, env = "LATENTWIRE_RECEIVER", value_name = "URL", default_value = "http://127.0.0.1:50062")]
    pub receiver: String,
    /// File to write, or an existing folder: then the file is named after the id and its format; - is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Replace a file of that name that holds something else.
    #[arg(long)]
    pub overwrite: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// Print what was fetched as a JSON object.
    #[arg(long)]
    pub json: bool,
    /// What is shown to the service.
    #[command(flatten)]
    pub credentials: CredentialArgs,
}

/// What is listed or watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Images that a receiver-svc holds.
    Images,
    /// Transfers of a sender-svc.
    Transfers,
}

/// `latentwire list ...`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list.
    #[arg(value_enum, default_value_t = What::Images)]
    pub what: What,
    /// Address of receiver-svc's ImageService; for images.
    #[arg(long, env = "LATENTWIRE_RECEIVER", value_name = "URL", default_value = "http://127.0.0.1:50062")]
    pub receiver: String,
    /// Address of sender-svc; for transfers.
    #[arg(long, env = "LATENTWIRE_SENDER", value_name = "URL", default_value = "http://127.0.0.1:50051")]
    pub sender: String,
    /// Only images of this sender.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub peer: String,
    /// Only those of this study.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub study_group: String,
    /// Only transfers to this receiver.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub destination: String,
    /// Print one JSON object an image or transfer, one a line, instead of the table.
    #[arg(long)]
    pub json: bool,
    /// What is shown to the service.
    #[command(flatten)]
    pub credentials: CredentialArgs,
}

/// `latentwire watch ...`
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// What to watch.
    #[arg(value_enum, default_value_t = What::Images)]
    pub what: What,
    /// Address of receiver-svc's ImageService; for images.
    #[arg(long, env = "LATENTWIRE_RECEIVER", value_name = "URL", default_value = "http://127.0.0.1:50062")]
    pub receiver: String,
    /// Address of sender-svc; for transfers.
    #[arg(long, env = "LATENTWIRE_SENDER", value_name = "URL", default_value = "http://127.0.0.1:50051")]
    pub sender: String,
    /// Only images of this sender.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub peer: String,
    /// Only transfers to this receiver.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub destination: String,
    /// When the service goes away, wait for it to come back instead of ending with exit code 3.
    #[arg(long)]
    pub reconnect: bool,
    /// End after this many lines.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Print one JSON object an image or change, one a line.
    #[arg(long)]
    pub json: bool,
    /// What is shown to the service.
    #[command(flatten)]
    pub credentials: CredentialArgs,
}
