//! Reads apt's package sources, in both of their forms (see sources.list(5)), and derives the entry
//! for backports from the one that serves the release itself. So it uses the mirror that the
//! system already uses and trusts, and names no host here.

/// One enabled entry that serves binary packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub uris: Vec<String>,
    pub suites: Vec<String>,
    pub components: Vec<String>,
    /// The value of `Signed-By`, with its line breaks if it is a key rather than a file.
    pub signed_by: Option<String>,
}

impl Source {
    fn serves(&self, suite: &str) -> bool {
        self.suites.iter().any(|name| name.trim_end_matches('/') == suite)
            && self.components.iter().any(|component| component == "main")
    }
}

/// Entries of a `*.list` file: `deb [options] uri suite components…`.
pub fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_list_line).collect()
}

fn parse_list_line(line: &str) -> Option<Source> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: signed_by.map(str::to_owned),
    })
}

/// Entries of a `*.sources` file: stanzas of `Field: value` with continuation lines.
pub fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut stanza: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(source_of_stanza(&std::mem::take(&mut stanza)));
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = stanza.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            stanza.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    sources
}

fn source_of_stanza(fields: &[(String, String)]) -> Option<Source> {
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let words = |name: &str| -> Vec<String> {
        field(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let disabled = field("enabled").is_some_and(|value| value.eq_ignore_ascii_case("no"));
    if disabled || !words("types").iter().any(|kind| kind == "deb") {
        return None;
    }
    Some(Source {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        signed_by: field("signed-by").map(str::to_owned),
    })
}

/// The addition that makes apt serve backports.
#[derive(Debug, PartialEq, Eq)]
pub enum Backports {
    /// apt serves them already.
    Present,
    /// The text of a `*.sources` file that adds them.
    Add(String),
    /// No entry serves the release itself, so there is nothing to derive one from.
    Underivable,
}

/// Decides how backports of the release `codename` come to be served.
pub fn backports(sources: &[Source], codename: &str) -> Backports {
    let suite = format!("{codename}-backports");
    if sources.iter().any(|source| source.serves(&suite)) {
        return Backports::Present;
    }
    let Some(release) = sources.iter().find(|source| source.serves(codename)) else {
        return Backports::Underivable;
    };
    let mut text =
        format!("Types: deb\nURIs: {}\nSuites: {suite}\nComponents: main\n", release.uris.join(" "));
    if let Some(signed_by) = &release.signed_by {
        text.push_str(&format!("Signed-By: {signed_by}\n"));
    }
    Backports::Add(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backports_are_derived_from_a_one_line_source() {
        let sources = parse_list(
            "# deb http://old.example/debian bookworm main\n\
             deb-src http://mirror.example/debian bookworm main\n\
             deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian bookworm main contrib # ours\n",
        );
        assert_eq!(sources.len(), 1);
        assert_eq!(
            backports(&sources, "bookworm"),
            Backports::Add(
                "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\n\
                 Components: main\nSigned-By: /usr/share/keyrings/k.gpg\n"
                    .to_owned()
            )
        );
    }

    #[test]
    fn backports_are_derived_from_a_deb822_source_with_an_inline_key() {
        let sources = parse_deb822(
            "Types: deb deb-src\n# a comment\nURIs: http://mirror.example/debian\n\
             Suites: bookworm bookworm-updates\nComponents: main\nSigned-By:\n -----BEGIN\n .\n abc\n",
        );
        let Backports::Add(text) = backports(&sources, "bookworm") else {
            panic!("not derived: {sources:?}")
        };
        assert!(text.ends_with("Signed-By: \n -----BEGIN\n .\n abc\n"), "{text}");
    }

    #[test]
    fn backports_that_are_served_are_left_alone() {
        let sources =
            parse_deb822("Types: deb\nURIs: u\nSuites: trixie trixie-backports\nComponents: main\n");
        assert_eq!(backports(&sources, "trixie"), Backports::Present);
    }

    #[test]
    fn a_disabled_or_foreign_source_derives_nothing() {
        let text = "Enabled: no\nTypes: deb\nURIs: u\nSuites: bookworm\nComponents: main\n\n\
                    Types: deb\nURIs: v\nSuites: nodistro\nComponents: main\n";
        assert_eq!(backports(&parse_deb822(text), "bookworm"), Backports::Underivable);
    }
}
