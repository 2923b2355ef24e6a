//! Messages for clients of older releases.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use support::{Random, newest};
use vim::{Data, Kind, Object, Release, Value, data_id, json, schema, soap, ty, vim};

fn release(id: &str) -> Release {
    schema().release(id).unwrap()
}

fn fetched(value: &Value, release: Release) -> String {
    let mut out = Vec::new();
    soap::write_fetch_response(&mut out, Some(value), release);
    let text = String::from_utf8(out).unwrap();
    let start = text.find("<returnval").unwrap_or(text.len());
    text[start..].split("</FetchResponse>").next().unwrap_or_default().to_owned()
}

#[test]
fn a_field_newer_than_the_client_is_left_out() {
    let summary = vim!(VirtualMachineConfigSummary { name: "web", numVmiopBackings: 1, numCpu: 1 });
    let field = vim::field!(VirtualMachineConfigSummary.numVmiopBackings).number();
    let since = schema().data(data_id!(VirtualMachineConfigSummary)).fields[usize::from(field)].since;
    assert!(since > release("6.5") && since <= newest());
    let value = Value::from(summary);
    assert_eq!(
        fetched(&value, release("6.5")),
        "<returnval xsi:type=\"VirtualMachineConfigSummary\"><name>web</name><numCpu>1</numCpu></returnval>"
    );
    assert!(fetched(&value, newest()).contains("<numVmiopBackings>1</numVmiopBackings>"));
    let mut out = Vec::new();
    json::write_value(&mut out, Kind::Any, false, &value, release("6.5"));
    assert_eq!(out, br#"{"_typeName":"VirtualMachineConfigSummary","name":"web","numCpu":1}"#);
}

#[test]
fn an_object_of_a_newer_type_is_sent_as_its_nearest_known_ancestor() {
    let clock = schema().data(data_id!(VirtualNVDIMM));
    assert!(clock.since > release("6.5") && clock.since <= newest());
    let devices = vim!(VirtualHardware { numCPU: 1, device: [VirtualNVDIMM { key: 1, capacityInMB: 8 }] });
    assert_eq!(
        fetched(&devices.into(), release("6.5")),
        "<returnval xsi:type=\"VirtualHardware\"><numCPU>1</numCPU><device><key>1</key></device></returnval>"
    );
}

#[test]
fn who_calls_a_method_newer_than_it_said_gets_its_result() {
    let method = vim::method!(RetrievePropertiesEx);
    assert!(schema().method(method).since > release("4.0"));
    let result = Value::from(vim!(RetrieveResult { token: "1" }));
    let mut out = Vec::new();
    soap::write_response(&mut out, method, Some(&result), release("4.0"));
    assert_eq!(soap::read_response(&out, method), Ok(Ok(Some(result))));
}

/// The parts of a value that a client of `release` does not know.
fn unknown_in(value: &Value, release: Release, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            let ty = schema().data(object.ty());
            if ty.since > release {
                found.push(ty.name.to_owned());
            }
            for (number, value) in object.fields() {
                let field = &ty.fields[usize::from(*number)];
                if field.since > release {
                    found.push(format!("{}.{}", ty.name, field.name));
                }
                unknown_in(value, release, found);
            }
        }
        Value::List(list) => list.items().iter().for_each(|item| unknown_in(item, release, found)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_newer_than_the_client_is_ever_sent(
        seed: u64,
        id in 0..u16::try_from(schema().data.len()).unwrap(),
        at in 0..u8::try_from(schema().releases.len()).unwrap(),
    ) {
        let release = Release(at);
        let object: Object = Random { rng: StdRng::seed_from_u64(seed) }.object(vim::DataId(id), 4);
        let property: Data<{ data_id!(DynamicProperty).0 }> =
            vim!(DynamicProperty { name: "x", val: Value::from(object) });
        let content: ty!(ObjectContent) = vim!(ObjectContent { propSet: vec![property] });
        let result = Value::List(vim::List::new(Kind::Data(data_id!(ObjectContent)), vec![content.into()]));
        let method = vim::method!(RetrieveProperties);
        let mut out = Vec::new();
        soap::write_response(&mut out, method, Some(&result), release);
        let text = String::from_utf8_lossy(&out).into_owned();
        let read = soap::read_response(&out, method).unwrap().unwrap().unwrap();
        let mut found = Vec::new();
        unknown_in(&read, release, &mut found);
        prop_assert!(found.is_empty(), "{found:?} in {text}");

        let mut out = Vec::new();
        json::write_value(&mut out, Kind::Data(data_id!(ObjectContent)), true, &result, release);
        let read = json::read_value(Kind::Data(data_id!(ObjectContent)), true, &out).unwrap();
        unknown_in(&read, release, &mut found);
        prop_assert!(found.is_empty(), "{found:?} in {}", String::from_utf8_lossy(&out));
    }
}
