//! `pacs-gateway`: see the library for what it does.

use std::process::ExitCode;

use clap::Parser;
use latentwire_service::{drain, notify, telemetry};
use pacs_gateway::Config;

fn main() -> ExitCode {
    match serve(Config::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pacs-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(config: Config) -> anyhow::Result<()> {
    telemetry::init(&config.log)?;
    telemetry::forbid_core_dumps()?;
    let shutdown = drain::on_termination();
    let running = tokio::select! {
        running = pacs_gateway::run(config, shutdown.clone()) => running?,
        () = shutdown.cancelled() => return Ok(()),
    };
    notify::ready();
    running.wait().await
}
