//! Comments, documents and messages name the actor first. Two habits are counted: sentences of comments and documents
//! that open with *What*, *Who* or the like as their subject, and texts that say something "is no X". Each room of the
//! tree has its ratchet, which only goes down.

mod passages;
mod sentences;
mod source;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use super::files;
use crate::paths;
use passages::Passage;
use sentences::Habit;

/// The most that a room may have: sentences that open with a question word, and texts with "is no". A room that is not
/// named may have none.
const AT_MOST: &[(&str, usize, usize)] = &[];

/// This check's own tests show the habits.
const OWN: &str = "xtask/src/lint/english";

/// Where, what, and the words around it.
struct Finding {
    place: String,
    habit: Habit,
    excerpt: String,
}

pub fn check(detail: bool) -> Result<()> {
    let mut rooms: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
    for path in files::tracked()? {
        if path.starts_with(OWN) {
            continue;
        }
        let Ok(text) = fs::read_to_string(paths::repository().join(&path)) else { continue };
        let found = in_file(&path, &text);
        if !found.is_empty() {
            rooms.entry(room(&path)).or_default().extend(found);
        }
    }
    let mut problems = Vec::new();
    let mut totals = [0, 0];
    for (room, findings) in &rooms {
        let count = |habit| findings.iter().filter(|finding| finding.habit == habit).count();
        let counts = [count(Habit::Opening), count(Habit::IsNo)];
        let bound = AT_MOST.iter().find(|(name, ..)| name == room).map_or([0, 0], |(_, a, b)| [*a, *b]);
        totals = [totals[0] + counts[0], totals[1] + counts[1]];
        let shown = format!(
            "{room}: {} sentences open with What/Who/…, {} texts say \"is no\"",
            counts[0], counts[1]
        );
        let over = counts[0] > bound[0] || counts[1] > bound[1];
        if over {
            problems.push(format!("{shown}; at most {} and {} are allowed", bound[0], bound[1]));
        }
        eprintln!("  {shown}");
        if detail || over {
            for Finding { place, excerpt, .. } in findings {
                eprintln!("    {place}: {excerpt}");
            }
        }
    }
    eprintln!("in all {} and {}", totals[0], totals[1]);
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(())
}

fn in_file(path: &Path, text: &str) -> Vec<Finding> {
    let passages = passages_of(path, text);
    let mut found = Vec::new();
    for passage in &passages {
        for (habit, line, excerpt) in sentences::habits(passage) {
            found.push(Finding { place: format!("{}:{line}", path.display()), habit, excerpt });
        }
    }
    found
}

fn passages_of(path: &Path, text: &str) -> Vec<Passage> {
    match path.extension().and_then(OsStr::to_str) {
        Some("rs") => source::passages(source::Language::Rust, text),
        Some("c" | "h") => source::passages(source::Language::C, text),
        Some("py") => source::passages(source::Language::Python, text),
        Some("md") => passages::of_markdown(text),
        _ => Vec::new(),
    }
}

/// `crates/host/src/x.rs` is in `host`, `docs/x.md` in `docs`, a file at the top in `top`.
fn room(path: &Path) -> String {
    let mut names = path.iter().map(OsStr::to_string_lossy);
    match (names.next(), names.next()) {
        (Some(first), Some(second)) if first == "crates" => second.into_owned(),
        (Some(first), Some(_)) => first.into_owned(),
        _ => "top".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of each habit a file of this name and text has.
    fn counts(name: &str, text: &str) -> (usize, usize) {
        let found = in_file(Path::new(name), text);
        let count = |habit| found.iter().filter(|finding| finding.habit == habit).count();
        (count(Habit::Opening), count(Habit::IsNo))
    }

    #[test]
    fn a_sentence_that_opens_with_its_question_word_counts_unless_it_asks() {
        assert_eq!(counts("a.rs", "/// What a port sends is checked.\nfn f() {}\n"), (1, 0));
        assert_eq!(counts("a.rs", "// Ports are checked. Who sends\n// more is stopped.\n"), (1, 0));
        assert_eq!(counts("a.rs", "// What does a port send? The switch says.\n"), (0, 0));
        assert_eq!(
            counts("a.rs", "// The switch checks what a port sends.\nlet s = \"What it is.\";"),
            (0, 0)
        );
        assert_eq!(
            counts("a.py", "def f():\n    \"\"\"Whoever calls waits.\"\"\"\n    x = 1  # What it is.\n"),
            (2, 0)
        );
        assert_eq!(counts("a.h", "/* What it is.\n * Who it is. */\nint a; // Whose it is.\n"), (3, 0));
    }

    #[test]
    fn is_no_counts_in_comments_documents_and_texts_and_across_lines() {
        assert_eq!(
            counts("a.rs", "// It is no\n// file system.\nlet s = \"there is no \\\n    VM\";"),
            (0, 2)
        );
        assert_eq!(
            counts("a.rs", "// It is no longer one, and is no more than a hint.\nfn is_no() {}\n"),
            (0, 0)
        );
        assert_eq!(counts("a.md", "# There is no heading\n\nThere are no gaps.\n"), (0, 2));
        assert_eq!(counts("a.md", "```\nthere is no\n```\nUse `is no x`.\n"), (0, 0));
        assert_eq!(
            counts("a.rs", "let s = r#\"it is no \"thing\"#; let c = '\"'; // are no others\n"),
            (0, 2)
        );
    }

    #[test]
    fn a_table_names_its_rows_as_it_likes() {
        assert_eq!(counts("a.md", "| What | Who |\n| --- | --- |\n| What it is | is no thing |\n"), (0, 1));
        assert_eq!(counts("a.md", "* What it is, it says.\n* Ports. What they are.\n"), (2, 0));
    }

    #[test]
    fn a_file_belongs_to_a_room() {
        for (path, expected) in [("crates/host/src/a.rs", "host"), ("bpf/a.h", "bpf"), ("README.md", "top")] {
            assert_eq!(room(Path::new(path)), expected);
        }
    }
}
