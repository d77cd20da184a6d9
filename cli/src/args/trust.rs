//! `latentwire trust ...`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{FingerprintArg, Moment, RoleArg};

/// `latentwire trust ...`
#[derive(Debug, Subcommand)]
pub enum TrustCommand {
    /// Pin a peer's public key.
    ///
    /// Makes FILE if it does not exist. A second key of one name is the next key of a rotation: both are accepted.
    #[command(after_help = ADD_EXAMPLES)]
    Add(AddArgs),
    /// List the pinned peers: state, fingerprint, validity.
    #[command(after_help = LIST_EXAMPLES)]
    List(TrustFileArgs),
    /// Remove a peer's keys without a trace.
    ///
    /// `revoke` refuses them just as well, and keeps the entries for the records.
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove(RemoveArgs),
    /// Refuse a peer's keys from now on, and keep the entries.
    ///
    /// The entries stay with the moment from which they are refused, so that the records of what they sent can be read.
    #[command(after_help = REVOKE_EXAMPLES)]
    Revoke(RevokeArgs),
}

const ADD_EXAMPLES: &str = "\
Examples:
  latentwire trust add trust.toml --name clinic-a --key sender.key.pub
  latentwire trust add trust.toml --name clinic-a --key sender.key.pub \\
      --not-after 2027-12-31T23:59:59Z
  ssh clinic-a cat sender.key.pub |
      latentwire trust add trust.toml --name clinic-a --key -

Compare the fingerprint with the peer over the phone before its images count. A
running service reads the changed file within seconds. With --quiet nothing is
printed.

Exit codes:
  0  the key is pinned
  2  the command line is wrong, or --role is not the key's
  4  the store or the key cannot be read or written, or is in the store";

const LIST_EXAMPLES: &str = "\
Examples:
  latentwire trust list trust.toml
  latentwire trust list --json trust.toml | jq -r 'select(.state!=\"live\").name'
  # the names alone
  latentwire trust list --quiet trust.toml

Exit codes:
  0  the store is shown
  2  the command line is wrong
  4  the store cannot be read";

const REMOVE_EXAMPLES: &str = "\
Examples:
  latentwire trust remove trust.toml --name clinic-a
  latentwire trust remove trust.toml --name clinic-a --fingerprint 1a2b3c4d

With --quiet nothing is printed.

Exit codes:
  0  the keys are removed
  2  the command line is wrong
  4  the store cannot be read or written, or has no such peer or key";

const REVOKE_EXAMPLES: &str = "\
Examples:
  # every key of the peer, now: an emergency
  latentwire trust revoke trust.toml --name clinic-a
  # the old key, after a rotation
  latentwire trust revoke trust.toml --name clinic-a --fingerprint 1a2b3c4d
  latentwire trust revoke trust.toml --name clinic-a --at 2026-12-31T23:59:59Z

A running service reads the changed file within seconds and ends the key's open
sessions. A revocation can be brought forward, never put off. With --quiet
nothing is printed.

Exit codes:
  0  the keys are refused
  2  the command line is wrong
  4  the store cannot be read or written, or has no such peer or key";

/// `latentwire trust list ...`
#[derive(Debug, Args)]
pub struct TrustFileArgs {
    /// Trust store, TOML.
    pub file: PathBuf,
    /// Print one JSON object a key, one a line, instead of text.
    #[arg(long)]
    pub json: bool,
}

/// `latentwire trust add ...`
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Which store.
    #[command(flatten)]
    pub store: TrustFileArgs,
    /// Name of the peer, for example the hospital's.
    #[arg(long)]
    pub name: String,
    /// Public key, or a file that holds one; - is standard input.
    #[arg(long, value_name = "KEY|FILE")]
    pub key: String,
    /// Role that the peer must have; must agree with the key's own.
    #[arg(long)]
    pub role: Option<RoleArg>,
    /// First moment at which the key is accepted, RFC 3339, for example 2027-01-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub not_before: Option<Moment>,
    /// Moment from which the key is refused, RFC 3339, for example 2027-12-31T23:59:59Z.
    #[arg(long, value_name = "TIME")]
    pub not_after: Option<Moment>,
    /// Model that the peer may use; repeat for several [default: all].
    #[arg(long, value_name = "ID")]
    pub allow_model: Vec<String>,
    /// Form in which the peer may send; repeat for several [default: all].
    #[arg(long, value_name = "FORM")]
    pub allow_form: Vec<FormArg>,
    /// Most bytes that are stored for the peer [default: no quota].
    #[arg(long, value_name = "BYTES")]
    pub max_bytes: Option<u64>,
}

/// `latentwire trust remove ...`
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Which store.
    #[command(flatten)]
    pub store: TrustFileArgs,
    /// Name of the peer.
    #[arg(long)]
    pub name: String,
    /// Only the key whose fingerprint begins so, eight digits or more [default: every key of the peer].
    #[arg(long, value_name = "HEX")]
    pub fingerprint: Option<FingerprintArg>,
}

/// `latentwire trust revoke ...`
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Which store.
    #[command(flatten)]
    pub store: TrustFileArgs,
    /// Name of the peer.
    #[arg(long)]
    pub name: String,
    /// Only the key whose fingerprint begins so, eight digits or more [default: every key of the peer].
    #[arg(long, value_name = "HEX")]
    pub fingerprint: Option<FingerprintArg>,
    /// Moment from which the key is refused, RFC 3339 [default: now].
    #[arg(long, value_name = "TIME")]
    pub at: Option<Moment>,
}

/// Form in which an image travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormArg {
    /// Quantised, entropy-coded latent.
    Latent,
    /// The original file's bytes.
    Exact,
}
