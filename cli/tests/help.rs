//! The help of every command, word for word: `tests/help/COMMAND.txt`; and the commands in docs/CLI.md.
//!
//! `UPDATE_HELP=1 cargo test -p latentwire-cli --test help` writes them anew.

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

/// What docs/CLI.md says of every command, below the line that says that it is generated.
fn reference() -> String {
    let mut page = "\n# Every command\n".to_owned();
    for words in commands() {
        let mut command = Cli::command();
        for word in &words {
            command = command.find_subcommand(word).expect("a command").clone();
        }
        if command.has_subcommands() {
            continue;
        }
        let about =
            command.get_long_about().or(command.get_about()).expect("every command says what it does");
        let about = about.to_string();
        let stop = if about.ends_with('.') { "" } else { "." };
        let usage = help(&words, &[]);
        let usage =
            usage.split_once("\nUsage: ").expect("a usage").1.split("\n\n").next().unwrap_or_default();
        let usage: Vec<_> = usage.lines().map(str::trim).collect();
        let (below, codes) = {
            let below = command.get_after_help().expect("every command has examples").to_string();
            let (below, codes) = below.split_once("\n\nExit codes:\n").expect("every command has exit codes");
            (below.to_owned(), codes.to_owned())
        };
        let (examples, prose) = below.split_once("\n\n").unwrap_or((&below, ""));
        let examples = examples.trim_start_matches("Examples:\n").lines();
        let examples: Vec<_> = examples.map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
        page += &format!("\n## `latentwire {}`\n{about}{stop}\n\n", words.join(" "));
        page += &format!("```\n{}\n```\n\n```\n{}\n```\n", usage.join("\n"), examples.join("\n"));
        if !prose.is_empty() {
            page += &format!("\n{prose}\n");
        }
        page += "\n| exit code | means |\n|---|---|\n";
        for code in codes.lines() {
            let (code, meaning) = code.trim().split_once(' ').expect("a code and its meaning");
            page += &format!("| {code} | {} |\n", meaning.trim().replace('|', "\\|"));
        }
    }
    page
}

#[test]
fn the_commands_in_the_page_are_those_of_the_program() {
    let path = support::repository().join("docs/CLI.md");
    let written = fs::read_to_string(&path).expect("docs/CLI.md");
    let begins =
        written.find("<!-- From here").and_then(|place| Some(place + written[place..].find('\n')? + 1));
    let begins = begins.expect("docs/CLI.md says where the generated part begins");
    let page = written[..begins].to_owned() + &reference();
    if env::var_os("UPDATE_HELP").is_some() {
        fs::write(&path, &page).expect("the page can be written");
        return;
    }
    let first = written.lines().zip(page.lines()).find(|(written, said)| written != said);
    assert!(
        written == page,
        "docs/CLI.md is out of date: run `UPDATE_HELP=1 cargo test -p latentwire-cli --test help`\n{first:#?}"
    );
    let program = Cli::command().get_after_help().expect("exit codes").to_string();
    let codes = program.split_once("Exit codes:\n").expect("exit codes").1.lines();
    for line in codes.take_while(|line| line.starts_with("  ")) {
        let code = line.split_whitespace().next().expect("a code");
        assert!(written.contains(&format!("\n| {code} | ")), "docs/CLI.md has no exit code {code}");
    }
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
