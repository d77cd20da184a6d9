//! `latentwire doctor ...`

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum};
use latentwire_service::args::KeySource;
use latentwire_service::dial::CredentialArgs;
use latentwire_service::tls::TlsArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  # library, models, ports, clock
  latentwire doctor
  # before sender-svc starts
  latentwire doctor --role sender --key sender.key \\
      --destination clinic-b=http://10.8.0.2:50061,receiver.key.pub
  # as the service is configured
  env $(cat /etc/latentwire/receiver.env) latentwire doctor --role receiver
  latentwire doctor --json | jq -r 'select(.status != \"ok\") | .advice'

Each line is OK, WARN or FAIL, and says what to do. With --quiet only WARN and
FAIL are printed.

Exit codes:
  0  nothing failed; there may be warnings
  1  something failed
  2  the command line is wrong";

/// `latentwire doctor ...`
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Check the machine of this service: its ports, and that its key is of this role [default: both services' ports].
    #[arg(long, value_name = "ROLE")]
    pub role: Option<RoleArg>,
    /// The service's secret key file.
    #[arg(long, env = "LATENTWIRE_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// How the key file is kept.
    #[arg(long, env = "LATENTWIRE_KEY_SOURCE", value_name = "SOURCE", value_enum, default_value_t)]
    pub key_source: KeySource,
    /// Trust store of the service.
    #[arg(long, env = "LATENTWIRE_TRUST", value_name = "FILE")]
    pub trust: Option<PathBuf>,
    /// Data folder of receiver-svc.
    #[arg(long, env = "LATENTWIRE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Storage key of receiver-svc [default: as it finds it].
    #[arg(long, env = "LATENTWIRE_STORAGE_KEY", value_name = "FILE")]
    pub storage_key: Option<PathBuf>,
    /// How the storage key is kept.
    #[arg(long, env = "LATENTWIRE_STORAGE_KEY_SOURCE", value_name = "SOURCE", value_enum, default_value_t)]
    pub storage_key_source: KeySource,
    /// Folder of the service's audit log [default: audit in the data folder].
    #[arg(long, env = "LATENTWIRE_AUDIT", value_name = "DIR")]
    pub audit: Option<PathBuf>,
    /// Bytes that must be free on the data folder's disk: 256 MiB, as the service has it.
    #[arg(long, env = "LATENTWIRE_MIN_FREE_BYTES", value_name = "BYTES", default_value_t = 256 << 20)]
    pub min_free_bytes: u64,
    /// Folder of models.
    #[arg(long, env = "LATENTWIRE_MODELS", value_name = "DIR", default_value = "models")]
    pub models: PathBuf,
    /// ONNX Runtime's shared library; searched for where absent.
    #[arg(long, env = "LATENTWIRE_ONNXRUNTIME", value_name = "FILE")]
    pub onnxruntime: Option<PathBuf>,
    /// sender-svc that must be reachable and serve.
    #[arg(long, env = "LATENTWIRE_SENDER", value_name = "URL")]
    pub sender: Option<String>,
    /// ImageService of a receiver-svc that must be reachable and serve.
    #[arg(long, env = "LATENTWIRE_RECEIVER", value_name = "URL")]
    pub receiver: Option<String>,
    /// Receiver of sender-svc, written as sender-svc takes it; its keys must load and its TransferService must answer.
    #[arg(
        long,
        env = "LATENTWIRE_DESTINATION",
        value_name = "NAME=URL,PUBLICKEY[,NEXTKEY]",
        value_delimiter = ';'
    )]
    pub destination: Vec<String>,
    /// File of sender-svc's receivers, TOML.
    #[arg(long, env = "LATENTWIRE_DESTINATIONS", value_name = "FILE")]
    pub destinations: Option<PathBuf>,
    /// Address that must be free, or held by a Latentwire service; repeat for several [default: the services' own].
    #[arg(long, value_name = "ADDRESS")]
    pub port: Vec<SocketAddr>,
    /// Give a network check up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
    /// Print one JSON object a check, one a line, instead of text.
    #[arg(long)]
    pub json: bool,
    /// Callers' file of the service.
    #[arg(long, env = "LATENTWIRE_CALLERS", value_name = "FILE")]
    pub callers: Option<PathBuf>,
    /// TLS of the service's own ports.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// What is shown to services and receivers.
    #[command(flatten)]
    pub credentials: CredentialArgs,
}

/// Side of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    /// For sender-svc.
    Sender,
    /// For receiver-svc.
    Receiver,
}
