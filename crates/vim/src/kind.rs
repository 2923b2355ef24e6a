//! Which values fit where: a marker type for each kind of the schema, and the Rust types that go in and come out.
//!
//! Only the macros name these types. Numbers of types are const parameters; because derived types are numbered right
//! after their base, "is a subtype" is a comparison that the compiler makes.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::value::Str;
use crate::{
    Data, DataId, DateTime, EnumId, EnumOf, EnumValue, ListRef, ManagedId, MoRef, Object, Value, names, value,
};

/// A kind of the schema as a type.
pub trait Marker {
    /// The result of reading.
    type Out<'a>;
    /// `None` if the value is of another kind, which a checked value never is.
    fn read(value: &Value) -> Option<Self::Out<'_>>;
    /// The kind, for lists.
    fn kind() -> crate::Kind;
}

/// A Rust value that fits where `K` is declared.
#[diagnostic::on_unimplemented(message = "`{Self}` does not fit where the schema has `{K}`")]
pub trait IntoKind<K> {
    fn into_value(self) -> Value;
}

/// The same for an optional member: also an `Option`. An empty list counts as unset.
#[diagnostic::on_unimplemented(message = "`{Self}` does not fit where the schema has an optional `{K}`")]
pub trait IntoOptional<K> {
    fn into_optional(self) -> Option<Value>;
}

/// For the macros: a member that must be set.
pub fn required<K>(value: impl IntoKind<K>) -> Option<Value> {
    present(value.into_value())
}

/// For the macros: a member that may be unset.
pub fn optional<K>(value: impl IntoOptional<K>) -> Option<Value> {
    value.into_optional().and_then(present)
}

/// For the macros: an element of a list literal.
pub fn element<K>(value: impl IntoKind<K>) -> Value {
    value.into_value()
}

fn present(value: Value) -> Option<Value> {
    match &value {
        Value::List(list) if list.items().is_empty() => None,
        _ => Some(value),
    }
}

macro_rules! into_kind {
    ($generics:tt $kind:ty: $($from:ty => |$value:ident| $make:expr;)*) => {
        $(into_kind!(@one $generics $kind, $from, $value, $make);)*
    };
    (@one [$($generics:tt)*] $kind:ty, $from:ty, $value:ident, $make:expr) => {
        impl<$($generics)*> IntoKind<$kind> for $from {
            fn into_value(self) -> Value {
                let $value = self;
                $make
            }
        }
        impl<$($generics)*> IntoOptional<$kind> for $from {
            fn into_optional(self) -> Option<Value> {
                Some(IntoKind::<$kind>::into_value(self))
            }
        }
        impl<$($generics)*> IntoOptional<$kind> for Option<$from> {
            fn into_optional(self) -> Option<Value> {
                self.map(IntoKind::<$kind>::into_value)
            }
        }
    };
}

macro_rules! scalar {
    ($($marker:ident $kind:ident $variant:ident $rust:ty;)*) => {
        $(
            pub struct $marker;
            impl Marker for $marker {
                type Out<'a> = $rust;
                fn read(value: &Value) -> Option<$rust> {
                    match value {
                        Value::$variant(value) => Some(*value),
                        _ => None,
                    }
                }
                fn kind() -> crate::Kind {
                    crate::Kind::$kind
                }
            }
            into_kind!([] $marker: $rust => |value| Value::$variant(value););
        )*
    };
}

scalar! {
    Boolean Boolean Boolean bool;
    Byte Byte Byte i8;
    Short Short Short i16;
    Int Int Int i32;
    Long Long Long i64;
    Float Float Float f32;
    Double Double Double f64;
    Date DateTime DateTime DateTime;
}

/// Every kind that is text.
pub struct Text;

impl Marker for Text {
    type Out<'a> = &'a str;
    fn read(value: &Value) -> Option<&str> {
        match value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
    fn kind() -> crate::Kind {
        crate::Kind::String
    }
}

into_kind!([] Text:
    &str => |text| Value::String(text.into());
    &String => |text| Value::String(text.as_str().into());
    String => |text| Value::String(text.into());
    Arc<str> => |text| Value::String(text.into());
    Str => |text| Value::String(text);
    &Str => |text| Value::String(text.clone());
    &Arc<str> => |text| Value::String((&**text).into());
);

pub struct Binary;

impl Marker for Binary {
    type Out<'a> = &'a [u8];
    fn read(value: &Value) -> Option<&[u8]> {
        match value {
            Value::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }
    fn kind() -> crate::Kind {
        crate::Kind::Binary
    }
}

into_kind!([] Binary:
    Vec<u8> => |bytes| Value::Binary(bytes.into());
    &[u8] => |bytes| Value::Binary(bytes.to_vec().into());
    Arc<[u8]> => |bytes| Value::Binary(bytes.to_vec().into());
);

/// `anyType`.
pub struct Any;

impl Marker for Any {
    type Out<'a> = &'a Value;
    fn read(value: &Value) -> Option<&Value> {
        Some(value)
    }
    fn kind() -> crate::Kind {
        crate::Kind::Any
    }
}

into_kind!([] Any:
    Value => |value| value;
    bool => |value| value.into();
    i32 => |value| value.into();
    i64 => |value| value.into();
    &str => |value| value.into();
    String => |value| value.into();
    MoRef => |value| value.into();
    Object => |value| value.into();
);
into_kind!([const D: u16] Any: Data<D> => |value| value.into(););
into_kind!([const E: u16] Any: EnumOf<E> => |value| Value::Enum(value.into()););

/// The enum number `E`.
pub struct Enum<const E: u16>;

impl<const E: u16> Marker for Enum<E> {
    type Out<'a> = EnumOf<E>;
    fn read(value: &Value) -> Option<EnumOf<E>> {
        match value {
            Value::Enum(value) => EnumOf::try_from(*value).ok(),
            _ => None,
        }
    }
    fn kind() -> crate::Kind {
        crate::Kind::Enum(EnumId(E))
    }
}

into_kind!([const E: u16] Enum<E>:
    EnumOf<E> => |value| Value::Enum(value.into());
    EnumValue => |value| {
        assert_eq!(value.ty(), EnumId(E), "the value of another enum");
        Value::Enum(value)
    };
);

/// Data type number `B`, or one derived from it: those below `END`.
pub struct Obj<const B: u16, const END: u16>;

impl<const B: u16, const END: u16> Marker for Obj<B, END> {
    type Out<'a> = &'a Arc<Object>;
    fn read(value: &Value) -> Option<&Arc<Object>> {
        value.as_object()
    }
    fn kind() -> crate::Kind {
        crate::Kind::Data(DataId(B))
    }
}

fn checked<const B: u16, const END: u16>(object: Arc<Object>) -> Value {
    assert!((B..END).contains(&object.ty().0), "a {} does not fit here", object.type_name());
    Value::Object(object)
}

into_kind!([const B: u16, const END: u16] Obj<B, END>:
    Object => |object| checked::<B, END>(Arc::new(object));
    Arc<Object> => |object| checked::<B, END>(object);
    &Arc<Object> => |object| checked::<B, END>(object.clone());
);
into_kind!([const D: u16, const B: u16, const END: u16] Obj<B, END>: Data<D> => |data| {
    const { assert!(D >= B && D < END, "this data object is not of the declared type or one derived from it") };
    data.into()
};);

/// A reference to managed type `M` or one derived from it: those below `END`.
pub struct Ref<const M: u16, const END: u16>;

impl<const M: u16, const END: u16> Marker for Ref<M, END> {
    type Out<'a> = &'a MoRef;
    fn read(value: &Value) -> Option<&MoRef> {
        value.as_ref()
    }
    fn kind() -> crate::Kind {
        crate::Kind::Ref(ManagedId(M))
    }
}

into_kind!([const M: u16, const END: u16] Ref<M, END>:
    MoRef => |reference| {
        // A client may have named a base type of the referenced object.
        debug_assert!(names::are_related(reference.ty(), ManagedId(M)), "{reference} does not fit here");
        Value::Ref(reference)
    };
    &MoRef => |reference| IntoKind::<Ref<M, END>>::into_value(reference.clone());
);

/// A list of `K`.
pub struct ListOf<K>(PhantomData<K>);

impl<K: Marker> Marker for ListOf<K> {
    type Out<'a> = ListRef<'a, K>;
    fn read(value: &Value) -> Option<ListRef<'_, K>> {
        match value {
            Value::List(list) => Some(ListRef::new(list.items())),
            _ => None,
        }
    }
    fn kind() -> crate::Kind {
        unreachable!("the schema has no lists of lists")
    }
}

/// For the macros: a list literal, whose elements may be of different subtypes.
pub fn list<K: Marker>(items: Vec<Value>) -> value::List {
    value::List::new(K::kind(), items)
}

impl<K: Marker> IntoKind<ListOf<K>> for value::List {
    fn into_value(self) -> Value {
        Value::List(self)
    }
}

impl<K: Marker> IntoOptional<ListOf<K>> for value::List {
    fn into_optional(self) -> Option<Value> {
        Some(Value::List(self))
    }
}

impl<K: Marker> IntoOptional<ListOf<K>> for Option<value::List> {
    fn into_optional(self) -> Option<Value> {
        self.map(Value::List)
    }
}

impl<K: Marker, T: IntoKind<K>> IntoKind<ListOf<K>> for Vec<T> {
    fn into_value(self) -> Value {
        Value::List(list::<K>(self.into_iter().map(IntoKind::into_value).collect()))
    }
}

impl<K: Marker, T: IntoKind<K>> IntoOptional<ListOf<K>> for Vec<T> {
    fn into_optional(self) -> Option<Value> {
        Some(self.into_value())
    }
}

impl<K: Marker, T: IntoKind<K>> IntoOptional<ListOf<K>> for Option<Vec<T>> {
    fn into_optional(self) -> Option<Value> {
        self.map(IntoKind::into_value)
    }
}
