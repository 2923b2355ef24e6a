//! The one writer of all that commands print. Each line is escaped here, so that text of others cannot control a terminal or forge a row,
//! and an output that is closed or full is a failure of the command.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdin, stdout};

use serde_json::Value as Json;

use super::escape;
use super::failure::{Failure, Reason};

/// Prints one line.
///
/// # Errors
/// [`Reason::Closed`] if the reader of the output is gone, [`Reason::Failed`] if it cannot be written.
pub fn line(text: impl Display) -> Result<(), Failure> {
    lines([text.to_string()])
}

/// Prints lines.
///
/// # Errors
/// As [`line()`].
pub fn lines(lines: impl IntoIterator<Item = String>) -> Result<(), Failure> {
    raw(joined(lines).as_bytes())
}

/// Prints JSON as one line.
///
/// # Errors
/// As [`line()`].
pub fn json(value: &Json) -> Result<(), Failure> {
    raw(format!("{}\n", escape::json(value)).as_bytes())
}

/// Prints bytes that this program made itself: a script, a capture for another program.
///
/// # Errors
/// As [`line()`].
pub fn raw(bytes: &[u8]) -> Result<(), Failure> {
    write_to(&mut stdout().lock(), bytes).map_err(|error| unwritten("the output", &error))
}

/// The failure for an output that cannot be written.
pub fn unwritten(output: &str, error: &io::Error) -> Failure {
    let reason = if error.kind() == ErrorKind::BrokenPipe { Reason::Closed } else { Reason::Failed };
    Failure::new(reason, format!("cannot write {output}: {error}"))
}

/// Shows a line of a daemon or lab that goes on, whether it can be shown or not.
pub fn show(text: impl Display) {
    let _ = write_to(&mut stdout().lock(), joined([text.to_string()]).as_bytes());
}

/// Shows a message on the standard error. Its first line is as given; further ones are indented, so that none looks like a message
/// of its own.
pub fn complain(text: impl Display) {
    let _ = write_to(&mut stderr().lock(), message(&text.to_string()).as_bytes());
}

/// Asks at the terminal and reads the answer; `None` without a terminal.
pub fn ask(question: &str) -> Option<String> {
    if !stdin().is_terminal() {
        return None;
    }
    prompt(question);
    let mut line = String::new();
    stdin().read_line(&mut line).ok()?;
    Some(line.trim().to_owned())
}

/// Shows a question on the standard error; the cursor stays behind it.
pub fn prompt(question: &str) {
    let question = message(question);
    let _ = write_to(&mut stderr().lock(), format!("{} ", question.trim_end_matches('\n')).as_bytes());
}

fn write_to(output: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    output.write_all(bytes)?;
    output.flush()
}

fn joined(lines: impl IntoIterator<Item = String>) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(&escape::escape(&line));
        text.push('\n');
    }
    text
}

fn message(text: &str) -> String {
    let mut lines = text.split('\n');
    let first = lines.next().unwrap_or_default().to_owned();
    joined(std::iter::once(first).chain(lines.map(|line| format!("  {}", line.trim_start()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(joined(["a\nb".to_owned(), "c".to_owned()]), "a\\nb\nc\n");
    }

    #[test]
    fn a_message_of_several_lines_is_one_block() {
        assert_eq!(message("no\nerror: forged\x1b[2J"), "no\n  error: forged\\u{1b}[2J\n");
    }

    #[test]
    fn only_a_missing_reader_is_a_closed_output() {
        assert_eq!(unwritten("x", &ErrorKind::BrokenPipe.into()).reason, Reason::Closed);
        let full = unwritten("the output", &ErrorKind::StorageFull.into());
        assert_eq!(
            (full.reason, full.message.starts_with("cannot write the output: ")),
            (Reason::Failed, true)
        );
    }
}
