//! Comments and strings of source files. A scanner per language would be three parsers; this one knows just enough of
//! each to tell a comment from a string.

use super::passages::{Kind, Passage, of_lines};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Rust,
    C,
    Python,
}

pub fn passages(language: Language, text: &str) -> Vec<Passage> {
    let mut scanner =
        Scanner { language, rest: text, line: 1, fresh: true, comments: Vec::new(), literals: Vec::new() };
    scanner.scan();
    let mut passages = Vec::new();
    let mut comments = scanner.comments.into_iter().peekable();
    while let Some(comment) = comments.next() {
        // Lines of comment below each other are one.
        let (line, alone) = (comment.line, comment.alone);
        let mut lines = comment.lines;
        while let Some(next) = comments.next_if(|next| {
            alone && next.alone && next.line == line + lines.len() && next.mark == comment.mark
        }) {
            lines.extend(next.lines);
        }
        passages.extend(of_lines(line, lines.iter().map(String::as_str)));
    }
    passages.extend(scanner.literals);
    passages
}

struct Comment {
    line: usize,
    /// Nothing else stands before it on its line.
    alone: bool,
    /// How it is opened: `//` and `///` beside each other are two comments.
    mark: &'static str,
    lines: Vec<String>,
}

struct Scanner<'a> {
    language: Language,
    rest: &'a str,
    line: usize,
    /// Only blanks so far on this line.
    fresh: bool,
    comments: Vec<Comment>,
    literals: Vec<Passage>,
}

impl Scanner<'_> {
    fn scan(&mut self) {
        while let Some(next) = self.rest.chars().next() {
            let done = match self.language {
                Language::Python => self.python(next),
                Language::Rust | Language::C => self.slashes(next),
            };
            if done {
                self.fresh = false;
            } else {
                self.fresh = (self.fresh && next.is_whitespace()) || next == '\n';
                self.take(next.len_utf8());
            }
        }
    }

    /// Takes bytes off the front, counting lines.
    fn take(&mut self, bytes: usize) -> String {
        let (taken, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken.to_owned()
    }

    fn python(&mut self, next: char) -> bool {
        match next {
            '#' => self.line_comment("#"),
            '"' | '\'' => {
                let triple: String = std::iter::repeat_n(next, 3).collect();
                if self.rest.starts_with(&triple) {
                    let (line, alone) = (self.line, self.fresh);
                    self.take(3);
                    let text = self.until(&triple, true);
                    if alone {
                        let lines = text.lines().map(str::to_owned).collect();
                        self.comments.push(Comment { line, alone: false, mark: "\"", lines });
                    } else {
                        self.literal(line, text);
                    }
                } else {
                    self.string(next);
                }
            }
            _ => return false,
        }
        true
    }

    fn slashes(&mut self, next: char) -> bool {
        match next {
            '/' => {
                let marks = ["///", "//!", "//"];
                if let Some(mark) = marks.into_iter().find(|mark| self.rest.starts_with(mark)) {
                    self.line_comment(mark);
                } else if self.rest.starts_with("/*") {
                    self.block_comment();
                } else {
                    return false;
                }
            }
            '"' => self.string('"'),
            'r' if self.language == Language::Rust => return self.raw_string(),
            // A character is skipped as a whole, since it may be a quote; a lifetime is not.
            '\'' => {
                let inside = &self.rest[1..];
                let bytes = match inside.chars().next() {
                    Some('\\') => {
                        inside[1..].char_indices().skip(1).find(|(_, c)| *c == '\'').map(|(at, _)| at + 3)
                    }
                    Some(c) => inside[c.len_utf8()..].starts_with('\'').then_some(c.len_utf8() + 2),
                    None => None,
                };
                self.take(bytes.unwrap_or(1));
            }
            _ => return false,
        }
        true
    }

    fn line_comment(&mut self, mark: &'static str) {
        let (line, alone) = (self.line, self.fresh);
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let text = self.take(end)[mark.len()..].to_owned();
        self.comments.push(Comment { line, alone, mark, lines: vec![text] });
    }

    fn block_comment(&mut self) {
        let line = self.line;
        self.take(2);
        let text = self.until("*/", false);
        let lines = text.lines().map(|line| line.trim().trim_start_matches('*').to_owned()).collect();
        self.comments.push(Comment { line, alone: false, mark: "/*", lines });
    }

    /// `r"…"`, `r#"…"#`. A name that begins or ends with `r` is none.
    fn raw_string(&mut self) -> bool {
        let hashes = self.rest[1..].chars().take_while(|c| *c == '#').count();
        if !self.rest[1 + hashes..].starts_with('"') {
            return false;
        }
        let line = self.line;
        self.take(hashes + 2);
        let text = self.until(&format!("\"{}", "#".repeat(hashes)), false);
        self.literal(line, text);
        true
    }

    fn string(&mut self, quote: char) {
        let line = self.line;
        self.take(1);
        let text = self.until(&quote.to_string(), true);
        self.literal(line, text);
    }

    /// Takes everything up to `end` and `end` itself; what comes before it is returned.
    fn until(&mut self, end: &str, escapes: bool) -> String {
        let mut at = 0;
        while at < self.rest.len() && !self.rest[at..].starts_with(end) {
            let mut characters = self.rest[at..].chars();
            let first = characters.next().map_or(1, char::len_utf8);
            let escaped = escapes && self.rest[at..].starts_with('\\');
            at += first + if escaped { characters.next().map_or(0, char::len_utf8) } else { 0 };
        }
        let text = self.take(at);
        self.take(end.len());
        text
    }

    fn literal(&mut self, line: usize, text: String) {
        self.literals.push(Passage { line, text, kind: Kind::Literal });
    }
}
