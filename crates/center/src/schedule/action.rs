//! The action of a scheduled task: a method with its arguments, checked against the schema when the task is made.

use vim::{
    Args, DataId, Fault, Kind, ManagedId, Member, MethodId, MoRef, Object, Record as _, Value, data_id,
    fault, field, managed_id, schema,
};

/// How deep an argument may be nested.
const MAX_DEPTH: usize = 64;

/// Managers whose methods concern sessions, accounts and permissions, or the schedule itself: they are for people.
const NOT_SCHEDULED: [ManagedId; 6] = [
    managed_id!(SessionManager),
    managed_id!(AuthorizationManager),
    managed_id!(HostLocalAccountManager),
    managed_id!(ScheduledTaskManager),
    managed_id!(ScheduledTask),
    managed_id!(PropertyCollector),
];

/// A method that a scheduled task calls.
#[derive(Clone, Debug)]
pub(super) struct MethodCall {
    pub method: MethodId,
    pub args: Args,
}

impl MethodCall {
    /// # Errors
    /// `NotSupported` for an action that is not a method, or for a method that cannot be scheduled; `InvalidArgument` for arguments
    /// that do not fit.
    pub(super) fn parse(action: &Object) -> Result<Self, Fault> {
        if !action.is_a(data_id!(MethodAction)) {
            return Err(refused(action.ty()));
        }
        let name = action.get(field!(MethodAction.name)).unwrap_or_default();
        let id = schema().find_method(name).ok_or_else(|| {
            invalid("name", &format!("The method {name:?} does not exist; name it as in PowerOnVM_Task"))
        })?;
        let method = schema().method(id);
        let owner = schema().managed(method.owner);
        let is_for_people = NOT_SCHEDULED.iter().any(|ty| owner.is_a(schema().managed(*ty)));
        let only_reads = matches!(method.privilege, Some("System.Anonymous" | "System.View" | "System.Read"))
            && !method.is_task;
        if is_for_people || only_reads || name.starts_with("Acquire") {
            return Err(fault!(
                NotSupported {},
                "{name} cannot be scheduled: it changes nothing in the inventory"
            ));
        }
        let given: Vec<Option<&Value>> = action
            .get(field!(MethodAction.argument))
            .into_iter()
            .flatten()
            .map(|argument| argument.get(field!(MethodActionArgument.value)))
            .collect();
        if given.len() > method.parameters.len() {
            let most = method.parameters.len();
            return Err(invalid("argument", &format!("{name} has {most} parameters, not {}", given.len())));
        }
        let mut values = Vec::new();
        for (number, parameter) in (0u16..).zip(&method.parameters) {
            let value = given.get(usize::from(number)).copied().flatten();
            match value {
                Some(value) => values.push((number, fitting(value, parameter, name)?)),
                None if parameter.optional => {}
                None => {
                    return Err(invalid(
                        "argument",
                        &format!("{name} needs the parameter {}", parameter.name),
                    ));
                }
            }
        }
        Ok(Self { method: id, args: Args::new(id, values) })
    }

    /// Whether an object of this type has the method.
    pub(super) fn is_of(&self, object: &MoRef) -> bool {
        object.is_a(schema().method(self.method).owner)
    }
}

fn refused(ty: DataId) -> Fault {
    let name = schema().data(ty).name;
    let why = match name {
        "RunScriptAction" => "a script would run on the center with its rights",
        "SendEmailAction" => "the center sends no mail yet",
        "SendSNMPAction" => "the center sends no SNMP traps yet",
        _ => "only MethodAction can be scheduled",
    };
    fault!(NotSupported {}, "A {name} is not supported: {why}")
}

/// The value as the parameter's kind: some clients send numbers and enums as text.
fn fitting(value: &Value, parameter: &Member, method: &str) -> Result<Value, Fault> {
    let wrong =
        || invalid("argument", &format!("The parameter {} of {method} has another type", parameter.name));
    if parameter.secret || holds_secret(value, 0) {
        return Err(fault!(
            NotSupported {},
            "The parameter {} of {method} holds a password or key, which a scheduled task does not keep",
            parameter.name
        ));
    }
    if parameter.list {
        let items: Option<Vec<Value>> = value.items().iter().map(|item| one(item, parameter.kind)).collect();
        return Ok(Value::List(vim::List::new(parameter.kind, items.ok_or_else(wrong)?)));
    }
    one(value, parameter.kind).ok_or_else(wrong)
}

fn one(value: &Value, kind: Kind) -> Option<Value> {
    let fits = match (kind, value) {
        (Kind::Data(ty), Value::Object(object)) => object.is_a(ty),
        (Kind::Ref(ty), Value::Ref(reference)) => {
            reference.is_a(ty) || schema().managed(ty).is_a(schema().managed(reference.ty()))
        }
        (Kind::Data(_) | Kind::Ref(_), _) | (_, Value::List(_)) => false,
        _ => return value.converted(kind),
    };
    fits.then(|| value.clone())
}

/// Whether a password or key is set anywhere in the value. One that is nested too deeply to be looked at counts as such.
fn holds_secret(value: &Value, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return true;
    }
    match value {
        Value::Object(object) => {
            let members = schema().data(object.ty()).members();
            object
                .fields()
                .iter()
                .any(|(at, value)| members[usize::from(*at)].secret || holds_secret(value, depth + 1))
        }
        Value::List(list) => list.items().iter().any(|item| holds_secret(item, depth + 1)),
        _ => false,
    }
}

fn invalid(field: &str, message: &str) -> Fault {
    fault!(InvalidArgument { invalidProperty: format!("spec.action.{field}") }, "{message}")
}

#[cfg(test)]
mod tests {
    use vim::{arg, vim};

    use super::*;

    fn method(name: &str, values: Vec<Option<Value>>) -> Object {
        let argument: Vec<_> =
            values.into_iter().map(|value| vim!(MethodActionArgument { value: value })).collect();
        vim!(MethodAction { name: name, argument: argument }).into()
    }

    #[test]
    fn arguments_become_those_of_the_method() {
        let on = MethodCall::parse(&method("PowerOnVM_Task", vec![None])).expect("without a host");
        assert!(on.args.values().is_empty());
        assert!(on.is_of(&MoRef::new(managed_id!(VirtualMachine), "vm-1")));
        assert!(!on.is_of(&MoRef::new(managed_id!(Folder), "group-v1")));
        MethodCall::parse(&method("PowerOffVM_Task", vec![])).expect("without arguments");
        let values = vec![Some("nightly".into()), None, Some("false".into()), Some(true.into())];
        let made = MethodCall::parse(&method("CreateSnapshot_Task", values)).expect("a snapshot");
        assert_eq!(made.args.get(arg!(CreateSnapshot_Task.name)), Some("nightly"));
        assert_eq!(made.args.get(arg!(CreateSnapshot_Task.memory)), Some(false), "text became a boolean");
        assert_eq!(made.args.get(arg!(CreateSnapshot_Task.quiesce)), Some(true));
    }

    #[test]
    fn an_action_that_cannot_be_done_is_refused() {
        let login: Object = vim!(GuestAuthentication { interactiveSession: false }).into();
        let password: Object = vim!(NamePasswordAuthentication { username: "u", password: "p" }).into();
        let spec: Object = vim!(HostConnectSpec { hostName: "h", userName: "u", password: "p" }).into();
        drop(login);
        let script: Object = vim!(RunScriptAction { script: "rm" }).into();
        let mail: Object = vim!(SendEmailAction { toList: "a", ccList: "", subject: "s", body: "b" }).into();
        let host = || Some(Value::Ref(MoRef::new(managed_id!(HostSystem), "host-1")));
        let cases: Vec<(&str, Object, &str)> = vec![
            ("a script", script, "NotSupported"),
            ("mail", mail, "NotSupported"),
            ("no such method", method("Nothing", vec![]), "InvalidArgument"),
            ("too many arguments", method("PowerOffVM_Task", vec![None]), "InvalidArgument"),
            ("a missing argument", method("Rename_Task", vec![]), "InvalidArgument"),
            ("another type", method("Rename_Task", vec![host()]), "InvalidArgument"),
            ("a VM as a host", method("PowerOnVM_Task", vec![Some("host-1".into())]), "InvalidArgument"),
            ("a query", method("QueryEvents", vec![]), "NotSupported"),
            ("a login", method("Login", vec![Some("u".into()), Some("p".into())]), "NotSupported"),
            ("a ticket", method("AcquireTicket", vec![Some("webmks".into())]), "NotSupported"),
            (
                "a role",
                method("RemoveAuthorizationRole", vec![Some(1.into()), Some(true.into())]),
                "NotSupported",
            ),
            ("the schedule", method("RunScheduledTask", vec![]), "NotSupported"),
            (
                "a password",
                method("AddStandaloneHost_Task", vec![Some(spec.into()), None, Some(true.into())]),
                "NotSupported",
            ),
            (
                "a guest's password",
                method("MakeDirectoryInGuest", vec![None, Some(password.into())]),
                "InvalidArgument",
            ),
        ];
        for (what, action, expected) in cases {
            let fault = MethodCall::parse(&action).expect_err(what);
            assert_eq!(fault.type_name(), expected, "{what}: {fault}");
        }
    }
}
