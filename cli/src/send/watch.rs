//! `latentwire send --watch`: an inbox. Each picture that comes is sent once it is whole, and once only.
//!
//! ```text
//! come ─► settling ──unchanged for --settle, readable to its end──► under way ─► sent, or refused by the service
//!            ▲  └──unchanged, not readable──► half (until it changes)   │
//!            └────────────── changed ◄──────────────────────────────────┴─► service away: again after a pause
//! ```
//!
//! A writer may pause for longer than `--settle`; what it has written so far is no whole picture then, and waits. What
//! was sent stands in the list of `--resume`, so that a restart sends nothing twice.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use latentwire_codec::imaging::{self, Limits};
use latentwire_service::dial::Connection;
use tokio::task::{JoinSet, spawn_blocking};

use super::{
    job::{Ended, Job},
    resume::ResumeList,
};
use crate::{
    args::{SendArgs, is_standard_stream},
    connect::connect,
    failure::{Exit, Failure},
    interrupt::{Interrupt, or},
    outcome::Outcome,
    paths::{self, display},
    progress::Bars,
    results::Live,
    terminal::Terminal,
};

/// Shortest pause between two looks at the folders.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How many times longer than a look the pause after it is at least: large folders are looked at less often.
const PAUSE_A_LOOK: u32 = 4;
/// First pause before an image is tried again that the service could not take, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Sends what comes until a signal ends it.
///
/// # Errors
/// The folders or the list cannot be read at the beginning, or the run was interrupted.
pub async fn watch(args: &SendArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    if args.paths.iter().any(|path| is_standard_stream(path)) {
        return Err(Failure::usage("--watch looks at folders: - is none"));
    }
    if let Some(trouble) = look(&args.paths)?.troubles.into_iter().next() {
        return Err(trouble);
    }
    let list = args.resume.as_deref().map(|path| ResumeList::open(path, terminal)).transpose()?.map(Arc::new);
    let channel = or(reach(args, terminal)).await?;
    let live = Live::new(terminal, args.json, args.report.as_deref())?;
    let bars = Arc::new(Bars::new(0, 0, true));
    let settle = Duration::from_secs(args.settle);
    let mut watch = Watch {
        args,
        channel,
        list,
        live,
        bars,
        inbox: Inbox::new(settle),
        under_way: JoinSet::new(),
        begun: 0,
    };
    watch.live.terminal().note(&format!("watching {}; Ctrl-C ends it", named(&args.paths)));
    watch.run().await
}

fn named(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| display(path)).collect::<Vec<_>>().join(", ")
}

/// Waits for the service: it may be started after the watch.
async fn reach(args: &SendArgs, terminal: &Terminal<'_>) -> Result<Connection, Failure> {
    let mut pause = PAUSES.0;
    loop {
        match connect("sender-svc", &args.sender, &args.credentials).await {
            Err(failure) if failure.exit == Exit::Unreachable => {
                terminal.note(&format!("{failure}; trying again in {} s", pause.as_secs()));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            other => return other,
        }
    }
}

struct Watch<'a, 't, 'o> {
    args: &'a SendArgs,
    channel: Connection,
    list: Option<Arc<ResumeList>>,
    live: Live<'t, 'o>,
    bars: Arc<Bars>,
    inbox: Inbox,
    under_way: JoinSet<(PathBuf, Result<Ended, Failure>)>,
    begun: usize,
}

impl Watch<'_, '_, '_> {
    async fn run(&mut self) -> Result<Exit, Failure> {
        let mut interrupt = Interrupt::listen()?;
        let mut troubles = Vec::new();
        loop {
            let began = Instant::now();
            let paths = self.args.paths.clone();
            let found = spawn_blocking(move || look(&paths)).await.map_err(internal)??;
            // A share may come back: said once, and tried again.
            for trouble in found.troubles.iter().filter(|trouble| !troubles.contains(*trouble)) {
                self.live.terminal().note(&format!("{trouble}; looking again"));
            }
            troubles = found.troubles;
            self.inbox.update(found.files, Instant::now());
            self.begin().await?;
            let pause = tokio::time::sleep(LOOK_AGAIN.max(began.elapsed() * PAUSE_A_LOOK));
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    Some(joined) = self.under_way.join_next() => {
                        let (file, ended) = joined.map_err(internal)?;
                        self.ended(&file, ended?)?;
                        self.begin().await?;
                    }
                    exit = interrupt.wait() => return Err(self.interrupted(exit)),
                }
            }
        }
    }

    /// Begins to send what is due, `--parallel` at once.
    async fn begin(&mut self) -> Result<(), Failure> {
        while self.under_way.len() < usize::from(self.args.parallel) {
            let Some(file) = self.inbox.next_due(Instant::now()) else { break };
            let checked = file.clone();
            if let Err(why) = spawn_blocking(move || whole(&checked)).await.map_err(internal)? {
                self.inbox.set(&file, State::Half);
                let text = format!("{} is no whole picture yet, and waits: {why}", file.display());
                self.live.terminal().note(&text);
                continue;
            }
            let job = Job::new(self.args, self.begun, file.clone(), self.list.clone())?;
            self.begun += 1;
            self.inbox.set(&file, State::UnderWay);
            let (channel, bars) = (self.channel.clone(), Arc::clone(&self.bars));
            self.under_way.spawn(async move { (file, job.run(channel, &bars).await) });
        }
        Ok(())
    }

    fn ended(&mut self, file: &Path, ended: Ended) -> Result<(), Failure> {
        let outcome = match ended {
            Ended::Before => {
                self.inbox.set(file, State::Done);
                return Ok(());
            }
            Ended::Now(outcome) => *outcome,
        };
        if let Outcome { error: Some(failure), .. } = &outcome
            && may_pass(failure)
        {
            let pause = self.inbox.postpone(file, Instant::now());
            let text = format!("{}: {failure}; trying again in {} s", file.display(), pause.as_secs());
            self.live.terminal().note(&text);
            return Ok(());
        }
        self.inbox.set(file, State::Done);
        self.live.add(&outcome)
    }

    fn interrupted(&mut self, exit: Exit) -> Failure {
        let left = self.inbox.left();
        let text = match left {
            0 => "interrupted; all that has come is sent".to_owned(),
            1 => "interrupted; 1 file has come and is not sent: the same command goes on".to_owned(),
            _ => format!("interrupted; {left} files have come and are not sent: the same command goes on"),
        };
        self.live.terminal().note(&text);
        Failure::interrupted(exit)
    }
}

fn internal(error: tokio::task::JoinError) -> Failure {
    Failure::internal(error.to_string())
}

/// Whether the same image may be taken later.
fn may_pass(failure: &Failure) -> bool {
    failure.exit == Exit::Unreachable
        || ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"].contains(&failure.code.as_str())
}

/// Whether a file can be read to its end as a picture; else why not.
fn whole(file: &Path) -> Result<(), String> {
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    imaging::read(&bytes, &Limits::default()).map(drop).map_err(|error| error.to_string())
}

/// What tells a file that was written to from one that was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    inode: u64,
    /// Content, permissions or name.
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Path) -> io::Result<Self> {
        let status = fs::metadata(file)?;
        Ok(Self { length: status.len(), inode: status.ino(), changed: (status.ctime(), status.ctime_nsec()) })
    }
}

/// What a look at the folders finds.
struct Look {
    /// The pictures there are, whole or not.
    files: Vec<(PathBuf, Stamp)>,
    /// Folders that cannot be looked into, and what is named and not there.
    troubles: Vec<Failure>,
}

fn look(paths: &[PathBuf]) -> Result<Look, Failure> {
    let found = paths::search(paths)?;
    let (mut files, mut troubles) = (Vec::with_capacity(found.files.len()), found.unreadable);
    for file in found.files {
        match Stamp::of(&file) {
            Ok(stamp) => files.push((file, stamp)),
            Err(error) if paths.contains(&file) => troubles.push(Failure::file(&file, &error)),
            // It went away since its folder was listed.
            Err(_) => {}
        }
    }
    Ok(Look { files, troubles })
}

/// What is known of the files that have come.
struct Inbox {
    settle: Duration,
    files: HashMap<PathBuf, Known>,
    order: Vec<PathBuf>,
}

struct Known {
    stamp: Stamp,
    state: State,
    pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is due at this moment if nothing changes.
    Settling(Instant),
    /// It has settled and is no whole picture.
    Half,
    /// It is being sent.
    UnderWay,
    /// It was sent, or refused for good.
    Done,
}

impl Inbox {
    fn new(settle: Duration) -> Self {
        Self { settle, files: HashMap::new(), order: Vec::new() }
    }

    /// Takes in what a look at the folders has found, in that order.
    fn update(&mut self, found: Vec<(PathBuf, Stamp)>, now: Instant) {
        let mut before = std::mem::take(&mut self.files);
        self.order.clear();
        for (file, stamp) in found {
            let settling = Known { stamp, state: State::Settling(now + self.settle), pause: PAUSES.0 };
            let known = match before.remove(&file) {
                Some(known) if known.stamp == stamp || known.state == State::UnderWay => known,
                Some(_) | None => settling,
            };
            self.order.push(file.clone());
            self.files.insert(file, known);
        }
        // What is on its way is, whether or not its file is still there.
        self.files.extend(before.into_iter().filter(|(_, known)| known.state == State::UnderWay));
    }

    /// The first file that has settled.
    fn next_due(&self, now: Instant) -> Option<PathBuf> {
        let due = |file: &&PathBuf| {
            self.files.get(*file).is_some_and(|known| matches!(known.state, State::Settling(at) if at <= now))
        };
        self.order.iter().find(due).cloned()
    }

    fn set(&mut self, file: &Path, state: State) {
        if let Some(known) = self.files.get_mut(file) {
            known.state = state;
        }
    }

    /// Makes a file due again later, each time after a longer pause.
    fn postpone(&mut self, file: &Path, now: Instant) -> Duration {
        let Some(known) = self.files.get_mut(file) else { return PAUSES.0 };
        let pause = known.pause;
        known.state = State::Settling(now + pause);
        known.pause = (pause * 2).min(PAUSES.1);
        pause
    }

    /// How many files have come and are not dealt with.
    fn left(&self) -> usize {
        self.files.values().filter(|known| known.state != State::Done).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(length: u64) -> Stamp {
        Stamp { length, inode: 1, changed: (1, 0) }
    }

    fn found(length: u64) -> Vec<(PathBuf, Stamp)> {
        vec![("a".into(), stamp(length))]
    }

    #[test]
    fn a_file_is_due_when_it_has_not_changed_for_the_whole_time() {
        let (file, start, second) = (Path::new("a"), Instant::now(), Duration::from_secs(1));
        let mut inbox = Inbox::new(2 * second);
        inbox.update(found(10), start);
        assert_eq!(inbox.next_due(start + second), None);
        inbox.update(found(20), start + second);
        assert_eq!(inbox.next_due(start + 2 * second), None, "it was written to meanwhile");
        assert_eq!(inbox.next_due(start + 3 * second).as_deref(), Some(file));
        for state in [State::Half, State::Done, State::UnderWay] {
            inbox.set(file, state);
            inbox.update(found(20), start + 4 * second);
            assert_eq!(inbox.next_due(start + 60 * second), None, "{state:?} is not due");
        }
        inbox.update(found(30), start + 5 * second);
        assert_eq!(inbox.next_due(start + 60 * second), None, "one thing at a time");
        assert_eq!(inbox.left(), 1);
        inbox.set(file, State::Done);
        assert_eq!(inbox.left(), 0);
        inbox.update(found(40), start + 6 * second);
        assert_eq!(
            inbox.next_due(start + 8 * second).as_deref(),
            Some(file),
            "other content is another image"
        );
    }

    #[test]
    fn what_the_service_could_not_take_is_tried_again_after_growing_pauses() {
        let (file, start) = (Path::new("a"), Instant::now());
        let mut inbox = Inbox::new(Duration::ZERO);
        inbox.update(found(10), start);
        let pauses: Vec<_> = (0..8).map(|_| inbox.postpone(file, start).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(inbox.next_due(start + Duration::from_secs(59)), None);
        assert_eq!(inbox.next_due(start + Duration::from_secs(60)).as_deref(), Some(file));
    }

    #[test]
    fn a_file_that_went_away_is_forgotten() {
        let mut inbox = Inbox::new(Duration::ZERO);
        inbox.update(found(10), Instant::now());
        inbox.update(Vec::new(), Instant::now());
        assert_eq!((inbox.left(), inbox.next_due(Instant::now())), (0, None));
    }
}
