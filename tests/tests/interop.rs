//! The second implementation of docs/PROTOCOL.md, `tests/interop` in Python, against the real services: it sends to the receiver and
//! receives from the sender, and each is refused by the other for the reason that the document names.
//!
//! The tests need tests/interop/.venv; scripts/test.sh makes it and runs them.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use latentwire_tests::{Receiver, Sender, Workplace, binaries, client, pictures};
use serde_json::Value;

/// What the Python sender does wrong, and the status and reason of docs/PROTOCOL.md, section 12, that end the session.
const SENDER_FAULTS: [(&str, &str, &str); 25] = [
    ("version", "FAILED_PRECONDITION", "VERSION_UNSUPPORTED"),
    ("suite", "FAILED_PRECONDITION", "VERSION_UNSUPPORTED"),
    ("receiver-key", "UNAUTHENTICATED", "HANDSHAKE_FAILED"),
    ("message-1-bit", "UNAUTHENTICATED", "HANDSHAKE_FAILED"),
    ("message-1-short", "UNAUTHENTICATED", "HANDSHAKE_FAILED"),
    ("encapsulation-key", "UNAUTHENTICATED", "HANDSHAKE_FAILED"),
    ("sender-key", "PERMISSION_DENIED", "PEER_NOT_ALLOWED"),
    ("shared-secret", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("commit", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("open-version", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("open-kind", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("open-bit", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("open-twice", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("meta-bit", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("source-digest", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("coded-digest", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("segment-bit", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("segment-swap", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("segment-twice", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("segment-short", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("segment-last", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("segment-early-end", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("padding", "DATA_LOSS", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("truncate", "DATA_LOSS", "STREAM_TRUNCATED"),
    ("compression", "UNIMPLEMENTED", "COMPRESSION_REFUSED"),
];

/// The same where the transfer alone ends, by its answer or its receipt, and the session goes on.
const TRANSFER_FAULTS: [(&str, &str); 2] =
    [("inner-layer", "INNER_LAYER_UNSUPPORTED"), ("cancel", "CANCELLED")];

/// What the Python receiver does wrong, and the reason with which the sender gives the image up.
const RECEIVER_FAULTS: [(&str, &str); 10] = [
    ("static-key", "HANDSHAKE_FAILED"),
    ("message-2-bit", "HANDSHAKE_FAILED"),
    ("message-2-short", "HANDSHAKE_FAILED"),
    ("ciphertext", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("ack-bit", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("ack-kind", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("receipt-tag", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("receipt-transfer", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("stored-tag", "PAYLOAD_AUTHENTICATION_FAILED"),
    ("resume-tag", "PAYLOAD_AUTHENTICATION_FAILED"),
];

#[test]
#[ignore = "needs tests/interop/.venv; scripts/test.sh makes it and runs this"]
fn what_python_sends_is_stored_and_given_back() {
    let workplace = Workplace::new();
    let receiver = Receiver::start(&workplace, &[]);
    // Below 256 KiB in all Meta and segments follow the Open at once; the slots interleave.
    let small: Vec<PathBuf> = [(64, 48), (97, 31), (48, 64), (16, 16)]
        .iter()
        .map(|&(width, height)| workplace.write(&format!("{width}.png"), &pictures::noise_png(width, height)))
        .collect();
    let mut sent = send(&workplace, &receiver, &small, &["--segment-bytes", "1024"]);
    // Longer ones wait for the answer; 270 segments and more go round the 256 row keys.
    let large =
        vec![workplace.write("large.png", &pictures::noise_png(640, 480)), binaries::samples().remove(0)];
    sent.extend(send(&workplace, &receiver, &large, &["--segment-bytes", "1024", "--padding", "3"]));
    sent.extend(send(&workplace, &receiver, &large[..1], &["--padding", "2"]));
    let files = small.iter().chain(&large).chain(&large[..1]);
    for (transfer, file) in sent.iter().zip(files) {
        assert_eq!(transfer["receipt"], "STORED", "{transfer}");
        assert_eq!(transfer["reconstruction"], "EXACT", "{transfer}");
        assert_eq!((&transfer["tag_is_right"], &transfer["transfer_is_right"]), (&true.into(), &true.into()));
        let output = workplace.path("received");
        let _shown = receiver.get(text(transfer, "transfer_id"), &output).expect_success();
        assert_eq!(fs::read(output).expect("it was fetched"), fs::read(file).expect("it was sent"));
    }
    assert_eq!(client::list_images(receiver.images).len(), sent.len());

    // The same once more is done already; another file under the id is a conflict.
    let id = ["--transfer-id", text(&sent[0], "transfer_id")];
    let again = send(&workplace, &receiver, &small[..1], &id);
    assert_eq!(
        (&again[0]["verdict"], &again[0]["tag_is_right"]),
        (&"DONE".into(), &true.into()),
        "{again:?}"
    );
    assert_eq!(again[0]["image_id"], sent[0]["image_id"]);
    let other = send(&workplace, &receiver, &small[1..2], &id);
    assert_eq!(other[0]["verdict"], "CONFLICT", "{other:?}");
    assert_eq!(client::list_images(receiver.images).len(), sent.len());
}

#[test]
#[ignore = "needs tests/interop/.venv; scripts/test.sh makes it and runs this"]
fn what_python_does_wrong_is_refused_with_its_reason() {
    let workplace = Workplace::new();
    let receiver = Receiver::start(&workplace, &[]);
    let picture = [workplace.write("picture.png", &pictures::noise_png(100, 100))];
    let with = |fault| run(&workplace, &receiver, &picture, &["--segment-bytes", "1024", "--fault", fault]);
    for (fault, status, reason) in SENDER_FAULTS {
        let (state, transfers) = with(fault);
        assert_eq!(
            (text(&state, "status"), text(&state, "reason")),
            (status, reason),
            "{fault}: {transfers:?}"
        );
        assert!(transfers.iter().all(|transfer| transfer["receipt"].is_null()), "{fault}: {transfers:?}");
    }
    for (fault, reason) in TRANSFER_FAULTS {
        let (state, transfers) = with(fault);
        assert_eq!((text(&state, "status"), text(&transfers[0], "reason")), ("OK", reason), "{fault}");
        assert_ne!(transfers[0]["receipt"], "STORED", "{fault}: {transfers:?}");
    }
    assert!(client::list_images(receiver.images).is_empty());
    // None of it keeps an honest transfer out.
    assert_eq!(send(&workplace, &receiver, &picture, &[])[0]["receipt"], "STORED");
}

#[test]
#[ignore = "needs tests/interop/.venv; scripts/test.sh makes it and runs this"]
fn what_the_sender_sends_is_received_by_python() {
    let workplace = Workplace::new();
    let peer = Peer::listen(&workplace, &["need-exact"]);
    let [flag, destination] = peer.destination(&workplace, "need-exact");
    let sender = Sender::start(&workplace, peer.address("honest"), &[&flag, &destination]);
    let samples = binaries::samples();
    let exact = sender.send(&samples, &["--mode", "exact", "--destination", "clinic-b"]).expect_success();
    for (object, file) in exact.objects().iter().zip(&samples) {
        let received = peer.output.join(text(object, "transfer_id"));
        assert_eq!(fs::read(received).expect("received"), fs::read(file).expect("sent"), "{object}");
    }
    // A latent authenticates, and its tiles decode to their very last word with the tables of docs/BITSTREAM.md.
    let latents = [binaries::sample("dicom/phantom_ct_head_16bit.dcm")];
    let marked = ["--below-floor", "send-marked", "--destination", "clinic-b"];
    let latent = sender.send(&latents, &marked).expect_success().objects();
    // Where the receiver cannot use a latent, the exact form of the same transfer follows.
    let asked = ["--below-floor", "send-marked", "--destination", "need-exact"];
    let mended = sender.send(&latents, &asked).expect_success().object();
    let received = peer.end();
    for object in &latent {
        let same = |found: &&Value| found["transfer_id"] == object["transfer_id"];
        let found = received.iter().find(same).expect("it arrived");
        assert_eq!(found["form"], 1, "{found}");
        assert!(found["largest"].as_u64() > Some(0), "{found}");
    }
    let forms: Vec<_> = received
        .iter()
        .filter(|found| found["transfer_id"] == mended["transfer_id"])
        .map(|found| found["form"].as_u64())
        .collect();
    assert_eq!(forms, [Some(1), Some(2)], "{received:?}");
    assert_eq!(mended["mode"], "exact", "{mended}");
}

#[test]
#[ignore = "needs tests/interop/.venv; scripts/test.sh makes it and runs this"]
fn a_receiver_that_misbehaves_is_given_up_with_the_reason() {
    let workplace = Workplace::new();
    let faults: Vec<&str> = RECEIVER_FAULTS.iter().map(|(fault, _)| *fault).collect();
    let peer = Peer::listen(&workplace, &faults);
    let destinations: Vec<String> =
        faults.iter().flat_map(|fault| peer.destination(&workplace, fault)).collect();
    let destinations: Vec<&str> = destinations.iter().map(String::as_str).collect();
    let sender = Sender::start(&workplace, peer.address("honest"), &destinations);
    let picture = [workplace.write("picture.png", &pictures::noise_png(64, 48))];
    for (fault, reason) in RECEIVER_FAULTS {
        let run = sender.send(&picture, &["--mode", "exact", "--destination", fault]);
        let object = run.object();
        assert_eq!(object["error"]["reason"], reason, "{fault}: {object}");
    }
    let run = sender.send(&picture, &["--mode", "exact", "--destination", "clinic-b"]).expect_success();
    assert_eq!(run.object()["mode"], "exact");
}

/// The environment of the peer.
fn python(module: &str) -> Command {
    let folder = binaries::repository().join("tests/interop");
    let python = folder.join(".venv/bin/python");
    assert!(python.exists(), "{} is missing: run make tests/interop/.venv/ready", python.display());
    let mut command = Command::new(python);
    command.args(["-m", module]).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// `python -m peer.send` to this receiver: how the session ended, and an object a file.
fn run(workplace: &Workplace, receiver: &Receiver, files: &[PathBuf], extra: &[&str]) -> (Value, Vec<Value>) {
    let output = python("peer.send")
        .args(["--receiver", &receiver.transfer.to_string()])
        .arg("--key")
        .arg(workplace.path("sender.key"))
        .arg("--receiver-key")
        .arg(workplace.path("receiver.key.pub"))
        .args(extra)
        .args(files)
        .stderr(Stdio::piped())
        .output()
        .expect("python can be started");
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{extra:?}\n{notes}\n{}", receiver.service.log());
    let mut state: Value = serde_json::from_slice(&output.stdout).expect("an object");
    let transfers = state["transfers"].take().as_array().expect("an object a file").clone();
    (state, transfers)
}

/// The same where all must go well.
fn send(workplace: &Workplace, receiver: &Receiver, files: &[PathBuf], extra: &[&str]) -> Vec<Value> {
    let (state, transfers) = run(workplace, receiver, files, extra);
    assert_eq!(state["status"], "OK", "{state} {transfers:?}\n{}", receiver.service.log());
    transfers
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_else(|| panic!("{field} of {object}"))
}

/// `python -m peer.receive`, listening.
struct Peer {
    child: Child,
    input: ChildStdin,
    lines: BufReader<ChildStdout>,
    addresses: BTreeMap<String, String>,
    output: PathBuf,
}

impl Peer {
    /// Starts it with a port for honest work and one for each of these faults.
    fn listen(workplace: &Workplace, faults: &[&str]) -> Self {
        let output = workplace.new_folder("received");
        let mut command = python("peer.receive");
        command.arg("--key").arg(workplace.path("receiver.key"));
        command.arg("--peer").arg(workplace.path("sender.key.pub"));
        command.arg("--models").arg(binaries::repository().join("models"));
        command.arg("--output").arg(&output);
        command.args(faults.iter().flat_map(|fault| ["--fault", fault]));
        let mut child = command.spawn().expect("python can be started");
        let input = child.stdin.take().expect("piped");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut first = String::new();
        lines.read_line(&mut first).expect("a pipe can be read");
        let addresses = serde_json::from_str(&first).unwrap_or_else(|error| panic!("{error}: {first:?}"));
        Self { child, input, lines, addresses, output }
    }

    fn address(&self, fault: &str) -> SocketAddr {
        self.addresses[fault].parse().expect("an address")
    }

    /// The flag that makes a sender know the port of a fault by its name.
    fn destination(&self, workplace: &Workplace, fault: &str) -> [String; 2] {
        let key = workplace.path("receiver.key.pub");
        ["--destination".into(), format!("{fault}=http://{},{}", self.addresses[fault], key.display())]
    }

    /// Ends it; the objects that it printed.
    fn end(mut self) -> Vec<Value> {
        drop(self.input);
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("a pipe can be read");
        assert!(self.child.wait().expect("a child can be waited for").success());
        rest.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
    }
}
