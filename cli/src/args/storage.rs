//! `latentwire storage ...`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use latentwire_service::args::KeySource;

/// `latentwire storage ...`
#[derive(Debug, Subcommand)]
pub enum StorageCommand {
    /// Make a storage key for receiver-svc.
    ///
    /// FILE gets the key (mode 0600) and is never overwritten. Without one, receiver-svc makes its own at its first start.
    #[command(after_help = GENERATE_EXAMPLES)]
    Generate(StorageGenerateArgs),
    /// Put a receiver's images under a new storage key.
    ///
    /// Every image's own key is wrapped again, in one transaction; the images themselves stay as they are. receiver-svc must
    /// be stopped. Cut off anywhere, the folder is whole under one key or the other, receiver-svc starts on it, and the same
    /// command goes on.
    #[command(after_help = ROTATE_EXAMPLES)]
    Rotate(StorageRotateArgs),
}

const GENERATE_EXAMPLES: &str = "\
Examples:
  latentwire storage generate -o /etc/latentwire/storage.key
  # encrypted for this machine's systemd alone
  latentwire storage generate -o storage.key
  systemd-creds encrypt storage.key /etc/latentwire/storage.key.cred

Keep a copy apart from the backups: without this key nobody reads what is kept,
with it anybody does. With --quiet nothing is printed.

Exit codes:
  0  the file is made
  2  the command line is wrong
  4  the file is there already, or cannot be written";

const ROTATE_EXAMPLES: &str = "\
Examples:
  systemctl stop latentwire-receiver
  # a new key, made, used, and put in the old one's place
  latentwire storage rotate --data /var/lib/latentwire-receiver \\
      --storage-key /etc/latentwire/storage.key
  systemctl start latentwire-receiver
  # where the key is mounted: to a key that you have made and will mount
  latentwire storage rotate --data /data --storage-key /run/secrets/storage \\
      --storage-key-source mounted --next storage.next.key

The old key is kept as FILE.retired-DATE, because backups made before need it;
destroy it when they are gone. With --quiet nothing is printed.

Exit codes:
  0  everything is under the new key
  2  the command line is wrong
  4  receiver-svc runs, a key is not the folder's, or a file cannot be used";

/// `latentwire storage generate ...`
#[derive(Debug, Args)]
pub struct StorageGenerateArgs {
    /// Where to write the key; must not exist yet.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Print a JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// `latentwire storage rotate ...`
#[derive(Debug, Args)]
pub struct StorageRotateArgs {
    /// Data folder of receiver-svc.
    #[arg(long, env = "LATENTWIRE_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// The storage key that the folder is under now [default: as receiver-svc finds it].
    #[arg(long, env = "LATENTWIRE_STORAGE_KEY", value_name = "FILE")]
    pub storage_key: Option<PathBuf>,
    /// How that key is kept.
    #[arg(long, env = "LATENTWIRE_STORAGE_KEY_SOURCE", value_name = "SOURCE", value_enum, default_value_t)]
    pub storage_key_source: KeySource,
    /// File with the new key, which stays where it is; you put it in force [default: a new key, put in the old one's place].
    #[arg(long, value_name = "FILE")]
    pub next: Option<PathBuf>,
    /// Print a JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}
