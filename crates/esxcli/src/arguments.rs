//! Arguments of a command: read from the fragments of XML that clients send, checked against what the command takes.

use vim::soap::read_fragment;

use super::{Command, Kind, Trouble};

/// Most arguments of a call, and values of one of them.
const MAX_ARGUMENTS: usize = 64;
const MAX_VALUES: usize = 256;
/// Most bytes of one argument.
const MAX_BYTES: usize = 64 << 10;

/// What was given, by the parameter's name on the wire; each is of its parameter's kind.
#[derive(Debug, Default)]
pub(crate) struct Arguments(Vec<(String, Vec<String>)>);

impl Arguments {
    /// Reads `name` and `val` of each argument.
    ///
    /// # Errors
    /// For a parameter that the command has not, that is missing, or that is not of its kind.
    pub(super) fn read<'a>(
        command: &Command,
        given: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Trouble> {
        let mut read = Self::default();
        for (name, value) in given {
            if read.0.len() >= MAX_ARGUMENTS {
                return Err(Trouble(format!("More than {MAX_ARGUMENTS} arguments")));
            }
            let parameter = command.parameters.iter().find(|known| known.name() == name);
            let Some(parameter) = parameter else {
                return Err(Trouble(format!("Invalid parameter '{}'", short(name))));
            };
            if read.0.iter().any(|(known, _)| known == name) {
                return Err(Trouble(format!("Parameter '{name}' is given twice")));
            }
            let values = values(name, value)?;
            if values.len() > 1 && !parameter.list {
                return Err(Trouble(format!("Parameter '{name}' takes one value")));
            }
            for value in &values {
                check(parameter.kind, name, value)?;
            }
            if !values.is_empty() {
                read.0.push((name.to_owned(), values));
            }
        }
        let missing = command.parameters.iter().find(|parameter| {
            let name = parameter.name();
            parameter.required && !read.0.iter().any(|(known, _)| *known == name)
        });
        match missing {
            Some(parameter) => Err(Trouble(format!("Missing required parameter '{}'", parameter.name()))),
            None => Ok(read),
        }
    }

    /// The value of a parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).and_then(|(_, values)| values.first()).map(|it| &**it)
    }

    /// All values of a parameter that may be given several times.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, values)| values.clone()).unwrap_or_default()
    }

    /// That of one that is required.
    ///
    /// # Errors
    /// If it is not there after all.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Trouble> {
        self.text(name).ok_or_else(|| Trouble(format!("Missing required parameter '{name}'")))
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    /// A number of a kind that does not hold all.
    ///
    /// # Errors
    /// If it does not hold this one.
    pub(crate) fn fits<T: TryFrom<i64>>(&self, name: &str) -> Result<Option<T>, Trouble> {
        let Some(number) = self.number(name) else { return Ok(None) };
        T::try_from(number).map(Some).map_err(|_| Trouble::impossible(name, &number.to_string()))
    }

    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        truth(self.text(name)?)
    }
}

/// The texts of the elements in an argument. Those who write bare text mean one value.
fn values(name: &str, value: &str) -> Result<Vec<String>, Trouble> {
    if value.len() > MAX_BYTES {
        return Err(Trouble(format!("Parameter '{name}' has more than {MAX_BYTES} bytes")));
    }
    if !value.trim_start().starts_with('<') {
        return Ok(vec![value.to_owned()]);
    }
    let elements = read_fragment(value).map_err(|error| Trouble(format!("Parameter '{name}': {error}")))?;
    if elements.len() > MAX_VALUES {
        return Err(Trouble(format!("Parameter '{name}' has more than {MAX_VALUES} values")));
    }
    if elements.iter().any(|element| !element.children.is_empty()) {
        return Err(Trouble(format!("Parameter '{name}' has elements where a value is expected")));
    }
    Ok(elements.into_iter().map(|element| element.text).collect())
}

fn check(kind: Kind, name: &str, value: &str) -> Result<(), Trouble> {
    let good = match kind {
        Kind::Text => true,
        Kind::Number => value.trim().parse::<i64>().is_ok(),
        Kind::Boolean | Kind::Flag => truth(value).is_some(),
    };
    let wrong = || Trouble(format!("Parameter '{name}': '{}' is no {}", short(value), kind.word()));
    if good { Ok(()) } else { Err(wrong()) }
}

fn truth(text: &str) -> Option<bool> {
    match &*text.trim().to_ascii_lowercase() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

/// The beginning of a text that may be long.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}
