//! The two habits, found in a passage.

use super::passages::{Kind, Passage};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// A sentence opens with a question word as its subject.
    Opening,
    /// Something "is no X".
    IsNo,
}

const OPENINGS: [&str; 6] = ["What", "Who", "Whose", "Whom", "Whoever", "Whatever"];
/// How many words of a finding are shown.
const SHOWN_WORDS: usize = 9;

struct Word<'a> {
    line: usize,
    text: &'a str,
}

/// Each habit in a passage with its line and the words that show it.
pub fn habits(passage: &Passage) -> Vec<(Habit, usize, String)> {
    let words: Vec<Word> = passage
        .text
        .lines()
        .enumerate()
        .flat_map(|(at, text)| {
            text.split_whitespace().map(move |text| Word { line: passage.line + at, text })
        })
        // A string goes on behind a line that ends so.
        .filter(|word| word.text != "\\")
        .collect();
    let mut found = Vec::new();
    for at in 0..words.len() {
        let habit = if opens(&words, at, passage.kind) {
            Habit::Opening
        } else if is_no(&words, at) {
            Habit::IsNo
        } else {
            continue;
        };
        let excerpt: Vec<&str> = words[at..].iter().take(SHOWN_WORDS).map(|word| word.text).collect();
        found.push((habit, words[at].line, excerpt.join(" ")));
    }
    found
}

fn opens(words: &[Word], at: usize, kind: Kind) -> bool {
    let begins = match at.checked_sub(1) {
        None => kind == Kind::Prose,
        Some(before) => kind != Kind::Literal && ends_sentence(words[before].text),
    };
    let name = words[at].text.trim_matches(|c: char| !c.is_alphanumeric());
    begins && OPENINGS.contains(&name) && !asks(&words[at..])
}

/// Whether a sentence is a question.
fn asks(sentence: &[Word]) -> bool {
    let end = sentence.iter().find(|word| ends_sentence(word.text));
    end.is_some_and(|word| word.text.trim_end_matches(CLOSING).ends_with('?'))
}

fn ends_sentence(word: &str) -> bool {
    word.trim_end_matches(CLOSING).ends_with(['.', '!', '?'])
}

/// Marks that may stand behind a full stop.
const CLOSING: [char; 5] = [')', '"', '\'', '*', ']'];

fn is_no(words: &[Word], at: usize) -> bool {
    let verb = words[at].text.trim_start_matches(|c: char| !c.is_alphanumeric());
    if !["is", "are", "Is", "Are"].contains(&verb) || words.get(at + 1).is_none_or(|word| word.text != "no") {
        return false;
    }
    let behind = |further: usize| words.get(at + further).map_or("", |word| word.text);
    match behind(2).trim_end_matches(|c: char| !c.is_alphanumeric()) {
        "" | "longer" => false,
        "more" | "less" | "fewer" => behind(3) != "than",
        _ => true,
    }
}
