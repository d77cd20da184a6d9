//! `latentwire completions`: the script that completes the command line in a shell.

use clap::CommandFactory;

use crate::{
    args::{Cli, CompletionsArgs},
    failure::{Exit, Failure},
    terminal::Terminal,
};

/// Prints the script.
///
/// # Errors
/// Standard output cannot be written.
pub fn completions(args: &CompletionsArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "latentwire", &mut script);
    terminal.write(&script)?;
    Ok(Exit::Done)
}
