//! Counts adversarial cases: one altered transcript is one case.

use std::{env, fs, path::PathBuf, thread};

/// Where each test leaves its number, if whoever started them wants to add them up: `make attacks`.
const COUNTS: &str = "LATENTWIRE_ATTACK_COUNTS";
/// `long` for the longer forms.
const LENGTH: &str = "LATENTWIRE_ATTACKS";

/// Whether the longer forms are asked for.
pub fn long() -> bool {
    env::var_os(LENGTH).is_some_and(|length| length == "long")
}

/// The cases of one test. Its number is told when it ends well.
pub struct Cases {
    test: &'static str,
    count: usize,
}

impl Cases {
    pub fn of(test: &'static str) -> Self {
        Self { test, count: 0 }
    }

    /// One transcript was altered, and what came of it was checked.
    pub fn one(&mut self) {
        self.count += 1;
    }
}

impl Drop for Cases {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        assert!(self.count > 0, "{} tried nothing", self.test);
        println!("{}: {} adversarial cases", self.test, self.count);
        if let Some(folder) = env::var_os(COUNTS) {
            let file = PathBuf::from(folder).join(self.test);
            fs::write(&file, format!("{}\n", self.count)).expect("the count can be written");
        }
    }
}
