//! The help of every command, word for word: `tests/help/COMMAND.txt`.
//!
//! `UPDATE_HELP=1 cargo test -p latentwire-cli --test help` writes the files anew.

mod support;

use std::{collections::BTreeSet, env, fs, path::PathBuf};

use clap::{Command, CommandFactory};
use latentwire_cli::args::Cli;

/// The narrowest terminal that help is written for.
const COLUMNS: usize = 80;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/help")
}

/// Every command with its words.
fn commands() -> Vec<Vec<String>> {
    fn collect(command: &Command, words: &[String], all: &mut Vec<Vec<String>>) {
        all.push(words.to_vec());
        for child in command.get_subcommands() {
            collect(child, &[words, &[child.get_name().to_owned()]].concat(), all);
        }
    }
    let mut all = Vec::new();
    collect(&Cli::command(), &[], &mut all);
    all
}

fn help(words: &[String], extra: &[(&str, &str)]) -> String {
    let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
    let mut command = support::latentwire();
    command.args(&arguments).env("COLUMNS", COLUMNS.to_string()).envs(extra.iter().copied());
    support::ended(command.output().expect("latentwire runs"), &arguments, 0).out
}

#[test]
fn the_help_of_every_command_is_as_written_down() {
    let update = env::var_os("UPDATE_HELP").is_some();
    let mut expected = BTreeSet::new();
    for words in commands() {
        let name =
            ["latentwire".to_owned()].iter().chain(&words).cloned().collect::<Vec<_>>().join("-") + ".txt";
        let path = folder().join(&name);
        let said = help(&words, &[]);
        if update {
            fs::write(&path, &said).expect("the file can be written");
        }
        let written = fs::read_to_string(&path).unwrap_or_default();
        let first = written.lines().zip(said.lines()).find(|(written, said)| written != said);
        assert!(
            written == said,
            "cli/tests/help/{name} is out of date: run `UPDATE_HELP=1 cargo test -p latentwire-cli --test help`\n{first:#?}"
        );
        expected.insert(name);
    }
    let there: BTreeSet<_> = fs::read_dir(folder())
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    assert_eq!(there, expected, "a file of a command that is no more");
}

#[test]
fn help_fits_a_terminal_and_is_plain_in_a_pipe() {
    for words in commands() {
        let said = help(&words, &[]);
        assert!(!said.contains('\u{1b}'), "{words:?}: colours in a pipe");
        for line in said.lines() {
            assert!(line.chars().count() <= COLUMNS, "{words:?}: {line:?}");
        }
        if !words.is_empty() {
            assert!(said.contains("--quiet") && said.contains("--color"), "{words:?}");
        }
    }
}

#[test]
fn colours_come_and_go_as_asked() {
    let words = ["send".to_owned()];
    assert!(help(&words, &[("LATENTWIRE_COLOR", "always")]).contains("\u{1b}["));
    assert!(!help(&words, &[("LATENTWIRE_COLOR", "never")]).contains('\u{1b}'));
    assert!(!help(&words, &[("NO_COLOR", "1")]).contains('\u{1b}'));
}
