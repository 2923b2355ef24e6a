use vim::{Fault, Value, call, data_id, field, managed_id, vim};

use super::*;
use crate::testing::{Toy, folder, peer, vm};

#[tokio::test]
async fn the_content_names_what_exists_and_nothing_else() {
    let toy = Toy::new();
    let content = toy.object(&toy.ids.service_instance, call!(RetrieveServiceContent {})).await;
    let state = toy.state();
    for (_, value) in content.fields() {
        let Some(reference) = value.as_ref() else { continue };
        assert!(state.find(reference).is_some(), "the content names {reference}, which does not exist");
    }
    assert!(content.get(field!(ServiceContent.fileManager)).is_none());
    const FILES: Manager<()> = Manager {
        me: |()| Singletons::center().file_manager,
        named: Some(field!(ServiceContent.fileManager).number()),
        properties: |()| Ok(vim::props!(FileManager {})),
        register: |_| {},
    };
    add(&toy.service.core, &[FILES], &()).unwrap();
    let content = toy.object(&toy.ids.service_instance, call!(RetrieveServiceContent {})).await;
    assert_eq!(content.get(field!(ServiceContent.fileManager)), Some(&toy.ids.file_manager));
    assert!(matches!(toy.get(&toy.ids.service_instance, call!(CurrentTime {})).await, Value::DateTime(_)));
    assert!(matches!(toy.fetch(&toy.ids.service_instance, "serverClock"), Some(Value::DateTime(_))));
    assert_eq!(
        toy.get(&toy.ids.service_instance, call!(RetrieveProductComponents {})).await.items().len(),
        1
    );
    assert_eq!(toy.fetch(&vm(1), "effectiveRole").unwrap().items(), [Value::Int(-1)]);
}

/// Calls the session manager without a session, and returns the result and the session that the call began.
async fn anonymous(
    toy: &Toy,
    args: vim::Args,
    certificate: Option<&[u8]>,
) -> (Result<Option<Value>, Fault>, Option<std::sync::Arc<crate::Session>>) {
    let this = toy.ids.session_manager.clone();
    let call = crate::Call::new(toy.service.clone(), peer(certificate), None, this, args);
    let begun = call.new_session.clone();
    let result = toy.service.invoke(call).await;
    (result, begun.get().cloned())
}

#[tokio::test]
async fn a_login_begins_a_session_and_a_logout_ends_it() {
    let toy = Toy::new();
    let manager = &toy.ids.session_manager;
    let (wrong, none) = anonymous(&toy, call!(Login { userName: "eve", password: "x" }), None).await;
    assert!(wrong.unwrap_err().is_a(data_id!(InvalidLogin)) && none.is_none());
    let (right, session) = anonymous(&toy, call!(Login { userName: "ann", password: "secret" }), None).await;
    let shown = right.unwrap().unwrap();
    let (shown, session) = (shown.as_object().unwrap(), session.expect("a session"));
    let key = shown.get(field!(UserSession.key)).unwrap();
    assert!(session.key.starts_with(key) && session.key.len() > key.len(), "the shown key is not the secret");
    assert_eq!(shown.get(field!(UserSession.userName)), Some("ann"));
    let active = |id: &str, user: &str| call!(SessionIsActive { sessionID: id, userName: user });
    assert_eq!(toy.get(manager, active(key, "ann")).await, Value::Boolean(true));
    assert_eq!(toy.get(manager, active(key, "eve")).await, Value::Boolean(false));
    let list = toy.fetch(manager, "sessionList").unwrap();
    assert_eq!(list.items().len(), 2);
    toy.call(manager, call!(TerminateSession { sessionId: [key] })).await.unwrap();
    assert!(session.ended().is_cancelled());
    assert_eq!(toy.get(manager, active(key, "ann")).await, Value::Boolean(false));
    let gone = toy.call(manager, call!(TerminateSession { sessionId: [key] })).await.unwrap_err();
    assert!(gone.is_a(data_id!(NotFound)));
    let mine = toy.session.public_id();
    assert!(toy.call(manager, call!(TerminateSession { sessionId: [mine] })).await.is_err());
    toy.call(manager, call!(Logout {})).await.unwrap();
    assert!(toy.session.ended().is_cancelled() && toy.service.core.sessions.all().is_empty());
    let events = toy.service.core.events.newest(9);
    let names: Vec<_> = events.iter().map(|(_, event)| event.type_name()).collect();
    let expected = [
        "BadUsernameSessionEvent",
        "UserLoginSessionEvent",
        "SessionTerminatedEvent",
        "UserLogoutSessionEvent",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn certificates_and_clone_tickets_open_sessions_too() {
    let toy = Toy::new();
    let login = || call!(LoginExtensionByCertificate { extensionKey: "esfera" });
    assert!(anonymous(&toy, login(), None).await.0.unwrap_err().is_a(data_id!(NoClientCertificate)));
    assert!(anonymous(&toy, login(), Some(b"theirs")).await.0.unwrap_err().is_a(data_id!(InvalidLogin)));
    let (_, session) = anonymous(&toy, login(), Some(b"ours")).await;
    assert_eq!(session.unwrap().account.name, "center");
    let ticket = toy.get(&toy.ids.session_manager, call!(AcquireCloneTicket {})).await;
    let clone = || call!(CloneSession { cloneTicket: ticket.as_str().unwrap() });
    let (_, session) = anonymous(&toy, clone(), None).await;
    assert_eq!(session.unwrap().account.name, "root");
    assert!(
        anonymous(&toy, clone(), None).await.0.unwrap_err().is_a(data_id!(InvalidLogin)),
        "it works once"
    );
    let url = "https://host/folder/a?dsName=ds";
    let spec = vim!(SessionManagerHttpServiceRequestSpec { url: url, method: "httpGet" });
    let acquire = call!(AcquireGenericServiceTicket { spec: spec });
    let ticket = toy.object(&toy.ids.session_manager, acquire.clone()).await;
    assert!(ticket.get(field!(SessionManagerGenericServiceTicket.id)).is_some());
    assert!(anonymous(&toy, acquire, None).await.0.unwrap_err().is_a(data_id!(NotAuthenticated)));
}

#[tokio::test]
async fn settings_keep_their_type_and_outlive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    {
        let toy = Toy::over(store::Store::open(&path).unwrap());
        let set = |key: &str, value: Value| {
            call!(UpdateOptions { changedValue: [OptionValue { key: key, value: value }] })
        };
        toy.call(&toy.ids.setting, set("a.number", Value::from("42"))).await.unwrap();
        toy.call(&toy.ids.setting, set("config.mine", Value::from("y"))).await.unwrap();
        let wrong = toy.call(&toy.ids.setting, set("a.number", Value::from("many"))).await.unwrap_err();
        assert!(wrong.is_a(data_id!(InvalidArgument)));
        let unknown = toy.call(&toy.ids.setting, set("b", Value::Int(1))).await.unwrap_err();
        assert!(unknown.is_a(data_id!(InvalidName)));
        toy.deny(toy.ids.setting.id(), "Global.Settings");
        let refused = toy.call(&toy.ids.setting, set("a.number", Value::Int(1))).await.unwrap_err();
        assert!(refused.is_a(data_id!(NoPermission)));
    }
    let toy = Toy::over(store::Store::open(&path).unwrap());
    let read = async |name: &str| {
        let options = toy.get(&toy.ids.setting, call!(QueryOptions { name: name })).await;
        let options = options.items().iter().filter_map(Value::as_object).map(|option| {
            (
                option.get(field!(OptionValue.key)).unwrap().to_owned(),
                option.get(field!(OptionValue.value)).unwrap().clone(),
            )
        });
        options.collect::<Vec<_>>()
    };
    assert_eq!(read("a.number").await, [("a.number".to_owned(), Value::Int(42))]);
    assert_eq!(read("a.").await.len(), 2);
    assert_eq!(read("").await.len(), 3);
    let unknown = toy.call(&toy.ids.setting, call!(QueryOptions { name: "b" })).await.unwrap_err();
    assert!(unknown.is_a(data_id!(InvalidName)));
}

#[tokio::test]
async fn custom_fields_are_defined_set_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    {
        let toy = Toy::over(store::Store::open(&path).unwrap());
        let manager = &toy.ids.custom_fields_manager;
        let add = |name: &str, ty: Option<&str>| call!(AddCustomFieldDef { name: name, moType: ty });
        let owner = toy.object(manager, add("owner", Some("VirtualMachine"))).await;
        let key = owner.get(field!(CustomFieldDef.key)).unwrap();
        let twice = toy.call(manager, add("owner", None)).await.unwrap_err();
        assert!(twice.is_a(data_id!(DuplicateName)));
        toy.object(manager, add("owner", Some("HostSystem"))).await;
        toy.call(manager, call!(SetField { entity: vm(1), key: key, value: "ann" })).await.unwrap();
        let wrong =
            toy.call(manager, call!(SetField { entity: folder("group-v1"), key: key, value: "x" })).await;
        assert!(wrong.unwrap_err().is_a(data_id!(InvalidArgument)));
        toy.call(&vm(2), call!(setCustomValue { key: "owner", value: "bob" })).await.unwrap();
        assert!(toy.call(&vm(2), call!(setCustomValue { key: "nothing", value: "x" })).await.is_err());
        let shown = toy.fetch(&vm(2), "customValue").unwrap();
        let value = shown.items()[0].as_object().unwrap();
        assert_eq!(value.get(field!(CustomFieldStringValue.value)), Some("bob"));
        assert_eq!(toy.fetch(&vm(1), "availableField").unwrap().items().len(), 1);
        toy.call(&vm(2), call!(setCustomValue { key: "owner", value: "" })).await.unwrap();
        assert!(toy.fetch(&vm(2), "customValue").is_none());
        toy.call(manager, call!(RenameCustomFieldDef { key: key, name: "holder" })).await.unwrap();
    }
    let toy = Toy::over(store::Store::open(&path).unwrap());
    let fields = toy.fetch(&toy.ids.custom_fields_manager, "field").unwrap();
    let first = fields.items()[0].as_object().unwrap();
    assert_eq!(first.get(field!(CustomFieldDef.name)), Some("holder"));
    let stored = CUSTOM_VALUES.all(&toy.service.core.store).unwrap();
    let values = stored.iter().find(|(id, _)| id == "vm-1").unwrap();
    assert_eq!(custom_values(&values.1).unwrap().items().len(), 1);
    let key = first.get(field!(CustomFieldDef.key)).unwrap();
    toy.call(&toy.ids.custom_fields_manager, call!(RemoveCustomFieldDef { key: key })).await.unwrap();
    let stored = CUSTOM_VALUES.all(&toy.service.core.store).unwrap();
    assert!(stored.iter().all(|(_, values)| values.is_empty()), "values go with their field");
}

#[tokio::test]
async fn looking_for_an_unknown_extension_does_not_fail() {
    let toy = Toy::new();
    let find = || call!(FindExtension { extensionKey: "com.example" });
    assert!(toy.call(&toy.ids.extension_manager, find()).await.unwrap().is_none());
    let extension = vim!(Extension {
        key: "com.example",
        version: "1",
        description: Description { label: "x", summary: "" }
    });
    toy.write(|w| {
        w.set(&toy.ids.extension_manager, vim::props!(ExtensionManager { extensionList: [extension] }));
    });
    assert!(toy.call(&toy.ids.extension_manager, find()).await.unwrap().is_some());
    assert_eq!(Singletons::host().session_manager.ty(), managed_id!(SessionManager));
}

#[tokio::test]
async fn the_message_of_the_day_is_kept() {
    let store = store::Store::in_memory().unwrap();
    let toy = Toy::over(store.clone());
    toy.call(&toy.ids.session_manager, call!(UpdateServiceMessage { message: "hello" })).await.unwrap();
    let again = Toy::over(store);
    assert_eq!(again.fetch(&again.ids.session_manager, "message"), Some(Value::from("hello")));
    let locale = toy.call(&toy.ids.session_manager, call!(SetLocale { locale: "no such thing!" })).await;
    assert!(locale.unwrap_err().is_a(data_id!(InvalidLocale)));
}

#[tokio::test]
async fn hosts_clusters_and_the_center_have_the_licence() {
    let toy = Toy::new();
    let manager = toy.fetch(&toy.ids.license_manager, "licenseAssignmentManager").unwrap();
    let manager = manager.as_ref().unwrap().clone();
    let ids = |assigned: Option<Value>| -> Vec<String> {
        let assigned = assigned.iter().flat_map(Value::items).filter_map(Value::as_object);
        let id = |assigned: &std::sync::Arc<vim::Object>| {
            assigned.get(field!(LicenseAssignmentManagerLicenseAssignment.entityId)).unwrap().to_owned()
        };
        assigned.map(id).collect()
    };
    let all = || call!(QueryAssignedLicenses {});
    assert_eq!(ids(toy.call(&manager, all()).await.unwrap()), ["domain-c1", "host-1", "host-2", "toy"]);
    let one = call!(QueryAssignedLicenses { entityId: "host-2" });
    assert_eq!(ids(toy.call(&manager, one).await.unwrap()), ["host-2"]);
    toy.deny("host-1", "System.View");
    assert_eq!(ids(toy.call(&manager, all()).await.unwrap()), ["domain-c1", "host-2", "toy"]);
}
