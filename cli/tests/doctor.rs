//! `latentwire doctor`: every planted fault is found, named, and ends the run with 1.

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::Path,
    pin::Pin,
    thread,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use support::{Folder, fields, models, nobody, onnxruntime, run};
use tokio::runtime::Runtime;
use tokio_stream::{Stream, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

/// What doctor is asked to look at; sound unless a test says otherwise.
struct Check {
    folder: Folder,
    flags: Vec<String>,
}

impl Check {
    /// Library, models, key, trust store, data folder and a port, all as they should be.
    fn new() -> Self {
        let folder = Folder::new();
        let key = folder.key("receiver", "receiver.key");
        let peer = folder.key("sender", "sender.key") + ".pub";
        let trust = folder.text("trust.toml");
        run(&["trust", "add", &trust, "--name", "clinic-a", "--key", &peer], 0);
        fs::create_dir(folder.path("data")).expect("folder");
        let data = folder.text("data");
        let mut check = Self { folder, flags: Vec::new() };
        let models = models().to_str().expect("a path of ASCII letters").to_owned();
        for (flag, value) in [
            ("--models", models),
            ("--onnxruntime", onnxruntime()),
            ("--key", key),
            ("--trust", trust),
            ("--data", data),
            ("--port", nobody().to_string()),
            ("--timeout", "5".to_owned()),
            ("--role", "receiver".to_owned()),
            ("--min-free-bytes", "1".to_owned()),
        ] {
            check = check.with(flag, value);
        }
        check
    }

    /// The same with this flag in place of what it was.
    fn with(mut self, flag: &str, value: impl ToString) -> Self {
        if let Some(place) = self.flags.iter().position(|found| found == flag) {
            self.flags.drain(place..place + 2);
        }
        self.flags.extend([flag.to_owned(), value.to_string()]);
        self
    }

    fn run(&self, extra: &[&str], exit: i32) -> support::Ran {
        let flags = self.flags.iter().map(String::as_str);
        run(&["doctor"].into_iter().chain(flags).chain(extra.iter().copied()).collect::<Vec<_>>(), exit)
    }

    /// Exactly these checks fail; gives what the first says and advises.
    #[track_caller]
    fn fails(&self, checks: &[&str], message: &str, advice: &str) {
        let found = self.found(1);
        let failed: Vec<_> = found.iter().filter(|finding| finding["status"] == "fail").collect();
        let names: Vec<_> = failed.iter().map(|finding| finding["check"].as_str().unwrap_or("")).collect();
        assert_eq!(names, checks, "{found:#?}");
        told(failed[0], message, advice);
        let shown = self.run(&["--quiet"], 1).out;
        assert!(shown.contains(&format!("FAIL  {}", checks[0])) && !shown.contains("OK "), "{shown}");
    }

    /// Nothing fails, and one check warns.
    #[track_caller]
    fn warns(&self, check: &str, message: &str, advice: &str) {
        let found = self.found(0);
        let warned: Vec<_> = found.iter().filter(|finding| finding["status"] == "warn").collect();
        assert!(warned.len() == 1 && warned[0]["check"] == check, "{found:#?}");
        told(warned[0], message, advice);
    }

    #[track_caller]
    fn found(&self, exit: i32) -> Vec<Value> {
        let found = self.run(&["--json"], exit).objects();
        for finding in &found {
            assert_eq!(fields(finding), ["advice", "check", "message", "status"]);
            assert_eq!(finding["status"] == "ok", finding["advice"].is_null(), "{finding}");
        }
        found
    }
}

#[track_caller]
fn told(finding: &Value, message: &str, advice: &str) {
    let has = |field: &str, part: &str| finding[field].as_str().unwrap_or_default().contains(part);
    assert!(has("message", message) && has("advice", advice), "{finding:#}");
}

/// Changes a byte in the middle of a file.
fn damage(file: &Path) {
    let mut bytes = fs::read(file).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).expect("written");
}

fn copy_models(folder: &Folder) -> String {
    for model in fs::read_dir(models()).expect("the models") {
        let model = model.expect("an entry");
        if !model.path().join("manifest.toml").exists() {
            continue; // research/, a folder of models of its own
        }
        let target = folder.path("models").join(model.file_name());
        fs::create_dir_all(&target).expect("folder");
        for file in fs::read_dir(model.path()).expect("the model") {
            let file = file.expect("an entry");
            fs::copy(file.path(), target.join(file.file_name())).expect("copied");
        }
    }
    folder.text("models")
}

#[test]
fn where_all_is_well_every_line_is_ok_and_quiet_says_nothing() {
    let check = Check::new();
    let found = check.found(0);
    let names: Vec<_> = found.iter().map(|finding| finding["check"].as_str().unwrap_or("")).collect();
    assert_eq!(names, ["library", "models", "key", "trust", "data", "audit", "port", "clock"]);
    assert!(found.iter().all(|finding| finding["status"] == "ok"), "{found:#?}");
    let quiet = check.run(&["--quiet"], 0);
    assert!(quiet.out.is_empty() && quiet.err.is_empty(), "{quiet:?}");
    let shown = check.run(&[], 0).out;
    assert!(shown.ends_with("\n8 checks: 0 faults, 0 warnings\n"), "{shown}");
}

#[test]
fn a_missing_library_is_one_fault_and_not_one_a_model() {
    let check = Check::new().with("--onnxruntime", "no-such-library.so");
    check.fails(&["library"], "no-such-library.so", "scripts/fetch-onnxruntime.sh");
    let found = check.found(1);
    told(&found[1], "4 in ", "mend the library");
}

#[test]
fn a_model_with_another_digest_a_folder_without_models_and_no_folder() {
    let check = Check::new();
    let copied = copy_models(&check.folder);
    damage(&check.folder.path("models/haar-chest/decoder.onnx"));
    let check = check.with("--models", &copied);
    check.fails(&["models"], "haar-chest", "restore the folder");
    told(&check.found(1)[1], "blur-other, haar-fundus, mono-brain load", "");
}

#[test]
fn no_model_at_all() {
    let check = Check::new();
    fs::create_dir(check.folder.path("empty")).expect("folder");
    let empty = check.folder.text("empty");
    check.with("--models", empty).fails(&["models"], "there is no model in", "--models DIR");
    let check = Check::new();
    let none = check.folder.text("none");
    check.with("--models", none).fails(&["models"], "none", "--models DIR");
}

#[test]
fn a_key_that_others_can_read() {
    let check = Check::new();
    fs::set_permissions(check.folder.path("receiver.key"), fs::Permissions::from_mode(0o644)).expect("mode");
    check.fails(&["key"], "open to others (mode 0644)", "chmod 600");
}

#[test]
fn a_key_that_is_missing_or_of_the_other_role_or_none() {
    let check = Check::new();
    let missing = check.folder.text("none.key");
    check.with("--key", missing).fails(&["key"], "none.key", "latentwire keys generate");
    Check::new().with("--role", "sender").fails(&["key"], "holds a receiver key", "the sender's key");
    let check = Check::new();
    let broken = check.folder.write("broken.key", "LATENTWIRE-SECRET-KEY-1NOTHING\n");
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o600)).expect("mode");
    check.with("--key", broken).fails(&["key"], "broken.key", "restore the file");
}

#[test]
fn a_rotation_under_way_and_a_public_half_of_another_key() {
    let check = Check::new();
    run(&["keys", "rotate", &check.folder.text("receiver.key")], 0);
    check.warns("key", "a rotation is under way", "--finish");
    let check = Check::new();
    fs::copy(check.folder.path("sender.key.pub"), check.folder.path("receiver.key.pub")).expect("copied");
    check.warns("key", "is not the public half", "latentwire keys show --quiet");
}

#[test]
fn a_trust_store_that_is_broken_missing_open_or_empty() {
    let check = Check::new();
    check.folder.write("trust.toml", "this is no trust store [");
    check.fails(&["trust"], "trust.toml", "mend the line");
    let check = Check::new();
    let missing = check.folder.text("none.toml");
    check.with("--trust", missing).fails(&["trust"], "none.toml", "latentwire trust add");
    let check = Check::new();
    fs::set_permissions(check.folder.path("trust.toml"), fs::Permissions::from_mode(0o666)).expect("mode");
    check.fails(&["trust"], "trust.toml", "chmod go-w");
    let check = Check::new();
    run(&["trust", "remove", &check.folder.text("trust.toml"), "--name", "clinic-a"], 0);
    check.fails(&["trust"], "pins no peer", "latentwire trust add");
}

#[test]
fn a_peer_that_is_revoked_or_ends_soon() {
    let check = Check::new();
    let trust = check.folder.text("trust.toml");
    run(&["trust", "revoke", &trust, "--name", "clinic-a", "--at", "2020-01-01T00:00:00Z"], 0);
    check.warns("trust", "clinic-a: every key is revoked", "latentwire trust add");
    let check = Check::new();
    let (trust, key) = (check.folder.text("trust.toml"), check.folder.key("sender", "b.key") + ".pub");
    run(
        &["trust", "add", &trust, "--name", "clinic-b", "--key", &key, "--not-after", "2020-01-01T00:00:00Z"],
        0,
    );
    check.warns("trust", "clinic-b: every key is expired", "get its next key");
}

#[test]
fn a_data_folder_that_is_none_is_full_or_keeps_its_key_badly() {
    let check = Check::new();
    let file = check.folder.write("file", "text");
    check.with("--data", file).fails(&["data"], "is no folder", "chown");
    Check::new().with("--min-free-bytes", u64::MAX).fails(&["data"], "free", "STORAGE_FULL");
    let check = Check::new();
    let key = check.folder.write("data/storage.key", "secret\n");
    fs::set_permissions(key, fs::Permissions::from_mode(0o644)).expect("mode");
    check.fails(&["data"], "storage.key", "chmod 600");
    let check = Check::new();
    let key = check.folder.text("data/storage.key");
    run(&["storage", "generate", "--output", &key], 0);
    check.warns("data", "lies beside what it seals", "move the key out");
    let check = Check::new();
    check.folder.write("data/catalogue.sqlite", "");
    check.fails(&["data"], "storage key", "put the key back");
    let check = Check::new();
    let later = check.folder.text("later/data");
    check.with("--data", later).warns("data", "is not there yet", "receiver-svc makes it");
}

#[test]
fn a_port_that_another_program_holds() {
    let other = TcpListener::bind("127.0.0.1:0").expect("127.0.0.1 has free ports");
    let address = other.local_addr().expect("bound");
    let check = Check::new().with("--port", address).with("--timeout", 1);
    check.fails(&["port"], "held by another program", &format!("ss -ltnp 'sport = :{}'", address.port()));
    // An address of documentation: no machine has it.
    Check::new().with("--port", "192.0.2.1:50061").fails(
        &["port"],
        "cannot be listened on",
        "an address of this machine",
    );
}

#[test]
fn nobody_listens_at_the_peer() {
    let address = nobody();
    let check = Check::new().with("--sender", format!("http://{address}"));
    check.fails(&["sender"], &format!("{address} cannot be reached"), "firewall");
    let check = Check::new();
    let key = check.folder.text("receiver.key.pub");
    let check = check.with("--destination", format!("clinic-b=http://{address},{key}"));
    check.fails(&["destination"], "clinic-b at", "start it there");
}

#[test]
fn the_peer_is_silent_or_speaks_something_else() {
    // Bound and never accepted from: the connection is made, and nobody speaks.
    let silent = TcpListener::bind("127.0.0.1:0").expect("127.0.0.1 has free ports");
    let address = silent.local_addr().expect("bound");
    let check = Check::new().with("--receiver", format!("http://{address}")).with("--timeout", 1);
    check.fails(&["receiver"], "does not answer", "longer --timeout");

    let other = TcpListener::bind("127.0.0.1:0").expect("127.0.0.1 has free ports");
    let address = other.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in other.incoming() {
            let mut stream = stream.expect("a connection");
            let mut some = [0; 24];
            // Whoever asks may have gone.
            let _ =
                stream.read(&mut some).and_then(|_| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        }
    });
    let check = Check::new().with("--receiver", format!("http://{address}"));
    check.fails(&["receiver"], "is no Latentwire service", "50062 ImageService");
}

#[test]
fn a_destination_that_is_written_wrong() {
    let check = Check::new().with("--destination", "clinic-b");
    check.fails(&["destination"], "clinic-b", "NAME=URL,PUBLICKEY");
    let check = Check::new();
    let key = check.folder.text("sender.key.pub");
    let check = check.with("--destination", format!("clinic-b=http://{},{key}", nobody()));
    check.fails(&["destination"], "clinic-b", "NAME=URL,PUBLICKEY");
}

#[test]
fn a_peer_that_does_not_serve_or_is_another_service() {
    let starting = Peer::start(Some(ServingStatus::NotServing), Duration::ZERO);
    let check = Check::new().with("--sender", starting.url());
    check.fails(&["sender"], "answers and does not serve", "see its log");
    check.with("--sender", nobody_serves()).fails(&["sender"], "without latentwire.v1.SendService", "50051");
}

fn nobody_serves() -> String {
    let other = Peer::start(None, Duration::ZERO);
    let url = other.url();
    // Lives as long as the test's process.
    std::mem::forget(other);
    url
}

#[test]
fn a_clock_that_is_off() {
    let sound = Peer::start(Some(ServingStatus::Serving), Duration::ZERO);
    let check = Check::new().with("--sender", sound.url());
    told(check.found(0).last().expect("findings"), "agrees with sender-svc", "");
    let hour = Peer::start(Some(ServingStatus::Serving), Duration::from_secs(3600));
    let check = Check::new().with("--sender", hour.url());
    check.fails(&["clock"], "differ by 35", "timedatectl set-ntp true");
    let minute = Peer::start(Some(ServingStatus::Serving), Duration::from_secs(90));
    Check::new().with("--sender", minute.url()).warns("clock", "differ by", "timedatectl");
}

/// A gRPC server with a health service, whose clock may be late.
struct Peer {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Peer {
    fn start(status: Option<ServingStatus>, late: Duration) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let address = runtime.block_on(async {
            let listener =
                tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("127.0.0.1 has free ports");
            let address = listener.local_addr().expect("bound");
            let service = HealthServer::new(Answer { status, late });
            let server = tonic::transport::Server::builder().add_service(service);
            tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
            address
        });
        Self { address, _runtime: runtime }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

struct Answer {
    status: Option<ServingStatus>,
    late: Duration,
}

#[tonic::async_trait]
impl Health for Answer {
    async fn check(
        &self,
        _asked: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = self.status.ok_or_else(|| Status::not_found("no such service"))?;
        let mut response = Response::new(HealthCheckResponse { status: status.into() });
        let date = httpdate::fmt_http_date(SystemTime::now() - self.late);
        response.metadata_mut().insert("date", date.parse().expect("a date is ASCII"));
        Ok(response)
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        _asked: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("doctor does not watch"))
    }
}
