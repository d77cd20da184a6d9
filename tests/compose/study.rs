//! A study on its way from one container to the other, and what must be true of it in the end.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    thread,
};

use latentwire_codec::imaging;
use latentwire_tests::{binaries, outcome, pictures, run::Begun};
use serde_json::Value;

use crate::{docker::wait_for, project::Project};

/// How far a reported figure may be from one measured again on the files.
const TOLERANCE: f64 = 1e-6;
/// How often a study is sent again because it was over before anything could befall it.
const ATTEMPTS: u32 = 5;

/// Pictures that are sent together.
pub struct Study {
    name: String,
    files: Vec<PathBuf>,
}

impl Study {
    /// These samples.
    pub fn of(samples: &[&str], name: &str) -> Self {
        Self { name: name.to_owned(), files: samples.iter().map(|sample| binaries::sample(sample)).collect() }
    }

    /// Every sample.
    pub fn of_all_samples(name: &str) -> Self {
        Self { name: name.to_owned(), files: binaries::samples() }
    }

    /// Begins to send it through the sender's container.
    pub fn send(&self, project: &Project, extra: &[&str]) -> Begun {
        let sender = project.send_url();
        let files: Vec<_> = self.files.iter().map(|file| file.to_string_lossy().into_owned()).collect();
        let rest: Vec<_> = extra.iter().copied().chain(files.iter().map(String::as_str)).collect();
        project.begin(&["send", "--json", "--sender", &sender, "--study-group", &self.name], &rest)
    }

    /// How far it is; none where the sender does not answer.
    fn progress(&self, project: &Project) -> Option<Progress> {
        let sender = project.send_url();
        let list = ["list", "transfers", "--json", "--sender", &sender, "--study-group", &self.name];
        let listed = project.run(&list, &[]);
        if listed.exit != 0 {
            return None;
        }
        let transfers = listed.objects();
        let count = |status| transfers.iter().filter(|transfer| transfer["status"] == status).count();
        Some(Progress { delivered: count("delivered"), failed: count("rejected"), unreachable: false })
    }
}

/// Sends every sample as one study, lets `fault` befall it when some images have arrived and some have not, waits until
/// `seen` finds what the fault does, and `mend`s it. What became of each image: delivered, or a clear error.
pub fn interrupted(
    project: &Project,
    fault: impl Fn(),
    seen: impl Fn(&Progress) -> bool,
    mend: impl Fn(),
) -> Vec<Value> {
    for attempt in 0..ATTEMPTS {
        let study = Study::of_all_samples(&format!("study {attempt}"));
        let all = study.files.len();
        let begun = study.send(project, &[]);
        wait_for("the first image", || (study.progress(project)?.delivered > 0).then_some(()));
        fault();
        let in_the_middle = study.progress(project).is_none_or(|progress| progress.delivered < all);
        let run = thread::scope(|scope| {
            let run = scope.spawn(move || begun.end());
            wait_for("what the fault does, or the study's end", || {
                let progress =
                    study.progress(project).unwrap_or(Progress { unreachable: true, ..Progress::default() });
                (run.is_finished() || seen(&progress)).then_some(())
            });
            mend();
            run.join().expect("waiting for a run does not panic")
        });
        let objects = run.objects();
        assert_eq!(objects.len(), all, "an image without an outcome:\n{}\n{}", run.out, run.err);
        let reasons = reasons(&objects);
        assert_eq!(run.exit == 0, reasons.is_empty(), "exit code {}: {reasons:?}", run.exit);
        println!("{} of {all} images failed {reasons:?}", reasons.values().sum::<usize>());
        if in_the_middle {
            return objects;
        }
    }
    panic!("the study was over before the fault, {ATTEMPTS} times");
}

/// How far a study is, as the sender knows.
#[derive(Clone, Copy, Default)]
pub struct Progress {
    /// Images whose receipt is in.
    pub delivered: usize,
    /// Images that were given up.
    pub failed: usize,
    /// The sender does not answer.
    pub unreachable: bool,
}

/// The stable reasons of what failed, and how often each; fails where one is no reason that a program could act on.
pub fn reasons(objects: &[Value]) -> BTreeMap<String, usize> {
    let mut reasons = BTreeMap::new();
    for object in objects {
        if object["status"] == "delivered" {
            outcome::check_delivered(object);
            continue;
        }
        let reason = outcome::check_rejected(object);
        assert!(!["UNKNOWN", "INTERNAL", "CANCELLED"].contains(&reason.as_str()), "no clear error: {object}");
        *reasons.entry(reason).or_default() += 1;
    }
    reasons
}

/// Sends every image again under the id that it had, delivered or not; then each is there once, as it was sent.
pub fn delivered_in_the_end(project: &Project, objects: &[Value]) {
    let sender = project.send_url();
    let again: Vec<Value> = objects
        .iter()
        .map(|object| {
            let (id, path) = (text(&object["transfer_id"]), text(&object["path"]));
            let run = project.run(&["send", "--json", "--sender", &sender, "--transfer-id", &id, &path], &[]);
            let sent = run.expect_success().object();
            assert_eq!(sent["transfer_id"], object["transfer_id"]);
            sent
        })
        .collect();
    check_received(project, &again);
}

/// Each image is at the receiver once, and what comes back is what was sent: byte for byte where exact, and with the very
/// figures that the sender stated where not.
pub fn check_received(project: &Project, objects: &[Value]) {
    let receiver = project.image_url();
    let listed = project.run(&["list", "--json", "--receiver", &receiver], &[]).expect_success().objects();
    for object in objects {
        outcome::check_delivered(object);
        let id = text(&object["transfer_id"]);
        let known = listed.iter().filter(|image| image["transfer_id"] == *id).count();
        assert_eq!(known, 1, "{id} stands {known} times at the receiver");
        let target = project.workplace.path(&format!("received-{id}"));
        let output = target.to_string_lossy().into_owned();
        let get = ["get", "--json", "--receiver", &receiver, &id, "--output", &output];
        let _got = project.run(&get, &[]).expect_success();
        check_picture(object, Path::new(&text(&object["path"])), &target);
    }
}

fn check_picture(object: &Value, sent: &Path, received: &Path) {
    if object["mode"] == "exact" {
        let read = |file: &Path| fs::read(file).expect("a file can be read");
        assert!(read(sent) == read(received), "{} came back with other bytes", sent.display());
        return;
    }
    let (sent_pixels, received_pixels) = (pictures::read(sent).pixels, pictures::read(received).pixels);
    let measured = imaging::measure(&sent_pixels, &received_pixels)
        .unwrap_or_else(|error| panic!("{}: {error}", sent.display()));
    for (field, value) in [
        ("ssim", measured.ssim),
        ("min_local_ssim", measured.min_local_ssim),
        ("psnr_db", measured.psnr_db.unwrap_or(f64::INFINITY)),
    ] {
        let reported = object[field].as_f64().unwrap_or(f64::NAN);
        assert!((reported - value).abs() <= TOLERANCE, "{field}: {value} measured, {object}");
    }
    assert_eq!(object["max_abs_error"], measured.max_abs_error, "{object}");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
