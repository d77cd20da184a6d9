//! `latentwire get`: where the image goes, and that it never takes another file's place.

use std::fs;

use latentwire_tests::{Link, Run, binaries, link::Shared};

const SAMPLE: &str = "chest_xray/test/hannover_1890031531.jpg";

struct Sent {
    link: Shared,
    id: String,
    file: Vec<u8>,
}

impl Sent {
    fn new() -> Self {
        let link = Link::shared();
        let path = binaries::sample(SAMPLE);
        let sent = link.send(&[&path], &["--mode", "exact"]).expect_success().object();
        let id = sent["transfer_id"].as_str().expect("an id").to_owned();
        Self { link, id, file: fs::read(path).expect("the sample") }
    }

    fn get(&self, extra: &[&str]) -> Run {
        let receiver = format!("http://{}", self.link.receiver.images);
        Run::latentwire([&["get", "--receiver", &receiver, &self.id], extra].concat())
    }
}

#[test]
fn another_file_is_never_overwritten_unless_asked_for() {
    let sent = Sent::new();
    let folder = sent.link.workplace.new_folder("own files");
    let target = folder.join("own.jpg");
    let output = target.to_str().expect("text");
    fs::write(&target, "my own").expect("written");
    let refused = sent.get(&["-o", output]);
    assert_eq!((refused.exit, refused.out.as_str()), (4, ""), "{refused:?}");
    assert!(refused.err.contains("ALREADY_EXISTS") && refused.err.contains("--overwrite"), "{refused:?}");
    assert_eq!(fs::read(&target).expect("the file"), b"my own");
    assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 1, "nothing half-written is left");

    let got = sent.get(&["-o", output, "--overwrite", "--quiet"]).expect_success();
    assert!(got.out.is_empty() && got.err.is_empty(), "{got:?}");
    assert!(fs::read(&target).expect("the file") == sent.file);

    let before = fs::metadata(&target).and_then(|status| status.modified()).expect("the file");
    let again = sent.get(&["-o", output]).expect_success();
    assert!(again.err.contains("holds this image already") && again.out.trim() == output, "{again:?}");
    let after = fs::metadata(&target).and_then(|status| status.modified()).expect("the file");
    assert_eq!(after, before, "it was written again");
}

#[test]
fn a_folder_names_the_file_and_a_pipe_takes_the_bytes() {
    let sent = Sent::new();
    let folder = sent.link.workplace.new_folder("inbox");
    let inbox = folder.to_str().expect("text");
    let expected = folder.join(format!("{}.jpg", sent.id));
    for _ in 0..2 {
        let got = sent.get(&["-o", inbox]).expect_success();
        assert_eq!(got.out.trim(), expected.to_str().expect("text"));
    }
    assert!(fs::read(&expected).expect("the file") == sent.file);
    assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 1);

    // Read as bytes: the harness reads text.
    let receiver = format!("http://{}", sent.link.receiver.images);
    let mut command = latentwire_tests::process::command("latentwire");
    command.args(["get", "--receiver", &receiver, &sent.id, "-o", "-"]);
    assert!(command.output().expect("latentwire runs").stdout == sent.file);
    assert_eq!(sent.get(&["-o", "-", "--json"]).exit, 2, "both want standard output");
}

#[test]
fn an_unknown_image_leaves_nothing() {
    let sent = Sent::new();
    let target = sent.link.workplace.path("unknown.png");
    let receiver = format!("http://{}", sent.link.receiver.images);
    let (id, output) = ("00".repeat(16), target.to_str().expect("text"));
    let refused = Run::latentwire(["get", "--receiver", &receiver, &id, "-o", output]);
    assert_eq!(refused.exit, 1, "{refused:?}");
    assert!(
        refused.err.contains("NOT_FOUND IMAGE_NOT_FOUND") && refused.err.lines().count() == 1,
        "{refused:?}"
    );
    assert!(!target.exists());
}
