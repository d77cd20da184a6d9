//! The command line of `pacs-gateway`; every flag has an environment twin.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser};
use latentwire_service::{
    args::{
        DEFAULT_DRAIN_TIMEOUT, DEFAULT_IDLE_TIMEOUT, DEFAULT_MAX_FILE_BYTES, DEFAULT_REQUEST_TIMEOUT,
        ListenArgs, LogArgs,
    },
    dial::CredentialArgs,
    peer_address::PeerAddress,
    tls::TlsArgs,
};
use thiserror::Error;

use crate::{
    policy::PolicyArgs,
    titles::{AeTitle, Route},
};

/// Takes DICOM objects by C-STORE and hands them to a sender; answers success when the receiver has stored them.
///
/// Not a medical device, not for primary diagnosis.
#[derive(Clone, Debug, Parser)]
#[command(name = "pacs-gateway", version, max_term_width = 110)]
pub struct Config {
    /// Address of the DICOM port.
    #[arg(long, env = "LATENTWIRE_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:11112")]
    pub listen: SocketAddr,
    /// Address of the admin port (HTTP): /metrics, /healthz, /readyz.
    #[arg(long, env = "LATENTWIRE_ADMIN", value_name = "ADDRESS", default_value = "127.0.0.1:9471")]
    pub admin: SocketAddr,
    /// The sender: address of its SendService.
    #[arg(long, env = "LATENTWIRE_SENDER", value_name = "URL", default_value = "http://127.0.0.1:50051")]
    pub sender: PeerAddress,
    /// Folder of what must outlive the process: the secret that transfer ids are derived with; made at the first start.
    #[arg(long, env = "LATENTWIRE_DATA", value_name = "DIR")]
    pub data: PathBuf,
    /// AE title of this gateway.
    #[arg(
        long,
        env = "LATENTWIRE_AE_TITLE",
        value_name = "TITLE",
        default_value = "LATENTWIRE",
        help_heading = "DICOM"
    )]
    pub ae_title: AeTitle,
    /// AE title that may call; repeat for several. Without any, everyone may.
    #[arg(
        long,
        env = "LATENTWIRE_CALLING_AE_TITLE",
        value_name = "TITLE",
        value_delimiter = ',',
        help_heading = "DICOM"
    )]
    pub calling_ae_title: Vec<AeTitle>,
    /// Where objects go that are stored under --ae-title: a receiver's name at the sender. Not needed where it has only one.
    #[arg(long, env = "LATENTWIRE_DESTINATION", value_name = "NAME", help_heading = "DICOM")]
    pub destination: Option<String>,
    /// Another AE title of this gateway, and where objects go that are stored under it; repeat for several.
    #[arg(
        long,
        env = "LATENTWIRE_ROUTE",
        value_name = "TITLE=NAME",
        value_delimiter = ',',
        help_heading = "DICOM"
    )]
    pub route: Vec<Route>,
    /// How objects are coded.
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// How much is taken on.
    #[command(flatten)]
    pub limits: LimitArgs,
    /// TLS of the DICOM port (1.2 or 1.3, PS3.15 B.12) and of the admin port beyond loopback.
    #[command(flatten)]
    pub tls: TlsArgs,
    /// What this gateway shows to the sender.
    #[command(flatten)]
    pub credentials: CredentialArgs,
    /// Listen without TLS on addresses other than loopback, and reach a sender there without it: pictures, names and metrics
    /// travel in clear there.
    #[arg(long, env = "LATENTWIRE_INSECURE_PLAINTEXT_BEYOND_LOOPBACK", help_heading = "Network")]
    pub insecure_plaintext_beyond_loopback: bool,
    /// What is logged.
    #[command(flatten)]
    pub log: LogArgs,
}

/// How much the gateway takes on, and how long it waits.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Associations at once; more are rejected for the moment (local limit exceeded).
    #[arg(long, env = "LATENTWIRE_MAX_ASSOCIATIONS", value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub max_associations: u16,
    /// Longest data PDU that a peer may send, without its header of 6 bytes.
    #[arg(long, env = "LATENTWIRE_MAX_PDU_BYTES", value_name = "BYTES", default_value_t = 131_072, value_parser = clap::value_parser!(u32).range(4096..=1_048_576))]
    pub max_pdu_bytes: u32,
    /// Largest object in bytes; the sender has a limit of its own, --max-file-bytes.
    #[arg(long, env = "LATENTWIRE_MAX_OBJECT_BYTES", value_name = "BYTES", default_value_t = DEFAULT_MAX_FILE_BYTES, value_parser = clap::value_parser!(u64).range(1..=DEFAULT_MAX_FILE_BYTES))]
    pub max_object_bytes: u64,
    /// Bytes of objects that are held in memory at once, over all associations; beyond it, storing is refused for the moment.
    #[arg(long, env = "LATENTWIRE_MAX_BUFFERED_BYTES", value_name = "BYTES", default_value_t = 2 * DEFAULT_MAX_FILE_BYTES, value_parser = clap::value_parser!(u64).range(1..=1_u64 << 40))]
    pub max_buffered_bytes: u64,
    /// Seconds that a peer may take for its next PDU.
    #[arg(long, env = "LATENTWIRE_IDLE_TIMEOUT", value_name = "SECONDS", default_value_t = DEFAULT_IDLE_TIMEOUT, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub idle_timeout: u64,
    /// Seconds until the sender must have delivered an object; after that, storing it is refused for the moment.
    #[arg(long, env = "LATENTWIRE_DELIVERY_TIMEOUT", value_name = "SECONDS", default_value_t = DEFAULT_REQUEST_TIMEOUT, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub delivery_timeout: u64,
    /// Seconds that associations get to finish after SIGTERM; what is left then is aborted.
    #[arg(long, env = "LATENTWIRE_DRAIN_TIMEOUT", value_name = "SECONDS", default_value_t = DEFAULT_DRAIN_TIMEOUT, value_parser = clap::value_parser!(u64).range(0..=3_600))]
    pub drain_timeout: u64,
}

/// Why a configuration does not hold together.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// Pictures would travel to the sender in clear.
    #[error(
        "--sender {0} is not a loopback address, and without TLS everything could be read on the way: write https:// and pass \
         --ca, or pass --insecure-plaintext-beyond-loopback where something else protects the link"
    )]
    SenderInClear(PeerAddress),
    /// The largest object would never find room.
    #[error(
        "--max-buffered-bytes {buffered} is less than --max-object-bytes {object}, so that the largest object would never \
         find room: raise the first or lower the second"
    )]
    BufferTooSmall {
        /// Bytes of the buffer.
        buffered: u64,
        /// Bytes of the largest object.
        object: u64,
    },
}

impl LimitArgs {
    /// Checks what one flag alone cannot.
    ///
    /// # Errors
    /// [`ConfigError::BufferTooSmall`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.max_buffered_bytes < self.max_object_bytes {
            return Err(ConfigError::BufferTooSmall {
                buffered: self.max_buffered_bytes,
                object: self.max_object_bytes,
            });
        }
        Ok(())
    }

    /// [`Self::idle_timeout`] as a duration.
    #[must_use]
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout)
    }

    /// [`Self::delivery_timeout`] as a duration.
    #[must_use]
    pub fn delivery_timeout(&self) -> Duration {
        Duration::from_secs(self.delivery_timeout)
    }

    /// [`Self::drain_timeout`] as a duration.
    #[must_use]
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.drain_timeout)
    }
}

impl Config {
    /// Checks what one flag alone cannot.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let clear = !self.sender.is_tls() && !self.sender.is_loopback();
        if clear && !self.insecure_plaintext_beyond_loopback {
            return Err(ConfigError::SenderInClear(self.sender.clone()));
        }
        self.limits.check()
    }

    /// Where to listen, as the services' common code asks.
    #[must_use]
    pub fn network(&self) -> ListenArgs {
        let insecure_plaintext_beyond_loopback = self.insecure_plaintext_beyond_loopback;
        ListenArgs { insecure_plaintext_beyond_loopback, reflection: false }
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

    #[test]
    fn wrong_values_are_named() {
        let parse = |arguments: &[&str]| {
            Config::try_parse_from([&["pacs-gateway", "--data", "d"][..], arguments].concat())
        };
        assert!(parse(&[]).is_ok_and(|config| config.check().is_ok()));
        for (arguments, word) in [
            (&["--ae-title", "SEVENTEEN_LETTERS"][..], "AE title"),
            (&["--route", "CT"], "route"),
            (&["--sender", "https://a"], "address"),
            (&["--tls-certificate", "a.crt"], "--tls-key"),
            (&["--max-pdu-bytes", "100"], "4096"),
        ] {
            let error = parse(arguments).expect_err("a wrong value").to_string();
            assert!(error.contains(word), "{error}");
        }
        let clear = parse(&["--sender", "sender.example:50051"]).expect("each flag alone is right");
        assert!(clear.check().expect_err("in clear").to_string().contains("https://"));
        let small = parse(&["--max-buffered-bytes", "1000"]).expect("each flag alone is right");
        let error = small.check().expect_err("the buffer is too small").to_string();
        assert!(error.contains("--max-object-bytes"), "{error}");
    }
}
