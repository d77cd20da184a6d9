//! One run of `latentwire` and what it answered.

use std::{
    ffi::OsStr,
    io::Read,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::process::command;

/// How long a run may take.
const LIMIT: Duration = Duration::from_secs(300);

/// What a run of `latentwire` answered.
#[derive(Clone, Debug)]
pub struct Run {
    /// Exit code; -1 where a signal ended it.
    pub exit: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Run {
    /// Runs `latentwire` with these arguments, in the root of the checkout.
    ///
    /// # Panics
    /// It does not end in two minutes.
    #[must_use]
    pub fn latentwire<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Self {
        Self::begin(arguments).end()
    }

    /// Starts `latentwire` without waiting for it.
    #[must_use]
    pub fn begin<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Begun {
        let mut command = command("latentwire");
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        Begun::of(command.spawn().expect("latentwire can be started"))
    }

    /// Fails the test unless the run ended with exit code 0.
    ///
    /// # Panics
    /// It did not.
    #[must_use]
    pub fn expect_success(self) -> Self {
        assert_eq!(self.exit, 0, "latentwire failed\n{}\n{}", self.out, self.err);
        self
    }

    /// The JSON objects on standard output, one a line.
    ///
    /// # Panics
    /// A line is none.
    #[must_use]
    pub fn objects(&self) -> Vec<Value> {
        let object = |line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}\n{}", self.err))
        };
        self.out.lines().map(object).collect()
    }

    /// The only JSON object on standard output.
    ///
    /// # Panics
    /// There is none, or more than one.
    #[must_use]
    pub fn object(&self) -> Value {
        let mut objects = self.objects();
        assert_eq!(objects.len(), 1, "one object expected:\n{}\n{}", self.out, self.err);
        objects.remove(0)
    }
}

/// A run that has not been waited for.
#[derive(Debug)]
pub struct Begun {
    child: Child,
    out: thread::JoinHandle<String>,
    err: thread::JoinHandle<String>,
}

impl Begun {
    fn of(mut child: Child) -> Self {
        let out = drained(child.stdout.take());
        let err = drained(child.stderr.take());
        Self { child, out, err }
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// It does not come in two minutes.
    #[must_use]
    pub fn end(mut self) -> Run {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if begun.elapsed() > LIMIT {
                // It may have ended this very moment.
                let _ = self.child.kill();
                panic!("latentwire did not end within {LIMIT:?}");
            }
            thread::sleep(Duration::from_millis(10));
        };
        let text = |reader: thread::JoinHandle<String>| reader.join().expect("reading a pipe does not panic");
        Run { exit: status.code().unwrap_or(-1), out: text(self.out), err: text(self.err) }
    }
}

/// Reads a pipe to its end beside the child, so that the child never waits for a reader.
fn drained(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    let mut pipe = pipe.expect("the pipe was asked for");
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
