//! A service as a child process: started, watched until it is ready, stopped by SIGTERM.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{admin, binaries};

/// How long a service may take to load its models.
const READY_LIMIT: Duration = Duration::from_secs(180);

/// How long a service may take to end after SIGTERM: the drain timeout, 25 s where nothing is given, and some.
pub const STOP_LIMIT: Duration = Duration::from_secs(35);

/// How often a child is looked at.
const POLL: Duration = Duration::from_millis(20);

/// How a service is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Name of the program.
    pub program: &'static str,
    /// Its command line.
    pub arguments: Vec<OsString>,
    /// Its working folder.
    pub folder: PathBuf,
    /// File that its output is appended to.
    pub log: PathBuf,
    /// Its admin address, which is among the arguments too.
    pub admin: SocketAddr,
}

/// A service that runs, or has ended.
#[derive(Debug)]
pub struct Service {
    launch: Launch,
    child: Child,
    ended: Option<ExitStatus>,
}

/// How a service ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Time from the signal to the end.
    pub took: Duration,
}

/// A command without the settings of whoever runs the tests.
#[must_use]
pub fn command(program: &str) -> Command {
    let mut command = Command::new(binaries::binary(program));
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"LATENTWIRE_")
            || name == "RUST_LOG"
            || name == "ORT_DYLIB_PATH"
        {
            command.env_remove(name);
        }
    }
    command.current_dir(binaries::repository()).stdin(Stdio::null());
    command
}

/// An address of 127.0.0.1 where nobody listens now.
#[must_use]
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("127.0.0.1 has free ports");
    listener.local_addr().expect("a bound listener has an address")
}

impl Service {
    /// Starts a service, without waiting for it.
    #[must_use]
    pub fn spawn(launch: Launch) -> Self {
        let log =
            OpenOptions::new().create(true).append(true).open(&launch.log).expect("the log can be written");
        let errors = log.try_clone().expect("a file can be opened twice");
        let child = command(launch.program)
            .args(&launch.arguments)
            .current_dir(&launch.folder)
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("the program can be started");
        Self { launch, child, ended: None }
    }

    /// Starts a service and waits until `/readyz` says so.
    ///
    /// # Errors
    /// The service ended instead: its log.
    ///
    /// # Panics
    /// It is not ready in time.
    pub fn start(launch: Launch) -> Result<Self, String> {
        let mut service = Self::spawn(launch);
        let begun = Instant::now();
        while admin::get(service.launch.admin, "/readyz").map_or(0, |answer| answer.status) != 200 {
            if service.exit_within(POLL).is_some() {
                return Err(service.log());
            }
            assert!(
                begun.elapsed() < READY_LIMIT,
                "{} is not ready:\n{}",
                service.launch.program,
                service.log()
            );
        }
        Ok(service)
    }

    /// Its admin address.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.launch.admin
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All it has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.launch.log).unwrap_or_default()).into_owned()
    }

    /// The file of [`Self::log`].
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.launch.log
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.exit_within(Duration::ZERO).is_none()
    }

    /// Its exit status if it ends within `limit`.
    pub fn exit_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let begun = Instant::now();
        loop {
            if self.ended.is_none() {
                self.ended = self.child.try_wait().expect("a child can be waited for");
            }
            if self.ended.is_some() || begun.elapsed() >= limit {
                return self.ended;
            }
            thread::sleep(POLL.min(limit));
        }
    }

    /// Sends SIGTERM.
    pub fn signal_termination(&mut self) {
        self.signal(Signal::TERM);
    }

    fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has an id");
            kill_process(id, signal).expect("an own child can be signalled");
        }
    }

    /// Sends SIGHUP, at which a service reads its trust store again.
    pub fn signal_reload(&mut self) {
        self.signal(Signal::HUP);
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Panics
    /// It does not end within [`STOP_LIMIT`]; it is killed then.
    pub fn terminate(&mut self) -> Ended {
        let begun = Instant::now();
        self.signal_termination();
        let Some(status) = self.exit_within(STOP_LIMIT) else {
            self.kill();
            panic!("{} did not end within {STOP_LIMIT:?} of SIGTERM:\n{}", self.launch.program, self.log());
        };
        Ended { status, took: begun.elapsed() }
    }

    /// Ends it as a power cut would, by SIGKILL.
    pub fn kill(&mut self) {
        // Both fail only where the child has ended already.
        let _ = self.child.kill();
        self.ended = self.child.wait().ok();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        if thread::panicking() {
            self.kill();
            return;
        }
        let ended = self.terminate();
        assert!(
            ended.status.success(),
            "{} ended with {}:\n{}",
            self.launch.program,
            ended.status,
            self.log()
        );
    }
}
