//! Logs and process hygiene at start-up.

use std::io::IsTerminal;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::args::{LogArgs, LogFormat};

/// Why logging could not be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter has a mistake.
    #[error(
        "--log {filter:?} is not a log filter ({cause}): write a level such as info, or info,receiver_svc=debug"
    )]
    Filter {
        /// As given.
        filter: String,
        /// What the parser says.
        cause: String,
    },
}

/// Sends logs to standard error: text on a terminal, one JSON object a line elsewhere.
///
/// A second call in one process keeps the first one's settings. Log lines carry session and transfer ids, never file names,
/// UIDs or other patient data; that is the callers' promise, `#[instrument(skip_all)]` helps to keep it.
///
/// # Errors
/// [`TelemetryError::Filter`] if the filter has a mistake.
pub fn init(args: &LogArgs) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&args.log)
        .map_err(|cause| TelemetryError::Filter { filter: args.log.clone(), cause: cause.to_string() })?;
    let json = match args.log_format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE);
    // An error means that a subscriber is already set: a test that starts several services in one process.
    let _already_set = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    Ok(())
}

/// Forbids core dumps (`RLIMIT_CORE = 0`), so that no key reaches a disk that way.
///
/// # Errors
/// What the operating system says.
pub fn forbid_core_dumps() -> std::io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_is_named() {
        let args = LogArgs { log: "info,=[".to_owned(), log_format: LogFormat::Json };
        let error = init(&args).expect_err("not a filter");
        assert!(error.to_string().contains("--log"), "{error}");
    }

    #[test]
    fn core_dumps_are_off() {
        forbid_core_dumps().expect("lowering a limit is always allowed");
        let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
        assert_eq!(limit.current, Some(0));
    }
}
