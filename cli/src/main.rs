//! `latentwire`: see the library for what it does.

use std::{env, io::stdout, process::ExitCode};

use clap::FromArgMatches;
use latentwire_cli::{
    args::{Cli, color_of, styled},
    run, terminal,
};
use latentwire_service::telemetry;

fn main() -> ExitCode {
    // `keys` holds secrets, as the services do.
    if let Err(error) = telemetry::forbid_core_dumps() {
        terminal::error(&format!("core dumps cannot be turned off: {error}"));
        return ExitCode::from(4);
    }
    let mut command = styled(color_of(env::args_os().skip(1)));
    let matches = command.get_matches_mut();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit());
    match run(cli, &mut stdout()) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.exit.is_silent() {
                terminal::error(&failure.to_string());
            }
            failure.exit.into()
        }
    }
}
