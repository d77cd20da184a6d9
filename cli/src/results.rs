//! What became of the images of one command: told as it happens, as a table at the end, and as the process's end.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use crate::{
    failure::{Exit, Failure},
    outcome::{ImageStatus, Outcome},
    progress::percent_saved,
    table::{Cell, Column, Layout, Table, decimal, number, whole, words},
    terminal::{self, Paint, Terminal, printable, wrapped},
};

/// The columns of `send` and `inspect`, sizes in bytes and times in milliseconds.
const COLUMNS: [Column; 19] = [
    words("image").flexible(),
    words("status"),
    words("model").rank(2),
    words("mode"),
    number("original").rank(1),
    number("raw").rank(6),
    number("coded"),
    number("sealed").rank(5),
    number("bpp").rank(4),
    number("SSIM"),
    number("worst").rank(4),
    number("PSNR dB").rank(3),
    number("prepare").rank(7),
    number("encode").rank(7),
    number("code").rank(9),
    number("seal").rank(9),
    number("transfer").rank(8),
    number("open").rank(9),
    number("decode").rank(8),
];

/// The results of one command, as they come in.
pub struct Results<'t, 'o> {
    terminal: &'t mut Terminal<'o>,
    json: bool,
    report: Option<Report>,
    outcomes: Vec<Outcome>,
}

impl<'t, 'o> Results<'t, 'o> {
    /// None yet; `report` is the file of `--report`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn new(terminal: &'t mut Terminal<'o>, json: bool, report: Option<&Path>) -> Result<Self, Failure> {
        let report = report.map(Report::create).transpose()?;
        Ok(Self { terminal, json, report, outcomes: Vec::new() })
    }

    /// Where the results go.
    pub fn terminal(&mut self) -> &mut Terminal<'o> {
        self.terminal
    }

    /// Tells what became of one image: the error as a line, the object where asked for.
    ///
    /// # Errors
    /// Standard output or the report cannot be written.
    pub fn add(&mut self, outcome: Outcome) -> Result<(), Failure> {
        if let Some(error) = &outcome.error {
            terminal::error(&format!("{}: {error}", printable(&outcome.path)));
        }
        self.add_untold(outcome)
    }

    /// The same, where the error is told once for all images.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_untold(&mut self, outcome: Outcome) -> Result<(), Failure> {
        let line = outcome.to_json() + "\n";
        if self.json {
            self.terminal.print(&line)?;
        }
        if let Some(report) = &mut self.report {
            report.line(&line)?;
        }
        self.outcomes.push(outcome);
        Ok(())
    }

    /// Shows the table, and gives the worst that happened as the process's end.
    ///
    /// # Errors
    /// Standard output or the report cannot be written.
    pub fn finish(self) -> Result<Exit, Failure> {
        if let Some(report) = self.report {
            report.finish()?;
        }
        if !self.json && !self.terminal.quiet() && !self.outcomes.is_empty() {
            let width = self.terminal.width();
            let text = table(&self.outcomes, width) + "\n" + &wrapped(&summary(&self.outcomes), width);
            self.terminal.print(&text)?;
        }
        Ok(exit(&self.outcomes))
    }
}

/// The columns of images that are told one by one.
const LIVE_COLUMNS: [Column; 7] = [
    words("status").at_least(9),
    words("mode").at_least(19),
    words("model").at_least(12).rank(2),
    number("original").at_least(10).rank(1),
    number("sealed").at_least(9).rank(1),
    number("SSIM").at_least(6),
    words("image").flexible().at_least(LONGEST_PATH),
];
/// Longest path of the system: all of it is shown where there is no terminal.
const LONGEST_PATH: usize = 4096;

/// The results of a command that runs on and on: each told when it comes, none kept.
pub struct Live<'t, 'o> {
    terminal: &'t mut Terminal<'o>,
    json: bool,
    report: Option<Report>,
    layout: Layout,
    head_due: bool,
}

impl<'t, 'o> Live<'t, 'o> {
    /// None yet; `report` is the file of `--report`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn new(terminal: &'t mut Terminal<'o>, json: bool, report: Option<&Path>) -> Result<Self, Failure> {
        let report = report.map(Report::create).transpose()?;
        let layout = Table::new(&LIVE_COLUMNS).layout(terminal.width());
        Ok(Self { terminal, json, report, layout, head_due: true })
    }

    /// Where the results go.
    pub fn terminal(&mut self) -> &mut Terminal<'o> {
        self.terminal
    }

    /// Tells what became of one image.
    ///
    /// # Errors
    /// Standard output or the report cannot be written.
    pub fn add(&mut self, outcome: &Outcome) -> Result<(), Failure> {
        if let Some(error) = &outcome.error {
            terminal::error(&format!("{}: {error}", printable(&outcome.path)));
        }
        let line = outcome.to_json() + "\n";
        if let Some(report) = &mut self.report {
            report.line(&line)?;
        }
        if self.json {
            return self.terminal.print(&line);
        }
        if self.terminal.quiet() {
            return Ok(());
        }
        if std::mem::take(&mut self.head_due) {
            self.terminal.print(&self.layout.header(&LIVE_COLUMNS))?;
        }
        let row = [
            status(outcome.status),
            outcome.mode_and_mark(),
            outcome.model.clone().unwrap_or_else(|| "-".to_owned()).into(),
            whole(outcome.original_bytes),
            whole(outcome.sealed_bytes),
            decimal(outcome.ssim, 4),
            outcome.path.clone().into(),
        ];
        self.terminal.print(&self.layout.line(&LIVE_COLUMNS, &row))
    }
}

/// A local file that cannot be read rejects its image only; a lost service is told apart.
fn exit(outcomes: &[Outcome]) -> Exit {
    let one = |failure: &Failure| {
        if failure.exit == Exit::Unreachable { Exit::Unreachable } else { Exit::Rejected }
    };
    outcomes.iter().filter_map(|outcome| outcome.error.as_ref()).map(one).max().unwrap_or(Exit::Done)
}

/// The table, and below it why images are exact or marked.
fn table(outcomes: &[Outcome], width: Option<usize>) -> String {
    let mut table = Table::new(&COLUMNS);
    for outcome in outcomes {
        table.push(row(outcome));
    }
    let mut text = table.render(width);
    for outcome in outcomes {
        let path = printable(&outcome.path);
        if let Some(reason) = &outcome.exact_reason {
            text.push_str(&wrapped(&format!("{path} travels exact: {reason}\n"), width));
        }
        if let Some(why) = outcome.mark.and_then(meaning).filter(|_| outcome.error.is_none()) {
            text.push_str(&wrapped(&format!("{path} travels marked: {why}\n"), width));
        }
    }
    text
}

/// What a mark says of its picture.
fn meaning(mark: &str) -> Option<&'static str> {
    match mark {
        "below_floor" => Some("it is below a floor of the policy"),
        "denoised" => Some("its model changes pictures on purpose, to take noise away"),
        "research" => Some("its model serves research"),
        _ => None,
    }
}

fn row(outcome: &Outcome) -> Vec<Cell> {
    let mut row = vec![
        outcome.path.clone().into(),
        status(outcome.status),
        outcome.model.clone().unwrap_or_else(|| "-".to_owned()).into(),
        outcome.mode_and_mark(),
    ];
    if outcome.status == ImageStatus::Rejected && outcome.coded_bytes.is_none() {
        return row;
    }
    row.extend(
        [outcome.original_bytes, outcome.raw_bytes, outcome.coded_bytes, outcome.sealed_bytes].map(whole),
    );
    row.push(decimal(outcome.bits_per_pixel(), 3));
    row.push(decimal(outcome.ssim, 4));
    row.push(decimal(outcome.min_local_ssim, 4));
    row.push(decimal(outcome.psnr_db, 2));
    let ms = outcome.timings_ms;
    for step in [ms.prepare, ms.encode, ms.code, ms.seal, ms.transfer, ms.open, ms.decode] {
        row.push(decimal(Some(step), 1));
    }
    row
}

/// A status in its colour.
#[must_use]
pub fn status(status: ImageStatus) -> Cell {
    let paint = match status {
        ImageStatus::Delivered | ImageStatus::WouldSend => Paint::Good,
        ImageStatus::Queued => Paint::Notice,
        ImageStatus::Rejected => Paint::Bad,
    };
    Cell::painted(paint, status.word())
}

/// One line that sums the table up.
fn summary(outcomes: &[Outcome]) -> String {
    let taken: Vec<_> = outcomes.iter().filter(|outcome| outcome.status != ImageStatus::Rejected).collect();
    let sum = |bytes: fn(&Outcome) -> Option<u64>| taken.iter().copied().filter_map(bytes).sum::<u64>();
    let (original, raw, coded) = (sum(|o| o.original_bytes), sum(|o| o.raw_bytes), sum(|o| o.coded_bytes));
    let count = |status| outcomes.iter().filter(|outcome| outcome.status == status).count();
    let mut words = Vec::new();
    for status in [ImageStatus::Delivered, ImageStatus::Queued, ImageStatus::WouldSend, ImageStatus::Rejected]
    {
        if count(status) > 0 {
            words.push(format!("{} {}", count(status), status.word().replace('_', " ")));
        }
    }
    let images = if outcomes.len() == 1 { "image" } else { "images" };
    let counted = format!("{} of {} {images}", words.join(", "), outcomes.len());
    if taken.is_empty() {
        return counted + "\n";
    }
    let travelled = sum(|o| o.sealed_bytes.or(o.coded_bytes));
    let saved = percent_saved(original, travelled).map_or_else(String::new, |percent| {
        format!("; {} B ({percent} %) of the files saved", original - travelled)
    });
    format!("{counted}; files {original} B, pixels {raw} B, coded {coded} B{saved}\n")
}

/// The file of `--report`.
struct Report {
    path: PathBuf,
    file: File,
}

impl Report {
    fn create(path: &Path) -> Result<Self, Failure> {
        let file = File::create(path).map_err(|error| Failure::file(path, &error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.file.write_all(line.as_bytes()).map_err(|error| Failure::file(&self.path, &error))
    }

    fn finish(self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|error| Failure::file(&self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_images_are_named_below_the_table() {
        let mut marked = Outcome::new("a.png".to_owned(), None, ImageStatus::WouldSend, None);
        for (mark, said) in
            [("denoised", "on purpose"), ("research", "serves research"), ("below_floor", "below a floor")]
        {
            marked.mark = Some(mark);
            let text = table(std::slice::from_ref(&marked), None);
            let last = text.lines().last().expect("a line");
            assert!(last.starts_with("a.png travels marked: ") && last.contains(said), "{text}");
        }
        marked.error = Some(Failure::usage("no receiver takes it"));
        assert!(
            !table(std::slice::from_ref(&marked), None).contains("travels"),
            "what was refused travels nowhere"
        );
        marked.error = None;
        marked.mark = None;
        assert!(!table(&[marked], None).contains("marked"));
    }

    #[test]
    fn the_summary_counts_and_says_what_was_saved() {
        let mut sent = Outcome::new("a".to_owned(), None, ImageStatus::Delivered, None);
        (sent.original_bytes, sent.sealed_bytes, sent.coded_bytes) = (Some(1000), Some(250), Some(200));
        let failure = Failure::rejected("INVALID_ARGUMENT", "UNKNOWN_FORMAT", "no picture");
        let refused = Outcome::rejected("b".to_owned(), None, None, failure);
        let text = summary(&[sent, refused]);
        assert_eq!(
            text,
            "1 delivered, 1 rejected of 2 images; files 1000 B, pixels 0 B, coded 200 B; 750 B (75 %) of the files saved\n"
        );
    }
}
