//! Figures as measures print them, and the table that people read.

use std::fmt::Write;

/// One measured value.
#[derive(Debug, PartialEq)]
pub struct Figure {
    what: String,
    value: f64,
    unit: String,
    target: Option<Target>,
    /// The peer's name, and its value in the same unit.
    peer: Option<(String, f64)>,
}

/// The promised bound.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    /// From `>= 500` or `<= 60`.
    fn parse(text: &str) -> Option<Self> {
        let (sign, bound) = text.split_once(' ')?;
        let bound = bound.parse().ok()?;
        match sign {
            ">=" => Some(Self::AtLeast(bound)),
            "<=" => Some(Self::AtMost(bound)),
            _ => None,
        }
    }

    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::AtLeast(bound) => format!(">= {bound}"),
            Self::AtMost(bound) => format!("<= {bound}"),
        }
    }
}

impl Figure {
    /// Reads a line of a measure: `figure`, what, value, unit, target or nothing, peer or nothing, the peer's value,
    /// separated by tabs. Other lines are not figures.
    pub fn parse(line: &str) -> Option<Self> {
        let parts: Vec<&str> = line.split('\t').collect();
        let ["figure", what, value, unit, target, peer, beside] = parts[..] else { return None };
        Some(Self {
            what: what.to_owned(),
            value: value.parse().ok()?,
            unit: unit.to_owned(),
            target: Target::parse(target),
            peer: beside.parse().ok().map(|beside| (peer.to_owned(), beside)),
        })
    }

    fn cells(&self, measure: &str) -> [String; COLUMNS] {
        let beside = self.peer.as_ref().map_or_else(String::new, |(_, value)| number(*value));
        let peer = self.peer.as_ref().map_or_else(String::new, |(name, _)| name.clone());
        let ratio = match &self.peer {
            Some((_, value)) if *value > 0.0 => format!("{:.2}", self.value / value),
            _ => String::new(),
        };
        let target = self.target.map_or_else(String::new, Target::shown);
        let met = match self.target.map(|target| target.is_met(self.value)) {
            None => "",
            Some(true) => "met",
            Some(false) => "MISSED",
        };
        [
            measure.to_owned(),
            self.what.clone(),
            number(self.value),
            self.unit.clone(),
            target,
            met.to_owned(),
            beside,
            ratio,
            peer,
        ]
    }
}

const COLUMNS: usize = 9;
const HEAD: [&str; COLUMNS] = ["measure", "what", "figure", "unit", "target", "", "beside", "ratio", "peer"];
/// Columns of numbers.
const TO_THE_RIGHT: [usize; 3] = [2, 6, 7];

/// With three digits or more, and thousands apart.
fn number(value: f64) -> String {
    if value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digit != '-' && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// All figures in columns.
pub fn table(measures: &[(&str, Vec<Figure>)]) -> String {
    let mut rows = vec![HEAD.map(str::to_owned)];
    for (measure, figures) in measures {
        for (at, figure) in figures.iter().enumerate() {
            rows.push(figure.cells(if at == 0 { measure } else { "" }));
        }
    }
    let widths: Vec<usize> = (0..COLUMNS)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let written = if TO_THE_RIGHT.contains(&column) {
                write!(line, "{cell:>width$}  ")
            } else {
                write!(line, "{cell:<width$}  ")
            };
            written.expect("a string takes all");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_measure_is_read_and_judged_by_its_target() {
        let figure = Figure::parse("figure\tCPU\t66.5\tms\t<= 60\ta file\t8").expect("the line of a measure");
        let cells = figure.cells("retrieve");
        assert_eq!(cells, ["retrieve", "CPU", "66.5", "ms", "<= 60", "MISSED", "8.00", "8.31", "a file"]);
        let fast = Figure::parse("figure\tXML\t812\tMB/s\t>= 500\t\t").expect("the line of a measure");
        assert_eq!(fast.cells("write")[5], "met");
    }

    #[test]
    fn a_remark_is_no_figure() {
        assert_eq!(Figure::parse("10000 machines, 8884877 bytes of XML"), None);
        assert_eq!(Figure::parse("figure\tCPU\tmany\tms\t\t\t"), None);
    }

    #[test]
    fn numbers_keep_the_digits_that_matter() {
        for (value, text) in [(0.187, "0.19"), (44.25, "44.2"), (994_712.0, "994,712"), (-1234.0, "-1,234")] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn columns_stand_below_each_other() {
        let figures = ["figure\tA\t1\tms\t\t\t", "figure\tlong name\t1000\tms\t\t\t"]
            .map(|line| Figure::parse(line).expect("the line of a measure"));
        let text = table(&[("m", figures.into())]);
        let ends: Vec<usize> = text.lines().map(|line| line.find("ms").unwrap_or(0)).skip(1).collect();
        assert_eq!(ends[0], ends[1], "{text}");
    }
}
