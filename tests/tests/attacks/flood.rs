//! Floods: half-open handshakes, empty frames, prefixes and frames that lie about their length. The receiver's memory stays under
//! a stated cap, and honest images pass meanwhile: N18, N19.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use latentwire_proto::v1::transfer_service_client::TransferServiceClient;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    cases::{Cases, long},
    peer::{self, Peer},
    raw::{End, RawCall},
    stand::{Stand, eventually, honest, outgoing, peak_memory, reset_peak},
};

/// What a flood may add to the receiver's peak: 10,000 streams are 6.5 KiB each then.
const FLOOD_BYTES: u64 = 64 << 20;
/// Half-open handshakes of the whole flood, and streams of one of its connections.
const HALF_OPEN: usize = 10_000;
const STREAMS: usize = 250;

/// What an honest sender waits between two images.
const PAUSE: Duration = Duration::from_millis(100);

/// An honest sender that sends one image after another, each over a session of its own, until it is told to stop.
struct Honest {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Honest {
    fn begin(stand: &Stand) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&sent));
        let text = stand.sender.to_text().to_string();
        let (address, receiver) = (stand.receiver.transfer, stand.public);
        let task = tokio::spawn(async move {
            let identity = latentwire_sealing::SecretKey::from_text(&text).expect("a key");
            while !stopped.load(Ordering::Relaxed) {
                let limits = latentwire_wire::SessionLimits::default();
                let channel = peer::channel(address).await;
                let uplink = latentwire_wire::Uplink::connect(channel, &identity, &receiver, limits);
                let uplink = uplink.await.expect("an honest session is set up under attack");
                uplink.deliver(outgoing(&honest()), None).await.expect("an honest image passes under attack");
                uplink.close().await;
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { stop, sent, task }
    }

    /// Waits for so many more images, then ends.
    async fn end_after(self, more: usize) -> usize {
        let due = self.sent.load(Ordering::Relaxed) + more;
        let (sent, task) = (&self.sent, &self.task);
        eventually("honest images pass", async || sent.load(Ordering::Relaxed) >= due || task.is_finished())
            .await;
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("the honest sender is never refused");
        self.sent.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n18_ten_thousand_half_open_handshakes() {
    let mut cases = Cases::of("n18_ten_thousand_half_open_handshakes");
    let mut stand = Stand::start().await;
    stand.still_sound().await;
    let process = stand.receiver.service.id();
    let before = reset_peak(process);
    let sender = Honest::begin(&stand);
    // Connections at once, streams of each one after another.
    let mut connections = tokio::task::JoinSet::new();
    for _ in 0..HALF_OPEN / STREAMS {
        let address = stand.receiver.transfer;
        connections.spawn(async move {
            let client = TransferServiceClient::new(peer::channel(address).await);
            let mut silent = Vec::with_capacity(STREAMS);
            for _ in 0..STREAMS {
                silent.push(Peer::over(client.clone()).await);
            }
            silent
        });
    }
    let mut silent: Vec<Peer> = connections.join_all().await.into_iter().flatten().collect();
    assert_eq!(silent.len(), HALF_OPEN);
    // One flood is one case, however many streams it has.
    cases.one();
    let during = sender.end_after(3).await;
    let grown = peak_memory(process) - before;
    println!(
        "n18: {HALF_OPEN} half-open handshakes; the receiver's peak went from {} to {} KiB; {during} honest images meanwhile",
        before >> 10,
        (before + grown) >> 10
    );
    assert!(grown < FLOOD_BYTES, "the flood has cost {grown} bytes");
    // All but 64 at most had to give way, each with a typed reason; those have until the handshake's deadline.
    let mut refused = 0;
    for peer in &mut silent {
        match peer.reason().await.as_str() {
            "OVERLOADED" => refused += 1,
            "DEADLINE" => {}
            other => panic!("{other}"),
        }
    }
    assert!(refused >= HALF_OPEN - 64, "{refused} gave way");
    drop(silent);
    let images = stand.kept().await.images.len();
    assert_eq!(images, 1 + during, "honest images, and no other");
    stand.settle().await;
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n18_half_open_handshakes_take_nobodys_place() {
    let mut cases = Cases::of("n18_half_open_handshakes_take_nobodys_place");
    // Two sessions at once, and no more; strangers' streams are not among them.
    let mut stand = Stand::with(&["--max-concurrent", "2"]).await;
    let client = TransferServiceClient::new(peer::channel(stand.receiver.transfer).await);
    let mut silent = Vec::new();
    for _ in 0..70 {
        silent.push(Peer::over(client.clone()).await);
    }
    cases.one();
    let one = stand.uplink().await.expect("the first place is free");
    let two = stand.uplink().await.expect("the second place is free");
    let error = stand.uplink().await.err().expect("a third is too much");
    assert_eq!(error.reason().as_str(), "OVERLOADED");
    cases.one();
    one.deliver(outgoing(&honest()), None).await.expect("the sessions work");
    one.close().await;
    two.close().await;
    stand.settle().await;
    drop(silent);
    stand.still_sound().await;
}

const UNAUTHENTIC: &str = "PAYLOAD_AUTHENTICATION_FAILED";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n19_lengths_that_lie() {
    let mut cases = Cases::of("n19_lengths_that_lie");
    let mut stand = Stand::start().await;
    stand.still_sound().await;
    let process = stand.receiver.service.id();
    let before = reset_peak(process);
    let sender = Honest::begin(&stand);
    // A message that is announced and does not come; refused by its prefix alone.
    for length in [u32::MAX, 1 << 31, 1 << 30, 1 << 24, (128 << 10) + 1] {
        for behind in [0, 1, 20_000] {
            let mut call = RawCall::begin(stand.receiver.transfer, &[]).await;
            call.send(RawCall::prefixed(0, length, &vec![0; behind])).await;
            assert_eq!(call.end().await, End::Status(11, "TRANSFER_TOO_LARGE".to_owned()), "{length}");
            cases.one();
        }
    }
    // HTTP/2 frames above what was agreed on, and the first bytes of other protocols.
    for head in [
        frame_head((1 << 24) - 1, 0, 0, 1),
        frame_head(1 << 20, 4, 0, 0),
        frame_head((1 << 24) - 1, 1, 4, 1),
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let mut stream = TcpStream::connect(stand.receiver.transfer).await.expect("it listens");
        let preface: &[u8] = if head[0] == b'G' || head[0] == 0x16 { &[] } else { PREFACE };
        stream.write_all(&[preface, &head, &[0; 64]].concat()).await.expect("room");
        assert!(closes(&mut stream).await, "{head:?}");
        cases.one();
    }
    let during = sender.end_after(3).await;
    let grown = peak_memory(process) - before;
    println!("n19: lengths that lie added {} KiB; {during} honest images meanwhile", grown >> 10);
    assert!(grown < FLOOD_BYTES, "{grown} bytes");
    stand.settle().await;
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n19_floods_of_frames() {
    let mut cases = Cases::of("n19_floods_of_frames");
    let mut stand = Stand::start().await;
    stand.still_sound().await;
    let process = stand.receiver.service.id();
    let before = reset_peak(process);
    let sender = Honest::begin(&stand);
    let frames = if long() { 2_000_000 } else { 200_000 };
    for (name, one) in [
        ("empty DATA", frame_head(0, 0, 0, 1)),
        ("PING", [frame_head(8, 6, 0, 0), vec![0; 8]].concat()),
        ("SETTINGS", frame_head(0, 4, 0, 0)),
        ("WINDOW_UPDATE", [frame_head(4, 8, 0, 1), vec![0, 0, 0, 1]].concat()),
        ("empty gRPC messages", [frame_head(5, 0, 0, 1), vec![0; 5]].concat()),
        ("CONTINUATION", frame_head(0, 9, 0, 3)),
        ("PRIORITY", [frame_head(5, 2, 0, 5), vec![0, 0, 0, 0, 1]].concat()),
        ("of no known kind", frame_head(0, 99, 0, 0)),
    ] {
        let begun = std::time::Instant::now();
        let fate = flood(stand.receiver.transfer, name, &one, frames).await;
        let ms = begun.elapsed().as_millis();
        println!(
            "n19: {frames} {name} frames: {fate} after {ms} ms; peak {} KiB",
            peak_memory(process) >> 10
        );
        cases.one();
    }
    // Streams that are begun and reset at once (CVE-2023-44487).
    let fate = rapid_reset(stand.receiver.transfer, frames / 100).await;
    println!(
        "n19: {} streams begun and reset: {fate}; peak {} KiB",
        frames / 100,
        peak_memory(process) >> 10
    );
    cases.one();
    let during = sender.end_after(3).await;
    let grown = peak_memory(process) - before;
    println!(
        "n19: floods of frames added {} KiB to {} KiB; {during} honest images meanwhile",
        grown >> 10,
        before >> 10
    );
    assert!(grown < FLOOD_BYTES, "{grown} bytes");
    stand.settle().await;
    stand.still_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n19_empty_messages_before_and_after_the_handshake() {
    let mut cases = Cases::of("n19_empty_messages_before_and_after_the_handshake");
    let mut stand = Stand::start().await;
    for prefix in [RawCall::message(&[]), RawCall::message(&[0xff; 40]), RawCall::message(&[0x0a, 0])] {
        let mut call = RawCall::begin(stand.receiver.transfer, &[]).await;
        call.send(prefix).await;
        let End::Status(code, reason) = call.end().await else { panic!("reset") };
        assert!(
            [(15, UNAUTHENTIC), (16, "HANDSHAKE_FAILED"), (9, "VERSION_UNSUPPORTED")]
                .contains(&(code, reason.as_str())),
            "{code} {reason}"
        );
        cases.one();
    }
    stand.still_sound().await;
}

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

pub fn frame_head(length: u32, kind: u8, flags: u8, stream: u32) -> Vec<u8> {
    [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes()].concat()
}

/// HEADERS that begin a Session on a stream, nothing compressed (RFC 7541, section 6.2.2).
pub fn headers(stream: u32) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/latentwire.v1.TransferService/Session"),
        (":authority", "receiver"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("a short text"));
            block.extend(text.bytes());
        }
    }
    [frame_head(u32::try_from(block.len()).expect("short"), 1, 4, stream), block].concat()
}

/// Sends so many frames on a connection with one stream; says whether the receiver broke it off.
async fn flood(address: SocketAddr, name: &str, one: &[u8], count: usize) -> &'static str {
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (mut answers, mut requests) = stream.into_split();
    // What it answers is read, so that nothing waits for us.
    let reader = tokio::spawn(async move { tokio::io::copy(&mut answers, &mut tokio::io::sink()).await });
    let begin = if name == "CONTINUATION" { frame_head(0, 1, 0, 3) } else { headers(1) };
    requests.write_all(&[PREFACE, &begin].concat()).await.expect("room");
    let batch = one.repeat(1_000);
    let mut fate = "all were taken";
    for _ in 0..count / 1_000 {
        match timeout(Duration::from_secs(20), requests.write_all(&batch)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => {
                fate = "the receiver hung up";
                break;
            }
            Err(_) => {
                fate = "the receiver read no more";
                break;
            }
        }
    }
    drop(requests);
    reader.abort();
    fate
}

async fn rapid_reset(address: SocketAddr, count: usize) -> &'static str {
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (mut answers, mut requests) = stream.into_split();
    let reader = tokio::spawn(async move { tokio::io::copy(&mut answers, &mut tokio::io::sink()).await });
    requests.write_all(PREFACE).await.expect("room");
    let mut fate = "all were taken";
    for index in 0..count {
        let stream = 2 * u32::try_from(index).expect("few") + 1;
        let reset = [frame_head(4, 3, 0, stream), vec![0, 0, 0, 8]].concat();
        if requests.write_all(&[headers(stream), reset].concat()).await.is_err() {
            fate = "the receiver hung up";
            break;
        }
    }
    drop(requests);
    reader.abort();
    fate
}

/// Whether the receiver ends the connection.
async fn closes(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 4_096];
    let reading = async { while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {} };
    timeout(Duration::from_secs(15), reading).await.is_ok()
}
