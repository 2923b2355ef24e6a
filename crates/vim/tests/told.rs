//! A value passed part by part is written like the value itself.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use support::Random;
use vim::encode::{Encode, Encoder, made};
use vim::{Kind, Release, Value, json, method, schema, soap};

/// Passes all parts of a value.
struct Told<'v>(&'v Value);

impl Encode for Told<'_> {
    fn encode(&self, to: &mut dyn Encoder) {
        match self.0 {
            Value::Object(object) => to.object(object.ty(), &mut |fields| {
                object.fields().iter().for_each(|(number, value)| fields.field(*number, &Told(value)));
            }),
            Value::List(list) => match list.element() {
                Kind::Data(element) => to.list(element, &mut |items| {
                    list.items().iter().for_each(|item| Told(item).encode(items));
                }),
                _ => to.value(self.0),
            },
            scalar => to.value(scalar),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_that_is_told_is_written_as_one_that_was_made(
        seed: u64,
        id in 0..u16::try_from(schema().data.len()).unwrap(),
        at in 0..u8::try_from(schema().releases.len()).unwrap(),
    ) {
        let release = Release(at);
        let value = Value::from(Random { rng: StdRng::seed_from_u64(seed) }.object(vim::DataId(id), 4));
        prop_assert_eq!(&made(&Told(&value)), &value);
        let soap_of = |value: &dyn Encode| {
            let mut out = Vec::new();
            soap::write_response(&mut out, method!(QueryOptions), Some(value), release);
            soap::write_fetch_response(&mut out, Some(value), release);
            String::from_utf8(out).unwrap()
        };
        prop_assert_eq!(soap_of(&Told(&value)), soap_of(&value));
        let json_of = |value: &dyn Encode| {
            let mut out = Vec::new();
            json::write_value(&mut out, Kind::Data(vim::DataId(id)), false, value, release);
            json::write_value(&mut out, Kind::Any, false, value, release);
            String::from_utf8(out).unwrap()
        };
        prop_assert_eq!(json_of(&Told(&value)), json_of(&value));
    }
}
