//! examples/python against real services: a folder goes out, comes back and is verified; reasons arrive; a receiver that is away
//! for a while costs an attempt and no image.
//!
//! The tests need examples/python/.venv; scripts/test.sh makes it and runs them.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use latentwire_tests::{
    Link, Receiver, Run, SecuredLink, Sender, Workplace, binaries, client, pictures, secured::CLIENT,
};
use serde_json::Value;

fn example() -> PathBuf {
    binaries::repository().join("examples/python")
}

fn python() -> PathBuf {
    let python = example().join(".venv/bin/python");
    assert!(python.exists(), "{} is missing: run make examples/python/.venv/ready", python.display());
    python
}

/// `send_folder.py --json` between these services.
fn begin(sender: &Sender, receiver: &Receiver, folder: &Path, extra: &[&str]) -> Child {
    Command::new(python())
        .arg("send_folder.py")
        .args(["--json", "--sender", &sender.address.to_string(), "--receiver", &receiver.images.to_string()])
        .args(extra)
        .arg(folder)
        .current_dir(example())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python can be started")
}

/// Its exit code, an object an image, and what it noted.
fn end(child: Child) -> (i32, Vec<Value>, String) {
    let output = child.wait_with_output().expect("a child can be waited for");
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    let object =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{notes}"));
    let objects = String::from_utf8_lossy(&output.stdout).lines().map(object).collect();
    (output.status.code().unwrap_or(-1), objects, notes)
}

#[test]
#[ignore = "needs examples/python/.venv; scripts/test.sh makes it and runs this"]
fn the_stubs_are_those_of_the_schema() {
    let checked = Command::new(python()).args(["generate.py", "--check"]).current_dir(example()).output();
    let checked = checked.expect("python can be started");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
#[ignore = "needs examples/python/.venv; scripts/test.sh makes it and runs this"]
fn a_folder_goes_out_comes_back_and_is_verified() {
    let link = Link::open();
    let samples = binaries::repository().join("samples");
    let count = binaries::samples().len();
    let output = link.workplace.new_folder("received");
    let kept = ["--output", output.to_str().expect("a path of letters")];
    for extra in [&["--below-floor", "send-marked"][..], &["--mode", "exact"]] {
        let (exit, objects, notes) =
            end(begin(&link.sender, &link.receiver, &samples, &[extra, &kept].concat()));
        assert_eq!(exit, 0, "{notes}");
        assert_eq!(objects.len(), count);
        for object in &objects {
            let verified = object["verified"].as_str().expect("verified");
            let mode = object["mode"].as_str().expect("a mode");
            assert_eq!(mode == "exact", verified == "bit for bit", "{object}");
            assert!(output.join(object["transfer_id"].as_str().expect("an id")).is_file(), "{object}");
            assert_eq!(object["attempts"], 1, "{object}");
        }
        let marked =
            |object: &&Value| object["verified"].as_str().is_some_and(|text| text.contains("marked lossy"));
        let lossy = objects.iter().filter(marked).count();
        assert_eq!(
            lossy > 0,
            extra.contains(&"send-marked"),
            "a DICOM file must have gone through a latent: {objects:?}"
        );
    }
    assert_eq!(client::list_images(link.receiver.images).len(), 2 * count);
}

#[test]
#[ignore = "needs examples/python/.venv; scripts/test.sh makes it and runs this"]
fn it_speaks_tls_and_shows_a_certificate_and_a_token() {
    let mut link = SecuredLink::open();
    let folder = link.workplace.new_folder("pictures");
    fs::write(folder.join("a.png"), pictures::noise_png(64, 48)).expect("written");
    let calling = link.certificates.calling(CLIENT);
    let calling: Vec<&str> = calling.iter().map(String::as_str).collect();
    let (exit, objects, notes) = end(begin(&link.sender, &link.receiver, &folder, &calling));
    assert_eq!(exit, 0, "{notes}");
    assert!(objects[0]["verified"].is_string(), "{objects:?}");
    // A token decides alone, and this one is nobody's until the callers' file says otherwise.
    let path = |name: &str| link.workplace.path(name).to_string_lossy().into_owned();
    let (callers, token) = (path("callers.toml"), path("python.token"));
    let arguments = ["callers", "add", &callers, "--name", "python", "--token-output", &token];
    let _added = Run::latentwire(arguments.into_iter().chain(["--allow", "read-transfers"])).expect_success();
    let with_token = [&calling[..], &["--token-file", &token]].concat();
    for service in [&mut link.sender.service, &mut link.receiver.service] {
        service.signal_reload();
    }
    let (exit, objects, notes) = end(begin(&link.sender, &link.receiver, &folder, &with_token));
    assert_eq!(exit, 1, "{notes}");
    let reason = objects[0]["error"]["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("CALLER_"), "{objects:?}");
}

#[test]
#[ignore = "needs examples/python/.venv; scripts/test.sh makes it and runs this"]
fn a_bad_file_fails_alone_and_with_its_reason() {
    let link = Link::open();
    let folder = link.workplace.new_folder("mixed");
    fs::write(folder.join("a-good.png"), pictures::noise_png(64, 48)).expect("written");
    fs::write(folder.join("b-cut.png"), &pictures::noise_png(64, 48)[..200]).expect("written");
    fs::write(folder.join("c-good.png"), pictures::noise_png(48, 64)).expect("written");
    let (exit, objects, notes) = end(begin(&link.sender, &link.receiver, &folder, &[]));
    assert_eq!((exit, objects.len()), (1, 3), "{notes}");
    assert_eq!(objects[1]["error"]["reason"], "MALFORMED_FILE", "{objects:?}");
    assert_eq!(objects[1]["error"]["code"], "INVALID_ARGUMENT");
    assert_eq!(objects[1]["attempts"], 1, "the file fails again however often it is sent");
    assert!(objects[0]["verified"].is_string() && objects[2]["verified"].is_string(), "{objects:?}");

    // A failure of the whole call has a reason too.
    let (exit, objects, notes) =
        end(begin(&link.sender, &link.receiver, &folder, &["--destination", "nowhere"]));
    assert_eq!(exit, 1, "{notes}");
    assert!(objects.iter().all(|object| object["error"]["reason"] == "DESTINATION_UNKNOWN"), "{objects:?}");
}

#[test]
#[ignore = "needs examples/python/.venv; scripts/test.sh makes it and runs this"]
fn a_receiver_that_is_away_costs_an_attempt_and_no_image() {
    let workplace = Workplace::new();
    let mut receiver = Receiver::start(&workplace, &[]);
    let sender = Sender::start(&workplace, receiver.transfer, &[]);
    let folder = workplace.new_folder("study");
    for n in 0..3 {
        fs::write(folder.join(format!("{n}.png")), pictures::noise_png(64 + n, 48)).expect("written");
    }
    let (transfer, images) = (receiver.transfer, receiver.images);
    assert!(receiver.service.terminate().status.success());
    let mut child = begin(&sender, &receiver, &folder, &["--attempts", "20", "--timeout", "300"]);

    let mut notes = BufReader::new(child.stderr.take().expect("piped"));
    let mut first = String::new();
    while !first.contains("PEER_UNAVAILABLE") {
        let more = notes.read_line(&mut first).expect("notes can be read");
        assert!(more > 0, "it gave up:\n{first}");
    }
    let rest = thread::spawn(move || {
        let mut rest = String::new();
        notes.read_to_string(&mut rest).map(|_| rest)
    });
    let receiver = Receiver::start_at(&workplace, transfer, images);
    let (exit, objects, _) = end(child);
    let rest = rest.join().expect("no panic").expect("notes can be read");
    assert_eq!(exit, 0, "{first}{rest}");
    assert!(objects.iter().any(|object| object["attempts"].as_u64() > Some(1)), "{objects:?}");
    let mut sent: Vec<_> = objects.iter().filter_map(|object| object["transfer_id"].as_str()).collect();
    let stored = client::list_images(receiver.images);
    let mut stored: Vec<_> = stored.iter().map(|image| hex::encode(&image.transfer_id)).collect();
    sent.sort_unstable();
    stored.sort_unstable();
    assert_eq!(sent, stored, "every image once, under the id of its first attempt");
}
