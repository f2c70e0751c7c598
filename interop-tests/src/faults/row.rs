//! Rows: the output of every fault suite, one JSON object per line, and the table made from them.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The result of one case of a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The suite's name, the same on all of its rows.
    pub suite: String,
    /// The case's name, unique within the suite.
    pub case: String,
    /// Whether it passed.
    pub passed: bool,
    /// Whether it was skipped. Then `reason` says what is missing and how to install it.
    #[serde(default)]
    pub skipped: bool,
    /// Measured numbers, in display order. The name includes the unit.
    #[serde(default)]
    pub figures: Map<String, Value>,
    /// The reason of a failure. Empty if it passed.
    #[serde(default)]
    pub reason: String,
}

impl Row {
    /// Creates a row that has passed.
    pub fn new(suite: &str, case: impl Into<String>) -> Row {
        Row {
            suite: suite.to_owned(),
            case: case.into(),
            passed: true,
            skipped: false,
            figures: Map::new(),
            reason: String::new(),
        }
    }

    /// Adds a figure. Fractions are rounded to one digit.
    #[must_use]
    pub fn figure(mut self, name: &str, value: f64) -> Row {
        self.figures.insert(name.to_owned(), ((value * 10.0).round() / 10.0).into());
        self
    }

    /// Marks the row as failed.
    pub fn fail(&mut self, reason: &str) {
        self.passed = false;
        if !self.reason.is_empty() {
            self.reason.push('\n');
        }
        self.reason.push_str(reason);
    }

    /// Prints the row as a line on stdout.
    ///
    /// # Panics
    /// If stdout is closed.
    pub fn print(&self) {
        println!("{}", serde_json::to_string(self).expect("a row is plain data"));
    }

    /// Parses the rows in the output of a suite.
    ///
    /// # Errors
    /// If a line is not a row.
    pub fn parse(text: &str) -> Result<Vec<Row>> {
        let row = |line: &str| serde_json::from_str(line).with_context(|| format!("{line:?} is no row"));
        text.lines().filter(|line| !line.trim().is_empty()).map(row).collect()
    }

    fn verdict(&self) -> &'static str {
        match (self.passed, self.skipped) {
            (true, true) => "skipped",
            (true, false) => "pass",
            (false, _) => "FAIL",
        }
    }
}

/// Formats the rows of one suite as a table with a column for each figure.
pub fn table(rows: &[Row]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in rows.iter().flat_map(|row| row.figures.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let head = [&["case", "verdict"], names.as_slice()].concat();
    let head = head.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let body = rows.iter().map(|row| {
        let figures = names.iter().map(|name| row.figures.get(*name).map(shown).unwrap_or_default());
        [row.case.clone(), row.verdict().to_owned()].into_iter().chain(figures).collect::<Vec<_>>()
    });
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(body).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..2 + names.len()).map(width).collect();
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            // Aligns words to the left and numbers to the right.
            let _ =
                if column < 2 { write!(text, "  {cell:width$}") } else { write!(text, "  {cell:>width$}") };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        let reason = index.checked_sub(1).map_or("", |row| rows[row].reason.as_str());
        for line in reason.lines() {
            let _ = writeln!(text, "      {line}");
        }
    }
    text
}

/// Formats a number, without a fraction if it is whole.
fn shown(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if number.fract() == 0.0 => format!("{number:.0}"),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_as_it_was_printed() {
        let mut row =
            Row::new("hostile", "every value of mark").figure("inputs", 12.0).figure("slowest ms", 1.25);
        row.fail("one");
        row.fail("two");
        let line = serde_json::to_string(&row).unwrap();
        assert_eq!(Row::parse(&format!("{line}\n\n")).unwrap(), [row]);
        Row::parse("not a row").unwrap_err();
    }

    #[test]
    fn a_table_has_a_column_for_each_figure_and_the_reasons_below() {
        let mut failed = Row::new("s", "two").figure("b", 2.5);
        failed.fail("why");
        let rows = [Row::new("s", "one").figure("a", 10.0), failed];
        assert_eq!(
            table(&rows),
            "  case  verdict   a    b\n  one   pass     10\n  two   FAIL         2.5\n      why\n"
        );
    }
}
