//! Passages of prose: paragraphs, list items and table cells of comments and documents, each with its lines.

/// A run of prose. Markup of its start is gone; its lines are kept apart, so that a word's line can be told.
#[derive(Debug, PartialEq)]
pub struct Passage {
    /// Of the first line, from 1.
    pub line: usize,
    pub text: String,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Begins with a sentence.
    Prose,
    /// A heading, a cell of a table: it may be any phrase.
    Label,
    /// A string in the code.
    Literal,
}

/// The passages of a document or of one comment, whose first line is `line`. Code in fences is left out, code within
/// a sentence stands as one word.
pub fn of_lines<'a>(line: usize, lines: impl Iterator<Item = &'a str>) -> Vec<Passage> {
    let mut passages: Vec<Passage> = Vec::new();
    let mut open = false;
    let mut fenced = false;
    for (at, raw) in lines.enumerate() {
        let line = line + at;
        let text = raw.trim();
        if text.starts_with("```") {
            fenced = !fenced;
            open = false;
            continue;
        }
        if fenced || text.is_empty() {
            open = false;
            continue;
        }
        let text = without_code(text);
        if text.starts_with('|') {
            let cells = text.split('|').filter(|cell| !cell.trim().is_empty());
            passages.extend(cells.map(|cell| Passage {
                line,
                text: cell.trim().to_owned(),
                kind: Kind::Label,
            }));
            open = false;
        } else if text.starts_with('#') {
            passages.push(Passage {
                line,
                text: text.trim_start_matches('#').trim().to_owned(),
                kind: Kind::Label,
            });
            open = false;
        } else if let Some(item) = list_item(&text) {
            passages.push(Passage { line, text: item.to_owned(), kind: Kind::Prose });
            open = true;
        } else if let (true, Some(last)) = (open, passages.last_mut()) {
            last.text.push('\n');
            last.text.push_str(&text);
        } else {
            passages.push(Passage { line, text, kind: Kind::Prose });
            open = true;
        }
    }
    passages
}

pub fn of_markdown(text: &str) -> Vec<Passage> {
    of_lines(1, text.lines())
}

/// An item's text behind `* `, `- ` or `1. `.
fn list_item(text: &str) -> Option<&str> {
    let behind_bullet = text.strip_prefix("* ").or_else(|| text.strip_prefix("- "));
    behind_bullet.or_else(|| {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        if rest.len() < text.len() { rest.strip_prefix(". ") } else { None }
    })
}

/// `` `code` `` becomes one word that no rule knows.
fn without_code(text: &str) -> String {
    let mut parts = text.split('`');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    let rest: Vec<&str> = parts.collect();
    // Without a partner a mark is a character like any other.
    for pair in rest.chunks(2) {
        match pair {
            [_, behind] => {
                plain.push('\u{2026}');
                plain.push_str(behind);
            }
            [alone] => plain.push_str(alone),
            _ => {}
        }
    }
    plain
}
