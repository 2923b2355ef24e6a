//! Every data type, method and fault reads back as it was written, in both encodings.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rand::SeedableRng;
use rand::rngs::StdRng;
use support::{DEPTH, Random, is_fault, newest};
use vim::soap::{self, Call};
use vim::{
    Args, Fault, Kind, MoRef, Object, Value, arg, call, data_id, field, json, managed_id, schema, vim,
};

/// Cases of each type in one run; each run draws others.
const CASES: u32 = 4;

/// Runs `check` with random values that `make` draws.
fn each<T: std::fmt::Debug>(make: impl Fn(&mut Random<StdRng>) -> T, check: impl Fn(T)) {
    let config = Config { cases: CASES, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&any::<u64>(), |seed| {
        check(make(&mut Random { rng: StdRng::seed_from_u64(seed) }));
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

fn text(out: Vec<u8>) -> String {
    String::from_utf8(out).unwrap()
}

fn this() -> MoRef {
    MoRef::new(managed_id!(OptionManager), "settings")
}

/// Sends a value as an option's, where no kind is declared.
fn through_soap(value: Value) -> (String, Value) {
    let args = call!(UpdateOptions { changedValue: [OptionValue { key: "key", value: value }] });
    let mut out = Vec::new();
    soap::write_request(&mut out, &this(), &args, newest());
    let request = soap::read_request(&out).unwrap_or_else(|error| panic!("{error}: {}", text(out.clone())));
    let Call::Method(args) = request.call else { panic!("a Fetch") };
    let changed = args.get(arg!(UpdateOptions.changedValue)).unwrap();
    let option = changed.iter().next().unwrap();
    (text(out), option.get(field!(OptionValue.value)).unwrap().clone())
}

#[test]
fn every_data_type_goes_through_soap_unchanged() {
    for ty in &schema().data {
        each(
            |random| random.object(ty.id, DEPTH),
            |object| {
                let (xml, read) = through_soap(object.clone().into());
                // A bare fault is wrapped where no kind is declared.
                let expected = match is_fault(ty.id) {
                    true => vim!(LocalizedMethodFault { fault: object }).into(),
                    false => object,
                };
                assert_eq!(read, Value::from(expected), "{xml}");
            },
        );
    }
}

#[test]
fn every_data_type_goes_through_json_unchanged() {
    for ty in &schema().data {
        each(
            |random| random.object(ty.id, DEPTH),
            |object| {
                for kind in [Kind::Data(ty.id), Kind::Any] {
                    let value = Value::from(object.clone());
                    let mut out = Vec::new();
                    json::write_value(&mut out, kind, false, &value, newest());
                    let read = json::read_value(kind, false, &out);
                    assert_eq!(read, Ok(value), "{}", text(out));
                }
            },
        );
    }
}

#[test]
fn every_enum_goes_through_both_unchanged() {
    for ty in (0u16..).zip(&schema().enums).map(|(at, _)| vim::EnumId(at)) {
        for at in 0..schema().enumeration(ty).values.len() {
            let value = Value::Enum(vim::EnumValue::new(ty, u16::try_from(at).unwrap()));
            assert_eq!(through_soap(value.clone()).1, value);
            let mut out = Vec::new();
            json::write_value(&mut out, Kind::Enum(ty), true, &value, newest());
            assert_eq!(json::read_value(Kind::Enum(ty), true, &out).unwrap().items(), [value]);
        }
    }
}

#[test]
fn every_call_goes_through_both_unchanged() {
    for method in &schema().methods {
        each(
            |random| (random.reference(method.owner), random.args(method, DEPTH)),
            |(this, args): (MoRef, Args)| {
                let mut out = Vec::new();
                soap::write_request(&mut out, &this, &args, newest());
                let request = soap::read_request(&out).unwrap();
                assert_eq!((request.this, request.call), (this, Call::Method(args.clone())));
                let mut out = Vec::new();
                json::write_args(&mut out, &args, newest());
                assert_eq!(json::read_args(method.id, &out), Ok(args));
            },
        );
    }
}

#[test]
fn every_result_goes_through_both_unchanged() {
    for method in &schema().methods {
        let Some(returns) = &method.returns else { continue };
        each(
            |random| random.member(returns, DEPTH),
            |result: Option<Value>| {
                let mut out = Vec::new();
                soap::write_response(
                    &mut out,
                    method.id,
                    result.as_ref().map(|result| result as _),
                    newest(),
                );
                assert_eq!(soap::read_response(&out, method.id), Ok(Ok(result.clone())), "{}", method.name);
                let Some(result) = result else { return };
                let mut out = Vec::new();
                json::write_value(&mut out, returns.kind, returns.list, &result, newest());
                assert_eq!(json::read_value(returns.kind, returns.list, &out), Ok(result));
            },
        );
    }
}

#[test]
fn every_fault_goes_through_both_unchanged() {
    let login = vim::method!(Login);
    for ty in schema().data(data_id!(MethodFault)).subtypes.clone().map(vim::DataId) {
        each(
            |random| random.object(ty, DEPTH),
            |object: Object| {
                let fault = Fault::new(object, "a <sentence> & \"more\"");
                let mut out = Vec::new();
                soap::write_fault(&mut out, &fault, newest(), false);
                assert_eq!(soap::read_response(&out, login), Ok(Err(fault.clone())));
                let mut out = Vec::new();
                json::write_fault(&mut out, &fault, newest());
                assert_eq!(json::read_fault(&out), Ok(fault), "{}", text(out));
            },
        );
    }
}
