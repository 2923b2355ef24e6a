//! JSON text taken apart one level at a time: the members of an object stay text until their kind is known, since the
//! name of the object's type may come after them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::ReadError;

/// One level of a value.
pub(super) enum Json<'a> {
    Null,
    Boolean(bool),
    /// In its written form.
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<&'a RawValue>),
    Object(Fields<'a>),
}

/// The members of an object in the order of the text.
pub(super) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    pub(super) fn empty() -> Self {
        Self(Vec::new())
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|field| field.0 == name).map(|field| field.1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A whole message.
#[derive(Clone, Copy)]
pub(super) struct Message<'a>(&'a str);

impl<'a> Message<'a> {
    pub(super) fn new(body: &'a [u8]) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(body).map_err(|e| ReadError::Encoding { at: e.valid_up_to() })?;
        Ok(Self(text))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.trim_ascii().is_empty()
    }

    /// The value of the message; its syntax is checked to the end.
    pub(super) fn root(self) -> Result<&'a RawValue, ReadError> {
        self.parse(self.0)
    }

    pub(super) fn open(self, value: &'a RawValue) -> Result<Json<'a>, ReadError> {
        let text = value.get();
        Ok(match text.as_bytes().first() {
            Some(b'{') => Json::Object(self.parse(text)?),
            Some(b'[') => Json::List(self.parse(text)?),
            Some(b'"') => Json::Text(self.parse::<Text>(text)?.0),
            Some(b't') => Json::Boolean(true),
            Some(b'f') => Json::Boolean(false),
            Some(b'n') => Json::Null,
            _ => Json::Number(text),
        })
    }

    fn parse<T: Deserialize<'a>>(self, text: &'a str) -> Result<T, ReadError> {
        serde_json::from_str(text).map_err(|error| {
            // The library counts lines and columns of the part that it was given.
            let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
            let before: usize = lines.map(str::len).sum();
            let start = text.as_ptr().addr() - self.0.as_ptr().addr();
            ReadError::Malformed { at: start + before + error.column(), problem: error.to_string() }
        })
    }
}

/// Text that is copied only if it has escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(TextVisitor)
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<Text, &RawValue>()? {
                    fields.push((name.0, value));
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(FieldsVisitor)
    }
}
