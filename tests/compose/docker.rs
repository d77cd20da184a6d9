//! The `docker` command.

use std::{
    process::{Command, Output, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Tag of the images under test.
pub const TAG: &str = "test";

/// How long anything may take that a container has to come to.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Runs `docker ARGUMENTS`; what it printed, without the last line's end.
pub fn docker(arguments: &[&str]) -> String {
    let output = try_docker(arguments);
    assert!(output.status.success(), "docker {arguments:?}: {}", text(&output));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// The same where it may fail.
pub fn try_docker(arguments: &[&str]) -> Output {
    let output = Command::new("docker").args(arguments).stdin(Stdio::null()).output();
    output.expect("docker can be started: these tests need a Docker engine")
}

/// All that a command printed.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// The lines of `docker ARGUMENTS`.
pub fn lines(arguments: &[&str]) -> Vec<String> {
    docker(arguments).lines().map(str::to_owned).collect()
}

/// `docker inspect` of a container or an image.
pub fn inspect(name: &str) -> Value {
    let found: Value = serde_json::from_str(&docker(&["inspect", name])).expect("docker prints JSON");
    found[0].clone()
}

/// Compose as it is installed: Docker's plug-in, or docker-compose 1.29.
pub fn compose() -> &'static [&'static str] {
    static FOUND: OnceLock<&'static [&'static str]> = OnceLock::new();
    FOUND.get_or_init(|| {
        if try_docker(&["compose", "version"]).status.success() {
            &["docker", "compose"]
        } else {
            &["docker-compose"]
        }
    })
}

/// Waits until `probe` finds something.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "{what} did not come within {LIMIT:?}");
        thread::sleep(Duration::from_millis(50));
    }
}
