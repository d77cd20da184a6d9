//! `latentwire send --watch`: what comes into a folder is sent when it is whole, once, across restarts of everything.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::mpsc::{Receiver as Lines, channel},
    thread,
    time::Duration,
};

use latentwire_tests::{Link, Receiver, client, outcome, pictures, process::command};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(120);

/// A watch, its lines as they come.
struct Watch {
    child: Child,
    out: Lines<String>,
    err: Lines<String>,
}

impl Watch {
    fn begin(link: &Link, inbox: &Path) -> Self {
        let sender = format!("http://{}", link.sender.address);
        let mut child = command("latentwire")
            .args(["send", "--watch", "--settle", "1", "--json", "--mode", "exact", "--sender", &sender])
            .arg("--resume")
            .arg(link.workplace.path("inbox.jsonl"))
            .arg(inbox)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("latentwire can be started");
        let (out, err) = (lines(child.stdout.take()), lines(child.stderr.take()));
        Self { child, out, err }
    }

    /// The next image that was delivered.
    #[track_caller]
    fn delivered(&self) -> Value {
        let line = self.out.recv_timeout(LIMIT).expect("an image is delivered in time");
        let object = serde_json::from_str(&line).expect("a JSON object");
        outcome::check_delivered(&object);
        object
    }

    /// Waits until this is said.
    #[track_caller]
    fn says(&self, part: &str) {
        while !self.err.recv_timeout(LIMIT).unwrap_or_else(|error| panic!("{part:?}: {error}")).contains(part)
        {
        }
    }

    /// Sends a signal; gives the exit code.
    fn end(mut self, signal: Signal) -> Option<i32> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has an id");
        kill_process(id, signal).expect("an own child can be signalled");
        let status = self.child.wait().expect("a child can be waited for");
        assert_eq!(self.out.iter().count(), 0, "nothing else was sent");
        status.code()
    }
}

fn lines(pipe: Option<impl Read + Send + 'static>) -> Lines<String> {
    let (lines, received) = channel();
    let pipe = BufReader::new(pipe.expect("the pipe was asked for"));
    thread::spawn(move || {
        // Nobody listens any more at the end of a test.
        let _ = pipe.lines().map_while(Result::ok).try_for_each(|line| lines.send(line));
    });
    received
}

fn name(object: &Value) -> String {
    let path = PathBuf::from(object["path"].as_str().expect("a path"));
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn a_file_that_comes_in_two_halves_is_sent_when_it_is_whole_and_nothing_is_sent_twice() {
    let mut link = Link::open();
    let inbox = link.workplace.new_folder("in box");
    let picture = pictures::noise_png(120, 90);
    let (first, second) = picture.split_at(picture.len() / 2);
    let half = inbox.join("half.png");
    fs::write(&half, first).expect("written");
    fs::write(inbox.join("notes.txt"), "no picture").expect("written");

    let watch = Watch::begin(&link, &inbox);
    watch.says("half.png is no whole picture yet");
    fs::write(inbox.join("whole.png"), pictures::noise_png(40, 30)).expect("written");
    assert_eq!(name(&watch.delivered()), "whole.png");
    assert_eq!(client::list_images(link.receiver.images).len(), 1);

    let mut file = OpenOptions::new().append(true).open(&half).expect("the half");
    file.write_all(second).expect("written");
    drop(file);
    let sent = watch.delivered();
    assert_eq!(name(&sent), "half.png");
    let target = link.workplace.path("back.png");
    let _got = link.get(sent["transfer_id"].as_str().expect("an id"), &target).expect_success();
    assert!(fs::read(&target).expect("received") == picture, "it came back with other bytes");
    assert_eq!(client::list_images(link.receiver.images).len(), 2);
    assert_eq!(watch.end(Signal::TERM), Some(143));

    // Everything is restarted; the receiver later than the watch.
    let (transfer, images) = (link.receiver.transfer, link.receiver.images);
    assert!(link.receiver.service.terminate().status.success());
    let watch = Watch::begin(&link, &inbox);
    fs::write(inbox.join("late.png"), pictures::noise_png(50, 60)).expect("written");
    watch.says("trying again");
    link.receiver = Receiver::start_at(&link.workplace, transfer, images);
    assert_eq!(name(&watch.delivered()), "late.png");
    assert_eq!(watch.end(Signal::INT), Some(130));
    assert_eq!(client::list_images(images).len(), 3);
}
