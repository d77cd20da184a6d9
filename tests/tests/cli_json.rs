//! The fields of `--json` of the commands that ask services, all of them in docs/CLI.md; and what `--quiet` leaves.

use std::{fs, process::Stdio};

use latentwire_tests::{Link, Run, binaries, process::command};
use serde_json::Value;

const SAMPLE: &str = "brain_mri/test/sartaj_0b938fbd0a.jpg";

/// The fields that images and transfers share with `send --json`.
const CODED: [&str; 14] = [
    "coded_bytes",
    "frames",
    "height",
    "mark",
    "max_abs_error",
    "min_local_ssim",
    "modality",
    "mode",
    "model",
    "original_bytes",
    "psnr_db",
    "raw_bytes",
    "ssim",
    "width",
];

#[track_caller]
fn check(object: &Value, command: &str, own: &[&str], coded: bool) {
    let mut expected: Vec<&str> = own.to_vec();
    if coded {
        expected.extend(CODED);
    }
    expected.sort_unstable();
    let mut found: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, expected, "{command}");
    let page = fs::read_to_string(binaries::repository().join("docs/CLI.md")).expect("docs/CLI.md");
    let heading = format!("\n| `{command}` |");
    let row = page.split(&heading).nth(1).unwrap_or_else(|| panic!("docs/CLI.md has no row for {command}"));
    let row = row.lines().next().unwrap_or_default();
    for field in own {
        assert!(row.contains(&format!("`{field}`")), "docs/CLI.md: {command} has no {field}: {row}");
    }
}

#[test]
fn every_command_prints_the_fields_that_the_page_names() {
    let link = Link::open();
    let (sender, receiver) =
        (format!("http://{}", link.sender.address), format!("http://{}", link.receiver.images));
    let run = |arguments: &[&str]| Run::latentwire(arguments.iter().copied()).expect_success();

    let mut watch = command("latentwire");
    watch.args(["watch", "--json", "--count", "1", "--receiver", &receiver]).stderr(Stdio::piped());
    let mut watch = watch.stdout(Stdio::piped()).spawn().expect("latentwire can be started");
    let mut notes = std::io::BufReader::new(watch.stderr.take().expect("a pipe"));
    let mut note = String::new();
    std::io::BufRead::read_line(&mut notes, &mut note).expect("a note");
    assert!(note.contains("watching images"), "{note}");

    let sent =
        link.send(&[binaries::sample(SAMPLE)], &["--study-group", "study 7"]).expect_success().object();
    let own = ["path", "transfer_id", "status", "sealed_bytes", "timings_ms"];
    check(&sent, "send", &own, true);
    let id = sent["transfer_id"].as_str().expect("an id");

    let own_image = [
        "image_id",
        "transfer_id",
        "peer",
        "created_unix_seconds",
        "study_group",
        "sequence",
        "verdict",
        "format",
        "stored_bytes",
    ];
    let seen = watch.wait_with_output().expect("it ends");
    assert!(seen.status.success());
    check(&serde_json::from_slice(&seen.stdout).expect("an object"), "watch images", &own_image, true);
    let listed = run(&["list", "--json", "--receiver", &receiver]).object();
    check(&listed, "list images", &own_image, true);

    let own_transfer = [
        "transfer_id",
        "destination",
        "status",
        "image_id",
        "created_unix_seconds",
        "updated_unix_seconds",
        "study_group",
        "sequence",
        "sealed_bytes",
        "error",
    ];
    let transfer = run(&["list", "transfers", "--json", "--sender", &sender]).object();
    check(&transfer, "list transfers", &own_transfer, true);

    let target = link.workplace.path("back.png");
    let got =
        run(&["get", "--json", "--receiver", &receiver, id, "-o", target.to_str().expect("text")]).object();
    check(&got, "get", &["path", "format", "file_bytes", "file_sha256", "decode_ms", "image"], false);
    check(&got["image"], "list images", &own_image, true);

    for model in run(&["models", "--json", "--sender", &sender]).objects() {
        let own =
            ["id", "family", "modality", "purpose", "decoder_digest", "certified", "encoder", "decoder"];
        check(&model, "models --sender", &own, false);
    }
    let health = run(&["health", "--json", &sender]).object();
    check(&health, "health", &["url", "service", "status"], false);

    let quiet = |arguments: &[&str]| run(&[&["--quiet"], arguments].concat());
    assert_eq!(quiet(&["list", "transfers", "--sender", &sender]).out.trim(), id);
    let image = listed["image_id"].as_str().expect("an id");
    assert_eq!(quiet(&["list", "--receiver", &receiver]).out.trim(), image);
    assert!(quiet(&["models", "--sender", &sender]).out.lines().any(|model| model == "ae224-brain"));
    for silent in [
        &["health", &sender][..],
        &["send", "--sender", &sender, binaries::sample(SAMPLE).to_str().expect("text")],
    ] {
        let ran = quiet(silent);
        assert!(ran.out.is_empty() && ran.err.is_empty(), "{ran:?}");
    }
}
