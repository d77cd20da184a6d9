//! `docs/CONFIGURATION.md` out of the command lines themselves.

use std::fmt::Write;

use clap::{ArgAction, Command};

/// A Markdown section for a command: one table row a flag, with its environment twin, default and help.
pub fn configuration_page(mut command: Command) -> String {
    command.build();
    let mut page = String::new();
    section(&mut page, &command, command.get_name(), 2);
    page
}

fn section(page: &mut String, command: &Command, path: &str, level: usize) {
    let heading = "#".repeat(level);
    writeln!(page, "{heading} `{path}`\n").expect("writing to a String cannot fail");
    if let Some(about) = command.get_about() {
        let about = about.to_string();
        writeln!(page, "{}.\n", about.trim_end_matches('.')).expect("writing to a String cannot fail");
    }
    let mut rows = command
        .get_arguments()
        .filter(|argument| {
            !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version")
        })
        .peekable();
    if rows.peek().is_some() {
        page.push_str("| flag | environment | default | meaning |\n|---|---|---|---|\n");
        for argument in rows {
            row(page, argument);
        }
        page.push('\n');
    }
    for child in command.get_subcommands().filter(|child| !child.is_hide_set() && child.get_name() != "help")
    {
        section(page, child, &format!("{path} {}", child.get_name()), level + 1);
    }
}

fn row(page: &mut String, argument: &clap::Arg) {
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let values = argument
        .get_value_names()
        .map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        .unwrap_or_default();
    let flag = match (argument.get_long(), takes_value) {
        (Some(long), true) => format!("`--{long} {values}`"),
        (Some(long), false) => format!("`--{long}`"),
        (None, _) => format!("`{values}`"),
    };
    let environment =
        argument.get_env().map_or_else(String::new, |name| format!("`{}`", name.to_string_lossy()));
    let default = if takes_value {
        let values = argument.get_default_values();
        values.iter().map(|value| format!("`{}`", value.to_string_lossy())).collect::<Vec<_>>().join(" ")
    } else {
        String::new()
    };
    let mut help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    // clap takes a lone sentence's full stop away.
    if !help.is_empty() && !help.ends_with(['.', ']']) {
        help.push('.');
    }
    let possible: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| takes_value && !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !possible.is_empty() {
        write!(help, " One of {}.", possible.join(", ")).expect("writing to a String cannot fail");
    }
    if argument.is_required_set() {
        help.push_str(" Required.");
    }
    let help = help.replace('|', "\\|").replace('\n', " ");
    writeln!(page, "| {flag} | {environment} | {default} | {help} |")
        .expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use clap::Args;

    use super::*;
    use crate::args::{CallersArgs, KeyArgs, LimitArgs, ListenArgs, LogArgs, ModelArgs};
    use crate::dial::CredentialArgs;
    use crate::tls::TlsArgs;

    #[test]
    fn every_shared_flag_has_its_row_and_its_environment_twin() {
        let mut command = Command::new("some-svc");
        for augment in [
            CallersArgs::augment_args,
            CredentialArgs::augment_args,
            TlsArgs::augment_args,
            KeyArgs::augment_args,
            LimitArgs::augment_args,
            ListenArgs::augment_args,
            LogArgs::augment_args,
            ModelArgs::augment_args,
        ] {
            command = augment(command);
        }
        command = command.about("Serves.");
        let flags: Vec<String> = command.get_arguments().map(|flag| flag.get_id().to_string()).collect();
        let page = configuration_page(command);
        assert!(page.starts_with("## `some-svc`\n\nServes.\n\n| flag |"), "{page}");
        assert!(flags.len() >= 27);
        for flag in flags {
            let long = flag.replace('_', "-");
            let twin = format!("`LATENTWIRE_{}`", flag.to_uppercase());
            let own = [format!("| `--{long} "), format!("| `--{long}`")];
            let row = page.lines().find(|line| own.iter().any(|begin| line.starts_with(begin)));
            assert!(row.is_some_and(|row| row.contains(&twin)), "{flag}: {row:?}");
        }
        assert!(page.contains("| `--max-concurrent N` | `LATENTWIRE_MAX_CONCURRENT` | `64` |"), "{page}");
    }
}
