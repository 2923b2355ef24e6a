//! A progress bar for a task, on a terminal only.

use std::io::{IsTerminal, Write, stderr};

const WIDTH: usize = 30;

/// The bar of one task. It appears with the first report of progress.
pub struct Progress {
    title: String,
    shown: bool,
}

impl Progress {
    /// A bar with the name of the method.
    pub fn new(method: &str) -> Self {
        Self { title: method.trim_end_matches("_Task").to_owned(), shown: stderr().is_terminal() }
    }

    /// Shows the progress.
    pub fn show(&self, percent: u8) {
        if self.shown {
            let full = WIDTH * usize::from(percent.min(100)) / 100;
            let _ = write!(stderr(), "\r{} [{:<WIDTH$}] {percent:3} %", self.title, "#".repeat(full));
        }
    }

    /// Takes the bar off the terminal.
    pub fn end(&self) {
        if self.shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
