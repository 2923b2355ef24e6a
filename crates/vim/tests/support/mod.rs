//! Random values of any type of the schema.
#![allow(dead_code)]

use rand::Rng;
use rand::seq::IndexedRandom;
use vim::{
    Args, DataId, DateTime, EnumId, EnumValue, Kind, List, ManagedId, Member, Method, MoRef, Object, Release,
    Value, data_id, managed_id, schema,
};

/// Depth of nested objects.
pub const DEPTH: usize = 3;
const MAX_ITEMS: usize = 3;

/// The newest release of the schema, which knows everything.
pub fn newest() -> Release {
    Release(u8::try_from(schema().releases.len() - 1).unwrap())
}

pub fn is_fault(ty: DataId) -> bool {
    schema().data(data_id!(MethodFault)).subtypes.contains(&ty.0)
}

pub struct Random<R> {
    pub rng: R,
}

impl<R: Rng> Random<R> {
    pub fn object(&mut self, ty: DataId, depth: usize) -> Object {
        Object::from_fields(ty, self.members(&schema().data(ty).fields, depth))
    }

    /// A call with its required parameters set.
    pub fn args(&mut self, method: &Method, depth: usize) -> Args {
        let mut values = self.members(&method.parameters, depth);
        for (number, parameter) in (0u16..).zip(&method.parameters) {
            if !values.iter().any(|value| value.0 == number) {
                let value = self.member(parameter, depth);
                values.extend(value.filter(|_| !parameter.optional).map(|value| (number, value)));
            }
        }
        values.sort_by_key(|value| value.0);
        Args::new(method.id, values)
    }

    fn members(&mut self, members: &[Member], depth: usize) -> Vec<(u16, Value)> {
        let mut values = Vec::new();
        for (number, member) in (0u16..).zip(members) {
            // Types with many fields would grow beyond measure.
            let chance = if members.len() > 8 { 0.3 } else { 0.7 };
            if self.rng.random_bool(chance) {
                values.extend(self.member(member, depth).map(|value| (number, value)));
            }
        }
        values
    }

    /// `None` where only objects that are too deep would fit.
    pub fn member(&mut self, member: &Member, depth: usize) -> Option<Value> {
        if depth == 0 && matches!(member.kind, Kind::Data(_) | Kind::Any) && self.rng.random_bool(0.8) {
            return None;
        }
        Some(if member.list {
            let items = self.rng.random_range(1..=MAX_ITEMS);
            Value::List(self.list(member.kind, items, depth))
        } else {
            self.value(member.kind, depth)
        })
    }

    fn list(&mut self, kind: Kind, items: usize, depth: usize) -> List {
        List::new(kind, (0..items).map(|_| self.value(kind, depth)).collect::<Vec<_>>())
    }

    pub fn value(&mut self, kind: Kind, depth: usize) -> Value {
        match kind {
            Kind::Any => self.any(depth),
            Kind::Boolean => Value::Boolean(self.rng.random()),
            Kind::Byte => Value::Byte(self.rng.random()),
            Kind::Short => Value::Short(self.rng.random()),
            Kind::Int => {
                Value::Int(*[0, 1, i32::MIN, i32::MAX, self.rng.random()].choose(&mut self.rng).unwrap())
            }
            Kind::Long => {
                Value::Long(*[0, -1, i64::MIN, i64::MAX, self.rng.random()].choose(&mut self.rng).unwrap())
            }
            Kind::Float => Value::Float(match self.rng.random_range(0..4) {
                0 => f32::NEG_INFINITY,
                1 => self.rng.random(),
                _ => Some(f32::from_bits(self.rng.random()))
                    .filter(|f| !f.is_nan())
                    .unwrap_or(f32::MIN_POSITIVE),
            }),
            Kind::Double => Value::Double(match self.rng.random_range(0..4) {
                0 => f64::INFINITY,
                1 => self.rng.random(),
                _ => Some(f64::from_bits(self.rng.random())).filter(|f| !f.is_nan()).unwrap_or(f64::MAX),
            }),
            Kind::String | Kind::Uri | Kind::TypeName | Kind::MethodName | Kind::PropertyPath => {
                Value::String(self.text().into())
            }
            Kind::DateTime => Value::DateTime(DateTime::from_micros(match self.rng.random_range(0..3) {
                0 => self.rng.random(),
                1 => self.rng.random_range(0..4_000_000_000) * 1_000_000,
                _ => self.rng.random_range(-1_000_000_000_000_000..4_000_000_000_000_000),
            })),
            Kind::Binary => {
                let length = self.rng.random_range(0..10);
                Value::Binary((0..length).map(|_| self.rng.random()).collect::<Vec<u8>>().into())
            }
            Kind::Enum(ty) => Value::Enum(self.member_of(ty)),
            Kind::Data(base) => {
                let ty = DataId(self.rng.random_range(schema().data(base).subtypes.clone()));
                match depth {
                    0 => Object::new(ty).into(),
                    _ => self.object(ty, depth - 1).into(),
                }
            }
            Kind::Ref(base) => Value::Ref(self.reference(base)),
        }
    }

    pub fn reference(&mut self, base: ManagedId) -> MoRef {
        let ty = ManagedId(self.rng.random_range(schema().managed(base).subtypes.clone()));
        // An id never begins or ends with a blank.
        let id = format!("x{}x", self.text());
        MoRef::new(ty, id)
    }

    fn member_of(&mut self, ty: EnumId) -> EnumValue {
        let values = schema().enumeration(ty).values.len();
        EnumValue::new(ty, u16::try_from(self.rng.random_range(0..values)).unwrap())
    }

    /// A value for a place without a declared kind, as it reads back: texts are strings, references may be to any object.
    fn any(&mut self, depth: usize) -> Value {
        let kind = self.any_kind();
        if self.rng.random_bool(0.3) {
            let kind = if self.rng.random_bool(0.1) { Kind::Any } else { kind };
            let items = if depth == 0 { 0 } else { self.rng.random_range(0..=MAX_ITEMS) };
            return Value::List(self.list(kind, items, depth.saturating_sub(1)));
        }
        self.value(kind, depth)
    }

    fn any_kind(&mut self) -> Kind {
        let data = u16::try_from(schema().data.len()).unwrap();
        let enums = u16::try_from(schema().enums.len()).unwrap();
        match self.rng.random_range(0..14) {
            0 => Kind::Boolean,
            1 => Kind::Byte,
            2 => Kind::Short,
            3 => Kind::Int,
            4 => Kind::Long,
            5 => Kind::Float,
            6 => Kind::Double,
            7 => Kind::DateTime,
            8 => Kind::Binary,
            9 => Kind::Enum(EnumId(self.rng.random_range(0..enums))),
            10 | 11 => match DataId(self.rng.random_range(0..data)) {
                // A bare fault would be wrapped.
                ty if is_fault(ty) => Kind::Data(data_id!(LocalizedMethodFault)),
                ty => Kind::Data(ty),
            },
            12 => Kind::Ref(managed_id!(ManagedObject)),
            _ => Kind::String,
        }
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 16] = [
            "",
            " ",
            "a",
            "Zz9",
            "<",
            ">",
            "&",
            "\"",
            "'",
            "\\",
            "\r\n",
            "\t",
            "ü",
            "日本",
            "\u{1F600}",
            "]]>",
        ];
        (0..self.rng.random_range(0..6)).map(|_| *PIECES.choose(&mut self.rng).unwrap()).collect()
    }
}
