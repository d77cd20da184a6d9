//! The audit log as a service writes it: a thread of its own, records in groups, and an answer when they are on the disk.
//!
//! ```text
//! check ───► may something be begun? ──┐
//! record ──► event, identifiers ───────┼─► thread ─► Log (one write and one sync for all that wait) ─► answers
//! note ────► bounded by kind ──────────┘
//! ```
//!
//! What cannot be written down is not done: a service whose log cannot be written refuses transfers with
//! AUDIT_UNAVAILABLE, and gives neither receipts nor images.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use latentwire_audit::{AuditError, AuditKey, AuditPublicKey, Flood, Found, Log, Passed, Settings};
pub use latentwire_audit::{Event, Identifiers, Kind, Outcome, Party};
use tokio::sync::{mpsc, oneshot};

use crate::callers::Caller;
use crate::keys::{KeyFileError, KeySource, read_secret_file, write_new_secret_file};
use crate::sealing::PublicKey;
use crate::status::RequestError;

/// Requests that may wait for the thread; callers beyond wait for room.
const WAITING: usize = 1024;
/// Most records of one write.
const GROUP: usize = 256;
/// Events of one kind that strangers can cause, in [`WINDOW`].
const NOTED: u32 = 20;
/// Transfers in [`WINDOW`] that a peer can have refused at no cost of its own.
const REFUSED: u32 = 600;
/// See [`NOTED`].
const WINDOW: Duration = Duration::from_secs(60);
/// How often is looked whether events were left out.
const SWEEP: Duration = Duration::from_secs(5);
/// The head goes into the ordinary log at least this often, where records came.
const HEAD_EVERY: Duration = Duration::from_secs(3600);
/// And after this many records.
const HEAD_RECORDS: u64 = 1000;

/// Where the audit log is, and how it is kept.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Audit")]
pub struct AuditArgs {
    /// Folder of the audit log: one record for every transfer, and for whoever fetched or deleted an image. Made where there is none
    /// [receiver's default: audit in the data folder; a sender without it is not audited, and says so].
    #[arg(long, env = "LATENTWIRE_AUDIT", value_name = "DIR")]
    pub audit: Option<PathBuf>,
    /// File with the PUBLIC audit key, to which patient and study identifiers are sealed; make the pair with `latentwire audit keygen`
    /// on the auditor's machine [default: audit.pub in the folder; made at the first start, its secret half beside the folder].
    #[arg(long, env = "LATENTWIRE_AUDIT_KEY", value_name = "FILE")]
    pub audit_key: Option<PathBuf>,
    /// A file of the audit log that has grown beyond this is followed by a new one.
    #[arg(long, env = "LATENTWIRE_AUDIT_FILE_BYTES", value_name = "BYTES", default_value_t = Settings::default().max_file_bytes, value_parser = clap::value_parser!(u64).range(4096..))]
    pub audit_file_bytes: u64,
    /// Bytes that stay free on the disk of the audit log; with fewer, transfers are refused with AUDIT_UNAVAILABLE.
    #[arg(long, env = "LATENTWIRE_AUDIT_MIN_FREE_BYTES", value_name = "BYTES", default_value_t = Settings::default().min_free_bytes)]
    pub audit_min_free_bytes: u64,
    /// Keep no audit log at all.
    #[arg(long, env = "LATENTWIRE_UNAUDITED", conflicts_with = "audit")]
    pub unaudited: bool,
}

/// Who made a call, where callers are told apart.
#[must_use]
pub fn caller_of(extensions: &tonic::Extensions) -> Option<Party> {
    let caller = extensions.get::<Caller>()?;
    Some(Party { name: Some(caller.name.to_string()), ..Party::default() })
}

/// The audit log of this service; clones share it.
#[derive(Clone)]
pub struct Audit(Option<Arc<Writer>>);

struct Writer {
    requests: mpsc::Sender<Request>,
    service: Party,
    flood: Mutex<Flood>,
    refused: Mutex<Flood>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

type Answer = oneshot::Sender<Result<(), RequestError>>;

enum Request {
    Append(Box<(Event, Option<Identifiers>)>, Option<Answer>),
    Check(Answer),
    /// Writes what is given, then ends the thread and lets go of the folder.
    Stop(Vec<Event>, Answer),
}

impl Audit {
    /// No log; for tests, and where the operator says so.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Opens the log and writes down that the service starts. Where none is named it is `audit` in the service's data folder,
    /// if it has one.
    ///
    /// # Errors
    /// The folder, the key or the log is not as it must be; one sentence says what to do.
    pub async fn open(args: &AuditArgs, data: Option<&Path>, identity: &PublicKey) -> anyhow::Result<Self> {
        let folder = match (args.unaudited, &args.audit, data) {
            (true, ..) | (false, None, None) => None,
            (false, Some(folder), _) => Some((folder.clone(), with_suffix(folder, ".key"))),
            (false, None, Some(data)) => Some((data.join("audit"), with_suffix(data, ".audit.key"))),
        };
        metrics::gauge!("latentwire_audited").set(f64::from(u8::from(folder.is_some())));
        for kind in Kind::ALL {
            written(kind).increment(0);
        }
        metrics::counter!("latentwire_audit_failures_total").increment(0);
        let Some((folder, secret)) = folder else {
            tracing::warn!(
                "no audit log is kept: nobody will be able to show who sent which image; name a folder with --audit"
            );
            return Ok(Self(None));
        };
        let args = args.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let key = public_key(&args, &folder, secret)?;
            let settings =
                Settings { max_file_bytes: args.audit_file_bytes, min_free_bytes: args.audit_min_free_bytes };
            let (log, found) = Log::open(&folder, &key, settings)?;
            log.check_room()?;
            anyhow::Ok((log, found))
        });
        let (log, found) = opened.await.context("opening the audit log panicked")??;
        let service = Party {
            name: Some(format!("{}-svc", identity.role())),
            key: Some(identity.fingerprint().to_string()),
            address: None,
        };
        let (requests, waiting) = mpsc::channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || Thread::new(log).run(waiting))
            .context("the thread of the audit log cannot be started")?;
        let [flood, refused] = [NOTED, REFUSED].map(|most| Mutex::new(Flood::new(most, WINDOW)));
        let thread = Mutex::new(Some(thread));
        let audit = Self(Some(Arc::new(Writer { requests, service, flood, refused, thread })));
        audit.start(&found).await?;
        tokio::spawn(sweep(Arc::downgrade(audit.0.as_ref().expect("just made"))));
        Ok(audit)
    }

    async fn start(&self, found: &Found) -> anyhow::Result<()> {
        if found.unclean || found.torn_bytes > 0 {
            let mut recovered = Event::new(Kind::LogRecovered, Outcome::Success);
            recovered.detail = Some(format!(
                "the service did not stop in order; {} bytes at the end were no whole record and were cut off",
                found.torn_bytes
            ));
            tracing::warn!(torn_bytes = found.torn_bytes, "the audit log was not ended in order; it goes on");
            self.record(recovered, None).await?;
        }
        let mut started = Event::new(Kind::ServiceStarted, Outcome::Success);
        started.detail = Some(format!("version {}", env!("CARGO_PKG_VERSION")));
        Ok(self.record(started, None).await?)
    }

    /// Whether there is a log.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    /// Asks before something is begun.
    ///
    /// # Errors
    /// AUDIT_UNAVAILABLE: it could not be written down, so it must not be begun.
    pub async fn check(&self) -> Result<(), RequestError> {
        let Some(writer) = &self.0 else { return Ok(()) };
        writer.ask(Request::Check).await
    }

    /// Writes an event down, and returns when it is on the disk.
    ///
    /// # Errors
    /// AUDIT_UNAVAILABLE: it was not written, so what it is about must not be answered for.
    pub async fn record(&self, event: Event, identifiers: Option<Identifiers>) -> Result<(), RequestError> {
        let Some(writer) = &self.0 else { return Ok(()) };
        let event = Box::new((writer.signed(event), identifiers));
        writer.ask(|answer| Request::Append(event, Some(answer))).await
    }

    /// As [`Self::record`], for transfers that were not taken: beyond 600 a minute they are counted alone, so that a peer that
    /// asks without end does not fill the disk.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub async fn record_refusal(&self, mut event: Event) -> Result<(), RequestError> {
        let Some(writer) = &self.0 else { return Ok(()) };
        let passed = lock(&writer.refused).pass(event.kind, Instant::now());
        let Passed::Write { more } = passed else { return Ok(()) };
        event.more = (more > 0).then_some(more);
        self.record(event, None).await
    }

    /// Writes down what strangers can cause any number of times: the first of a kind in a minute each, the rest as a number.
    /// Waits for nothing.
    pub fn note(&self, mut event: Event) {
        let Some(writer) = &self.0 else { return };
        let passed = lock(&writer.flood).pass(event.kind, Instant::now());
        let Passed::Write { more } = passed else { return };
        event.more = (more > 0).then_some(more);
        let event = Box::new((writer.signed(event), None));
        if writer.requests.try_send(Request::Append(event, None)).is_err() {
            metrics::counter!("latentwire_audit_failures_total").increment(1);
            tracing::error!("an event could not be written to the audit log: too much waits for it");
        }
    }

    /// Writes down that the service ends, and lets go of the folder.
    pub async fn close(self) {
        let Some(writer) = self.0 else { return };
        let mut left_out = lock(&writer.flood).rest();
        left_out.extend(lock(&writer.refused).rest());
        let mut events: Vec<Event> = summaries(&writer, left_out);
        events.push(writer.signed(Event::new(Kind::ServiceStopped, Outcome::Success)));
        // Where it fails, the log says so itself at the next start.
        let _logged = writer.ask(|answer| Request::Stop(events, answer)).await;
        let thread = writer.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // The thread has nothing left to do but to drop the log.
            let _ended = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Writer {
    async fn ask(&self, request: impl FnOnce(Answer) -> Request) -> Result<(), RequestError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| RequestError::AuditUnavailable)?;
        answered.await.map_err(|_| RequestError::AuditUnavailable)?
    }

    fn signed(&self, event: Event) -> Event {
        Event { service: Some(self.service.clone()), ..event }
    }
}

/// Numbers alone: sound whatever panicked.
fn lock(flood: &Mutex<Flood>) -> std::sync::MutexGuard<'_, Flood> {
    flood.lock().unwrap_or_else(PoisonError::into_inner)
}

fn summaries(writer: &Writer, left_out: Vec<(Kind, u64)>) -> Vec<Event> {
    let summary = |(kind, more)| {
        let mut event = writer.signed(Event::new(kind, Outcome::Refused));
        event.more = Some(more);
        event.detail = Some("a flood: these were counted alone".into());
        event
    };
    left_out.into_iter().map(summary).collect()
}

/// Writes down the numbers of events that were left out, when a flood is over.
async fn sweep(writer: std::sync::Weak<Writer>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(writer) = writer.upgrade() else { return };
        let mut overdue = lock(&writer.flood).overdue(Instant::now());
        overdue.extend(lock(&writer.refused).overdue(Instant::now()));
        for event in summaries(&writer, overdue) {
            if writer.requests.send(Request::Append(Box::new((event, None)), None)).await.is_err() {
                return;
            }
        }
    }
}

/// The thread that has the log.
struct Thread {
    log: Log,
    told: Option<(u64, Instant)>,
}

impl Thread {
    fn new(log: Log) -> Self {
        Self { log, told: None }
    }

    fn run(mut self, mut waiting: mpsc::Receiver<Request>) {
        while let Some(request) = waiting.blocking_recv() {
            let mut group = vec![request];
            while group.len() < GROUP
                && let Ok(request) = waiting.try_recv()
            {
                group.push(request);
            }
            if self.serve(group) {
                break;
            }
        }
        self.tell_head("audit log closed");
    }

    /// One write for all; true at the end.
    fn serve(&mut self, group: Vec<Request>) -> bool {
        let mut events = Vec::new();
        let mut answers = Vec::new();
        let mut checks = Vec::new();
        let mut is_over = false;
        for request in group {
            match request {
                Request::Append(event, answer) => {
                    events.push(*event);
                    answers.extend(answer);
                }
                Request::Check(answer) => checks.push(answer),
                Request::Stop(last, answer) => {
                    events.extend(last.into_iter().map(|event| (event, None)));
                    answers.push(answer);
                    is_over = true;
                }
            }
        }
        let outcome = if events.is_empty() { self.log.check_room() } else { self.log.append(&events) };
        match &outcome {
            Ok(()) => {
                for (event, _) in &events {
                    written(event.kind).increment(1);
                }
            }
            Err(error) => {
                metrics::counter!("latentwire_audit_failures_total").increment(1);
                tracing::error!(%error, "the audit log cannot be written");
            }
        }
        self.show(outcome.is_ok());
        let answer = || outcome.as_ref().map_or(Err(RequestError::AuditUnavailable), |()| Ok(()));
        for waiting in answers.into_iter().chain(checks) {
            // Whoever does not wait any more need not hear it.
            let _gone = waiting.send(answer());
        }
        is_over
    }

    fn show(&mut self, is_writable: bool) {
        metrics::gauge!("latentwire_audit_writable").set(f64::from(u8::from(is_writable)));
        let seq = self.log.head().seq;
        #[expect(clippy::cast_precision_loss, reason = "a gauge needs no 53rd bit")]
        metrics::gauge!("latentwire_audit_head_sequence").set(seq as f64);
        let due = self.told.is_none_or(|(told, when)| {
            seq >= told + HEAD_RECORDS || (seq > told && when.elapsed() >= HEAD_EVERY)
        });
        if due {
            self.tell_head("audit log head");
        }
    }

    /// The ordinary log goes to other machines where the site collects logs: a head there shows what is cut off here.
    fn tell_head(&mut self, what: &str) {
        let head = self.log.head();
        tracing::info!(audit_seq = head.seq, audit_hash = head.hash, "{what}");
        self.told = Some((head.seq, Instant::now()));
    }
}

fn written(kind: Kind) -> metrics::Counter {
    metrics::counter!("latentwire_audit_records_total", "kind" => kind.name())
}

/// The public audit key; where none is named and there is none, a pair is made.
fn public_key(args: &AuditArgs, folder: &Path, secret: PathBuf) -> anyhow::Result<AuditPublicKey> {
    let path = args.audit_key.clone().unwrap_or_else(|| folder.join("audit.pub"));
    if args.audit_key.is_none() && !path.exists() {
        make_pair(folder, &path, secret)?;
    }
    read_public_key(&path)
}

/// Reads a public audit key's file.
///
/// # Errors
/// It cannot be read, or holds none.
pub fn read_public_key(path: &Path) -> anyhow::Result<AuditPublicKey> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("audit key {}: make the pair with `latentwire audit keygen`", path.display())
    })?;
    AuditPublicKey::from_text(&text)
        .map_err(|error: AuditError| anyhow::anyhow!("{}: {error}", path.display()))
}

/// The secret half goes beside the folder, so that who takes the folder does not have it; into it where nothing else can be
/// written. Where it is there already, left by a start that was cut off or beside a folder that was taken away, it stays.
fn make_pair(folder: &Path, public: &Path, beside: PathBuf) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o750).create(folder);
    made.with_context(|| format!("audit log {}", folder.display()))?;
    let inside = folder.join("audit.key");
    let left = [&beside, &inside].into_iter().find(|path| path.symlink_metadata().is_ok()).cloned();
    let (key, secret) = if let Some(left) = left {
        let text = read_secret_file(&left, KeySource::File)?;
        let key = AuditKey::from_text(&text);
        (key.map_err(|error| anyhow::anyhow!("{}: {error}", left.display()))?, left)
    } else {
        let key = AuditKey::generate();
        let secret = match write_new_secret_file(&beside, &key.to_text()) {
            Ok(()) => beside,
            Err(KeyFileError::Io { .. }) => {
                write_new_secret_file(&inside, &key.to_text())?;
                inside
            }
            Err(error) => return Err(error.into()),
        };
        (key, secret)
    };
    std::fs::write(public, format!("{}\n", key.public_key()))
        .with_context(|| format!("audit key {}", public.display()))?;
    tracing::warn!(
        secret = %secret.display(),
        "the audit key was made here; its SECRET half is on this machine, where it protects little: move it to the auditor's"
    );
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.components().collect::<PathBuf>().into_os_string();
    name.push(suffix);
    name.into()
}
