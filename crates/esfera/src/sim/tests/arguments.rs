//! Arguments of methods, made of the schema alone.

use vim::{Kind, Member, Object, Value, schema};

/// Makes the value of a parameter or field, as deep as `depth` data objects in each other. `leaf` makes texts, references and booleans. None if the
/// value would be deeper.
pub(super) fn member(member: &Member, depth: usize, leaf: &mut dyn FnMut(Kind) -> Value) -> Option<Value> {
    let value = value(member.kind, depth, leaf)?;
    Some(if member.list { Value::List(vim::List::new(member.kind, vec![value])) } else { value })
}

fn value(kind: Kind, depth: usize, leaf: &mut dyn FnMut(Kind) -> Value) -> Option<Value> {
    Some(match kind {
        Kind::Byte => Value::Byte(1),
        Kind::Short => Value::Short(1),
        Kind::Int => Value::Int(1),
        Kind::Long => Value::Long(1),
        Kind::Float => Value::Float(1.0),
        Kind::Double => Value::Double(1.0),
        Kind::DateTime => Value::DateTime(vim::DateTime::from_micros(0)),
        Kind::Binary => Value::Binary(Vec::new().into()),
        Kind::Enum(ty) => Value::Enum(vim::EnumValue::new(ty, 0)),
        Kind::Data(ty) => {
            let fields = &schema().data(ty).fields;
            let mut object = Object::new(ty);
            for (number, field) in (0..).zip(fields).filter(|(_, field)| !field.optional) {
                object.put(number, Some(member(field, depth.checked_sub(1)?, leaf)?));
            }
            object.into()
        }
        text_reference_or_boolean => leaf(text_reference_or_boolean),
    })
}
