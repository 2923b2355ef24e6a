use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::schema::{Schema, Type, schema};
use crate::value::{Record, Value};
use crate::{Error, ErrorKind};

const FORMS: [Form; 3] = [Form::Api, Form::Rest, Form::Rpc];

/// A value of the type, with optionals down to `depth` set as the bits of `seed` say.
fn sample(schema: &Schema, ty: &Type, depth: usize, seed: &mut u64) -> Value {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    let dice = *seed >> 33;
    match ty {
        Type::Void => Value::Unset,
        Type::Boolean => Value::Boolean(dice.is_multiple_of(2)),
        Type::Long => Value::Long(i64::try_from(dice).unwrap() - (1 << 30)),
        Type::Double => Value::Double(f64::from(u32::try_from(dice % 4096).unwrap()) / 8.0),
        Type::Binary => Value::Binary(dice.to_le_bytes().to_vec()),
        Type::Enum(id) => schema.enums[id.index()].values.first().copied().unwrap_or("X").into(),
        Type::Optional(_) if depth == 0 || dice.is_multiple_of(3) => Value::Unset,
        Type::Optional(inner) => sample(schema, inner, depth, seed),
        Type::List(_) | Type::Set(_) | Type::Map(_) if depth == 0 => match ty {
            Type::Map(_) => Value::Map(Vec::new()),
            _ => Value::List(Vec::new()),
        },
        Type::List(inner) => {
            Value::List((0..dice % 3).map(|_| sample(schema, inner, depth - 1, seed)).collect())
        }
        Type::Set(inner) => Value::List(vec![sample(schema, inner, depth - 1, seed)]),
        Type::Map(types) => Value::Map(vec![(
            sample(schema, &types.0, depth - 1, seed),
            sample(schema, &types.1, depth - 1, seed),
        )]),
        Type::Structure(id) => {
            let row = &schema.structures[id.index()];
            let depth = depth.saturating_sub(1);
            let fields = row.fields.iter().map(|field| sample(schema, &field.ty, depth, seed)).collect();
            Value::Record(Record { ty: *id, fields })
        }
        Type::Opaque | Type::AnyStructure | Type::AnyError => Value::Opaque(json!({ "a": dice })),
        _ => format!("text {dice}").into(),
    }
}

proptest! {
    // Each case goes through all structures of the table.
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn every_structure_comes_back_from_every_encoding(seed in any::<u64>()) {
        let schema = schema();
        let mut seed = seed;
        for at in 0..schema.structures.len() {
            let ty = Type::Structure(crate::StructureId(u16::try_from(at).unwrap()));
            let value = sample(schema, &ty, 4, &mut seed);
            for form in FORMS {
                let written = write(form, &ty, &value);
                let back = read(form, &ty, &written, "it");
                prop_assert_eq!(back.as_ref(), Ok(&value), "{:?} {}", form, schema.structures[at].name);
            }
        }
    }
}

#[test]
fn what_the_type_does_not_allow_is_refused_by_name() {
    let ty = Type::Structure(schema().structure("cis.session.info").unwrap());
    let good = json!({ "user": "a", "created_time": "2026-01-01T00:00:00Z", "last_accessed_time": "" });
    assert!(read(Form::Api, &ty, &good, "info").is_ok());
    let with = |name: &str, value: serde_json::Value| {
        let mut json = good.clone();
        json[name] = value;
        read(Form::Api, &ty, &json, "info").unwrap_err().to_string()
    };
    assert_eq!(with("user", json!(1)), "info.user: must be a string");
    assert_eq!(with("users", json!("a")), "info.users: the structure has no such field");
    let missing = read(Form::Api, &ty, &json!({ "user": "a" }), "info").unwrap_err();
    assert_eq!(missing.to_string(), "info.created_time: the field is missing");
    let number = read(Form::Api, &Type::Long, &json!(9_223_372_036_854_775_808_u64), "n").unwrap_err();
    assert_eq!(number.to_string(), "n: must be a whole number of 64 bits");
}

#[test]
fn errors_name_their_kind_in_every_encoding() {
    let error = Error::new(ErrorKind::NotFound, "esfera.gone", "tag-1 does not exist");
    let messages = json!([{ "id": "esfera.gone", "default_message": "tag-1 does not exist", "args": [] }]);
    let api = write_error(Form::Api, &error);
    assert_eq!(api, json!({ "error_type": "NOT_FOUND", "messages": messages }));
    let rest = write_error(Form::Rest, &error);
    assert_eq!(rest["type"], "com.vmware.vapi.std.errors.not_found");
    assert_eq!(rest["value"]["messages"], messages);
    let rpc = write_error(Form::Rpc, &error);
    let raised = &rpc["ERROR"]["com.vmware.vapi.std.errors.not_found"];
    assert_eq!(raised["error_type"], json!({ "OPTIONAL": "NOT_FOUND" }));
}

#[test]
fn a_value_of_an_enumeration_is_one_of_the_table() {
    let schema = schema();
    let named = |name: &str| (0..).zip(&schema.enums).find(|(_, row)| row.name == name).unwrap().0;
    let ty = Type::Enum(crate::EnumId(named("vcenter.vm.power.state")));
    for form in FORMS {
        assert_eq!(read(form, &ty, &json!("POWERED_ON"), "state"), Ok("POWERED_ON".into()));
        for wrong in [json!("on"), json!("powered_on"), json!(1), json!(null)] {
            let problem = read(form, &ty, &wrong, "state").unwrap_err().to_string();
            let expected = "state: must be a value of com.vmware.vcenter.vm.power.state: POWERED_OFF, POWERED_ON, SUSPENDED";
            assert_eq!(problem, expected);
        }
    }
    assert!(read_text(&ty, "SUSPENDED", "state").is_ok() && read_text(&ty, "X", "state").is_err());
    let open = schema.enums.iter().position(|row| row.values.is_empty()).unwrap();
    let open = Type::Enum(crate::EnumId(u16::try_from(open).unwrap()));
    assert!(read_text(&open, "ANY", "state").is_ok(), "the table does not know its values");
}

#[test]
fn a_set_holds_no_value_twice_however_large_it_is() {
    let ty = Type::Set(Box::new(Type::String));
    let many: Vec<String> = (0..100_000).map(|at| format!("tag-{at}")).collect();
    assert!(read(Form::Api, &ty, &json!(many), "tags").is_ok());
    let twice = read(Form::Rpc, &ty, &json!(["a", "b", "a"]), "tags").unwrap_err();
    assert_eq!(twice.to_string(), "tags: must hold no value twice");
    let numbers = Type::Set(Box::new(Type::Double));
    assert!(read(Form::Api, &numbers, &json!([1, 1.0]), "n").is_err());
}
