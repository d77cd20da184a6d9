//! Waiting for what must come true.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// Waits until the condition holds.
///
/// # Panics
/// It does not within a minute.
#[track_caller]
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "{what} in vain");
        thread::sleep(POLL);
    }
}
