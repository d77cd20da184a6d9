//! `latentwire keys ...`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::RoleArg;

/// `latentwire keys ...`
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key pair.
    ///
    /// FILE gets the secret key (mode 0600), FILE.pub the public key. Neither is ever overwritten.
    #[command(after_help = GENERATE_EXAMPLES)]
    Generate(GenerateArgs),
    /// Show public key, role and fingerprint of a key file.
    #[command(after_help = SHOW_EXAMPLES)]
    Show(ShowArgs),
    /// Change a key without losing an image.
    ///
    /// Without --finish, makes FILE.next and FILE.next.pub beside FILE and says what to tell the peers. FILE itself stays
    /// as it is until --finish puts the next key in its place and keeps the old one as FILE.retired-DATE. Nothing is
    /// ever overwritten.
    #[command(after_help = ROTATE_EXAMPLES)]
    Rotate(RotateArgs),
}

const GENERATE_EXAMPLES: &str = "\
Examples:
  # on the machine of sender-svc
  latentwire keys generate --role sender -o sender.key
  # on the machine of receiver-svc
  latentwire keys generate --role receiver -o receiver.key

With --quiet nothing is printed.

Exit codes:
  0  the two files are made
  2  the command line is wrong
  4  a file is there already, or cannot be written";

const SHOW_EXAMPLES: &str = "\
Examples:
  latentwire keys show sender.key.pub
  # the public key alone
  latentwire keys show --quiet sender.key
  ssh clinic-b cat receiver.key.pub | latentwire keys show -

Exit codes:
  0  the key is shown
  2  the command line is wrong
  4  the file cannot be read, is open to others, or holds no key";

const ROTATE_EXAMPLES: &str = "\
Examples:
  # stages sender.key.next, and says what to tell the receivers
  latentwire keys rotate sender.key
  # when they have pinned it; then restart sender-svc
  latentwire keys rotate --finish sender.key

With --quiet nothing is printed.

Exit codes:
  0  the next key is staged, or in its place
  2  the command line is wrong
  4  one is staged already, none is, or a file cannot be read or written";

/// `latentwire keys generate ...`
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// Which side the key is for; a key serves one role only.
    #[arg(long)]
    pub role: RoleArg,
    /// Where to write the secret key; must not exist yet.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Print a JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// `latentwire keys show ...`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// File that holds a secret or a public key; - is standard input (public keys alone).
    pub file: PathBuf,
    /// Print a JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// `latentwire keys rotate ...`
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The secret key file that the service reads now.
    pub file: PathBuf,
    /// Put the staged key in place.
    #[arg(long)]
    pub finish: bool,
    /// Print a JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}
