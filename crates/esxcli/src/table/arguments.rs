//! Arguments of a command, read from the XML fragments that clients send and checked against the command's parameters.

use vim::soap::read_fragment;

use super::{CliFault, Kind, Parameter};

/// Most arguments of a call, and most values of one of them.
const MAX_ARGUMENTS: usize = 64;
const MAX_VALUES: usize = 256;
/// Most bytes of one argument.
const MAX_BYTES: usize = 64 << 10;

/// The given values by the parameter's name on the wire; each has its parameter's kind.
#[derive(Debug, Default)]
pub(crate) struct Arguments(Vec<(String, Vec<String>)>);

impl Arguments {
    /// Reads `name` and `val` of each argument.
    ///
    /// # Errors
    /// For an unknown parameter, a missing one, or a value of another kind.
    pub(crate) fn read<'a>(
        parameters: &[Parameter],
        given: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, CliFault> {
        let mut read = Self::default();
        for (name, value) in given {
            if read.0.len() >= MAX_ARGUMENTS {
                return Err(CliFault(format!("More than {MAX_ARGUMENTS} arguments")));
            }
            let parameter = parameters.iter().find(|known| known.name() == name);
            let Some(parameter) = parameter else {
                return Err(CliFault(format!("Invalid parameter '{}'", short(name))));
            };
            if read.0.iter().any(|(known, _)| known == name) {
                return Err(CliFault(format!("Parameter '{name}' is given twice")));
            }
            let values = values(name, value)?;
            if values.len() > 1 && !parameter.list {
                return Err(CliFault(format!("Parameter '{name}' takes one value")));
            }
            for value in &values {
                check(parameter.kind, name, value)?;
            }
            if !values.is_empty() {
                read.0.push((name.to_owned(), values));
            }
        }
        let missing = parameters.iter().find(|parameter| {
            let name = parameter.name();
            parameter.required && !read.0.iter().any(|(known, _)| *known == name)
        });
        match missing {
            Some(parameter) => Err(CliFault(format!("Missing required parameter '{}'", parameter.name()))),
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

    /// The value of a required parameter.
    ///
    /// # Errors
    /// If it is missing.
    pub(crate) fn required(&self, name: &str) -> Result<&str, CliFault> {
        self.text(name).ok_or_else(|| CliFault(format!("Missing required parameter '{name}'")))
    }

    /// The value of a numeric parameter.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.text(name)?.trim().parse().ok()
    }

    /// A number as a narrower type.
    ///
    /// # Errors
    /// If the type does not hold the number.
    pub(crate) fn fits<T: TryFrom<i64>>(&self, name: &str) -> Result<Option<T>, CliFault> {
        let Some(number) = self.number(name) else { return Ok(None) };
        T::try_from(number).map(Some).map_err(|_| CliFault::invalid(name, &number.to_string()))
    }

    /// The value of a boolean parameter or flag.
    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        truth(self.text(name)?)
    }
}

/// The texts of the elements in an argument. Bare text is one value.
fn values(name: &str, value: &str) -> Result<Vec<String>, CliFault> {
    if value.len() > MAX_BYTES {
        return Err(CliFault(format!("Parameter '{name}' has more than {MAX_BYTES} bytes")));
    }
    if !value.trim_start().starts_with('<') {
        return Ok(vec![value.to_owned()]);
    }
    let elements = read_fragment(value).map_err(|error| CliFault(format!("Parameter '{name}': {error}")))?;
    if elements.len() > MAX_VALUES {
        return Err(CliFault(format!("Parameter '{name}' has more than {MAX_VALUES} values")));
    }
    if elements.iter().any(|element| !element.children.is_empty()) {
        return Err(CliFault(format!("Parameter '{name}' has elements where a value is expected")));
    }
    Ok(elements.into_iter().map(|element| element.text).collect())
}

fn check(kind: Kind, name: &str, value: &str) -> Result<(), CliFault> {
    let good = match kind {
        Kind::Text => true,
        Kind::Number => value.trim().parse::<i64>().is_ok(),
        Kind::Boolean | Kind::Flag => truth(value).is_some(),
    };
    let wrong = || CliFault(format!("Parameter '{name}': '{}' is not a {}", short(value), kind.word()));
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
