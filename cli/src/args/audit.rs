//! `latentwire audit ...`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Moment, RoleArg};

/// `latentwire audit ...`
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that an audit log is whole.
    ///
    /// Finds any edited, removed, repeated or moved record; with --audit-key also a chain that was written anew, and an end
    /// that was cut off.
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Print the records of an audit log, as JSON or as messages of DICOM PS3.15 A.5.
    ///
    /// What names a patient or a study stays sealed, unless --with-phi and the secret audit key are given.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// Make an audit key pair.
    ///
    /// FILE gets the secret key (mode 0600), which stays with the auditor; FILE.pub the public key, which the services need.
    /// Neither is ever overwritten.
    #[command(after_help = KEYGEN_EXAMPLES)]
    Keygen(KeygenArgs),
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  latentwire audit verify /var/lib/latentwire/receiver/audit
  # with the key: nobody but the service can have written it
  latentwire audit verify DIR --audit-key audit.key
  # what was written down last month must still be in it
  latentwire audit verify DIR --head head-2026-10.json
  latentwire audit verify --json DIR | jq .head.hash

Reads the folder while the service writes. Older files that were archived: give
the hash that they ended with as --after.

Exit codes:
  0  the log is whole
  1  it is not; each finding is a line
  2  the command line is wrong
  4  the folder or a file cannot be read";

const EXPORT_EXAMPLES: &str = "\
Examples:
  latentwire audit export DIR
  latentwire audit export DIR --since 2026-11-01T00:00:00Z --format dicom-xml
  # whose images: on the auditor's machine
  latentwire audit export DIR --with-phi --audit-key audit.key

JSON is one object a line; dicom-xml is one document, AuditMessages within. An
export checks nothing: run `latentwire audit verify` first.

Exit codes:
  0  the records are printed
  2  the command line is wrong
  4  the folder, a record or the key cannot be read";

const KEYGEN_EXAMPLES: &str = "\
Examples:
  latentwire audit keygen -o audit.key
  # then, on the service's machine
  receiver-svc ... --audit-key audit.key.pub

Keep the secret half away from the services: it opens every name in their logs.
Without it nothing that is sealed can be read again.

Exit codes:
  0  the pair is made
  2  the command line is wrong
  4  a file exists already, or cannot be written";

/// `latentwire audit verify ...`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Folder of the log (--audit of the service).
    pub folder: PathBuf,
    /// A head that was written down: its hash, or a copy of head.json; must be in the log. Repeat for several.
    #[arg(long, value_name = "FILE|HEX")]
    pub head: Vec<String>,
    /// Hash of the last record that was archived: the first one here must follow it.
    #[arg(long, value_name = "HEX")]
    pub after: Option<String>,
    /// File with the secret audit key; checks who wrote each record.
    #[arg(long, env = "LATENTWIRE_AUDIT_SECRET_KEY", value_name = "FILE")]
    pub audit_key: Option<PathBuf>,
    /// Print a JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// `latentwire audit export ...`
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Folder of the log (--audit of the service).
    pub folder: PathBuf,
    /// How records are printed.
    #[arg(long, value_enum, default_value_t)]
    pub format: ExportFormat,
    /// Records from this moment on, such as 2026-11-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Records up to this moment.
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// Open what names patients and studies, and print it.
    #[arg(long, requires = "audit_key")]
    pub with_phi: bool,
    /// File with the secret audit key.
    #[arg(long, env = "LATENTWIRE_AUDIT_SECRET_KEY", value_name = "FILE")]
    pub audit_key: Option<PathBuf>,
    /// Which side wrote the log, for dicom-xml, where no record says so.
    #[arg(long)]
    pub role: Option<RoleArg>,
}

/// How an export is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// One XML document with an AuditMessage a record (DICOM PS3.15 A.5).
    DicomXml,
}

/// `latentwire audit keygen ...`
#[derive(Debug, Args)]
pub struct KeygenArgs {
    /// Where to write the secret key; must not exist yet.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    /// Print a JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}
