//! The category of each type of event and the sentence that people read. `EventManager.description` is made of them, and so is the
//! message of an event that is posted without one.

use vim::{DataId, Object, Value, data_id, field, schema, ty, vim};

struct Entry {
    ty: DataId,
    category: &'static str,
    description: &'static str,
    /// `{a.b}` stands for field `b` of field `a` of the event.
    format: &'static str,
}

macro_rules! catalog {
    ($($ty:ident $category:literal $description:literal $format:literal;)*) => {
        &[$(Entry { ty: data_id!($ty), category: $category, description: $description, format: $format }),*]
    };
}

/// A type's nearest base type that is here speaks for it.
const CATALOG: &[Entry] = catalog! {
    VmBeingCreatedEvent "info" "Creating VM" "Creating {vm.name} on {host.name} in {datacenter.name}";
    VmCreatedEvent "info" "VM created" "Created virtual machine {vm.name} on {host.name} in {datacenter.name}";
    VmRegisteredEvent "info" "VM registered" "Registered {vm.name} on {host.name} in {datacenter.name}";
    VmRemovedEvent "info" "VM removed" "Removed {vm.name} on {host.name} from {datacenter.name}";
    VmStartingEvent "info" "VM starting" "{vm.name} on {host.name} in {datacenter.name} is starting";
    VmPoweredOnEvent "info" "VM powered on" "{vm.name} on {host.name} in {datacenter.name} is powered on";
    VmFailedToPowerOnEvent "error" "Cannot power on VM" "Cannot power on {vm.name} on {host.name}: {reason.localizedMessage}";
    VmStoppingEvent "info" "VM stopping" "{vm.name} on {host.name} in {datacenter.name} is stopping";
    VmPoweredOffEvent "info" "VM powered off" "{vm.name} on {host.name} in {datacenter.name} is powered off";
    VmFailedToPowerOffEvent "error" "Cannot power off VM" "Cannot power off {vm.name} on {host.name}: {reason.localizedMessage}";
    VmSuspendingEvent "info" "VM being suspended" "{vm.name} on {host.name} in {datacenter.name} is being suspended";
    VmSuspendedEvent "info" "VM suspended" "{vm.name} on {host.name} in {datacenter.name} is suspended";
    VmResumingEvent "info" "VM resuming" "{vm.name} on {host.name} in {datacenter.name} is resuming";
    VmResettingEvent "info" "VM resetting" "{vm.name} on {host.name} in {datacenter.name} is reset";
    VmGuestShutdownEvent "info" "VM guest shut down" "Guest OS shut down for {vm.name} on {host.name} in {datacenter.name}";
    VmGuestRebootEvent "info" "Guest reboot" "Guest OS reboot for {vm.name} on {host.name} in {datacenter.name}";
    VmReconfiguredEvent "info" "VM reconfigured" "Reconfigured {vm.name} on {host.name} in {datacenter.name}";
    VmRenamedEvent "info" "VM renamed" "Renamed {oldName} to {newName} on {host.name} in {datacenter.name}";
    VmDisconnectedEvent "info" "VM disconnected" "{vm.name} on host {host.name} is disconnected";
    VmConnectedEvent "info" "VM connected" "{vm.name} on host {host.name} is connected";
    VmMigratedEvent "info" "VM migrated" "{vm.name} was migrated from {sourceHost.name} to {host.name}";
    VmRelocatedEvent "info" "VM relocated" "{vm.name} was relocated from {sourceHost.name} to {host.name}";
    VmClonedEvent "info" "VM cloned" "{sourceVm.name} was cloned to {vm.name} on {host.name}";
    HostAddedEvent "info" "Host added" "Added host {host.name} to datacenter {datacenter.name}";
    HostConnectedEvent "info" "Host connected" "Connected to {host.name} in {datacenter.name}";
    HostDisconnectedEvent "info" "Host disconnected" "Disconnected from {host.name} in {datacenter.name}";
    HostConnectionLostEvent "error" "Host connection lost" "Host {host.name} in {datacenter.name} is not responding";
    HostRemovedEvent "info" "Host removed" "Removed host {host.name} in {datacenter.name}";
    DatacenterCreatedEvent "info" "Datacenter created" "Created datacenter {datacenter.name} in {parent.name}";
    DatacenterRenamedEvent "info" "Datacenter renamed" "Renamed datacenter from {oldName} to {newName}";
    ClusterCreatedEvent "info" "Cluster created" "Created cluster {computeResource.name} in {parent.name}";
    ClusterDestroyedEvent "info" "Cluster removed" "Removed cluster {computeResource.name}";
    ResourcePoolCreatedEvent "info" "Resource pool created" "Created resource pool {resourcePool.name} in {parent.name}";
    ResourcePoolDestroyedEvent "info" "Resource pool removed" "Removed resource pool {resourcePool.name}";
    DatastoreDiscoveredEvent "info" "Datastore found" "Found datastore {datastore.name} on {host.name}";
    DatastoreRemovedOnHostEvent "info" "Datastore removed from host" "Removed datastore {datastore.name} from {host.name}";
    DatastoreRenamedEvent "info" "Datastore renamed" "Renamed datastore from {oldName} to {newName}";
    CustomFieldDefAddedEvent "info" "Custom field added" "Added custom field {name}";
    CustomFieldDefRemovedEvent "info" "Custom field removed" "Removed custom field {name}";
    CustomFieldValueChangedEvent "info" "Custom field changed" "Changed custom field {name} on {entity.name} to {value}";
    TaskEvent "info" "Task" "Task: {info.descriptionId}";
    UserLoginSessionEvent "info" "User login" "User {userName}@{ipAddress} logged in as {userAgent}";
    UserLogoutSessionEvent "info" "User logout" "User {userName}@{ipAddress} logged out";
    BadUsernameSessionEvent "error" "Cannot log in" "Cannot login {userName}@{ipAddress}";
    AlreadyAuthenticatedSessionEvent "info" "Already authenticated" "User cannot logon since the user is already logged on";
    GlobalMessageChangedEvent "info" "Global message changed" "The global message changed: from '{prevMessage}' to '{message}'";
    AccountCreatedEvent "info" "Account created" "Account {spec.id} was created by {userName}";
    AccountRemovedEvent "info" "Account removed" "Account {account} was removed by {userName}";
    AccountUpdatedEvent "info" "Account updated" "Account {spec.id} was changed by {userName}";
    UserPasswordChanged "info" "User password changed" "The password of {userLogin} was changed by {userName}";
    UserAssignedToGroup "info" "Member added to group" "{userName} added {userLogin} to the group {group}";
    UserUnassignedFromGroup "info" "Member removed from group" "{userName} removed {userLogin} from the group {group}";
    SessionTerminatedEvent "info" "Session ended" "A session of {terminatedUsername} was ended by {userName}";
    GeneralUserEvent "user" "User event" "{message}";
    GeneralEvent "info" "General event" "{message}";
    EventEx "info" "Extended event" "{message}";
    ExtendedEvent "info" "Extended event" "{message}";
};

const CATEGORIES: &[(&str, &str)] =
    &[("info", "Information"), ("warning", "Warning"), ("error", "Error"), ("user", "User")];

fn entry(ty: DataId) -> Option<&'static Entry> {
    let mut at = Some(ty);
    while let Some(ty) = at {
        if let Some(entry) = CATALOG.iter().find(|entry| entry.ty == ty) {
            return Some(entry);
        }
        at = schema().data(ty).base;
    }
    None
}

/// `info`, `warning`, `error` or `user`.
pub(crate) fn category(event: &Object) -> &str {
    if event.is_a(data_id!(EventEx))
        && let Some(severity) = event.get(field!(EventEx.severity))
    {
        return severity;
    }
    entry(event.ty()).map_or("info", |entry| entry.category)
}

/// The sentence for an event that has none.
pub(crate) fn message(event: &Object) -> String {
    let text = entry(event.ty()).map(|entry| fill(entry.format, event)).unwrap_or_default();
    if !text.is_empty() {
        return text;
    }
    if event.is_a(data_id!(EventEx)) {
        return event.get(field!(EventEx.eventTypeId)).unwrap_or_default().to_owned();
    }
    event.type_name().to_owned()
}

fn fill(format: &str, event: &Object) -> String {
    let mut text = String::with_capacity(format.len() + 32);
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((path, after)) = after.split_once('}') else { break };
        text.push_str(resolve(event, path).unwrap_or("?"));
        rest = after;
    }
    text.push_str(rest);
    if text == "?" { String::new() } else { text }
}

fn resolve<'a>(event: &'a Object, path: &str) -> Option<&'a str> {
    let mut object = event;
    let mut parts = path.split('.').peekable();
    while let Some(part) = parts.next() {
        let value = object.named(part)?;
        if parts.peek().is_none() {
            return Value::as_str(value);
        }
        object = value.as_object()?;
    }
    None
}

/// The event types of the catalog with their formats.
pub(crate) fn description() -> ty!(EventDescription) {
    let categories: Vec<_> = CATEGORIES
        .iter()
        .map(|(key, label)| vim!(ElementDescription { key: *key, label: *label, summary: *label }))
        .collect();
    let details: Vec<_> = CATALOG
        .iter()
        .map(|entry| {
            vim!(EventDescriptionEventDetail {
                key: schema().data(entry.ty).name,
                description: entry.description,
                category: entry.category,
                formatOnDatacenter: entry.format,
                formatOnComputeResource: entry.format,
                formatOnHost: entry.format,
                formatOnVm: entry.format,
                fullFormat: entry.format,
            })
        })
        .collect();
    vim!(EventDescription { category: categories, eventInfo: details })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_names_fields_that_its_type_has() {
        use vim::{Kind, Record};
        for entry in CATALOG {
            for path in entry.format.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
                let mut ty = schema().data(entry.ty);
                for part in path.split('.') {
                    let number = ty.member(part).unwrap_or_else(|| panic!("{} has no {path}", ty.name));
                    if let Kind::Data(id) = ty.fields[usize::from(number)].kind {
                        ty = schema().data(id);
                    }
                }
            }
        }
    }

    #[test]
    fn an_unset_field_does_not_spoil_the_sentence() {
        let event = vim!(VmPoweredOnEvent { vm: VmEventArgument { name: "web" } });
        assert_eq!(message(&event), "web on ? in ? is powered on");
        let event = vim!(EventEx { eventTypeId: "esx.problem.x" });
        assert_eq!((message(&event).as_str(), category(&event)), ("esx.problem.x", "info"));
    }
}
