//! A sender and a receiver, each a process of its own, that trust each other.

use std::{
    ffi::{OsStr, OsString},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use crate::{
    binaries,
    process::{Launch, Service, free_address},
    run::{Begun, Run},
    workplace::{DESTINATION, Workplace},
};

/// How often a service is started on other ports because somebody took one in the meantime.
const ATTEMPTS: usize = 5;

/// A receiver-svc that is ready.
#[derive(Debug)]
pub struct Receiver {
    /// The process.
    pub service: Service,
    /// Address of TransferService.
    pub transfer: SocketAddr,
    /// Address of ImageService.
    pub images: SocketAddr,
    /// Folder of what it stores.
    pub data: PathBuf,
}

impl Receiver {
    /// Starts a receiver on ports that the operating system chooses.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(workplace: &Workplace, extra: &[&str]) -> Self {
        Self::start_with_data(workplace, &workplace.path("receiver-data"), extra)
    }

    /// The same over a data folder of the caller's choice.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start_with_data(workplace: &Workplace, data: &Path, extra: &[&str]) -> Self {
        let start = || {
            let (transfer, images) = (free_address(), free_address());
            let launch = Self::launch(workplace, data, transfer, images, extra);
            Service::start(launch).map(|service| Self { service, transfer, images, data: data.to_owned() })
        };
        started("receiver-svc", start)
    }

    /// Starts a receiver where another one was.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start_at(workplace: &Workplace, transfer: SocketAddr, images: SocketAddr) -> Self {
        let data = workplace.path("receiver-data");
        let launch = Self::launch(workplace, &data, transfer, images, &[]);
        let service =
            Service::start(launch).unwrap_or_else(|log| panic!("receiver-svc did not start:\n{log}"));
        Self { service, transfer, images, data }
    }

    /// The command line of a receiver.
    #[must_use]
    pub fn launch(
        workplace: &Workplace,
        data: &Path,
        transfer: SocketAddr,
        images: SocketAddr,
        extra: &[&str],
    ) -> Launch {
        let admin = free_address();
        let mut arguments = Arguments::default();
        arguments.pair("--listen-transfer", transfer.to_string());
        arguments.pair("--listen-image", images.to_string());
        arguments.pair("--admin", admin.to_string());
        arguments.pair("--key", workplace.path("receiver.key"));
        arguments.pair("--trust", workplace.path("trust.toml"));
        arguments.pair("--data", data);
        arguments.rest(extra);
        Launch {
            program: "receiver-svc",
            arguments: arguments.0,
            folder: binaries::repository().to_owned(),
            log: workplace.path("receiver-svc.log"),
            admin,
        }
    }
}

/// A sender-svc that is ready.
#[derive(Debug)]
pub struct Sender {
    /// The process.
    pub service: Service,
    /// Address of SendService.
    pub address: SocketAddr,
}

impl Sender {
    /// Starts a sender on ports that the operating system chooses; `transfer` is its only destination.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(workplace: &Workplace, transfer: SocketAddr, extra: &[&str]) -> Self {
        Self::start_as(workplace, "sender.key", transfer, extra)
    }

    /// The same with another key of the workplace.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start_as(workplace: &Workplace, key: &str, transfer: SocketAddr, extra: &[&str]) -> Self {
        let start = || {
            let address = free_address();
            let launch = Self::launch(workplace, key, address, transfer, extra);
            Service::start(launch).map(|service| Self { service, address })
        };
        started("sender-svc", start)
    }

    /// The command line of a sender.
    #[must_use]
    pub fn launch(
        workplace: &Workplace,
        key: &str,
        address: SocketAddr,
        transfer: SocketAddr,
        extra: &[&str],
    ) -> Launch {
        let admin = free_address();
        let receiver_key = workplace.path("receiver.key.pub");
        let mut arguments = Arguments::default();
        arguments.pair("--listen", address.to_string());
        arguments.pair("--admin", admin.to_string());
        arguments.pair("--key", workplace.path(key));
        arguments
            .pair("--destination", format!("{DESTINATION}=http://{transfer},{}", receiver_key.display()));
        if !extra.iter().any(|flag| ["--audit", "--unaudited"].contains(flag)) {
            arguments.pair("--audit", Self::audit_at(workplace, address));
        }
        arguments.rest(extra);
        let log = workplace.path(&format!("{}.log", key.replace(".key", "-svc")));
        Launch {
            program: "sender-svc",
            arguments: arguments.0,
            folder: binaries::repository().to_owned(),
            log,
            admin,
        }
    }

    /// The folder of its audit log, unless its flags name another: one for each address, so that several senders fit into a
    /// workplace.
    #[must_use]
    pub fn audit_at(workplace: &Workplace, address: SocketAddr) -> PathBuf {
        workplace.path(&format!("sender-{}-audit", address.port()))
    }

    /// Begins `latentwire send --json PATHS EXTRA` through this sender.
    #[must_use]
    pub fn begin_send<P: AsRef<OsStr>>(&self, paths: &[P], extra: &[&str]) -> Begun {
        let mut arguments: Vec<OsString> = vec!["send".into(), "--json".into()];
        arguments.extend(["--sender".into(), format!("http://{}", self.address).into()]);
        arguments.extend(paths.iter().map(|path| path.as_ref().to_owned()));
        arguments.extend(extra.iter().map(OsString::from));
        Run::begin(arguments)
    }

    /// `latentwire send --json PATHS EXTRA` through this sender.
    #[must_use]
    pub fn send<P: AsRef<OsStr>>(&self, paths: &[P], extra: &[&str]) -> Run {
        self.begin_send(paths, extra).end()
    }
}

impl Receiver {
    /// `latentwire get --json --overwrite ID -o OUTPUT` from this receiver.
    #[must_use]
    pub fn get(&self, id: &str, output: &Path) -> Run {
        let receiver = format!("http://{}", self.images);
        let fixed = ["get", "--json", "--overwrite", "--receiver", &receiver, id, "--output"].map(OsStr::new);
        Run::latentwire(fixed.into_iter().chain([output.as_os_str()]))
    }

    /// `latentwire list --json` from this receiver.
    #[must_use]
    pub fn list(&self) -> Run {
        Run::latentwire(["list", "--json", "--receiver", &format!("http://{}", self.images)])
    }
}

/// Both sides, ready. The sender is dropped, and so stopped, before the receiver.
#[derive(Debug)]
pub struct Link {
    /// The sending side.
    pub sender: Sender,
    /// The receiving side.
    pub receiver: Receiver,
    /// Keys, data and logs of both.
    pub workplace: Workplace,
}

impl Link {
    /// Makes keys and starts both services.
    #[must_use]
    pub fn open() -> Self {
        Self::open_with(&[], &[])
    }

    /// The same with further flags for the sender and for the receiver.
    #[must_use]
    pub fn open_with(sender: &[&str], receiver: &[&str]) -> Self {
        let workplace = Workplace::new();
        let receiver = Receiver::start(&workplace, receiver);
        let sender = Sender::start(&workplace, receiver.transfer, sender);
        Self { sender, receiver, workplace }
    }

    /// The link that the tests of one file share while any of them runs.
    #[must_use]
    pub fn shared() -> Shared {
        static LINK: Mutex<Weak<Link>> = Mutex::new(Weak::new());
        let mut link = LINK.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = link.upgrade().unwrap_or_else(|| Arc::new(Self::open()));
        *link = Arc::downgrade(&shared);
        Shared(shared)
    }

    /// `latentwire send --json PATHS EXTRA`.
    #[must_use]
    pub fn send<P: AsRef<OsStr>>(&self, paths: &[P], extra: &[&str]) -> Run {
        self.sender.send(paths, extra)
    }

    /// `latentwire get --json --overwrite ID -o OUTPUT`.
    #[must_use]
    pub fn get(&self, id: &str, output: &Path) -> Run {
        self.receiver.get(id, output)
    }
}

/// A hold on the [shared link](Link::shared).
#[derive(Debug)]
pub struct Shared(Arc<Link>);

impl std::ops::Deref for Shared {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.0.workplace.keep_on_failure();
    }
}

/// A command line in the making.
#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn pair(&mut self, flag: &str, value: impl AsRef<OsStr>) {
        self.0.extend([OsString::from(flag), value.as_ref().to_owned()]);
    }

    /// The test's own flags, and the shipped models unless it names others, which no release has pinned.
    fn rest(&mut self, extra: &[&str]) {
        if !extra.contains(&"--models") {
            self.pair("--models", binaries::repository().join("models"));
        } else if !extra.contains(&"--model-pin") {
            self.0.push("--unpinned-models".into());
        }
        self.0.extend(extra.iter().map(OsString::from));
    }
}

fn started<T>(program: &str, start: impl Fn() -> Result<T, String>) -> T {
    for _ in 1..ATTEMPTS {
        match start() {
            Ok(service) => return service,
            Err(log) if log.contains("cannot listen there") => {}
            Err(log) => panic!("{program} did not start:\n{log}"),
        }
    }
    start().unwrap_or_else(|log| panic!("{program} did not start:\n{log}"))
}
