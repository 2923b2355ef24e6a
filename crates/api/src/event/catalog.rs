//! The category of each type of event and the sentence that people read. `EventManager.description` is made of them, and so is the
//! message of an event that is posted without one.

use std::collections::BTreeSet;

use vim::{DataId, Kind, Object, Value, data_id, field, schema, ty, vim};

use super::spanish::{SENTENCES, Sentence};

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
    VmResourcePoolMovedEvent "info" "VM moved to another pool" "{vm.name} moved from resource pool {oldParent.name} to {newParent.name}";
    VmMacConflictEvent "error" "MAC address conflict" "The MAC address ({mac}) of {vm.name} on {host.name} is that of {conflictedVm.name} as well";
    VmClonedEvent "info" "VM cloned" "{sourceVm.name} was cloned to {vm.name} on {host.name}";
    HostAddedEvent "info" "Host added" "Added host {host.name} to datacenter {datacenter.name}";
    HostConnectedEvent "info" "Host connected" "Connected to {host.name} in {datacenter.name}";
    HostDisconnectedEvent "info" "Host disconnected" "Disconnected from {host.name} in {datacenter.name}";
    HostConnectionLostEvent "error" "Host connection lost" "Host {host.name} in {datacenter.name} is not responding";
    HostRemovedEvent "info" "Host removed" "Removed host {host.name} in {datacenter.name}";
    EnteringMaintenanceModeEvent "info" "Entering maintenance mode" "Host {host.name} in {datacenter.name} is entering maintenance mode";
    EnteredMaintenanceModeEvent "info" "Entered maintenance mode" "Host {host.name} in {datacenter.name} has entered maintenance mode";
    ExitMaintenanceModeEvent "info" "Left maintenance mode" "Host {host.name} in {datacenter.name} has left maintenance mode";
    DatacenterCreatedEvent "info" "Datacenter created" "Created datacenter {datacenter.name} in {parent.name}";
    DatacenterRenamedEvent "info" "Datacenter renamed" "Renamed datacenter from {oldName} to {newName}";
    ClusterCreatedEvent "info" "Cluster created" "Created cluster {computeResource.name} in {parent.name}";
    ClusterReconfiguredEvent "info" "Cluster reconfigured" "Reconfigured cluster {computeResource.name}";
    ClusterDestroyedEvent "info" "Cluster removed" "Removed cluster {computeResource.name}";
    ResourcePoolCreatedEvent "info" "Resource pool created" "Created resource pool {resourcePool.name} in {parent.name}";
    ResourcePoolReconfiguredEvent "info" "Resource pool reconfigured" "Reconfigured resource pool {resourcePool.name}";
    ResourcePoolMovedEvent "info" "Resource pool moved" "Moved resource pool {resourcePool.name} from {oldParent.name} to {newParent.name}";
    ResourcePoolDestroyedEvent "info" "Resource pool removed" "Removed resource pool {resourcePool.name}";
    DatastoreDiscoveredEvent "info" "Datastore found" "Found datastore {datastore.name} on {host.name}";
    DatastoreRemovedOnHostEvent "info" "Datastore removed from host" "Removed datastore {datastore.name} from {host.name}";
    DatastoreRenamedEvent "info" "Datastore renamed" "Renamed datastore from {oldName} to {newName}";
    CustomFieldDefAddedEvent "info" "Custom field added" "Added custom field {name}";
    CustomFieldDefRenamedEvent "info" "Custom field renamed" "Renamed custom field {name} to {newName}";
    CustomFieldDefRemovedEvent "info" "Custom field removed" "Removed custom field {name}";
    CustomFieldValueChangedEvent "info" "Custom field changed" "Changed custom field {name} on {entity.name} to {value}";
    RoleAddedEvent "info" "Role added" "Added role {role.name}";
    RoleUpdatedEvent "info" "Role changed" "Changed role {role.name}";
    RoleRemovedEvent "info" "Role removed" "Removed role {role.name}";
    PermissionAddedEvent "info" "Permission added" "Gave {principal} the role {role.name} on {entity.name}";
    PermissionUpdatedEvent "info" "Permission changed" "The permission of {principal} on {entity.name} is now the role {role.name}";
    PermissionRemovedEvent "info" "Permission removed" "Removed the permission of {principal} on {entity.name}";
    ScheduledTaskCreatedEvent "info" "Scheduled task created" "Created scheduled task {scheduledTask.name} on {entity.name}";
    ScheduledTaskStartedEvent "info" "Scheduled task started" "Scheduled task {scheduledTask.name} on {entity.name} started";
    ScheduledTaskCompletedEvent "info" "Scheduled task completed" "Scheduled task {scheduledTask.name} on {entity.name} completed";
    ScheduledTaskFailedEvent "error" "Scheduled task failed" "Scheduled task {scheduledTask.name} on {entity.name} failed: {reason.localizedMessage}";
    ScheduledTaskReconfiguredEvent "info" "Scheduled task reconfigured" "Reconfigured scheduled task {scheduledTask.name} on {entity.name}";
    ScheduledTaskRemovedEvent "info" "Scheduled task removed" "Removed scheduled task {scheduledTask.name} on {entity.name}";
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

/// The language of the sentences for a session with this locale (`es`, `es_ES`).
fn is_spanish(locale: &str) -> bool {
    let language = locale.split(['_', '-', '.', '@']).next().unwrap_or_default();
    language.eq_ignore_ascii_case("es")
}

fn spanish(ty: DataId) -> Option<&'static Sentence> {
    SENTENCES.iter().find(|sentence| sentence.ty == ty)
}

/// The sentence of an event for a session with this locale; none if the event's own sentence is the right one: in English, or for an
/// event whose writer has said more than the catalog knows.
pub(crate) fn translated(event: &Object, locale: &str) -> Option<String> {
    if !is_spanish(locale) {
        return None;
    }
    let sentence = spanish(entry(event.ty())?.ty)?;
    let is_ours = event.get(field!(Event.fullFormattedMessage)) == Some(&*message(event));
    let text = fill(sentence.format, event);
    (is_ours && !text.is_empty()).then_some(text)
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

/// The event types of the catalog with their formats, for a session with this locale.
pub(crate) fn description(locale: &str) -> ty!(EventDescription) {
    let in_spanish = is_spanish(locale);
    let categories = if in_spanish { super::spanish::CATEGORIES } else { CATEGORIES };
    let categories: Vec<_> = categories
        .iter()
        .map(|(key, label)| vim!(ElementDescription { key: *key, label: *label, summary: *label }))
        .collect();
    let details: Vec<_> = CATALOG
        .iter()
        .map(|entry| {
            let other = spanish(entry.ty).filter(|_| in_spanish);
            let format = other.map_or(entry.format, |sentence| sentence.format);
            vim!(EventDescriptionEventDetail {
                key: schema().data(entry.ty).name,
                description: other.map_or(entry.description, |sentence| sentence.description),
                category: entry.category,
                formatOnDatacenter: format,
                formatOnComputeResource: format,
                formatOnHost: format,
                formatOnVm: format,
                fullFormat: format,
            })
        })
        .collect();
    vim!(EventDescription { category: categories, eventInfo: details, enumeratedTypes: enumerated() })
}

/// The enums that the fields of the catalog's events have.
fn enumerated() -> Vec<ty!(EnumDescription)> {
    let fields = CATALOG.iter().flat_map(|entry| &schema().data(entry.ty).fields);
    let used: BTreeSet<_> = fields
        .filter_map(|field| match field.kind {
            Kind::Enum(id) => Some(schema().enumeration(id).name),
            _ => None,
        })
        .collect();
    let described = used.into_iter().filter_map(|name| {
        let values = &schema().enumeration(schema().find_enum(name)?).values;
        let tags =
            values.iter().map(|key| vim!(ElementDescription { key: *key, label: *key, summary: *key }));
        Some(vim!(EnumDescription { key: name, tags: tags.collect::<Vec<_>>() }))
    });
    described.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_has_a_spanish_one_with_the_same_fields() {
        let fields = |format: &'static str| -> BTreeSet<&'static str> {
            format.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect()
        };
        let missing: Vec<&str> = CATALOG
            .iter()
            .filter(|entry| {
                spanish(entry.ty).is_none_or(|other| fields(other.format) != fields(entry.format))
            })
            .map(|entry| schema().data(entry.ty).name)
            .collect();
        assert!(missing.is_empty(), "spanish.rs lacks sentences for {missing:?}");
    }

    #[test]
    fn a_spanish_session_reads_spanish_unless_the_writer_said_more() {
        let mut event = Object::from(vim!(VmPoweredOnEvent { vm: VmEventArgument { name: "web" } }));
        event.set(field!(Event.fullFormattedMessage), message(&event));
        assert_eq!(translated(&event, "es_ES").as_deref(), Some("web está encendida en ?, en ?"));
        assert_eq!(translated(&event, "en"), None);
        assert_eq!(translated(&event, "est"), None);
        event.set(field!(Event.fullFormattedMessage), "web is on, by chance");
        assert_eq!(translated(&event, "es"), None);
        assert_eq!(description("es").get(field!(EventDescription.category)).unwrap().len(), 4);
    }

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
