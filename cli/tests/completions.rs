//! What shells and `man` read.

mod support;

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use support::{Folder, run};

/// What a program answers that is given a text; `None` where it is not installed.
fn given(program: &str, arguments: &[&str], text: &str) -> Option<(bool, String, String)> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: {program} is not installed");
        return None;
    };
    let mut input = child.stdin.take().expect("a pipe");
    let text = text.to_owned();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads what it is given");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((output.status.success(), text(&output.stdout), text(&output.stderr)))
}

#[test]
fn the_scripts_name_every_command_and_the_shells_take_them() {
    for (shell, check) in [("bash", &["-n"][..]), ("zsh", &["-n"]), ("fish", &["--no-execute"])] {
        let script = run(&["completions", shell], 0).out;
        for word in ["rotate", "revoke", "contact-sheet", "doctor", "--resume", "--overwrite", "below-floor"]
        {
            assert!(script.contains(word.trim_start_matches("--")), "{shell}: {word}");
        }
        if let Some((taken, said, complaints)) = given(shell, check, &script) {
            assert!(taken && said.is_empty() && complaints.is_empty(), "{shell}: {complaints}");
        }
    }
    let complaint = run(&["completions", "cmd"], 2).err;
    assert!(complaint.contains("possible values"), "{complaint}");
}

/// The script at work: what bash offers after `latentwire key` and after `trust `.
#[test]
fn bash_completes_commands_and_flags() {
    let script = run(&["completions", "bash"], 0).out;
    let offered = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let probe = format!(
            "{script}\nCOMP_WORDS=({}); COMP_CWORD={}; _latentwire latentwire '{}' '{}'; echo \"${{COMPREPLY[@]}}\"",
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        given("bash", &["--norc", "-s"], &probe)
    };
    for (line, expected) in [
        ("latentwire key", "keys"),
        ("latentwire keys ", "generate"),
        ("latentwire trust rev", "revoke"),
        ("latentwire send --res", "--resume"),
        ("latentwire get --over", "--overwrite"),
    ] {
        let Some((_, said, _)) = offered(line) else { return };
        assert!(said.split_whitespace().any(|word| word == expected), "{line:?}: {said}");
    }
}

#[test]
fn every_page_renders() {
    let folder = Folder::new();
    let written = run(&["man", "--output", &folder.text("man1")], 0).out;
    let pages: Vec<&str> = written.lines().collect();
    for page in
        ["latentwire.1", "latentwire-keys-rotate.1", "latentwire-trust-revoke.1", "latentwire-doctor.1"]
    {
        assert!(pages.iter().any(|path| path.ends_with(page)), "{page} is not among {pages:?}");
    }
    assert_eq!(fs::read_dir(folder.path("man1")).expect("the folder").count(), pages.len());
    let printed = run(&["man"], 0).out;
    assert_eq!(printed.as_bytes(), folder.read("man1/latentwire.1"));
    for page in pages {
        let text = fs::read_to_string(page).expect("the page");
        let Some((rendered, said, complaints)) = given("groff", &["-man", "-Tutf8", "-ww", "-P-cbu"], &text)
        else {
            return;
        };
        assert!(rendered && complaints.is_empty(), "{page}: {complaints}");
        for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
            assert!(said.contains(heading), "{page} has no {heading}:\n{said}");
        }
        if text.contains(".SH EXAMPLES") {
            assert!(said.contains("EXAMPLES") && said.contains("EXIT STATUS"), "{page}:\n{said}");
        }
    }
    assert!(run(&["man", "--quiet", "--output", &folder.text("man2")], 0).out.is_empty());
}
