//! A session that has carried what it may is followed by another one, at either end's word, and no image is lost over it.

use std::{collections::BTreeSet, path::PathBuf};

use latentwire_tests::{Link, admin, client, outcome, pictures};

/// More than three sessions of three.
const IMAGES: usize = 10;

fn pictures_of(link: &Link) -> Vec<PathBuf> {
    let write = |number: usize| {
        let value = u8::try_from(number * 10).expect("few pictures");
        link.workplace.write(&format!("picture-{number}.png"), &pictures::flat_png(64, 48, value))
    };
    (0..IMAGES).map(write).collect()
}

/// Sends them over four streams at once: every one arrives, once, and over no fewer sessions than it takes.
fn check_takeover(link: &Link, fewest_sessions: f64) {
    let run = link.send(&pictures_of(link), &["--mode", "exact", "--parallel", "4"]).expect_success();
    let objects = run.objects();
    assert_eq!(objects.len(), IMAGES);
    objects.iter().for_each(outcome::check_delivered);
    let stored: BTreeSet<_> = client::list_images(link.receiver.images)
        .into_iter()
        .map(|image| image.transfer_id.to_vec())
        .collect();
    assert_eq!(stored.len(), IMAGES, "each is stored once");
    let metrics = admin::get(link.sender.service.admin(), "/metrics").expect("the admin port answers").body;
    let metrics = admin::parse_metrics(&metrics).expect("samples");
    let sessions: f64 = metrics
        .iter()
        .filter(|sample| sample.name == "latentwire_sessions_total")
        .map(|sample| sample.value)
        .sum();
    assert!(sessions >= fewest_sessions, "{sessions} sessions");
}

#[test]
fn the_senders_bound_starts_a_second_session_and_drops_nothing() {
    check_takeover(&Link::open_with(&["--session-images", "3"], &[]), 4.0);
}

#[test]
fn the_receivers_bound_starts_a_second_session_and_drops_nothing() {
    check_takeover(&Link::open_with(&[], &["--session-images", "3"]), 4.0);
}

#[test]
fn an_old_session_is_followed_by_a_young_one() {
    let link = Link::open_with(&["--session-age", "1"], &["--session-age", "1"]);
    for picture in &pictures_of(&link)[..4] {
        // A second goes by between the first image and the last: each command is a process and takes its time.
        let object = link.send(&[picture], &["--mode", "exact"]).expect_success().object();
        outcome::check_delivered(&object);
        std::thread::sleep(std::time::Duration::from_millis(400));
    }
    assert_eq!(client::list_images(link.receiver.images).len(), 4);
}
