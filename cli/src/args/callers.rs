//! `latentwire callers ...`

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use latentwire_service::callers::Permission;

/// `latentwire callers ...`
#[derive(Debug, Subcommand)]
pub enum CallersCommand {
    /// Let a caller in, and say what it may do.
    ///
    /// Makes FILE if it does not exist. A second entry of one name is how its token or certificate is changed: both hold.
    #[command(after_help = ADD_EXAMPLES)]
    Add(AddCallerArgs),
    /// List the callers: what proves them, what they may do.
    #[command(after_help = LIST_EXAMPLES)]
    List(CallersFileArgs),
    /// Let a caller in no more; its open calls end.
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove(RemoveCallerArgs),
    /// Make a token, show it once, and what a callers' file says of it.
    #[command(after_help = TOKEN_EXAMPLES)]
    Token(TokenArgs),
}

const ADD_EXAMPLES: &str = "\
Examples:
  # a PACS that sends, by a new token; give pacs.token to it, and to nobody else
  latentwire callers add callers.toml --name pacs --token-output pacs.token \\
      --allow send,read-transfers
  # a viewer, by its certificate's name or by the certificate itself
  latentwire callers add callers.toml --name viewer \\
      --certificate-name viewer.hospital.example --allow list,fetch
  latentwire callers add callers.toml --name viewer --certificate viewer.crt \\
      --allow list,fetch

Permissions: send, read-transfers, read-models (sender-svc); list, fetch, delete
(receiver-svc). A running service reads the changed file within seconds. With
--quiet nothing is printed.

Exit codes:
  0  the caller is in
  2  the command line is wrong
  4  a file cannot be read or written, or the caller cannot be entered";

const LIST_EXAMPLES: &str = "\
Examples:
  latentwire callers list callers.toml
  latentwire callers list --json callers.toml | jq -r .name
  # the names alone
  latentwire callers list --quiet callers.toml

Exit codes:
  0  the callers are shown
  2  the command line is wrong
  4  the file cannot be read";

const REMOVE_EXAMPLES: &str = "\
Examples:
  latentwire callers remove callers.toml --name viewer

A running service reads the changed file within seconds and ends the caller's
open calls. With --quiet nothing is printed.

Exit codes:
  0  the caller is out
  2  the command line is wrong
  4  the file cannot be read or written, or has no such caller";

const TOKEN_EXAMPLES: &str = "\
Examples:
  # prints the token, and the line for the callers' file
  latentwire callers token
  latentwire callers token --output pacs.token
  # on the caller's machine; send only the digest to the service's administrator
  latentwire callers token --output pacs.token --json | jq -r .token_sha256

With --quiet the token alone is printed, or nothing with --output.

Exit codes:
  0  the token is made
  2  the command line is wrong
  4  the file is there already, or cannot be written";

/// `latentwire callers list ...`
#[derive(Debug, Args)]
pub struct CallersFileArgs {
    /// Callers' file, TOML.
    pub file: PathBuf,
    /// Print one JSON object an entry, one a line, instead of text.
    #[arg(long)]
    pub json: bool,
}

/// `latentwire callers add ...`
#[derive(Debug, Args)]
#[command(override_usage = "\
latentwire callers add FILE --name NAME --allow PERMISSION,... \\
           --token-output FILE | --token-sha256 HEX
         | --certificate FILE | --certificate-name NAME")]
#[command(group = ArgGroup::new("credential").required(true).multiple(false).args(["token_output", "token_sha256", "certificate", "certificate_name"]))]
pub struct AddCallerArgs {
    /// Which file.
    #[command(flatten)]
    pub store: CallersFileArgs,
    /// Name of the caller, as logs and the audit log show it.
    #[arg(long)]
    pub name: String,
    /// Make a token, and write it to this new file (mode 0600); the callers' file gets its SHA-256 alone.
    #[arg(long, value_name = "FILE")]
    pub token_output: Option<PathBuf>,
    /// SHA-256 of a token that the caller made.
    #[arg(long, value_name = "HEX")]
    pub token_sha256: Option<String>,
    /// Certificate of the caller, PEM; this very one.
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// DNS name in the caller's certificate, whichever certificate of the client CA has it.
    #[arg(long, value_name = "NAME")]
    pub certificate_name: Option<String>,
    /// What the caller may do, a list with commas between.
    #[arg(long, value_name = "PERMISSION", required = true, value_delimiter = ',')]
    pub allow: Vec<Permission>,
}

/// `latentwire callers remove ...`
#[derive(Debug, Args)]
pub struct RemoveCallerArgs {
    /// Which file.
    #[command(flatten)]
    pub store: CallersFileArgs,
    /// Name of the caller; every entry of this name goes.
    #[arg(long)]
    pub name: String,
}

/// `latentwire callers token ...`
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// Write the token to this new file (mode 0600) instead of printing it.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print a JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}
