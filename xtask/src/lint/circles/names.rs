//! Finds the paths that code mentions, by its tokens alone: so the arguments of macros are looked at like everything
//! else, and no kind of expression can be forgotten.

use std::collections::BTreeSet;
use std::iter::Peekable;

use proc_macro2::{Delimiter, TokenStream, TokenTree, token_stream};

type Tokens = Peekable<token_stream::IntoIter>;

/// Adds every path in `tokens`: `a::b::c` as a whole, a group `a::{b, c}` as its members, and a single name if it can be
/// a type or a call (other names could be locals).
pub fn collect(tokens: TokenStream, found: &mut BTreeSet<Vec<String>>) {
    let mut tokens = tokens.into_iter().peekable();
    // The token before decides: `x.name` is a field, `::name` belongs to another crate.
    let mut before = Before::Other;
    while let Some(token) = tokens.next() {
        let now = match token {
            TokenTree::Ident(name) => {
                let path = vec![plain(&name.to_string())];
                if before == Before::Other {
                    chain(path, &mut tokens, found);
                } else {
                    // The rest of the path is left out as well.
                    chain(path, &mut tokens, &mut BTreeSet::new());
                }
                Before::Other
            }
            TokenTree::Group(group) => {
                collect(group.stream(), found);
                Before::Other
            }
            TokenTree::Punct(mark) if mark.as_char() == '.' => Before::Dot,
            TokenTree::Punct(mark) if mark.as_char() == ':' && is_colon(tokens.peek()) => {
                tokens.next();
                Before::Colons
            }
            // `$crate` in a macro means this crate: the name follows.
            TokenTree::Punct(_) | TokenTree::Literal(_) => Before::Other,
        };
        before = now;
    }
}

#[derive(PartialEq)]
enum Before {
    Dot,
    Colons,
    Other,
}

/// Follows a path that begins with `path`.
fn chain(mut path: Vec<String>, tokens: &mut Tokens, found: &mut BTreeSet<Vec<String>>) {
    while colons_follow(tokens) {
        tokens.next();
        tokens.next();
        match tokens.peek() {
            Some(TokenTree::Ident(name)) => {
                path.push(plain(&name.to_string()));
                tokens.next();
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                let members = group.stream();
                tokens.next();
                return group_of(&path, members, found);
            }
            // A glob or `::<T>`.
            _ => break,
        }
    }
    let calls =
        matches!(tokens.peek(), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
    let is_type = path[0].starts_with(char::is_uppercase);
    if path.len() > 1 || calls || is_type {
        found.insert(path);
    }
}

/// The members of a `use` group inside of a function.
fn group_of(prefix: &[String], members: TokenStream, found: &mut BTreeSet<Vec<String>>) {
    let mut tokens = members.into_iter().peekable();
    while let Some(token) = tokens.next() {
        if let TokenTree::Ident(name) = token {
            let path = [prefix, &[plain(&name.to_string())]].concat();
            chain(path, &mut tokens, found);
        }
    }
}

/// `r#type` is the name `type`.
fn plain(name: &str) -> String {
    name.strip_prefix("r#").unwrap_or(name).to_owned()
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == ':')
}

fn colons_follow(tokens: &Tokens) -> bool {
    let mut ahead = tokens.clone();
    is_colon(ahead.next().as_ref()) && is_colon(ahead.next().as_ref())
}
