//! The log of a daemon, on standard error: one line for each event, whatever text of others it quotes.

use std::io::{self, IsTerminal, Write, stderr};

use tracing_subscriber::EnvFilter;

use crate::client::escape::escape_except;

/// Begins a colour on a terminal. The subscriber escapes those in the values that it shows.
const COLOUR: char = '\u{1b}';

/// Writes the log to standard error, in colour on a terminal. `ESFERA_LOG` filters it, as `info,api=debug`.
pub fn start_log(default: &str) {
    let filter = EnvFilter::try_from_env("ESFERA_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colour = stderr().is_terminal();
    // A log that nobody reads any longer, or on a full disk, must not end the daemon: the subscriber would panic to report that.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).log_internal_errors(false);
    log.with_writer(move || Lines { colour, to: stderr() }).init();
}

/// Writes each event, which comes whole, as one line.
struct Lines<W> {
    colour: bool,
    to: W,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let kept = if self.colour { Some(COLOUR) } else { None };
        let line = escape_except(text.trim_end_matches('\n'), kept);
        self.to.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        for (colour, expected) in
            [(false, "\\u{1b}[1ma\\n INFO forged\\u{9b}\n"), (true, "\u{1b}[1ma\\n INFO forged\\u{9b}\n")]
        {
            let mut lines = Lines { colour, to: Vec::new() };
            lines.write_all("\u{1b}[1ma\n INFO forged\u{9b}\n".as_bytes()).unwrap();
            assert_eq!(String::from_utf8(lines.to).unwrap(), expected);
        }
    }
}
