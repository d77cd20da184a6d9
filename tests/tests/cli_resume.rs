//! `latentwire send --resume`: a run that was killed goes on, and nothing arrives twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use latentwire_tests::{Link, client, outcome, pictures, process::command};
use serde_json::Value;

const IMAGES: usize = 150;
/// How long the first images may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Lines of a list with this status: transfer id by path.
fn listed(list: &Path, status: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(list).unwrap_or_default();
    // The last line may be half written while the run goes on.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    lines
        .filter(|line| line["status"] == status)
        .map(|line| (text(&line["path"]), text(&line["transfer_id"])))
        .collect()
}

#[test]
fn a_parallel_run_that_is_killed_midway_goes_on_and_every_image_is_there_once() {
    let link = Link::open();
    let folder = link.workplace.new_folder("many pictures");
    for index in 0..IMAGES {
        let side = 90 + u32::try_from(index).expect("small");
        fs::write(folder.join(format!("{index:02}.png")), pictures::noise_png(side, 80)).expect("written");
    }
    let list = link.workplace.path("night.jsonl");
    let resume = ["--resume", list.to_str().expect("text"), "--parallel", "4", "--mode", "exact"];

    let sender = format!("http://{}", link.sender.address);
    let mut first = command("latentwire")
        .args(["send", "--quiet", "--sender", &sender])
        .args(resume)
        .arg(&folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("latentwire can be started");
    let begun = Instant::now();
    while listed(&list, "delivered").len() < 5 {
        assert!(begun.elapsed() < LIMIT, "nothing is delivered");
        assert!(first.try_wait().expect("a child").is_none(), "it ended before it could be killed");
        thread::sleep(Duration::from_millis(1));
    }
    first.kill().expect("an own child can be killed");
    let _ended = first.wait().expect("a child can be waited for");
    let done = listed(&list, "delivered").len();
    assert!((5..IMAGES).contains(&done), "{done} of {IMAGES} were done: nothing was left to resume");

    let second = link.send(&[&folder], &resume).expect_success();
    assert_eq!(second.objects().len(), IMAGES - done);
    second.objects().iter().for_each(outcome::check_delivered);
    assert!(second.err.contains(&format!("{done} images were delivered before")), "{}", second.err);

    let third = link.send(&[&folder], &resume).expect_success();
    assert!(third.objects().is_empty() && third.err.contains(&format!("{IMAGES} images")), "{third:?}");

    let sent = listed(&list, "delivered");
    let stored = client::list_images(link.receiver.images);
    let stored: BTreeSet<_> = stored.iter().map(|image| hex::encode(&image.transfer_id)).collect();
    assert_eq!(
        client::list_images(link.receiver.images).len(),
        IMAGES,
        "an image is there twice, or missing"
    );
    assert_eq!(stored, sent.values().cloned().collect());
    let target = link.workplace.path("back.png");
    for (path, id) in &sent {
        let _got = link.get(id, &target).expect_success();
        assert!(fs::read(&target).expect("received") == fs::read(path).expect("sent"), "{path}");
    }

    // Another content under the same name is another image; the others stay done.
    fs::write(folder.join("07.png"), pictures::noise_png(33, 44)).expect("written");
    let changed = link.send(&[&folder], &resume).expect_success().object();
    assert!(changed["path"].as_str().is_some_and(|path| path.ends_with("07.png")), "{changed}");
    assert_eq!(client::list_images(link.receiver.images).len(), IMAGES + 1);
}
