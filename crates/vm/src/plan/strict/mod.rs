//! Nothing that a client asks for is dropped in silence. One walk over a specification refuses each field that plans do not
//! read, by the [`table`] of those that they do, unless it asks for what the VM then shows: clients send back what they
//! read. An object must be of the type that the VM shows, or plans must read that very type.

mod table;

use std::collections::BTreeMap;

use vim::{Fault, Object, Record as _, Value, data_id, field, schema};

use crate::config::VmConfig;
use crate::device::{Surroundings, device_fault, unsupported};
use crate::faults::invalid_config;
use crate::names::Names;
use crate::show;
use table::{Rule, is_read, rule};

/// A plan that is to be checked.
pub(super) struct Made<'a> {
    /// The configuration that the plan makes.
    pub(super) config: &'a VmConfig,
    /// The key of the device that each entry of `deviceChange` added or changed.
    pub(super) devices: &'a BTreeMap<usize, i32>,
    /// The VM is new.
    pub(super) new: bool,
}

/// Refuses what `spec` asks for and the VM would not have.
///
/// # Errors
/// `InvalidVmConfig` or one derived from it, which names the first such field.
pub(super) fn check(spec: &Object, made: &Made<'_>, around: &Surroundings<'_>) -> Result<(), Fault> {
    let names = Names { storage: around.storage, vm: "" };
    let shown = show::config::info(made.config, &around.home, &names);
    let walk = Walk { new: made.new };
    for (number, value) in spec.fields() {
        let name = name_of(spec, *number);
        let found = match name {
            "deviceChange" => continue,
            _ => walk.field("", spec, *number, value, of_config(&shown, name)),
        };
        found.map_err(|wrong| invalid_config(&wrong.path, &wrong.message))?;
    }
    let changes = spec.get(field!(VirtualMachineConfigSpec.deviceChange));
    for (index, change) in changes.into_iter().flatten().enumerate() {
        let device = made.devices.get(&index).and_then(|key| made.config.devices.get(key));
        let shown = device.map(|device| show::device(made.config, device, &names));
        of_device(index, change, shown.as_ref(), made)?;
    }
    Ok(())
}

/// Checks one entry of `deviceChange`; `shown` is the device that it added or changed.
fn of_device(index: usize, change: &Object, shown: Option<&Object>, made: &Made<'_>) -> Result<(), Fault> {
    let added = change
        .get(field!(VirtualDeviceConfigSpec.operation))
        .is_some_and(|operation| operation.name() == "add");
    let walk = Walk { new: added };
    for (number, value) in change.fields() {
        let name = name_of(change, *number);
        let found = match (name, value, shown) {
            // A device that is removed is only named.
            ("device", _, None) => continue,
            ("device", Value::Object(device), Some(shown)) => {
                if !shown.is_a(device.ty()) {
                    let version = made.config.hardware_version;
                    return Err(unsupported(index, device.type_name(), version));
                }
                walk.object("device", device, Some(shown))
            }
            _ => walk.field("", change, *number, value, None),
        };
        found.map_err(|wrong| {
            let backing = wrong.path.starts_with("device.backing");
            let ty = if backing { data_id!(InvalidDeviceBacking) } else { data_id!(InvalidDeviceSpec) };
            device_fault(ty, index, &wrong.path, &wrong.message)
        })?;
    }
    Ok(())
}

/// The value of `VirtualMachineConfigInfo` that a field of `VirtualMachineConfigSpec` stands for.
fn of_config<'a>(info: &'a Object, name: &str) -> Option<&'a Value> {
    let hardware = info.get(field!(VirtualMachineConfigInfo.hardware));
    match name {
        "powerOpInfo" => info.named("defaultPowerOps"),
        name => info.named(name).or_else(|| hardware?.named(name)),
    }
}

fn name_of(object: &Object, number: u16) -> &'static str {
    schema().data(object.ty()).fields[usize::from(number)].name
}

/// A field that asks for what the VM does not have.
struct Wrong {
    path: String,
    message: String,
}

impl Wrong {
    fn new(path: &str, shown: Option<&Value>) -> Self {
        let message = match shown.and_then(text) {
            Some(shown) => format!("{path} is {shown} on this host and cannot be changed"),
            None => format!("{path} is not supported on this host"),
        };
        Self { path: path.to_owned(), message }
    }
}

struct Walk {
    /// The VM or device that the walk is in is new.
    new: bool,
}

impl Walk {
    /// Checks the fields of an object of which plans read some.
    fn object(&self, path: &str, asked: &Object, shown: Option<&Object>) -> Result<(), Wrong> {
        for (number, value) in asked.fields() {
            let shown = shown.filter(|shown| shown.ty() == asked.ty()).and_then(|shown| shown.at(*number));
            self.field(path, asked, *number, value, shown)?;
        }
        Ok(())
    }

    fn field(
        &self,
        path: &str,
        object: &Object,
        number: u16,
        asked: &Value,
        shown: Option<&Value>,
    ) -> Result<(), Wrong> {
        let name = name_of(object, number);
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match rule(object.ty(), number) {
            Some(Rule::Moot) => Ok(()),
            Some(Rule::Read) => self.read(&path, asked, shown),
            Some(Rule::New) if self.new => self.read(&path, asked, shown),
            _ => as_shown(&path, asked, shown),
        }
    }

    /// Checks a value that plans read: the objects in it may have fields that they do not read.
    fn read(&self, path: &str, asked: &Value, shown: Option<&Value>) -> Result<(), Wrong> {
        match asked {
            Value::Object(asked) => {
                let shown = shown.and_then(Value::as_object).map(|shown| &**shown);
                let same = shown.is_some_and(|shown| shown.ty() == asked.ty());
                if same || (shown.is_none() && is_read(asked.ty())) {
                    return self.object(path, asked, shown);
                }
                let message = format!("{path} cannot be a {} on this host", asked.type_name());
                Err(Wrong { path: path.to_owned(), message })
            }
            Value::List(list) => {
                let mut items = list.items().iter().enumerate();
                items.try_for_each(|(at, item)| self.read(&format!("{path}[{at}]"), item, None))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a value that nothing reads, unless it is the one that is shown, or asks for nothing where nothing is shown.
fn as_shown(path: &str, asked: &Value, shown: Option<&Value>) -> Result<(), Wrong> {
    match (asked, shown) {
        (asked, None) if is_nothing(asked) => Ok(()),
        (asked, Some(shown)) if asked == shown => Ok(()),
        (Value::Object(asked), Some(Value::Object(shown))) if asked.ty() == shown.ty() => {
            let level = schema().data(asked.ty()).member("shares").filter(|_| is_level(asked, shown));
            for (number, value) in asked.fields().iter().filter(|(number, _)| Some(*number) != level) {
                as_shown(&format!("{path}.{}", name_of(asked, *number)), value, shown.at(*number))?;
            }
            Ok(())
        }
        (_, shown) => Err(Wrong::new(path, shown)),
    }
}

/// Whether these are the same shares at a level that has a number of its own, so that the number asked for does not count.
fn is_level(asked: &Object, shown: &Object) -> bool {
    if !asked.is_a(data_id!(SharesInfo)) {
        return false;
    }
    let level = |shares: &Object| shares.named("level").and_then(Value::as_str).map(str::to_owned);
    level(asked).is_some_and(|asked| asked != "custom" && Some(asked) == level(shown))
}

/// Whether a value asks for nothing.
pub fn is_nothing(asked: &Value) -> bool {
    match asked {
        Value::Boolean(flag) => !flag,
        Value::Byte(number) => *number == 0,
        Value::Short(number) => *number == 0,
        Value::Int(number) => *number == 0,
        Value::Long(number) => *number == 0,
        Value::String(text) => text.is_empty(),
        Value::List(list) => list.items().is_empty(),
        Value::Object(object) => object.fields().iter().all(|(_, value)| is_nothing(value)),
        _ => false,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Int(number) => Some(number.to_string()),
        Value::Long(number) => Some(number.to_string()),
        other => other.as_str().map(str::to_owned),
    }
}
