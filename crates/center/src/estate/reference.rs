//! References in records, in the readable form `Type:id`.

use serde::{Deserialize, Deserializer, Serializer, de};
use vim::{MoRef, schema};

pub(crate) fn parse(text: &str) -> Option<MoRef> {
    let (ty, id) = text.split_once(':')?;
    Some(MoRef::new(schema().find_managed(ty)?, id))
}

pub(crate) fn serialize<S: Serializer>(reference: &MoRef, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(reference)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<MoRef, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).ok_or_else(|| de::Error::custom(format!("{text:?} is not a reference to a managed object")))
}

/// For a reference that may be absent.
pub(crate) mod optional {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use vim::MoRef;

    pub(crate) fn serialize<S: Serializer>(reference: &Option<MoRef>, to: S) -> Result<S::Ok, S::Error> {
        match reference {
            Some(reference) => to.collect_str(reference),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<MoRef>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let Some(text) = text else { return Ok(None) };
        let reference = super::parse(&text);
        reference
            .map(Some)
            .ok_or_else(|| de::Error::custom(format!("{text:?} is not a reference to a managed object")))
    }
}
