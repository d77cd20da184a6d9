//! `latentwire doctor`: what keeps this machine from sending or receiving, and what to do about it.
//!
//! ```text
//! library, models ─► loaded as the services load them          (local.rs)
//! key, trust, data ─► the services' own checks                 (local.rs)
//! audit ─► the folder's chain                                  (audit.rs)
//! ports, sender, receiver, destinations ─► grpc.health.v1, HTTP (network.rs)
//! clock ─► the program's age, and the peers' answers           (clock.rs)
//! ```

mod audit;
mod clock;
mod local;
mod network;
mod storage_key;

use serde_json::json;

use crate::{
    args::DoctorArgs,
    failure::{Exit, Failure},
    terminal::{Paint, Terminal, paint, printable},
};

/// Columns before a check's text.
const INDENT: usize = 20;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should look.
    Warn,
    /// It does not work.
    Fail,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which check.
    pub check: &'static str,
    /// How bad.
    pub level: Level,
    /// What was found.
    pub message: String,
    /// What to do; empty if nothing.
    pub advice: String,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, message: message.into(), advice: String::new() }
    }

    /// Somebody should look.
    #[must_use]
    pub fn warn(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, level: Level::Warn, message: message.into(), advice: advice.into() }
    }

    /// It does not work.
    #[must_use]
    pub fn fail(check: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, level: Level::Fail, message: message.into(), advice: advice.into() }
    }
}

/// Checks what the command line names, tells each finding as it comes.
///
/// # Errors
/// Standard output cannot be written; a fault is no error but an [`Exit`].
pub async fn doctor(args: DoctorArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let mut tally = Tally::default();
    let mut tell = |findings: Vec<Finding>, terminal: &mut Terminal<'_>| {
        findings.into_iter().try_for_each(|finding| {
            tally.count(finding.level);
            show(&finding, args.json, terminal)
        })
    };
    let library = local::library(&args);
    let loads = library.iter().all(|finding| finding.level != Level::Fail);
    tell(library, terminal)?;
    tell(if loads { local::models(&args) } else { local::unloaded_models(&args) }, terminal)?;
    tell(local::key(&args), terminal)?;
    tell(local::trust(&args), terminal)?;
    tell(local::access(&args), terminal)?;
    tell(local::data(&args), terminal)?;
    tell(audit::check(&args), terminal)?;
    tell(network::ports(&args).await, terminal)?;
    let (findings, clocks) = network::services(&args).await;
    tell(findings, terminal)?;
    tell(clock::findings(&clocks), terminal)?;
    if !args.json && !terminal.quiet() {
        terminal.print(&format!("\n{}\n", tally.sentence()))?;
    }
    Ok(if tally.failed > 0 { Exit::Rejected } else { Exit::Done })
}

fn show(finding: &Finding, as_json: bool, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let (word, colour) = match finding.level {
        Level::Ok => ("ok", Paint::Good),
        Level::Warn => ("warn", Paint::Notice),
        Level::Fail => ("fail", Paint::Bad),
    };
    if as_json {
        let advice = Some(&finding.advice).filter(|advice| !advice.is_empty());
        let object =
            json!({"check": finding.check, "status": word, "message": finding.message, "advice": advice});
        return terminal.print(&format!("{object}\n"));
    }
    if finding.level == Level::Ok && terminal.quiet() {
        return Ok(());
    }
    let width = terminal.width().unwrap_or(usize::MAX).max(INDENT + 20);
    let indent = " ".repeat(INDENT);
    let wrapped = |text: &str, first: &str| {
        let options = textwrap::Options::new(width).initial_indent(first).subsequent_indent(&indent);
        textwrap::fill(text, options.break_words(false)) + "\n"
    };
    let head = format!("{:<4}  {:<12}  ", word.to_uppercase(), finding.check);
    let mut text = wrapped(&printable(&finding.message), &head);
    // Painted after wrapping, which counts columns.
    text.replace_range(..word.len(), &paint(colour, &word.to_uppercase()));
    if !finding.advice.is_empty() {
        text.push_str(&wrapped(&format!("-> {}", printable(&finding.advice)), &indent));
    }
    terminal.print(&text)
}

/// How many findings of each kind.
#[derive(Default)]
struct Tally {
    all: usize,
    warned: usize,
    failed: usize,
}

impl Tally {
    fn count(&mut self, level: Level) {
        self.all += 1;
        match level {
            Level::Ok => {}
            Level::Warn => self.warned += 1,
            Level::Fail => self.failed += 1,
        }
    }

    fn sentence(&self) -> String {
        let plural =
            |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        format!(
            "{}: {}, {}",
            plural(self.all, "check"),
            plural(self.failed, "fault"),
            plural(self.warned, "warning")
        )
    }
}
