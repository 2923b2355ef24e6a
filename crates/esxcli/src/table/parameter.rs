//! Parameters of commands.

/// A parameter of a command.
pub(crate) struct Parameter {
    /// The name of its option: `vswitch-name`.
    pub(crate) display: &'static str,
    /// The short option.
    pub(crate) letter: Option<char>,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// Whether it may be given several times.
    pub(crate) list: bool,
    pub(crate) help: &'static str,
}

impl Parameter {
    pub(crate) const fn text(display: &'static str, letter: char, help: &'static str) -> Self {
        Self { display, letter: Some(letter), kind: Kind::Text, required: false, list: false, help }
    }

    pub(crate) const fn number(display: &'static str, letter: char, help: &'static str) -> Self {
        Self { kind: Kind::Number, ..Self::text(display, letter, help) }
    }

    pub(crate) const fn boolean(display: &'static str, letter: char, help: &'static str) -> Self {
        Self { kind: Kind::Boolean, ..Self::text(display, letter, help) }
    }

    /// A flag, which is true if it is given.
    pub(crate) const fn flag(display: &'static str, letter: char, help: &'static str) -> Self {
        Self { kind: Kind::Flag, ..Self::text(display, letter, help) }
    }

    pub(crate) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same parameter, which may be given several times.
    pub(crate) const fn many(self) -> Self {
        Self { list: true, ..self }
    }

    /// Its name on the wire, without dashes: `vswitchname`.
    pub(crate) fn name(&self) -> String {
        self.display.replace('-', "")
    }
}

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Boolean,
    Flag,
}

impl Kind {
    /// Its name in the object model and, after `xsd:`, on the wire.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Number => "long",
            Self::Boolean | Self::Flag => "boolean",
        }
    }
}
