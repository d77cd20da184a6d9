//! Where results and remarks go: standard output and standard error, coloured, quiet, as wide as the terminal.

use std::{borrow::Cow, io, io::Write};

use console::{Style, Term};

use crate::{
    args::{OutputArgs, When},
    failure::Failure,
};

/// What a piece of text means, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// As it should be.
    Good,
    /// Worth a look.
    Notice,
    /// As it should not be.
    Bad,
    /// Headings.
    Strong,
    /// Details.
    Faint,
}

/// The two output streams of a run.
pub struct Terminal<'a> {
    out: &'a mut dyn Write,
    quiet: bool,
    width: Option<usize>,
}

impl<'a> Terminal<'a> {
    /// Results go to `out`, which is standard output or stands for it.
    #[must_use]
    pub fn new(out: &'a mut dyn Write, args: OutputArgs) -> Self {
        let forced = match args.color {
            When::Auto => None,
            When::Always => Some(true),
            When::Never => Some(false),
        };
        if let Some(colours) = forced {
            console::set_colors_enabled(colours);
            console::set_colors_enabled_stderr(colours);
        }
        let term = Term::stdout();
        let width =
            if term.is_term() { term.size_checked().map(|(_, columns)| columns.into()) } else { None };
        Self { out, quiet: args.quiet, width }
    }

    /// Whether notes, progress and tables are unwanted.
    #[must_use]
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// Columns of the terminal; `None` where standard output is none.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    /// Writes a result to standard output at once.
    ///
    /// # Errors
    /// Standard output cannot be written, or its reader has gone.
    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.write(text.as_bytes())
    }

    /// Writes a result that is no text.
    ///
    /// # Errors
    /// As [`Self::print`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.out.write_all(bytes).and_then(|()| self.out.flush());
        written.map_err(|error| {
            if error.kind() == io::ErrorKind::BrokenPipe {
                return Failure::output_closed();
            }
            Failure::file(std::path::Path::new("standard output"), &error)
        })
    }

    /// Says something beside the results, on standard error.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            remark(Style::new().cyan(), "note", text);
        }
    }
}

/// Says on standard error what went wrong.
pub fn error(text: &str) {
    remark(Style::new().red().bold(), "error", text);
}

fn remark(style: Style, word: &str, text: &str) {
    let term = Term::stderr();
    let width = if term.is_term() { term.size_checked().map(|(_, columns)| columns.into()) } else { None };
    let text = text.lines().map(printable).collect::<Vec<_>>().join("\n");
    // Painted after wrapping, which counts columns.
    let line = wrapped(&format!("{word}: {text}"), width);
    let line = line.strip_prefix(word).unwrap_or(&line);
    // Where standard error cannot be written, nobody can be told.
    let _ = writeln!(io::stderr(), "{}{line}", style.for_stderr().apply_to(word));
}

/// Text on one line that moves no cursor and turns no letters round: such characters stand as `\u{1b}`. Names of files, and what
/// a service says, may hold anything.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    let moves = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(moves) {
        return Cow::Borrowed(text);
    }
    let shown = |letter: char| {
        if moves(letter) { letter.escape_default().to_string() } else { letter.to_string() }
    };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Prose as wide as the terminal, broken between words; one line where there is none.
#[must_use]
pub fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    textwrap::fill(text, textwrap::Options::new(width).subsequent_indent("  ").break_words(false))
}

/// Colours a text for standard output, if it is to be coloured.
#[must_use]
pub fn paint(paint: Paint, text: &str) -> String {
    let style = match paint {
        Paint::Good => Style::new().green(),
        Paint::Notice => Style::new().yellow(),
        Paint::Bad => Style::new().red().bold(),
        Paint::Strong => Style::new().bold(),
        Paint::Faint => Style::new().dim(),
    };
    style.apply_to(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_move_the_cursor_is_spelt_out() {
        assert_eq!(printable("we\nird\u{1b}[31m\u{9b}2J.jpg"), "we\\nird\\u{1b}[31m\\u{9b}2J.jpg");
        assert_eq!(printable("cod\u{202e}gpj.exe"), "cod\\u{202e}gpj.exe");
        for harmless in ["Thorax Übersicht – 1.dcm", "胸部.png", "a\\b.png"] {
            assert!(matches!(printable(harmless), Cow::Borrowed(same) if same == harmless));
        }
    }
}
