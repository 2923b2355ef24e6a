//! The configuration of vApps: applying a client's specification (pure), and the order in which a vApp starts and stops what
//! is in it.

use api::invalid_argument;
use vim::{
    DataId, Fault, Field, Kind, List, MoRef, Object, Record as _, Value, data_id, field, schema, ty, vim,
};

use super::records::{StartAction, StopAction, VAppEntity};

/// Products, properties, sections and licence texts of one vApp, of each.
const MAX_ITEMS: usize = 1_000;
/// A text in the configuration, such as a licence.
const MAX_TEXT_BYTES: usize = 256 << 10;
/// The longest delay, in seconds.
const MAX_DELAY: i32 = 86_400;
/// The delay of vSphere between two steps, in seconds.
const DELAY: i32 = 120;

impl VAppEntity {
    /// An entity as it enters a vApp: with vSphere's defaults.
    pub(super) fn new(key: MoRef) -> Self {
        Self {
            key,
            tag: None,
            order: 1,
            start_delay: DELAY,
            waits: false,
            start: StartAction::PowerOn,
            stop_delay: DELAY,
            stop: StopAction::PowerOff,
        }
    }

    /// Applies the fields that a client gives.
    ///
    /// # Errors
    /// `InvalidArgument` that names the field.
    pub(super) fn apply(&mut self, given: &Object) -> Result<(), Fault> {
        let refuse = |field: &str, message: &str| {
            Err(invalid_argument(&format!("spec.entityConfig.{field}"), message))
        };
        if let Some(tag) = given.get(field!(VAppEntityConfigInfo.tag)) {
            self.tag = Some(tag.to_owned()).filter(|tag| !tag.is_empty());
        }
        if let Some(order) = given.get(field!(VAppEntityConfigInfo.startOrder)) {
            if order < 0 {
                return refuse("startOrder", "The order begins with 0");
            }
            self.order = order;
        }
        for (given, name, delay) in [
            (given.get(field!(VAppEntityConfigInfo.startDelay)), "startDelay", &mut self.start_delay),
            (given.get(field!(VAppEntityConfigInfo.stopDelay)), "stopDelay", &mut self.stop_delay),
        ] {
            let Some(given) = given else { continue };
            if !(0..=MAX_DELAY).contains(&given) {
                return refuse(name, &format!("A delay is from 0 to {MAX_DELAY} seconds"));
            }
            *delay = given;
        }
        if let Some(waits) = given.get(field!(VAppEntityConfigInfo.waitingForGuest)) {
            self.waits = waits;
        }
        if let Some(action) = given.get(field!(VAppEntityConfigInfo.startAction)) {
            self.start = match action {
                "none" => StartAction::None,
                "powerOn" => StartAction::PowerOn,
                _ => return refuse("startAction", "It is none or powerOn"),
            };
        }
        if let Some(action) = given.get(field!(VAppEntityConfigInfo.stopAction)) {
            self.stop = match action {
                "none" => StopAction::None,
                "powerOff" => StopAction::PowerOff,
                "guestShutdown" => StopAction::GuestShutdown,
                "suspend" => StopAction::Suspend,
                _ => return refuse("stopAction", "It is none, powerOff, guestShutdown or suspend"),
            };
        }
        if given.get(field!(VAppEntityConfigInfo.destroyWithParent)) == Some(false) {
            return refuse("destroyWithParent", "The VMs and vApps in a vApp are removed with it");
        }
        Ok(())
    }

    pub(super) fn shown(&self) -> ty!(VAppEntityConfigInfo) {
        vim!(VAppEntityConfigInfo {
            key: &self.key,
            tag: self.tag.clone(),
            startOrder: self.order,
            startDelay: self.start_delay,
            waitingForGuest: self.waits,
            startAction: match self.start {
                StartAction::None => "none",
                StartAction::PowerOn => "powerOn",
            },
            stopDelay: self.stop_delay,
            stopAction: match self.stop {
                StopAction::None => "none",
                StopAction::PowerOff => "powerOff",
                StopAction::GuestShutdown => "guestShutdown",
                StopAction::Suspend => "suspend",
            },
            destroyWithParent: true,
        })
    }
}

/// The entities in the order in which they start, those with the same order together. They stop in the reverse order.
pub(crate) fn in_order(entities: Vec<VAppEntity>) -> Vec<Vec<VAppEntity>> {
    let mut sorted = entities;
    sorted.sort_by_key(|entity| (entity.order, entity.key.clone()));
    let mut groups: Vec<Vec<VAppEntity>> = Vec::new();
    for entity in sorted {
        match groups.last_mut() {
            Some(group) if group[0].order == entity.order => group.push(entity),
            _ => groups.push(vec![entity]),
        }
    }
    groups
}

/// The configuration of a new vApp.
pub(super) fn new_config() -> Object {
    vim!(VAppConfigInfo {
        ipAssignment: VAppIPAssignmentInfo {
            supportedAllocationScheme: ["ovfenv"],
            ipAllocationPolicy: "fixedPolicy",
            supportedIpProtocol: ["IPv4"],
            ipProtocol: "IPv4",
        },
        installBootRequired: false,
        installBootStopDelay: 0,
        annotation: "",
        instanceUuid: uuid::Uuid::new_v4().to_string(),
    })
    .into_object()
}

/// The configuration after a client's specification, without the entities, which a vApp keeps by themselves.
///
/// # Errors
/// `InvalidArgument` for an element to change or remove that does not exist, or too many or too long ones.
pub(super) fn changed(old: &Object, spec: &Object) -> Result<Object, Fault> {
    let mut new = Object::clone(old);
    let product = spec.get(field!(VmConfigSpec.product)).into_iter().flatten();
    update(&mut new, field!(VmConfigInfo.product), data_id!(VAppProductInfo), "product", product)?;
    let property = spec.get(field!(VmConfigSpec.property)).into_iter().flatten();
    update(&mut new, field!(VmConfigInfo.property), data_id!(VAppPropertyInfo), "property", property)?;
    let section = spec.get(field!(VmConfigSpec.ovfSection)).into_iter().flatten();
    update(&mut new, field!(VmConfigInfo.ovfSection), data_id!(VAppOvfSectionInfo), "ovfSection", section)?;
    if let Some(given) = spec.get(field!(VmConfigSpec.ipAssignment)) {
        let mut merged = new
            .get(field!(VmConfigInfo.ipAssignment))
            .map_or_else(|| Object::new(data_id!(VAppIPAssignmentInfo)), |known| Object::clone(known));
        for (number, value) in given.fields() {
            merged.put(*number, Some(value.clone()));
        }
        new.put(field!(VmConfigInfo.ipAssignment).number(), Some(merged.into()));
    }
    for name in [
        "eula",
        "ovfEnvironmentTransport",
        "installBootRequired",
        "installBootStopDelay",
        "annotation",
        "managedBy",
    ] {
        if let Some(value) = spec.named(name)
            && let Some(at) = schema().data(new.ty()).member(name)
        {
            new.put(at, Some(value.clone()));
        }
    }
    if let Some(uuid) = spec.get(field!(VAppConfigSpec.instanceUuid)).filter(|uuid| !uuid.is_empty()) {
        let parsed = uuid::Uuid::parse_str(uuid)
            .map_err(|_| invalid_argument("spec.instanceUuid", &format!("{uuid:?} is not a UUID")))?;
        new.set(field!(VAppConfigInfo.instanceUuid), parsed.to_string());
    }
    check_size(&new)?;
    Ok(new)
}

fn check_size(config: &Object) -> Result<(), Fault> {
    for (number, value) in config.fields() {
        let name = schema().data(config.ty()).fields[usize::from(*number)].name;
        let bytes = |text: &Value| text.as_str().map_or(0, str::len);
        let inner = |item: &Value| match item.as_object() {
            Some(object) => object.fields().iter().map(|(_, value)| bytes(value)).sum(),
            None => bytes(item),
        };
        if value.items().len() > MAX_ITEMS || value.items().iter().map(inner).sum::<usize>() > MAX_TEXT_BYTES
        {
            return Err(invalid_argument(
                &format!("spec.{name}"),
                &format!("It has at most {MAX_ITEMS} elements and {MAX_TEXT_BYTES} bytes"),
            ));
        }
    }
    Ok(())
}

/// Applies `ArrayUpdateSpec`s to a list whose elements have the key `key`, a number.
fn update<'a, K>(
    new: &mut Object,
    list: Field<K>,
    element: DataId,
    name: &str,
    specs: impl Iterator<Item = &'a std::sync::Arc<Object>>,
) -> Result<(), Fault> {
    let refuse = |message: &str| Err(invalid_argument(&format!("spec.{name}"), message));
    let key = |item: &Value| item.as_object().and_then(|object| object.named("key").cloned());
    let mut items: Vec<Value> = new.at(list.number()).map(|list| list.items().to_vec()).unwrap_or_default();
    for spec in specs {
        let operation =
            spec.get(field!(ArrayUpdateSpec.operation)).map_or("add", |operation| operation.name());
        let info = spec.named("info").cloned();
        let wanted = match operation {
            "remove" => {
                spec.get(field!(ArrayUpdateSpec.removeKey)).cloned().or_else(|| info.as_ref().and_then(key))
            }
            _ => info.as_ref().and_then(key),
        };
        let at = items.iter().position(|item| key(item).is_some() && key(item) == wanted);
        match (operation, at, info) {
            ("add", None, Some(info)) => items.push(with_key(info, &items)),
            ("add", Some(_), _) => return refuse("An element with this key exists already"),
            ("edit", Some(at), Some(info)) => items[at] = merged(&items[at], &info),
            ("remove", Some(at), _) => drop(items.remove(at)),
            _ => return refuse("An element that is to be changed or removed does not exist"),
        }
    }
    let value = (!items.is_empty()).then(|| Value::List(List::new(Kind::Data(element), items)));
    new.put(list.number(), value);
    Ok(())
}

/// An element without a key gets the next one.
fn with_key(info: Value, others: &[Value]) -> Value {
    let Some(object) = info.as_object().filter(|object| object.named("key").is_none()) else { return info };
    let keys = others.iter().filter_map(|other| match other.as_object()?.named("key")? {
        Value::Int(key) => Some(*key),
        _ => None,
    });
    let next = keys.max().map_or(0, |key| key.saturating_add(1));
    let mut object = Object::clone(object);
    if let Some(at) = schema().data(object.ty()).member("key") {
        object.put(at, Some(Value::Int(next)));
    }
    object.into()
}

/// The known element with the fields that a client gives.
fn merged(known: &Value, given: &Value) -> Value {
    let (Some(known), Some(given)) = (known.as_object(), given.as_object()) else { return given.clone() };
    let mut merged = Object::clone(known);
    for (number, value) in given.fields() {
        merged.put(*number, Some(value.clone()));
    }
    merged.into()
}

#[cfg(test)]
mod tests {
    use vim::managed_id;

    use super::*;

    fn entity(id: &str, order: i32) -> VAppEntity {
        VAppEntity { order, ..VAppEntity::new(MoRef::new(managed_id!(VirtualMachine), id)) }
    }

    #[test]
    fn entities_of_one_order_start_together_and_lower_orders_first() {
        let groups = in_order(vec![entity("c", 7), entity("b", 1), entity("a", 1), entity("d", 0)]);
        let ids: Vec<Vec<&str>> =
            groups.iter().map(|group| group.iter().map(|entity| entity.key.id()).collect()).collect();
        assert_eq!(ids, [vec!["d"], vec!["a", "b"], vec!["c"]]);
        assert!(in_order(Vec::new()).is_empty());
    }

    #[test]
    fn an_entity_keeps_what_is_not_given_and_refuses_what_makes_no_sense() {
        let mut known = entity("a", 3);
        known.apply(&vim!(VAppEntityConfigInfo { startDelay: 5, stopAction: "guestShutdown" })).unwrap();
        assert_eq!((known.order, known.start_delay, known.stop_delay), (3, 5, DELAY));
        assert_eq!(known.stop, StopAction::GuestShutdown);
        for refused in [
            vim!(VAppEntityConfigInfo { startOrder: -1 }),
            vim!(VAppEntityConfigInfo { startDelay: -5 }),
            vim!(VAppEntityConfigInfo { startAction: "suspend" }),
            vim!(VAppEntityConfigInfo { stopAction: "explode" }),
        ] {
            assert_eq!(known.apply(&refused).unwrap_err().type_name(), "InvalidArgument");
        }
    }

    #[test]
    fn products_are_added_changed_and_removed_by_key() {
        let spec = |operation: &str, info: ty!(VAppProductInfo)| {
            let operation = vim::EnumOf::parse(operation).unwrap();
            Object::from(vim!(VAppConfigSpec {
                product: [VAppProductSpec { operation: operation, info: info }]
            }))
        };
        let old = new_config();
        let one =
            changed(&old, &spec("add", vim!(VAppProductInfo { key: 4, name: "shop", vendor: "x" }))).unwrap();
        let two = changed(&one, &spec("edit", vim!(VAppProductInfo { key: 4, name: "shop 2" }))).unwrap();
        let products = two.get(field!(VmConfigInfo.product)).unwrap();
        let product = products.iter().next().unwrap();
        assert_eq!(product.get(field!(VAppProductInfo.name)), Some("shop 2"));
        assert_eq!(product.get(field!(VAppProductInfo.vendor)), Some("x"));
        assert!(changed(&two, &spec("add", vim!(VAppProductInfo { key: 4 }))).is_err());
        assert!(changed(&two, &spec("edit", vim!(VAppProductInfo { key: 5 }))).is_err());
        let none = changed(&two, &spec("remove", vim!(VAppProductInfo { key: 4 }))).unwrap();
        assert!(none.get(field!(VmConfigInfo.product)).is_none());
        let long = vim!(VAppConfigSpec { eula: ["x".repeat(MAX_TEXT_BYTES + 1)] });
        assert!(changed(&old, &long).is_err());
    }
}
