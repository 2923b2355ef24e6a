//! The OptionManager of the host: its advanced settings, each of which does something, and facts that nobody can set.

use std::sync::Arc;

use api::{Call, managers};
use hostnet::NetworkConfig;
use vim::{DataId, Fault, Kind, List, Object, Value, data_id, fault, vim};

use super::Table;
use crate::{Host, ids};

/// What changing them takes.
const PRIVILEGE: &str = "Host.Config.AdvancedConfig";
const DEFINITION: DataId = data_id!(OptionDef);

/// A number that can be set.
struct Setting {
    key: &'static str,
    label: &'static str,
    summary: &'static str,
    min: u32,
    max: u32,
    default: u32,
    get: fn(&NetworkConfig) -> Option<u32>,
    set: fn(&mut NetworkConfig, u32),
}

/// Bounds and defaults are ESXi's.
const SETTINGS: [Setting; 1] = [Setting {
    key: "Net.TeamPolicyUpDelay",
    label: "Delay of uplinks that are up again",
    summary: "Milliseconds for which the link of an uplink has to be up until the uplink is used again",
    min: 0,
    max: 1_800_000,
    default: 100,
    get: |config| config.up_delay_ms,
    set: |config, milliseconds| config.up_delay_ms = Some(milliseconds),
}];

pub(super) fn register(table: &mut Table<'_>) {
    let host = table.daemon.clone();
    let own = |manager: &vim::MoRef| *manager == ids::advanced_options();
    managers::own_options(table.methods, own, move |call| change(host.clone(), call));
}

/// All settings and facts with their values.
pub(super) fn settings(host: &Host, config: &NetworkConfig) -> Vec<(String, Value)> {
    let engine = host.engine.info();
    let set = SETTINGS.iter().map(|setting| {
        (setting.key.to_owned(), Value::Long((setting.get)(config).unwrap_or(setting.default).into()))
    });
    let facts = [("Esfera.Accelerator", engine.accelerator), ("Esfera.AcceleratorReason", &engine.reason)];
    set.chain(facts.map(|(key, value)| (key.to_owned(), Value::from(value)))).collect()
}

/// What each of them may be.
pub(super) fn definitions(settings: &[(String, Value)]) -> List {
    let define = |(key, value): &(String, Value)| {
        let (label, summary, ty) = match SETTINGS.iter().find(|setting| setting.key == key) {
            Some(setting) => (setting.label, setting.summary, Object::from(number(setting))),
            None => {
                let text = value.as_str().unwrap_or_default();
                (&**key, "", vim!(StringOption { valueIsReadonly: true, defaultValue: text }).into())
            }
        };
        Value::from(vim!(OptionDef { key: key, label: label, summary: summary, optionType: ty }))
    };
    List::new(Kind::Data(DEFINITION), settings.iter().map(define).collect::<Vec<_>>())
}

fn number(setting: &Setting) -> vim::ty!(LongOption) {
    vim!(LongOption {
        valueIsReadonly: false,
        min: i64::from(setting.min),
        max: i64::from(setting.max),
        defaultValue: i64::from(setting.default),
    })
}

async fn change(host: Arc<Host>, call: Call) -> Result<Option<Value>, Fault> {
    call.service.check(call.session()?, &call.this, PRIVILEGE, &call.state())?;
    let changes = managers::changed_options(&call)?;
    let changes = changes.iter().map(|(key, value)| checked(key, value)).collect::<Result<Vec<_>, _>>()?;
    host.change_network(|config, _| {
        changes.iter().for_each(|(setting, value)| (setting.set)(config, *value));
        Ok(())
    })
    .await
}

fn checked(key: &str, value: &Value) -> Result<(&'static Setting, u32), Fault> {
    let wrong =
        |message: String| fault!(InvalidArgument { invalidProperty: "changedValue" }, "{key}: {message}");
    let setting = SETTINGS.iter().find(|setting| setting.key == key);
    let setting = setting.ok_or_else(|| wrong("this is a fact, which cannot be set".into()))?;
    let (min, max) = (setting.min, setting.max);
    let value = match value {
        Value::Long(value) => u32::try_from(*value).ok().filter(|value| (min..=max).contains(value)),
        _ => None,
    };
    Ok((setting, value.ok_or_else(|| wrong(format!("{min} to {max} are possible")))?))
}
