//! The command line of `receiver-svc`; every flag has an environment twin.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use latentwire_service::args::{
    CallersArgs, KeyArgs, KeySource, LimitArgs, ListenArgs, LogArgs, ModelArgs, SessionArgs,
};
use latentwire_service::audit::AuditArgs;
use latentwire_service::research::{AllowedResearch, Research};
use latentwire_service::tls::TlsArgs;
use latentwire_wire::ReceiverLimits;

/// Free bytes that are left on the disk where nothing is given: 256 MiB.
const DEFAULT_MIN_FREE_BYTES: u64 = 256 << 20;

/// Takes sealed images from senders, stores them sealed, and gives them back by gRPC.
///
/// Not a medical device, not for primary diagnosis.
#[derive(Clone, Debug, Parser)]
#[command(name = "receiver-svc", version, max_term_width = 110)]
pub struct Config {
    /// Address of TransferService, where senders connect. Port 0: a free one.
    #[arg(
        long,
        env = "LATENTWIRE_LISTEN_TRANSFER",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:50061"
    )]
    pub listen_transfer: SocketAddr,
    /// Address of ImageService, where the PACS side fetches images. Port 0: a free one.
    #[arg(long, env = "LATENTWIRE_LISTEN_IMAGE", value_name = "ADDRESS", default_value = "127.0.0.1:50062")]
    pub listen_image: SocketAddr,
    /// Address of the admin port (HTTP): /metrics, /healthz, /readyz. Port 0: a free one.
    #[arg(long, env = "LATENTWIRE_ADMIN", value_name = "ADDRESS", default_value = "127.0.0.1:9461")]
    pub admin: SocketAddr,
    /// Who this service is, and whose images it takes.
    #[command(flatten)]
    pub identity: KeyArgs,
    /// Where images are kept.
    #[command(flatten)]
    pub storage: StorageArgs,
    /// Where it is written down who sent and fetched what.
    #[command(flatten)]
    pub audit: AuditArgs,
    /// What senders may do that serves research and not a hospital, a list with commas between: chaos4 (the chaos cipher
    /// below AES-256-GCM), rows (one segment a row of the raw latent), models (those of the research folder).
    #[arg(
        long,
        env = "LATENTWIRE_ALLOW_RESEARCH",
        value_name = "LIST",
        default_value_t,
        help_heading = "Research"
    )]
    pub allow_research: AllowedResearch,
    /// Which models are loaded.
    #[command(flatten)]
    pub models: ModelArgs,
    /// How much is taken on.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Who may call ImageService; TransferService's peers are the trust store's.
    #[command(flatten)]
    pub callers: CallersArgs,
    /// TLS of both gRPC ports.
    #[command(flatten)]
    pub tls: TlsArgs,
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
    /// Bounds of the sessions: the protocol's, at most `--max-concurrent` of them at once, and what research is allowed.
    ///
    /// Handshakes are not counted among them, so that strangers cannot take the places of peers.
    pub fn receiver_limits(&self) -> ReceiverLimits {
        let most = ReceiverLimits::default().max_sessions;
        ReceiverLimits {
            max_sessions: most.min(self.limits.max_concurrent as usize),
            session: self.session.limits(),
            allow_chaos4: self.allow_research.allows(Research::Chaos4),
            allow_rows: self.allow_research.allows(Research::Rows),
            ..ReceiverLimits::default()
        }
    }
}

/// Where images are kept, and how much of them.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Storage")]
pub struct StorageArgs {
    /// Data folder: sealed images and their catalogue. Made where there is none.
    #[arg(long, env = "LATENTWIRE_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// File with the storage key, which seals what is kept; made at the first start where there is none [default: beside the
    /// data folder, DIR.storage.key].
    #[arg(long, env = "LATENTWIRE_STORAGE_KEY", value_name = "FILE")]
    pub storage_key: Option<PathBuf>,
    /// How the storage key is kept. Only a key of source `file` is made where there is none.
    #[arg(
        long,
        env = "LATENTWIRE_STORAGE_KEY_SOURCE",
        value_name = "SOURCE",
        value_enum,
        default_value_t = KeySource::File
    )]
    pub storage_key_source: KeySource,
    /// Most bytes that are kept in all; a transfer that does not fit is refused with STORAGE_FULL [default: no limit].
    #[arg(long, env = "LATENTWIRE_MAX_STORE_BYTES", value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_store_bytes: Option<u64>,
    /// Bytes that stay free on the disk; a transfer that would take them is refused with STORAGE_FULL.
    #[arg(long, env = "LATENTWIRE_MIN_FREE_BYTES", value_name = "BYTES", default_value_t = DEFAULT_MIN_FREE_BYTES)]
    pub min_free_bytes: u64,
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
    #[test]
    fn research_is_allowed_by_name_alone() {
        let parse = |extra: &[&str]| {
            let needed = ["receiver-svc", "--key", "k", "--trust", "t", "--data", "d"];
            Config::try_parse_from(needed.iter().chain(extra))
        };
        assert!(parse(&[]).expect("valid").allow_research.is_empty());
        let allowed = parse(&["--allow-research", "models,rows"]).expect("valid").allow_research;
        assert_eq!(allowed, [Research::Models, Research::Rows].into_iter().collect());
        let refused = parse(&["--allow-research", "chaos"]).expect_err("no such thing").to_string();
        assert!(refused.contains("chaos4, models, rows"), "{refused}");
    }
}
