//! The command line of `sender-svc`; every flag has an environment twin.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use latentwire_codec::{CodecConfig, model::Parts};
use latentwire_service::args::{
    CallersArgs, KeySource, LimitArgs, ListenArgs, LogArgs, ModelArgs, SessionArgs,
};
use latentwire_service::audit::AuditArgs;
use latentwire_service::pins::PinError;
use latentwire_service::tls::{ClientTlsArgs, TlsArgs};

/// Transfers that the log keeps where nothing is given.
const DEFAULT_LOG_CAPACITY: u32 = 10_000;

/// Takes image files by gRPC, codes and seals them, and delivers them to receivers.
///
/// Not a medical device, not for primary diagnosis.
#[derive(Clone, Debug, Parser)]
#[command(name = "sender-svc", version, max_term_width = 110)]
pub struct Config {
    /// Address of SendService.
    #[arg(long, env = "LATENTWIRE_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Address of the admin port (HTTP): /metrics, /healthz, /readyz.
    #[arg(long, env = "LATENTWIRE_ADMIN", value_name = "ADDRESS", default_value = "127.0.0.1:9451")]
    pub admin: SocketAddr,
    /// A receiver: its name here, its address, and its pinned public key (or a file that holds it); repeat for several.
    /// While a receiver changes its key, pin both: the second is tried where the first is refused.
    #[arg(
        long,
        env = "LATENTWIRE_DESTINATION",
        value_name = "NAME=URL,PUBLICKEY[,NEXTKEY]",
        value_delimiter = ';',
        help_heading = "Destinations"
    )]
    pub destination: Vec<String>,
    /// TOML file with more receivers: `[[destination]]` tables with name, url and public_key (or public_keys, a list
    /// of two); ca, client_certificate and client_key where they differ from the flags.
    #[arg(long, env = "LATENTWIRE_DESTINATIONS", value_name = "FILE", help_heading = "Destinations")]
    pub destinations: Option<PathBuf>,
    /// File with this service's secret key, of role sender.
    #[arg(long, env = "LATENTWIRE_KEY", value_name = "FILE", help_heading = "Identity")]
    pub key: PathBuf,
    /// How the key file is kept.
    #[arg(
        long,
        env = "LATENTWIRE_KEY_SOURCE",
        value_name = "SOURCE",
        value_enum,
        default_value_t,
        help_heading = "Identity"
    )]
    pub key_source: KeySource,
    /// Trust store of the receivers' keys (role receiver): a key that it does not list, or whose entry has ended or is
    /// revoked, gets no image, and its open session ends. Read again within two seconds of a change. Without it, a key counts
    /// as long as a destination pins it.
    #[arg(long, env = "LATENTWIRE_TRUST", value_name = "FILE", help_heading = "Identity")]
    pub trust: Option<PathBuf>,
    /// Load no decoders (the papers' split): no image is measured, no floor holds, and every image says so.
    #[arg(long, env = "LATENTWIRE_WITHHOLD_DECODER", help_heading = "Models")]
    pub withhold_decoder: bool,
    /// Load the models of the research folder too; they are used by name alone, and receivers refuse them unless they allow it.
    #[arg(long, env = "LATENTWIRE_RESEARCH_MODELS", help_heading = "Models")]
    pub research_models: bool,
    /// Transfers that GetTransfer and ListTransfers remember.
    #[arg(
        long,
        env = "LATENTWIRE_TRANSFER_LOG",
        value_name = "N",
        default_value_t = DEFAULT_LOG_CAPACITY,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
        help_heading = "Limits"
    )]
    pub transfer_log: u32,
    /// Where it is written down who sent what.
    #[command(flatten)]
    pub audit: AuditArgs,
    /// Which models are loaded.
    #[command(flatten)]
    pub models: ModelArgs,
    /// How much is taken on.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Who may call.
    #[command(flatten)]
    pub callers: CallersArgs,
    /// TLS of SendService's port.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// TLS to receivers at https addresses.
    #[command(flatten)]
    pub uplink_tls: ClientTlsArgs,
    /// When one session follows another.
    #[command(flatten)]
    pub session: SessionArgs,
    /// What is shown to the network.
    #[command(flatten)]
    pub network: ListenArgs,
    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
}

impl Config {
    /// What the codec loads.
    ///
    /// # Errors
    /// A pin is not a SHA-256 in hexadecimal digits, or no model of the folder is pinned.
    pub fn codec(&self) -> Result<CodecConfig, PinError> {
        let parts = Parts { encoder: true, decoder: !self.withhold_decoder };
        self.models.codec_config(parts, self.research_models, self.limits.max_file_bytes)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_flag_has_an_environment_twin() {
        let command = Config::command();
        command.clone().debug_assert();
        let flags =
            command.get_arguments().filter(|flag| !matches!(flag.get_id().as_str(), "help" | "version"));
        for flag in flags {
            let twin = format!("LATENTWIRE_{}", flag.get_id().as_str().to_uppercase());
            let found = flag.get_env().and_then(|name| name.to_str());
            assert_eq!(found, Some(twin.as_str()), "{}", flag.get_id());
        }
    }
}
