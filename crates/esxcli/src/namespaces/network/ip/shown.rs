//! Rows as text, for tests.

use crate::table::{Datum, Row};

/// The values of each row, with blanks between.
pub(super) fn shown(rows: Vec<Row>) -> Vec<String> {
    let value = |datum: Datum| match datum {
        Datum::Text(text) => text,
        Datum::Number(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let row =
        |row: Row| row.into_values().into_iter().map(|(_, datum)| value(datum)).collect::<Vec<_>>().join(" ");
    rows.into_iter().map(row).collect()
}
