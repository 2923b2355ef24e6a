//! Objects, enum values and member names whose schema type the compiler knows.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use crate::kind::{IntoOptional, Marker};
use crate::{DataId, EnumId, EnumValue, ManagedId, MethodId, MoRef, Object, Value, schema};

/// A data object of exactly the type number `D`. `ty!(Name)` writes the type.
#[derive(Clone, Debug, PartialEq)]
pub struct Data<const D: u16>(Object);

impl<const D: u16> Data<D> {
    /// For the macros.
    pub fn from_fields(fields: Vec<(u16, Value)>) -> Self {
        Self(Object::from_fields(DataId(D), fields))
    }

    pub fn into_object(self) -> Object {
        self.0
    }
}

impl<const D: u16> Deref for Data<D> {
    type Target = Object;
    fn deref(&self) -> &Object {
        &self.0
    }
}

impl<const D: u16> DerefMut for Data<D> {
    fn deref_mut(&mut self) -> &mut Object {
        &mut self.0
    }
}

impl<const D: u16> From<Data<D>> for Object {
    fn from(data: Data<D>) -> Self {
        data.0
    }
}

impl<const D: u16> From<Data<D>> for Value {
    fn from(data: Data<D>) -> Self {
        data.0.into()
    }
}

/// A value of the enum number `E`. `ty!(Name)` writes the type, `vim_enum!(Name.value)` a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnumOf<const E: u16>(EnumValue);

impl<const E: u16> EnumOf<E> {
    /// For the macros, which have checked `at`.
    pub fn new(at: u16) -> Self {
        Self(EnumValue::new(EnumId(E), at))
    }

    pub fn parse(name: &str) -> Option<Self> {
        EnumValue::parse(EnumId(E), name).map(Self)
    }

    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

impl<const E: u16> From<EnumOf<E>> for EnumValue {
    fn from(value: EnumOf<E>) -> Self {
        value.0
    }
}

impl<const E: u16> TryFrom<EnumValue> for EnumOf<E> {
    type Error = EnumValue;
    fn try_from(value: EnumValue) -> Result<Self, EnumValue> {
        if value.ty() == EnumId(E) { Ok(Self(value)) } else { Err(value) }
    }
}

/// A member of a data type (`field!`), a property (`prop!`) or a parameter (`arg!`): its number and kind.
pub struct Field<K> {
    number: u16,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Field<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Field<K> {}

impl<K> Field<K> {
    /// For the macros.
    pub const fn new(number: u16) -> Self {
        Self { number, kind: PhantomData }
    }

    pub const fn number(self) -> u16 {
        self.number
    }
}

impl Object {
    /// Reads a field: `spec.get(field!(VirtualMachineConfigSpec.numCPUs))`. `None` if it is unset.
    ///
    /// The object must be of the field's type or one derived from it; [`Object::is_a`] tells.
    pub fn get<K: Marker>(&self, field: Field<K>) -> Option<K::Out<'_>> {
        self.at(field.number).and_then(K::read)
    }

    /// Sets or unsets a field.
    pub fn set<K>(&mut self, field: Field<K>, value: impl IntoOptional<K>) {
        self.put(field.number, value.into_optional());
    }
}

/// A list for reading: iterates over its elements.
pub struct ListRef<'a, K> {
    items: &'a [Value],
    kind: PhantomData<fn() -> K>,
}

impl<'a, K: Marker> ListRef<'a, K> {
    pub(crate) fn new(items: &'a [Value]) -> Self {
        Self { items, kind: PhantomData }
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = K::Out<'a>> + use<'a, K> {
        self.items.iter().filter_map(K::read)
    }
}

impl<'a, K: Marker + 'a> IntoIterator for ListRef<'a, K> {
    type Item = K::Out<'a>;
    type IntoIter = std::iter::FilterMap<std::slice::Iter<'a, Value>, fn(&'a Value) -> Option<K::Out<'a>>>;
    fn into_iter(self) -> Self::IntoIter {
        self.items.iter().filter_map(K::read)
    }
}

/// A new value of one property, by its number; `None` unsets it.
pub type PropertyValue = (u16, Option<Value>);

/// New values of some properties of a managed object of type `ty` (`props!` writes it).
#[derive(Clone, Debug, PartialEq)]
pub struct Props {
    pub ty: ManagedId,
    pub values: Vec<PropertyValue>,
}

/// A call of a method: its parameters that are set, by number (`call!` writes it).
#[derive(Clone, Debug, PartialEq)]
pub struct Args {
    pub method: MethodId,
    values: Vec<(u16, Value)>,
}

impl Args {
    /// For the macros and readers; `values` rise by number.
    pub fn new(method: MethodId, values: Vec<(u16, Value)>) -> Self {
        debug_assert!(values.is_sorted_by(|a, b| a.0 < b.0), "parameters in order");
        Self { method, values }
    }

    /// Reads a parameter: `args.get(arg!(PowerOnVM_Task.host))`. `None` if it is unset.
    pub fn get<K: Marker>(&self, parameter: Field<K>) -> Option<K::Out<'_>> {
        self.at(parameter.number).and_then(K::read)
    }

    pub fn at(&self, number: u16) -> Option<&Value> {
        self.values.iter().find(|value| value.0 == number).map(|value| &value.1)
    }

    pub fn values(&self) -> &[(u16, Value)] {
        &self.values
    }

    pub fn method_name(&self) -> &'static str {
        schema().method(self.method).name
    }

    /// The same call with every reference replaced by the result of `map`, at any depth.
    pub fn map_refs(&self, map: &dyn Fn(&MoRef) -> Option<MoRef>) -> Self {
        let values = self.values.iter().map(|(at, value)| (*at, value.map_refs(map))).collect();
        Self { method: self.method, values }
    }
}

impl Value {
    /// The value with every reference replaced by the result of `map` (`None` keeps it), at any depth. Parts without a
    /// replaced reference are shared with the original.
    pub fn map_refs(&self, map: &dyn Fn(&MoRef) -> Option<MoRef>) -> Self {
        self.try_map_refs(map).unwrap_or_else(|| self.clone())
    }

    fn try_map_refs(&self, map: &dyn Fn(&MoRef) -> Option<MoRef>) -> Option<Self> {
        match self {
            Self::Ref(reference) => map(reference).map(Self::Ref),
            Self::Object(object) => {
                let mut mapped: Option<Object> = None;
                for (number, value) in object.fields() {
                    if let Some(value) = value.try_map_refs(map) {
                        mapped.get_or_insert_with(|| Object::clone(object)).put(*number, Some(value));
                    }
                }
                mapped.map(Into::into)
            }
            Self::List(list) => {
                let mut mapped: Option<Vec<Value>> = None;
                for (at, value) in list.items().iter().enumerate() {
                    if let Some(value) = value.try_map_refs(map) {
                        mapped.get_or_insert_with(|| list.items().to_vec())[at] = value;
                    }
                }
                mapped.map(|items| Self::List(crate::List::new(list.element(), items)))
            }
            _ => None,
        }
    }
}
