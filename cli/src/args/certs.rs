//! `latentwire certs ...`

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `latentwire certs ...`
#[derive(Debug, Subcommand)]
pub enum CertsCommand {
    /// Make certificates for development and for trying things out.
    ///
    /// Makes a small CA of its own, a certificate for each host and for each client. This is no hospital's PKI: nothing is
    /// ever revoked, and whoever has ca.key can pose as anybody.
    #[command(after_help = DEV_EXAMPLES)]
    Dev(DevArgs),
}

const DEV_EXAMPLES: &str = "\
Examples:
  latentwire certs dev -o dev-certs --host sender.test --host receiver.test
  sender-svc --tls-certificate dev-certs/sender.test.crt \\
      --tls-key dev-certs/sender.test.key --tls-client-ca dev-certs/ca.crt ...
  latentwire send --sender https://sender.test:50051 --ca dev-certs/ca.crt \\
      --client-certificate dev-certs/client.crt \\
      --client-key dev-certs/client.key scan.dcm

Writes ca.crt, ca.key, HOST.crt, HOST.key, CLIENT.crt, CLIENT.key (mode 0600). A
host's certificate serves it as a client too, and on this machine itself
(localhost, 127.0.0.1, ::1). A CA that is in the folder already is used again;
a file that is there is never overwritten. With --quiet nothing is printed.

Exit codes:
  0  the files are made
  2  the command line is wrong
  4  a file is there already, or cannot be read or written";

/// `latentwire certs dev ...`
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Folder for the files; made where there is none.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Name or IP address of a host that serves; repeat for several.
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
    /// Name of a client; repeat for several [default: client].
    #[arg(long, value_name = "NAME")]
    pub client: Vec<String>,
    /// Days that the certificates are valid.
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub days: u16,
    /// Print a JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}
