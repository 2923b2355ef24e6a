//! Property paths: `runtime.powerState`, `config.hardware.device[4000].backing.fileName`, `customValue["a"]`.
//!
//! A path is compiled once against a managed type and then followed through values. Below a value that may be of a
//! derived type, a name is valid if the declared type or any type derived from it has it; following the path shows
//! whether the value at hand has it.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use crate::limits::MAX_NAME_BYTES;
use crate::{Fault, Kind, ManagedId, Member, Object, Record, Value, fault, schema};

/// Names in one path: the schema's own nesting ends long before.
const MAX_STEPS: usize = 32;

/// No object of the type has this path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{ty} has no property {path}")]
pub struct InvalidPath {
    pub ty: &'static str,
    pub path: String,
}

impl InvalidPath {
    pub fn to_fault(&self) -> Fault {
        fault!(InvalidProperty { name: &self.path }, "{self}")
    }
}

/// An existing path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyPath {
    text: Box<str>,
    property: u16,
    /// Picks an element of the property itself.
    key: Option<Key>,
    steps: Box<[Step]>,
}

/// From an object to one of its fields, and from a list there to an element.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// The field's number in each family of types that has the name, by the range of the types' ids.
    numbers: Box<[Numbered]>,
    key: Option<Key>,
}

/// The number that a field has in a family of types: those whose ids are in the range.
type Numbered = (Range<u16>, u16);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    text: Box<str>,
    number: Option<i64>,
}

/// For each field name the types that declare it (not those that inherit it), and the field's number there.
static DECLARED: LazyLock<HashMap<&'static str, Vec<Numbered>>> = LazyLock::new(|| {
    let mut declared: HashMap<_, Vec<_>> = HashMap::new();
    for ty in &schema().data {
        for (number, field) in (0u16..).zip(&ty.fields).skip(ty.inherited) {
            declared.entry(field.name).or_default().push((ty.subtypes.clone(), number));
        }
    }
    declared
});

const KEY_FIELD: &str = "key";

impl PropertyPath {
    /// Checks a path against the properties of `ty`.
    ///
    /// # Errors
    /// [`InvalidPath`] if no object of that type can have the path, or the text is not a path.
    pub fn compile(ty: ManagedId, text: &str) -> Result<Self, InvalidPath> {
        let managed = schema().managed(ty);
        Self::try_compile(managed, text)
            .ok_or_else(|| InvalidPath { ty: managed.name, path: crate::error::shortened(text) })
    }

    fn try_compile(managed: &crate::ManagedType, text: &str) -> Option<Self> {
        if text.len() > MAX_NAME_BYTES {
            return None;
        }
        let mut parts = parse(text)?.into_iter();
        let (name, key) = parts.next()?;
        let property = managed.member(name)?;
        let mut places = Places::of(&managed.properties[usize::from(property)], &key)?;
        let mut steps = Vec::new();
        for (name, key) in parts {
            let numbers = places.numbers(name)?;
            places = places.below(&numbers, &key)?;
            steps.push(Step { numbers: numbers.into(), key });
        }
        Some(Self { text: text.into(), property, key, steps: steps.into() })
    }

    /// The number of the property that the path begins with.
    pub fn property(&self) -> u16 {
        self.property
    }

    /// Whether the path is only a property's name.
    pub fn is_whole_property(&self) -> bool {
        self.key.is_none() && self.steps.is_empty()
    }

    /// Follows the path from the value of its property. `None` if a value on the way is unset, lacks the next name, or is a
    /// list whose element the path does not pick.
    pub fn get(&self, root: &Value) -> Option<Value> {
        let mut at = pick(root, self.key.as_ref())?;
        for step in &self.steps {
            let object = at.as_object()?;
            let ty = object.ty().0;
            let (_, number) = step.numbers.iter().find(|(types, _)| types.contains(&ty))?;
            at = pick(object.at(*number)?, step.key.as_ref())?;
        }
        Some(at.clone())
    }

    /// In the client's spelling.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The value itself, or the element of a list that has the key.
fn pick<'v>(value: &'v Value, key: Option<&Key>) -> Option<&'v Value> {
    let Some(key) = key else { return Some(value) };
    let Value::List(list) = value else { return None };
    list.items().iter().find(|item| match item {
        Value::Object(object) => key_of(object).is_some_and(|value| key.is(value)),
        scalar => key.is(scalar),
    })
}

fn key_of(object: &Object) -> Option<&Value> {
    object.named(KEY_FIELD)
}

impl Key {
    fn is(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => text.as_str() == &*self.text,
            Value::Enum(value) => value.name() == &*self.text,
            Value::Ref(reference) => reference.id() == &*self.text,
            Value::Byte(value) => self.number == Some(i64::from(*value)),
            Value::Short(value) => self.number == Some(i64::from(*value)),
            Value::Int(value) => self.number == Some(i64::from(*value)),
            Value::Long(value) => self.number == Some(*value),
            _ => false,
        }
    }
}

/// A possible end of a path that is being compiled.
struct Places(Vec<(Kind, bool)>);

impl Places {
    /// `None` if the member has no elements for the key to pick from.
    fn of(member: &Member, key: &Option<Key>) -> Option<Self> {
        let mut places = Self(Vec::new());
        places.add(member, key);
        (!places.0.is_empty()).then_some(places)
    }

    fn add(&mut self, member: &Member, key: &Option<Key>) {
        let place = match (member.list, key) {
            (list, None) => (member.kind, list),
            (false, Some(_)) if member.kind == Kind::Any => (Kind::Any, false),
            (false, Some(_)) => return,
            (true, Some(_)) => match member.kind {
                Kind::Data(ty) if fields_of(KEY_FIELD, ty.0).next().is_none() => return,
                kind => (kind, false),
            },
        };
        if !self.0.contains(&place) {
            self.0.push(place);
        }
    }

    /// The number of the field `name` in the types that may stand here; `None` if no type has it.
    fn numbers(&self, name: &str) -> Option<Vec<Numbered>> {
        let mut numbers: Vec<Numbered> = Vec::new();
        for (kind, _) in &self.0 {
            match kind {
                Kind::Data(ty) => {
                    for found in fields_of(name, ty.0) {
                        if !numbers.contains(found) {
                            numbers.push(found.clone());
                        }
                    }
                }
                Kind::Any => numbers.clone_from(DECLARED.get(name)?),
                _ => {}
            }
        }
        (!numbers.is_empty()).then_some(numbers)
    }

    fn below(&self, numbers: &[Numbered], key: &Option<Key>) -> Option<Self> {
        let mut below = Self(Vec::new());
        for (types, number) in numbers {
            let ty = &schema().data[usize::from(types.start)];
            below.add(&ty.fields[usize::from(*number)], key);
        }
        (!below.0.is_empty()).then_some(below)
    }
}

/// Where the field `name` is declared among the ancestors and descendants of type `ty`.
fn fields_of(name: &str, ty: u16) -> impl Iterator<Item = &'static Numbered> {
    let subtypes = schema().data[usize::from(ty)].subtypes.clone();
    let declared = DECLARED.get(name).map(Vec::as_slice).unwrap_or_default();
    declared.iter().filter(move |(types, _)| types.contains(&ty) || subtypes.contains(&types.start))
}

/// Splits a path into names with their keys; `None` if it is malformed.
fn parse(text: &str) -> Option<Vec<(&str, Option<Key>)>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        let mut key = None;
        if let Some(inside) = rest.strip_prefix('[') {
            let (parsed, after) = parse_key(inside)?;
            key = Some(parsed);
            rest = after;
        }
        if name.is_empty() || parts.len() == MAX_STEPS {
            return None;
        }
        parts.push((name, key));
        if rest.is_empty() {
            return Some(parts);
        }
        rest = rest.strip_prefix('.')?;
    }
}

/// Reads a key after its bracket: a number, a word, or quoted text in which `\` precedes a quote or itself.
fn parse_key(text: &str) -> Option<(Key, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, rest) = text.split_once(']')?;
        let word = word.trim();
        return (!word.is_empty()).then(|| (Key { text: word.into(), number: word.parse().ok() }, rest));
    };
    let mut key = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let rest = quoted[at + 1..].strip_prefix(']')?;
                return Some((Key { number: key.parse().ok(), text: key.into() }, rest));
            }
            '\\' => key.push(chars.next()?.1),
            c => key.push(c),
        }
    }
    None
}
