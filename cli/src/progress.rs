//! Progress on a terminal, drawn on standard error; silent elsewhere.

use std::{
    fmt::Write,
    io::{IsTerminal, stderr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use console::Term;
use indicatif::{DecimalBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::{outcome::Outcome, table::cut_left, terminal::printable};

/// Columns of an image's line that are not its name.
const BESIDE_NAME: usize = 32;

/// All bars of a command: one for each image under way, and the sum of them below.
pub struct Bars {
    bars: MultiProgress,
    total: ProgressBar,
    sum: Mutex<Sum>,
}

/// What is done.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    images: usize,
    of: usize,
    original_bytes: u64,
    travelled_bytes: u64,
}

/// The bar of one image.
#[derive(Clone)]
pub struct ImageBar(ProgressBar);

impl Bars {
    /// Bars for `images` images of `bytes` in all.
    #[must_use]
    pub fn new(images: usize, bytes: u64, quiet: bool) -> Self {
        let drawn = !quiet && stderr().is_terminal();
        let target = if drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let total = bars.add(ProgressBar::new(bytes.max(1)));
        total.set_style(style("{prefix} {wide_bar:.cyan} {percent:>3}%  {msg}{left}").with_key("left", left));
        let sum = Sum { of: images, ..Sum::default() };
        total.set_prefix(sum.counted());
        total.enable_steady_tick(Duration::from_millis(500));
        Self { bars, total, sum: Mutex::new(sum) }
    }

    /// A bar for an image that begins now.
    #[must_use]
    pub fn image(&self, name: &str) -> ImageBar {
        let bar = self.bars.insert_before(&self.total, ProgressBar::new(1));
        bar.set_style(style("{spinner} {prefix:<8} {bar:12.cyan} {percent:>3}%  {msg}"));
        let columns = usize::from(Term::stderr().size().1);
        bar.set_message(cut_left(&printable(name), columns.saturating_sub(BESIDE_NAME).max(12)));
        bar.enable_steady_tick(Duration::from_millis(120));
        ImageBar(bar)
    }

    /// Takes an image's bar away and counts the image; `outcome` is absent for one that needed no sending.
    pub fn done(&self, bar: &ImageBar, file_bytes: u64, outcome: Option<&Outcome>) {
        bar.0.finish_and_clear();
        self.bars.remove(&bar.0);
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.images += 1;
        if let Some(Outcome { error: None, original_bytes, coded_bytes, sealed_bytes, .. }) = outcome {
            sum.original_bytes += original_bytes.unwrap_or(0);
            sum.travelled_bytes += sealed_bytes.or(*coded_bytes).unwrap_or(0);
        }
        self.total.set_prefix(sum.counted());
        self.total.set_message(sum.saved());
        self.total.inc(file_bytes);
    }

    /// Takes every bar away.
    pub fn clear(&self) {
        self.total.finish_and_clear();
    }

    /// Runs `print` without a bar in the way.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bars.suspend(print)
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Sum {
    fn counted(self) -> String {
        format!("{:>width$}/{} images", self.images, self.of, width = self.of.to_string().len())
    }

    fn saved(self) -> String {
        match percent_saved(self.original_bytes, self.travelled_bytes) {
            Some(percent) => {
                let bytes = self.original_bytes.saturating_sub(self.travelled_bytes);
                format!("saved {} ({percent} %)  ", DecimalBytes(bytes))
            }
            None => String::new(),
        }
    }
}

/// How many per cent of the files' bytes did not travel; `None` where nothing was saved.
#[must_use]
pub fn percent_saved(original_bytes: u64, travelled_bytes: u64) -> Option<u64> {
    (travelled_bytes < original_bytes)
        .then(|| u128::from(original_bytes - travelled_bytes) * 100 / u128::from(original_bytes))
        .and_then(|percent| u64::try_from(percent).ok())
}

/// The time that the rest takes if it goes as what is done; images end in lumps, so the mean tells more than the last ones.
fn left(state: &ProgressState, text: &mut dyn Write) {
    let (done, all) = (state.pos(), state.len().unwrap_or(0));
    // A progress bar has nowhere to report to.
    let _ = if done == 0 || done > all {
        write!(text, "ETA --:--")
    } else {
        let seconds = state.elapsed().as_secs_f64() * (all - done) as f64 / done as f64;
        let seconds = seconds.round() as u64;
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(text, "ETA {hours}:{minutes:02}:{seconds:02}")
        } else {
            write!(text, "ETA {minutes:02}:{seconds:02}")
        }
    };
}

impl ImageBar {
    /// What the image is going through, and how much of it is done.
    pub fn at(&self, step: &'static str, position: u64, length: u64) {
        self.0.set_prefix(step);
        self.0.set_length(length.max(1));
        self.0.set_position(position);
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates above are well-formed");
    if speaks_unicode() {
        style.progress_chars("━╸─").tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
    } else {
        style.progress_chars("=> ").tick_chars("|/-\\ ")
    }
}

/// Whether the locale says that the terminal draws more than ASCII.
fn speaks_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os);
    let first = locale.map(|name| name.to_string_lossy().to_lowercase()).find(|name| !name.is_empty());
    first.is_some_and(|name| name.contains("utf-8") || name.contains("utf8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_said_in_whole_per_cent() {
        assert_eq!(percent_saved(1000, 250), Some(75));
        assert_eq!(percent_saved(1000, 1000), None);
        assert_eq!(percent_saved(0, 10), None);
        assert_eq!(percent_saved(u64::MAX, 0), Some(100));
    }
}
