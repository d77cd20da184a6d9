//! Tables for people: columns as wide as what is in them, and as many of them as the terminal has room for.

use console::measure_text_width;

use crate::terminal::{Paint, paint, printable};

/// Blanks between two columns.
const GAP: usize = 2;
/// What a flexible column keeps before a less important column goes.
const COMFORTABLE: usize = 28;
/// What a flexible column keeps in any case.
const NARROWEST: usize = 8;

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    right: bool,
    flexible: bool,
    least_width: usize,
    rank: u8,
}

/// A column of words, to the left.
#[must_use]
pub const fn words(title: &'static str) -> Column {
    Column { title, right: false, flexible: false, least_width: 0, rank: 0 }
}

/// A column of numbers, to the right.
#[must_use]
pub const fn number(title: &'static str) -> Column {
    Column { title, right: true, ..words(title) }
}

impl Column {
    /// Goes when the terminal is too narrow, columns of higher rank first; rank 0 stays.
    #[must_use]
    pub const fn rank(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    /// Holds paths: may be cut at the left, where a path says least.
    #[must_use]
    pub const fn flexible(self) -> Self {
        Self { flexible: true, ..self }
    }

    /// Is at least this wide, whatever is in it.
    #[must_use]
    pub const fn at_least(self, least_width: usize) -> Self {
        Self { least_width, ..self }
    }
}

/// What stands in one row of one column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    paint: Option<Paint>,
}

impl Cell {
    /// A coloured cell.
    #[must_use]
    pub fn painted(paint: Paint, text: impl Into<String>) -> Self {
        Self { paint: Some(paint), ..Self::from(text) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: printable(&text.into()).into_owned(), paint: None }
    }
}

/// A table that is printed at once, or line by line.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub fn push(&mut self, mut row: Vec<Cell>) {
        row.resize(self.columns.len(), Cell::default());
        self.rows.push(row);
    }

    /// The text, a line a row, no wider than `width` where that is possible.
    #[must_use]
    pub fn render(&self, width: Option<usize>) -> String {
        let layout = self.layout(width);
        let mut text = layout.header(&self.columns);
        for row in &self.rows {
            text.push_str(&layout.line(&self.columns, row));
        }
        text
    }

    /// How the columns stand with the rows that are known.
    #[must_use]
    pub fn layout(&self, width: Option<usize>) -> Layout {
        let mut widths: Vec<usize> =
            self.columns.iter().map(|column| column.least_width.max(column.title.len())).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(measure_text_width(&cell.text));
            }
        }
        let mut shown: Vec<Option<usize>> = widths.into_iter().map(Some).collect();
        let Some(room) = width else { return Layout(shown) };
        while self.needs(&shown, COMFORTABLE) > room {
            let Some(place) = self.least_important(&shown) else { break };
            shown[place] = None;
        }
        let excess = self.needs(&shown, usize::MAX).saturating_sub(room);
        let flexible = self.columns.iter().zip(&mut shown).find(|(column, _)| column.flexible);
        if let Some((_, Some(flexible))) = flexible {
            *flexible = flexible.saturating_sub(excess).max(NARROWEST.min(*flexible));
        }
        Layout(shown)
    }

    /// Columns of the terminal that a line takes if flexible columns are cut to `flexible`.
    fn needs(&self, shown: &[Option<usize>], flexible: usize) -> usize {
        let columns = self.columns.iter().zip(shown);
        let taken = columns.filter_map(|(column, width)| {
            width.map(|width| if column.flexible { width.min(flexible) } else { width } + GAP)
        });
        taken.sum::<usize>().saturating_sub(GAP)
    }

    fn least_important(&self, shown: &[Option<usize>]) -> Option<usize> {
        let places = (0..self.columns.len()).filter(|&place| shown[place].is_some());
        places.filter(|&place| self.columns[place].rank > 0).max_by_key(|&place| self.columns[place].rank)
    }
}

/// How wide each column is; `None` for those that there is no room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout(Vec<Option<usize>>);

impl Layout {
    /// The line of titles.
    #[must_use]
    pub fn header(&self, columns: &[Column]) -> String {
        let titles: Vec<_> =
            columns.iter().map(|column| Cell::painted(Paint::Strong, column.title)).collect();
        self.line(columns, &titles)
    }

    /// A line of cells, with its line break.
    #[must_use]
    pub fn line(&self, columns: &[Column], cells: &[Cell]) -> String {
        let last = self.0.iter().rposition(Option::is_some).unwrap_or(0);
        let mut line = String::new();
        for (place, (column, cell)) in columns.iter().zip(cells).enumerate() {
            let Some(width) = self.0[place] else { continue };
            if !line.is_empty() {
                line.push_str(&" ".repeat(GAP));
            }
            let text = if column.flexible { cut_left(&cell.text, width) } else { cell.text.clone() };
            let padding = " ".repeat(width.saturating_sub(measure_text_width(&text)));
            let painted = match cell.paint {
                Some(colour) if !text.is_empty() => paint(colour, &text),
                Some(_) | None => text,
            };
            match (column.right, place == last) {
                (true, _) => line.push_str(&(padding + &painted)),
                (false, true) => line.push_str(&painted),
                (false, false) => line.push_str(&(painted + &padding)),
            }
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

/// A text of at most `width` columns: the end of a long one, behind an ellipsis.
#[must_use]
pub fn cut_left(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars().rev() {
        let longer = format!("{character}{kept}");
        if measure_text_width(&longer) + 1 > width {
            break;
        }
        kept = longer;
    }
    format!("…{kept}")
}

/// A number, or a dash where there is none.
#[must_use]
pub fn whole(value: Option<u64>) -> Cell {
    value.map_or_else(|| "-".into(), |value| value.to_string().into())
}

/// A number with so many decimals, or a dash where there is none.
#[must_use]
pub fn decimal(value: Option<f64>, digits: usize) -> Cell {
    value.map_or_else(|| "-".into(), |value| format!("{value:.digits$}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] =
        [words("file").flexible(), words("status"), number("n").rank(1), number("more").rank(2)];

    fn table() -> Table {
        let mut table = Table::new(&COLUMNS);
        let path = "/archive/2026/11/21/a-very-long-name-of-a-picture.dcm";
        table.push(vec![path.into(), "delivered".into(), "1000".into(), "1".into()]);
        table.push(vec!["ümläut.png".into(), "rejected".into(), "7".into()]);
        table
    }

    #[test]
    fn columns_line_up_and_nothing_is_cut_where_there_is_no_terminal() {
        let mut table = Table::new(&[words("name"), number("n")]);
        table.push(vec!["a".into(), "1000".into()]);
        table.push(vec!["löngêr".into(), "7".into()]);
        assert_eq!(table.render(None), "name       n\na       1000\nlöngêr     7\n");
    }

    #[test]
    fn a_narrow_terminal_costs_the_least_important_columns_first_and_then_the_beginning_of_paths() {
        let lines = |width| table().render(Some(width)).lines().map(str::to_owned).collect::<Vec<_>>();
        let all = lines(80);
        assert!(all[0].ends_with("more") && all[1].starts_with("/archive"), "{all:#?}");
        let fewer = lines(50);
        assert!(fewer[0].ends_with('n') && fewer[1].starts_with("…"), "{fewer:#?}");
        assert!(fewer[1].contains("a-picture.dcm  delivered"), "{fewer:#?}");
        let fewest = lines(40);
        assert!(fewest[0].ends_with("status"), "{fewest:#?}");
        for width in 24..100 {
            for line in lines(width) {
                assert!(measure_text_width(&line) <= width, "{width}: {line:?}");
            }
        }
    }

    #[test]
    fn a_cut_text_keeps_its_end() {
        assert_eq!(cut_left("abcdef", 6), "abcdef");
        assert_eq!(cut_left("abcdef", 4), "…def");
        assert_eq!(cut_left("日本語", 5), "…本語");
    }
}
