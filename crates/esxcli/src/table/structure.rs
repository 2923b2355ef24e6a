//! Structures of answers.

/// The shape of a command's answer.
pub(crate) enum Output {
    /// Success, which is `true` on the wire.
    Done,
    Text,
    One(&'static Structure),
    Many(&'static Structure),
}

impl Output {
    pub(crate) fn structure(&self) -> Option<&'static Structure> {
        match self {
            Self::Done | Self::Text => None,
            Self::One(structure) | Self::Many(structure) => Some(structure),
        }
    }
}

/// The fields of an answer, in the order in which they are shown. Each may be unset.
pub(crate) struct Structure {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
    /// Whether lists of it are shown as a table; otherwise each row is a block of lines.
    pub(crate) table: bool,
}

pub(crate) struct Field {
    /// Its name as it is shown: `Num Ports`.
    pub(crate) display: &'static str,
    pub(crate) kind: FieldKind,
}

pub(crate) enum FieldKind {
    Text,
    Number,
    Boolean,
    Texts,
    Structure(&'static Structure),
}

pub(crate) const fn text(display: &'static str) -> Field {
    Field { display, kind: FieldKind::Text }
}

pub(crate) const fn number(display: &'static str) -> Field {
    Field { display, kind: FieldKind::Number }
}

pub(crate) const fn boolean(display: &'static str) -> Field {
    Field { display, kind: FieldKind::Boolean }
}

pub(crate) const fn texts(display: &'static str) -> Field {
    Field { display, kind: FieldKind::Texts }
}

impl Field {
    /// Its name on the wire, without blanks: `NumPorts`.
    pub(crate) fn name(&self) -> String {
        self.display.replace(' ', "")
    }
}
