//! Names of kinds where a value names its own type: the text of `xsi:type` and `_typeName`.

use crate::{Kind, ManagedId, TypeRef, managed_id, schema};

/// The meaning of such a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Named {
    One(Kind),
    /// `ArrayOf...`
    List(Kind),
}

pub(crate) const REFERENCE: &str = "ManagedObjectReference";
pub(crate) const ARRAY_OF: &str = "ArrayOf";
const ANY_OBJECT: ManagedId = managed_id!(ManagedObject);

/// Whether a type or method belongs to the service of storage policies, `/pbm/sdk`.
pub fn is_of_pbm(name: &str) -> bool {
    name.starts_with("Pbm")
}

/// A scalar's name in XML Schema; `None` for enums, data objects and references.
pub(crate) fn scalar(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Any => "anyType",
        Kind::Boolean => "boolean",
        Kind::Byte => "byte",
        Kind::Short => "short",
        Kind::Int => "int",
        Kind::Long => "long",
        Kind::Float => "float",
        Kind::Double => "double",
        Kind::String | Kind::Uri | Kind::TypeName | Kind::MethodName | Kind::PropertyPath => "string",
        Kind::DateTime => "dateTime",
        Kind::Binary => "base64Binary",
        Kind::Enum(_) | Kind::Data(_) | Kind::Ref(_) => return None,
    })
}

/// The name of a kind as the element of an array, where `ArrayOf` stands before it.
pub(crate) fn element(kind: Kind) -> &'static str {
    match kind {
        Kind::Enum(id) => schema().enumeration(id).name,
        Kind::Data(id) => schema().data(id).name,
        Kind::Ref(_) => REFERENCE,
        kind => scalar(kind).unwrap_or_default(),
    }
}

/// The name of a kind in messages to people.
pub(crate) fn described(kind: Kind) -> String {
    match kind {
        Kind::Ref(id) => format!("reference to a {}", schema().managed(id).name),
        kind => element(kind).to_owned(),
    }
}

/// Resolves a name without its prefix.
pub(crate) fn find(name: &str) -> Option<Named> {
    if let Some(kind) = find_one(name) {
        return Some(Named::One(kind));
    }
    let element = name.strip_prefix(ARRAY_OF)?;
    if let Some(kind) = find_one(element) {
        return Some(Named::List(kind));
    }
    let first = element.chars().next()?;
    let lower = format!("{}{}", first.to_ascii_lowercase(), &element[first.len_utf8()..]);
    find_one(&lower).map(Named::List)
}

fn find_one(name: &str) -> Option<Kind> {
    // No type of the schema has a scalar's name.
    if let Some(kind) = find_scalar(name) {
        return Some(kind);
    }
    match schema().find(name)? {
        TypeRef::Data(id) => Some(Kind::Data(id)),
        TypeRef::Enum(id) => Some(Kind::Enum(id)),
        // Some clients name the type of the referenced object in place of the reference.
        TypeRef::Managed(id) => Some(Kind::Ref(id)),
    }
}

fn find_scalar(name: &str) -> Option<Kind> {
    Some(match name {
        "anyType" => Kind::Any,
        "boolean" => Kind::Boolean,
        "byte" => Kind::Byte,
        "short" => Kind::Short,
        "int" => Kind::Int,
        "long" => Kind::Long,
        "float" => Kind::Float,
        "double" => Kind::Double,
        "string" | "anyURI" | "TypeName" | "MethodName" | "PropertyPath" => Kind::String,
        "dateTime" => Kind::DateTime,
        "base64Binary" | "binary" => Kind::Binary,
        REFERENCE => Kind::Ref(ANY_OBJECT),
        _ => return None,
    })
}

/// Whether one managed type is the other or derived from it: a client may name a base type of the referenced object.
pub(crate) fn are_related(a: ManagedId, b: ManagedId) -> bool {
    let subtypes = |id: ManagedId| &schema().managed(id).subtypes;
    subtypes(a).contains(&b.0) || subtypes(b).contains(&a.0)
}

/// Writes `ArrayOf` and the name with a capital.
pub(crate) fn write_array(out: &mut Vec<u8>, element: &str) {
    out.extend_from_slice(ARRAY_OF.as_bytes());
    let at = out.len();
    out.extend_from_slice(element.as_bytes());
    out[at..].iter_mut().take(1).for_each(|first| first.make_ascii_uppercase());
}
