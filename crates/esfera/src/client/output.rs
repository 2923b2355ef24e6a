//! Output of commands: tables for people, JSON for programs.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};
use unicode_width::UnicodeWidthStr;

use super::escape::escape;
use super::failure::Failure;
use super::terminal;

/// Rows under headings. Printed as aligned columns, or as a JSON list of objects whose keys are the headings.
pub struct Table {
    headings: Vec<Cow<'static, str>>,
    rows: Vec<Vec<Json>>,
}

impl Table {
    /// `headings` are also the keys in JSON: lower case, `_` between words.
    pub fn new(headings: &[&'static str]) -> Self {
        Self { headings: headings.iter().map(|heading| Cow::Borrowed(*heading)).collect(), rows: Vec::new() }
    }

    /// A table whose headings a server has named.
    pub fn headed(headings: Vec<String>) -> Self {
        Self { headings: headings.into_iter().map(Cow::Owned).collect(), rows: Vec::new() }
    }

    /// Adds a row; null is shown as `-`.
    pub fn row(&mut self, cells: Vec<Json>) {
        debug_assert_eq!(cells.len(), self.headings.len(), "a cell under each heading");
        self.rows.push(cells);
    }

    /// Prints the table, or JSON.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn print(&self, json: bool) -> Result<(), Failure> {
        if json { terminal::json(&self.to_json()) } else { terminal::lines(self.to_lines()) }
    }

    /// A list of objects whose keys are the headings.
    pub fn to_json(&self) -> Json {
        let object = |row: &Vec<Json>| -> Json {
            self.headings
                .iter()
                .map(|h| h.clone().into_owned())
                .zip(row.iter().cloned())
                .collect::<Map<_, _>>()
                .into()
        };
        self.rows.iter().map(object).collect()
    }

    /// Aligned columns, a line for each row.
    pub fn to_lines(&self) -> Vec<String> {
        let heading =
            |heading: &Cow<'static, str>| escape(&heading.replace('_', " ").to_uppercase()).into_owned();
        let headings: Vec<String> = self.headings.iter().map(heading).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].width());
            cells.chain([headings[column].width()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..headings.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            // A character may take no column, or two.
            let cells = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell}{}", " ".repeat(width.saturating_sub(cell.width()) + 2)));
            cells.collect::<String>().trim_end().to_owned()
        };
        std::iter::once(&headings).chain(&rows).map(line).collect()
    }
}

fn cell(value: &Json) -> String {
    match value {
        Json::Null => "-".into(),
        Json::String(text) => escape(text).into_owned(),
        other => escape(&other.to_string()).into_owned(),
    }
}

/// A text cell; null if it is unset.
pub fn text(text: Option<&str>) -> Json {
    text.into()
}

/// A cell of several words.
pub fn words(words: Option<Vec<&str>>) -> Json {
    words.unwrap_or_default().join(" ").into()
}

/// A size in the unit that keeps it short: `1.5 GiB`.
pub fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[allow(clippy::cast_precision_loss)]
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount.abs() >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_unknown_is_a_dash() {
        let mut table = Table::new(&["name", "guest_address"]);
        table.row(vec!["web".into(), Json::Null]);
        table.row(vec!["database".into(), "10.0.0.1".into()]);
        assert_eq!(table.to_lines(), ["NAME      GUEST ADDRESS", "web       -", "database  10.0.0.1"]);
        assert_eq!(table.to_json()[0]["guest_address"], Json::Null);
    }

    #[test]
    fn wide_characters_do_not_shift_the_columns_behind_them() {
        let mut table = Table::new(&["name", "power"]);
        table.row(vec!["日本語".into(), "on".into()]);
        table.row(vec!["e\u{301}té".into(), "off".into()]);
        assert_eq!(table.to_lines(), ["NAME    POWER", "日本語  on", "e\u{301}té     off"]);
    }

    #[test]
    fn a_cell_cannot_forge_a_row_or_leave_its_column() {
        let mut table = Table::new(&["user", "message"]);
        table.row(vec!["a\nroot".into(), "ok".into()]);
        table.row(vec!["b".into(), serde_json::json!(["\u{9b}2J"])]);
        assert_eq!(table.to_lines(), ["USER     MESSAGE", "a\\nroot  ok", "b        [\"\\u{9b}2J\"]"]);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([size(512), size(1536), size(5 << 30)], ["512 B", "1.5 KiB", "5.0 GiB"]);
    }
}
