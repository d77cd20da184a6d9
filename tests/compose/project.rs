//! The project of docker-compose.yml, up under a name and ports of its own; its end leaves nothing behind.

use std::{
    net::SocketAddr,
    path::Path,
    process::{self, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use latentwire_tests::{
    Run, Workplace, binaries::repository, process::free_address, run::Begun, secured::Certificates,
};

use crate::docker::{TAG, compose, docker, inspect, lines, text, try_docker, wait_for};

/// How the names of the tests' projects begin; the process id follows.
const PREFIX: &str = "latentwire-test-";
/// How often other ports are tried because somebody took one in the meantime.
const ATTEMPTS: usize = 5;
/// What docker ends with where a port is taken.
const TAKEN: [&str; 2] = ["port is already allocated", "address already in use"];
/// Label by which compose finds its own.
const LABEL: &str = "com.docker.compose.project";

/// A project that is up.
pub struct Project {
    name: String,
    /// Where SendService is published.
    pub send: SocketAddr,
    /// Where ImageService is published.
    pub images: SocketAddr,
    environment: Vec<(&'static str, String)>,
    /// A folder for the test's own files.
    pub workplace: Workplace,
}

impl Project {
    /// Brings both services up and waits until they are healthy.
    pub fn up() -> Self {
        remove_leftovers();
        for _ in 1..ATTEMPTS {
            let project = Self::planned();
            let output = project.try_compose(&["up", "--no-build", "-d", "sender", "receiver"]);
            if output.status.success() {
                project.wait_healthy("sender");
                project.wait_healthy("receiver");
                project.copy_out("keys", "/keys/client", &project.workplace.path("client"));
                return project;
            }
            let said = text(&output);
            assert!(TAKEN.iter().any(|taken| said.contains(taken)), "compose up failed:\n{said}");
        }
        panic!("no free ports were found in {ATTEMPTS} attempts");
    }

    fn planned() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{PREFIX}{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (send, images) = (free_address(), free_address());
        let port = |address: SocketAddr| address.port().to_string();
        let environment = vec![
            ("LATENTWIRE_TAG", TAG.to_owned()),
            ("LATENTWIRE_SENDER_PORT", port(send)),
            ("LATENTWIRE_IMAGE_PORT", port(images)),
            ("LATENTWIRE_SENDER_ADMIN_PORT", port(free_address())),
            ("LATENTWIRE_TRANSFER_PORT", port(free_address())),
            ("LATENTWIRE_RECEIVER_ADMIN_PORT", port(free_address())),
        ];
        Self { name, send, images, environment, workplace: Workplace::new() }
    }

    /// Name of the project, which the names of its networks and volumes begin with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs compose in this project.
    pub fn compose(&self, arguments: &[&str]) -> String {
        let output = self.try_compose(arguments);
        assert!(output.status.success(), "compose {arguments:?} failed:\n{}", text(&output));
        text(&output)
    }

    fn try_compose(&self, arguments: &[&str]) -> Output {
        let [program, first @ ..] = compose() else { unreachable!("compose is a program") };
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"LATENTWIRE_") {
                command.env_remove(name);
            }
        }
        command.args(first).args(["-p", &self.name]);
        command.args(["-f", "docker-compose.yml", "-f", "tests/compose/quick.yml"]).args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value.as_str())));
        command.current_dir(repository()).stdin(Stdio::null()).output().expect("compose can be started")
    }

    /// `latentwire COMMAND FLAG URL …`, called as the PACS of the demo: by TLS, with its certificate.
    pub fn begin(&self, command: &[&str], rest: &[&str]) -> Begun {
        let mut arguments: Vec<String> = command.iter().chain(rest).map(ToString::to_string).collect();
        arguments.extend(Certificates::of(self.workplace.path("client")).calling("tls"));
        Run::begin(arguments)
    }

    /// The same, until its end.
    pub fn run(&self, command: &[&str], rest: &[&str]) -> Run {
        self.begin(command, rest).end()
    }

    /// The https address of SendService.
    pub fn send_url(&self) -> String {
        format!("https://{}", self.send)
    }

    /// The https address of ImageService.
    pub fn image_url(&self) -> String {
        format!("https://{}", self.images)
    }

    /// The id of a service's container, running or not.
    pub fn container(&self, service: &str) -> String {
        let project = format!("label={LABEL}={}", self.name);
        let service = format!("label=com.docker.compose.service={service}");
        let found = lines(&["ps", "-aq", "--no-trunc", "--filter", &project, "--filter", &service]);
        assert_eq!(found.len(), 1, "{service}: {found:?}");
        found[0].clone()
    }

    /// Runs a command in a service's container.
    pub fn exec(&self, service: &str, command: &[&str]) -> Output {
        let container = self.container(service);
        try_docker(&[&["exec", &container], command].concat())
    }

    /// What a command in a service's container prints.
    pub fn says(&self, service: &str, command: &[&str]) -> String {
        let output = self.exec(service, command);
        assert!(output.status.success(), "{command:?} in {service}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Waits until the engine calls a service healthy.
    pub fn wait_healthy(&self, service: &str) {
        let container = self.container(service);
        wait_for(&format!("health of {service}"), || {
            let state = &inspect(&container)["State"];
            (state["Health"]["Status"] == "healthy" && state["Running"] == true).then_some(())
        });
    }

    /// Waits for a container's end; its exit code.
    pub fn wait_end(&self, service: &str) -> i64 {
        let container = self.container(service);
        let state = wait_for(&format!("end of {service}"), || {
            let state = inspect(&container)["State"].clone();
            (state["Status"] == "exited").then_some(state)
        });
        state["ExitCode"].as_i64().expect("an exit code is a number")
    }

    /// Copies a file or folder out of a container.
    pub fn copy_out(&self, service: &str, from: &str, to: &Path) {
        let source = format!("{}:{from}", self.container(service));
        let _said = docker(&["cp", &source, &to.to_string_lossy()]);
    }

    /// `down -v`; what is left of the project then.
    pub fn down(&self) -> Vec<String> {
        let output = self.try_compose(&["down", "-v", "--remove-orphans", "--timeout", "40"]);
        let mut left = left_of(&self.name);
        if !output.status.success() {
            left.push(text(&output));
        }
        left
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", text(&self.try_compose(&["logs", "--no-color", "--tail", "40"])));
        }
        let left = self.down();
        if !left.is_empty() {
            remove(&self.name);
            assert!(thread::panicking(), "`down -v` left {left:?}");
        }
    }
}

/// Containers, networks and volumes of a project.
fn left_of(name: &str) -> Vec<String> {
    let filter = format!("label={LABEL}={name}");
    let kinds: [&[&str]; 3] = [&["ps", "-aq"], &["network", "ls", "-q"], &["volume", "ls", "-q"]];
    kinds.iter().flat_map(|kind| lines(&[kind, &["--filter", &filter][..]].concat())).collect()
}

/// Removes all of a project by hand.
fn remove(name: &str) {
    let filter = format!("label={LABEL}={name}");
    for (list, removal) in [
        (&["ps", "-aq"][..], &["rm", "-f"][..]),
        (&["network", "ls", "-q"], &["network", "rm"]),
        (&["volume", "ls", "-q"], &["volume", "rm", "-f"]),
    ] {
        for found in lines(&[list, &["--filter", &filter][..]].concat()) {
            // What is in use still is found by the next run.
            let _output = try_docker(&[removal, &[found.as_str()][..]].concat());
        }
    }
}

/// Removes what test runs left that were killed: projects of processes that are no more.
fn remove_leftovers() {
    let format = format!("{{{{.Label \"{LABEL}\"}}}}");
    let mut names = Vec::new();
    for list in [&["ps", "-a"][..], &["network", "ls"], &["volume", "ls"]] {
        names.extend(lines(&[list, &["--format", &format][..]].concat()));
    }
    names.sort();
    names.dedup();
    for name in names {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let owner = rest.split('-').next().unwrap_or_default();
        if owner != process::id().to_string() && !Path::new("/proc").join(owner).exists() {
            remove(&name);
        }
    }
}
