//! The phases of a long command: each runs whatever became of the others, and a table tells in the end what each took.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process;

/// The phases so far.
pub struct Phases {
    started: Instant,
    done: Vec<Done>,
}

struct Done {
    title: String,
    took: Duration,
    failed: bool,
}

impl Phases {
    pub fn start() -> Self {
        Self { started: Instant::now(), done: Vec::new() }
    }

    /// Runs a phase; prints its error if it fails.
    pub fn run(&mut self, title: &str, work: impl FnOnce() -> Result<()>) {
        let started = Instant::now();
        let result = process::step(title, work);
        if let Err(error) = &result {
            eprintln!("{error:#}");
        }
        self.done.push(Done { title: title.to_owned(), took: started.elapsed(), failed: result.is_err() });
    }

    /// Prints the table.
    ///
    /// # Errors
    /// Names the phases that failed.
    pub fn finish(self) -> Result<()> {
        eprint!("{}", table(&self.done, self.started.elapsed()));
        let failed: Vec<&str> =
            self.done.iter().filter(|done| done.failed).map(|done| done.title.as_str()).collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}

fn table(done: &[Done], all: Duration) -> String {
    let rows = done.iter().map(|done| (done.title.as_str(), done.took, done.failed));
    let rows: Vec<_> = rows.chain([("all", all, false)]).collect();
    let width = rows.iter().map(|(title, ..)| title.chars().count()).max().unwrap_or(0);
    let line = |(title, took, failed): &(&str, Duration, bool)| {
        let seconds = took.as_secs();
        let mark = if *failed { "  FAILED" } else { "" };
        format!("{title:<width$}  {:>3} min {:02} s{mark}\n", seconds / 60, seconds % 60)
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_what_each_phase_took_and_which_failed() {
        let done = |title: &str, seconds, failed| Done {
            title: title.to_owned(),
            took: Duration::from_secs(seconds),
            failed,
        };
        let text = table(&[done("set-up", 61, false), done("tests", 7, true)], Duration::from_secs(3700));
        assert_eq!(text, "set-up    1 min 01 s\ntests     0 min 07 s  FAILED\nall      61 min 40 s\n");
    }

    #[test]
    fn a_phase_that_fails_does_not_keep_the_next_from_running() {
        let mut phases = Phases::start();
        let mut ran = Vec::new();
        phases.run("first", || bail!("broken"));
        phases.run("second", || {
            ran.push("second");
            Ok(())
        });
        let error = phases.finish().expect_err("the first phase failed").to_string();
        assert_eq!((error.as_str(), ran.as_slice()), ("failed: first", ["second"].as_slice()));
    }
}
