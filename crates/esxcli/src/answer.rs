//! What a command answers, and its XML.

use vim::Fault;
use vim::soap::Element;

use super::{Command, FieldKind, Namespace, Output, Structure, wire_name};

/// Most rows of an answer.
const MAX_ROWS: usize = 20_000;

/// What a command answers.
#[derive(Debug)]
pub(crate) enum Answer {
    Done,
    Text(String),
    One(Row),
    Many(Vec<Row>),
}

/// Values by the names under which they are shown.
#[derive(Debug, Default)]
pub(crate) struct Row(Vec<(&'static str, Datum)>);

#[derive(Debug)]
pub(crate) enum Datum {
    Text(String),
    Number(i64),
    Boolean(bool),
    Texts(Vec<String>),
    Row(Row),
}

/// Why a command did nothing, in words: a `CLIFault`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trouble(pub(crate) String);

impl Trouble {
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }

    /// An argument has a value that it cannot have.
    pub(crate) fn impossible(name: &str, value: &str) -> Self {
        Self(format!("Parameter '{name}': {value} is not possible"))
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self(fault.message().to_owned())
    }
}

impl Row {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sets a value; what is none is left out.
    #[must_use]
    pub(crate) fn put(mut self, field: &'static str, value: impl IntoDatum) -> Self {
        if let Some(value) = value.into_datum() {
            self.0.push((field, value));
        }
        self
    }

    #[cfg(test)]
    pub(crate) fn values(&self) -> &[(&'static str, Datum)] {
        &self.0
    }
}

/// What can be put into a row.
pub(crate) trait IntoDatum {
    fn into_datum(self) -> Option<Datum>;
}

impl<T: IntoDatum> IntoDatum for Option<T> {
    fn into_datum(self) -> Option<Datum> {
        self?.into_datum()
    }
}

macro_rules! data {
    ($($ty:ty: $value:ident => $datum:expr;)*) => {
        $(impl IntoDatum for $ty {
            fn into_datum(self) -> Option<Datum> {
                let $value = self;
                Some($datum)
            }
        })*
    };
}

data! {
    String: value => Datum::Text(value);
    &String: value => Datum::Text(value.clone());
    &str: value => Datum::Text(value.to_owned());
    bool: value => Datum::Boolean(value);
    i64: value => Datum::Number(value);
    i32: value => Datum::Number(value.into());
    u32: value => Datum::Number(value.into());
    u64: value => Datum::Number(i64::try_from(value).unwrap_or(i64::MAX));
    usize: value => Datum::Number(i64::try_from(value).unwrap_or(i64::MAX));
    Vec<String>: value => Datum::Texts(value);
    &[String]: value => Datum::Texts(value.to_vec());
    Row: value => Datum::Row(value);
}

/// The element of an answer.
///
/// # Errors
/// If it is more than anybody wants to read.
pub(super) fn element(namespace: &Namespace, command: &Command, answer: Answer) -> Result<Element, Trouble> {
    let owner = format!("{}.{}", namespace.type_name(), command.name);
    Ok(match (answer, &command.output) {
        (Answer::Done, _) => Element::text("obj", "true").typed("xsd:boolean"),
        (Answer::Text(text), _) => Element::text("obj", text).typed("xsd:string"),
        (Answer::One(row), output) => row_element("obj", &owner, shape(output), row),
        (Answer::Many(rows), output) => {
            if rows.len() > MAX_ROWS {
                return Err(Trouble(format!("{} rows are more than the {MAX_ROWS} that fit", rows.len())));
            }
            let rows = rows.into_iter().map(|row| row_element("DataObject", &owner, shape(output), row));
            Element::of("obj", rows.collect()).typed("ArrayOfDataObject")
        }
    })
}

fn shape(output: &Output) -> &'static Structure {
    output.structure().expect("a command answers with what it declares")
}

/// The row as the structure has it: in its order, and no more than it has.
fn row_element(name: &str, owner: &str, structure: &Structure, row: Row) -> Element {
    let mut values = row.0;
    let mut children = Vec::new();
    for field in structure.fields {
        let Some(at) = values.iter().position(|(name, _)| *name == field.display) else { continue };
        let name = field.name();
        match (values.swap_remove(at).1, &field.kind) {
            (Datum::Text(text), _) => children.push(Element::text(name, text)),
            (Datum::Number(number), _) => children.push(Element::text(name, number.to_string())),
            (Datum::Boolean(boolean), _) => children.push(Element::text(name, boolean.to_string())),
            (Datum::Texts(texts), _) => {
                children.extend(texts.into_iter().map(|text| Element::text(&name, text)));
            }
            (Datum::Row(row), FieldKind::Structure(structure)) => {
                children.push(row_element(&name, owner, structure, row));
            }
            (Datum::Row(_), _) => debug_assert!(false, "{name} is no structure"),
        }
    }
    debug_assert!(values.is_empty(), "{} has no {values:?}", structure.name);
    Element::of(name, children).typed(wire_name(&format!("{owner}.{}", structure.name)))
}
