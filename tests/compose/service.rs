//! The demo, the keys, the hardening, health and SIGTERM.

use std::{
    fs,
    time::{Duration, Instant},
};

use latentwire_tests::{Run, binaries, outcome, pictures};
use serde_json::Value;

use crate::{
    docker::{docker, inspect, text, wait_for},
    project::Project,
    study::{self, Study},
};

/// What a start may take at most on a loaded machine; the figure itself is printed.
const HEALTHY_LIMIT: Duration = Duration::from_secs(30);
/// Idle services end long before the grace of 35 s is over.
const STOP_LIMIT: Duration = Duration::from_secs(20);

#[test]
#[ignore = "needs a Docker engine and the images; scripts/test.sh runs it where there is one"]
fn the_demo_delivers_every_sample_and_a_second_run_keeps_the_keys() {
    let project = Project::up();
    let keys = |project: &Project| {
        ["sender", "receiver"].map(|service| {
            project.says(service, &["sh", "-c", "cd /etc/latentwire && sha256sum *.key *.pub *.toml *.crt"])
        })
    };
    let before = keys(&project);
    let _said = project.compose(&["up", "--no-build", "-d"]);
    let exit = project.wait_end("demo");
    let log = project.compose(&["logs", "--no-color", "demo"]);
    assert_eq!(exit, 0, "{log}");
    let samples = binaries::samples().len();
    assert!(log.contains(&format!("{samples} delivered of {samples} images")), "no table:\n{log}");
    assert_eq!(project.wait_end("keys"), 0);
    assert_eq!(keys(&project), before, "a second run changed keys or trust");

    let output = project.workplace.path("output");
    project.copy_out("demo", "/output", &output);
    let results = fs::read_to_string(output.join("results.jsonl")).expect("the results are text");
    for line in results.lines() {
        outcome::check_delivered(&serde_json::from_str::<Value>(line).expect("a result is JSON"));
    }
    assert_eq!(results.lines().count(), samples);
    let sheet = pictures::read(&output.join("contact-sheet.png")).pixels;
    assert!(sheet.width > 500 && sheet.height > 1000, "{}x{} is no sheet", sheet.width, sheet.height);
}

#[test]
#[ignore = "needs a Docker engine and the images; scripts/test.sh runs it where there is one"]
fn exact_images_cross_the_network_byte_for_byte_and_latents_with_true_figures() {
    let project = Project::up();
    let study = Study::of_all_samples("both modes");
    let exact = study.send(&project, &["--mode", "exact"]).end().expect_success().objects();
    assert!(exact.iter().all(|object| object["mode"] == "exact"), "{exact:?}");
    let latent = study.send(&project, &["--below-floor", "send-marked"]).end().expect_success().objects();
    assert!(latent.iter().all(|object| object["mode"] == "latent"), "{latent:?}");
    study::check_received(&project, &[exact, latent].concat());
}

#[test]
#[ignore = "needs a Docker engine and the images; scripts/test.sh runs it where there is one"]
fn nobody_calls_in_clear_or_without_a_certificate_of_the_list() {
    let project = Project::up();
    let (send, images) = (project.send_url(), project.image_url());
    let list = |url: &str| project.run(&["list", "--json", "--receiver", url], &[]);
    let _listed = list(&images).expect_success();
    // In clear, and without a certificate.
    assert_eq!(list(&images.replace("https://", "http://")).exit, 3);
    let ca = project.workplace.path("client/ca.crt").to_string_lossy().into_owned();
    let bare = Run::latentwire(["list", "--receiver", &images, "--ca", &ca]);
    assert_eq!(bare.exit, 3, "{}", bare.err);
    // The receiver's own certificate is of the same CA, and no caller's.
    let own = |flag: &str, file: &str| [flag.to_owned(), format!("/etc/latentwire/{file}")];
    let arguments = [
        own("--ca", "ca.crt"),
        own("--client-certificate", "tls.crt"),
        own("--client-key", "tls.key"),
        ["--sender".to_owned(), "https://sender:50051".to_owned()],
    ]
    .concat();
    let command: Vec<&str> =
        ["latentwire", "models"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let refused = project.exec("receiver", &command);
    assert!(text(&refused).contains("CALLER_UNKNOWN"), "{}", text(&refused));
    let _models = project.run(&["models", "--json", "--sender", &send], &[]).expect_success();
}

#[test]
#[ignore = "needs a Docker engine and the images; scripts/test.sh runs it where there is one"]
fn the_services_are_locked_in() {
    let project = Project::up();
    for service in ["sender", "receiver"] {
        assert_eq!(project.says(service, &["id", "-u"]), "65532");
        let status = project.says(service, &["cat", "/proc/1/status"]);
        for line in [
            "Uid:\t65532\t65532\t65532\t65532",
            "CapEff:\t0000000000000000",
            "CapBnd:\t0000000000000000",
            "NoNewPrivs:\t1",
        ] {
            assert!(status.contains(line), "{service} lacks {line:?}:\n{status}");
        }
        for folder in ["/", "/usr/local/bin", "/etc", "/etc/latentwire"] {
            let output = project.exec(service, &["sh", "-c", &format!("echo x > {folder}/written")]);
            assert!(
                !output.status.success() && text(&output).contains("Read-only"),
                "{service} writes to {folder}: {}",
                text(&output)
            );
        }
        let container = inspect(&project.container(service));
        let host = &container["HostConfig"];
        for limit in ["Memory", "NanoCpus", "PidsLimit"] {
            assert!(host[limit].as_u64().is_some_and(|limit| limit > 0), "{service} has no {limit}: {host}");
        }
        assert_eq!(host["ReadonlyRootfs"], true);
        for (port, bound) in host["PortBindings"].as_object().expect("published ports") {
            assert_eq!(bound[0]["HostIp"], "127.0.0.1", "{service} publishes {port} to the network");
        }
        let other = if service == "sender" { "receiver" } else { "sender" };
        let files = project.says(service, &["ls", "/etc/latentwire"]);
        assert!(
            !files.lines().any(|file| file == format!("{other}.key")),
            "{service} holds the {other}'s key: {files}"
        );
    }
    // The key files are the services' own, and `mounted` takes them.
    assert_eq!(project.says("sender", &["stat", "-c", "%a %u", "/etc/latentwire/sender.key"]), "600 65532");
    // The link leads nowhere else.
    assert_eq!(
        docker(&["network", "inspect", "-f", "{{.Internal}}", &format!("{}_link", project.name())]),
        "true"
    );
}

#[test]
#[ignore = "needs a Docker engine and the images; scripts/test.sh runs it where there is one"]
fn the_services_are_healthy_soon_and_end_cleanly_at_sigterm() {
    let project = Project::up();
    for service in ["receiver", "sender"] {
        let container = project.container(service);
        let begun = Instant::now();
        let _said = docker(&["stop", "-t", "35", &container]);
        let took = begun.elapsed();
        assert_eq!(
            project.wait_end(service),
            0,
            "{service} did not end cleanly: {}",
            project.compose(&["logs", service])
        );
        println!("{service}: stopped in {took:?}");
        assert!(took < STOP_LIMIT, "{service} took {took:?} to stop");
        let begun = Instant::now();
        let _said = docker(&["start", &container]);
        let started = begun.elapsed();
        wait_for("health", || (inspect(&container)["State"]["Health"]["Status"] == "healthy").then_some(()));
        let took = begun.elapsed();
        println!(
            "{service}: healthy {took:?} after `docker start` was called, {:?} after it returned",
            took - started
        );
        assert!(took < HEALTHY_LIMIT, "{service} took {took:?} to be healthy");
    }
    // What was stopped and started works.
    let study = Study::of(&["fundus/test/idrid_2cfe12be46.jpg"], "after a restart");
    let sent = study.send(&project, &[]).end().expect_success().objects();
    study::check_received(&project, &sent);
    // A bare SIGTERM that docker knows nothing of: `restart: unless-stopped` brings the service back.
    let _said = project.says("receiver", &["sh", "-c", "kill -TERM 1"]);
    let container = project.container("receiver");
    wait_for("the restart", || (inspect(&container)["RestartCount"] == 1).then_some(()));
    project.wait_healthy("receiver");
}
