//! Advanced settings of a host, over its OptionManager.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Client, Site};
use host::{ids, managers};
use vim::{Fault, Value, call, field, prop, vim};

const DELAY: &str = "Net.TeamPolicyUpDelay";

async fn set(c: &Client, key: &str, value: Value) -> Result<(), Fault> {
    let changed = call!(UpdateOptions { changedValue: [OptionValue { key: key, value: value }] });
    c.invoke(&managers::advanced_options(), changed).await.map(drop)
}

async fn value(c: &Client, key: &str) -> Result<Value, Fault> {
    let found = c.invoke(&managers::advanced_options(), call!(QueryOptions { name: key })).await?.unwrap();
    let option = found.items().first().and_then(Value::as_object).unwrap().clone();
    assert_eq!(option.get(field!(OptionValue.key)), Some(key));
    Ok(option.get(field!(OptionValue.value)).unwrap().clone())
}

#[tokio::test]
async fn qemu_settings_are_defined_checked_shown_and_kept() {
    let site = Site::new();
    let c = site.open().await;
    assert_eq!(value(&c, DELAY).await.unwrap(), Value::Long(100));
    let defined = c.get(&managers::advanced_options(), prop!(OptionManager.supportedOption)).unwrap();
    let number = defined
        .iter()
        .filter_map(Value::as_object)
        .find(|it| it.get(field!(OptionDef.key)) == Some(DELAY))
        .unwrap();
    let number = number.get(field!(OptionDef.optionType)).unwrap();
    assert_eq!(
        (number.get(field!(LongOption.min)), number.get(field!(LongOption.max))),
        (Some(0), Some(1_800_000))
    );

    for (key, wrong, fault) in [
        ("Net.NoSuchThing", Value::Long(1), "InvalidName"),
        ("config.mine", Value::from("x"), "InvalidName"),
        (DELAY, Value::Long(1_800_001), "InvalidArgument"),
        (DELAY, Value::Long(-1), "InvalidArgument"),
        (DELAY, Value::from("soon"), "InvalidArgument"),
        ("Esfera.Accelerator", Value::from("kvm"), "InvalidArgument"),
    ] {
        assert_eq!(set(&c, key, wrong).await.unwrap_err().type_name(), fault, "{key}");
    }
    assert_eq!(value(&c, "Net.NoSuchThing").await.unwrap_err().type_name(), "InvalidName");
    let both = vec![(DELAY, Value::Long(7)), ("Esfera.Accelerator", Value::from("kvm"))];
    let both: Vec<_> =
        both.into_iter().map(|(key, value)| vim!(OptionValue { key: key, value: value })).collect();
    c.invoke(&managers::advanced_options(), call!(UpdateOptions { changedValue: both })).await.unwrap_err();
    assert_eq!(value(&c, DELAY).await.unwrap(), Value::Long(100), "all or none");

    let twice = [3, 7].map(|value| vim!(OptionValue { key: DELAY, value: Value::Long(value) })).to_vec();
    c.invoke(&managers::advanced_options(), call!(UpdateOptions { changedValue: twice })).await.unwrap();
    assert_eq!(value(&c, DELAY).await.unwrap(), Value::Long(7), "the last value counts");

    // Some clients send every number as an int, or as text.
    set(&c, DELAY, Value::Int(30_000)).await.unwrap();
    c.close().await;
    let c = site.open().await;
    assert_eq!(value(&c, DELAY).await.unwrap(), Value::Long(30_000));
    let config = c.get(&ids::host(), prop!(HostSystem.config)).unwrap();
    let options = config.get(field!(HostConfigInfo.option)).unwrap();
    let shown = options.iter().find(|option| option.get(field!(OptionValue.key)) == Some(DELAY)).unwrap();
    assert_eq!(shown.get(field!(OptionValue.value)), Some(&Value::Long(30_000)));
}
