//! docs/CONFIGURATION.md says what the programs' own command lines say.
//!
//! `UPDATE_CONFIGURATION=1 cargo test -p latentwire-tests --test configuration` (`make config-docs`) writes it anew.

use std::{collections::BTreeMap, env, fs};

use clap::{Command, CommandFactory};
use latentwire_service::configuration::configuration_page;
use latentwire_tests::binaries;

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from the command lines: `make config-docs` writes this page anew, and a test keeps it true. -->

Every flag of a service has a twin in the environment; a flag on the command line wins. Times are in seconds, sizes in
bytes, addresses are `HOST:PORT`.

";

#[test]
fn the_page_is_what_the_programs_say() {
    let mut page = INTRODUCTION.to_owned();
    for command in programs() {
        page += &configuration_page(command);
    }
    let page = page.trim_end().to_owned() + "\n";
    let path = binaries::repository().join("docs/CONFIGURATION.md");
    if env::var_os("UPDATE_CONFIGURATION").is_some() {
        fs::write(&path, page).expect("the page can be written");
        return;
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    let first = written.lines().zip(page.lines()).find(|(written, said)| written != said);
    assert!(written == page, "docs/CONFIGURATION.md is out of date: run `make config-docs`\n{first:#?}");
}

#[test]
fn every_flag_of_a_service_has_its_environment_twin() {
    for mut command in programs().into_iter().filter(|command| command.get_name() != "latentwire") {
        command.build();
        let mut twins = BTreeMap::new();
        for argument in command.get_arguments().filter(|argument| argument.get_long().is_some()) {
            let long = argument.get_long().unwrap_or_default();
            if ["help", "version"].contains(&long) {
                continue;
            }
            let expected = format!("LATENTWIRE_{}", long.to_uppercase().replace('-', "_"));
            let twin = argument.get_env().map(|name| name.to_string_lossy().into_owned());
            assert_eq!(twin.as_deref(), Some(expected.as_str()), "--{long} of {}", command.get_name());
            assert!(argument.get_help().is_some(), "--{long} of {} has no help", command.get_name());
            assert_eq!(twins.insert(expected, long), None);
        }
        assert!(twins.len() > 15, "{twins:?}");
    }
}

#[test]
fn the_default_ports_are_those_of_the_documents() {
    let ports = [
        ("sender-svc", &["127.0.0.1:50051", "127.0.0.1:9451"][..]),
        ("receiver-svc", &["127.0.0.1:50061", "127.0.0.1:50062", "127.0.0.1:9461"]),
        ("pacs-gateway", &["127.0.0.1:11112", "127.0.0.1:9471"]),
    ];
    for (name, expected) in ports {
        let mut command =
            programs().into_iter().find(|command| command.get_name() == name).expect("a program");
        command.build();
        let defaults = command.get_arguments().flat_map(|argument| argument.get_default_values());
        let listening: Vec<_> = defaults
            .map(|value| value.to_string_lossy())
            .filter(|value| value.starts_with("127.0.0.1:"))
            .collect();
        assert_eq!(listening, expected, "{name}");
    }
}

fn programs() -> [Command; 4] {
    [
        sender_svc::Config::command(),
        receiver_svc::Config::command(),
        pacs_gateway::Config::command(),
        latentwire_cli::args::Cli::command(),
    ]
}
