//! The answer of a command.

/// The answer of a command.
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

impl Row {
    /// A row without values.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sets a value; `None` is left out.
    #[must_use]
    pub(crate) fn put(mut self, field: &'static str, value: impl IntoDatum) -> Self {
        if let Some(value) = value.into_datum() {
            self.0.push((field, value));
        }
        self
    }

    /// The values with the names of their fields.
    pub(crate) fn into_values(self) -> Vec<(&'static str, Datum)> {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn values(&self) -> &[(&'static str, Datum)] {
        &self.0
    }
}

/// A value that fits into a row.
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
