//! The three key sources of docs/CONTAINERS.md, each as a container that gets healthy.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use crate::{
    docker::{TAG, docker, inspect, try_docker, wait_for},
    project::Project,
};

/// `docker run` of a sender with the project's keys; `down` and a later run find it by its label.
fn run<'a>(name: &'a str, label: &'a str, volume: &'a str) -> Vec<&'a str> {
    let plaintext = "LATENTWIRE_INSECURE_PLAINTEXT_BEYOND_LOOPBACK=true";
    let everybody = "LATENTWIRE_INSECURE_CALLERS_UNAUTHENTICATED=true";
    vec![
        "run",
        "--name",
        name,
        "--label",
        label,
        "--read-only",
        "-v",
        volume,
        "-e",
        plaintext,
        "-e",
        everybody,
    ]
}

#[test]
#[ignore = "needs a Docker engine and the images; scripts/test.sh runs it where there is one"]
fn every_key_source_works() {
    let project = Project::up();
    let image = format!("latentwire/sender:{TAG}");
    let label = format!("com.docker.compose.project={}", project.name());
    let volume = format!("{}_sender-identity:/etc/latentwire:ro", project.name());
    let command = "exec sender-svc --key-source fd --key 3 3</etc/latentwire/sender.key";
    let ways: [(&str, Vec<&str>); 3] = [
        ("file", vec![&image, "--key-source", "file"]),
        ("descriptor", vec!["--entrypoint", "sh", &image, "-c", command]),
        ("stdin", vec!["--interactive", &image, "--key-source", "fd", "--key", "0"]),
    ];
    let key = project.says("sender", &["cat", "/etc/latentwire/sender.key"]);
    for (way, arguments) in ways {
        let name = format!("{}-{way}", project.name());
        let mut child = Command::new("docker")
            .args(run(&name, &label, &volume))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker can be started");
        // Only the one that asks for it reads it.
        let mut stdin = child.stdin.take().expect("the pipe was asked for");
        let _unread = stdin.write_all(key.as_bytes());
        drop(stdin);
        wait_for(&format!("health with the key by {way}"), || {
            assert!(child.try_wait().expect("a child can be waited for").is_none(), "{}", log(&name));
            let known = try_docker(&["inspect", &name]).status.success();
            (known && inspect(&name)["State"]["Health"]["Status"] == "healthy").then_some(())
        });
        let _said = docker(&["rm", "-f", &name]);
        child.wait().expect("a child can be waited for");
    }
}

fn log(name: &str) -> String {
    format!("{name} ended: {}", crate::docker::text(&try_docker(&["logs", name])))
}
