//! The command line of Latentwire: keys and trust, sending and fetching, and a look at what coding does to an image.
//!
//! ```text
//! storage          a receiver's storage key and its catalogue     (receiver-svc stopped)
//! audit            folder of an audit log ─► findings, records  (no service)
//! keys, trust, callers, certs   files of the administrators       (no service)
//! inspect, models  file ─► codec ─► figures; model folders        (no service)
//! send             file ─► sender-svc ─► ... ─► receipt          (SendService)
//! get, list, watch receiver-svc ─► file, table, lines            (ImageService, SendService)
//! health, doctor   either service, this machine ─► what to do     (grpc.health.v1)
//! contact-sheet    originals | received | difference             (no service)
//! completions, man what shells and `man` read                    (no service)
//! ```
//!
//! Results go to standard output, everything else to standard error ([`terminal`]). A file that a command writes
//! appears whole or not at all. [`args`] lists commands and exit codes; docs/CLI.md is the reference.
#![forbid(unsafe_code)]

pub mod args;
mod audit;
mod callers;
mod certs;
mod completions;
mod connect;
mod contact_sheet;
mod doctor;
pub mod failure;
mod file_digest;
mod get;
mod health;
mod image;
mod inspect;
mod interrupt;
mod keys;
mod list;
mod man;
mod models;
pub mod outcome;
mod paths;
mod policy;
mod progress;
mod results;
mod send;
mod storage;
mod table;
pub mod terminal;
mod trust;
mod watch;
mod whole_file;

use std::io::Write;

use args::{Cli, Command};
use failure::{Exit, Failure};
use terminal::Terminal;

/// Does what the command line says; results go to `out`.
///
/// # Errors
/// The command could not be done; one line says why. Images that were rejected are no error but an [`Exit`].
pub fn run(cli: Cli, out: &mut dyn Write) -> Result<Exit, Failure> {
    let terminal = &mut Terminal::new(out, cli.output);
    match cli.command {
        Command::Keys(command) => keys::keys(command, terminal),
        Command::Trust(command) => trust::trust(command, terminal),
        Command::Storage(command) => storage::storage(command, terminal),
        Command::Audit(command) => audit::audit(command, terminal),
        Command::Callers(command) => callers::callers(command, terminal),
        Command::Certs(command) => certs::certs(command, terminal),
        Command::Send(args) => in_runtime(send::send(args, terminal)),
        Command::Get(args) => in_runtime(interrupt::or(get::get(args, terminal))),
        Command::List(args) => in_runtime(interrupt::or(list::list(args, terminal))),
        Command::Watch(args) => in_runtime(interrupt::or(watch::watch(args, terminal))),
        Command::Models(args) => match &args.sender {
            Some(url) => {
                in_runtime(interrupt::or(models::remote(url, &args.credentials, args.json, terminal)))
            }
            None => models::local(&args, terminal),
        },
        Command::Inspect(args) => inspect::inspect(&args, terminal),
        Command::Doctor(args) => in_runtime(interrupt::or(doctor::doctor(args, terminal))),
        Command::Health(args) => in_runtime(interrupt::or(health::health(args, terminal))),
        Command::ContactSheet(args) => contact_sheet::contact_sheet(&args, terminal),
        Command::Completions(args) => completions::completions(&args, terminal),
        Command::Man(args) => man::man(&args, terminal),
    }
}

fn in_runtime(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(error.to_string()))?;
    let ended = runtime.block_on(command);
    // A read of standard input cannot be given up; it must not hold the process.
    runtime.shutdown_background();
    ended
}
