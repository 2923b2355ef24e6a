use vim::{EnumValue, Fault, Value, call, data_id, field, props, vim, vim_enum};

use super::*;
use crate::testing::{datacenter, folder, pool, vm};

fn all_vms(set: vim::ty!(PropertySpec)) -> vim::ty!(PropertyFilterSpec) {
    let down = vec![
        traversal(None, "ResourcePool", "vm", vec![]),
        traversal(None, "ResourcePool", "resourcePool", vec![]),
    ];
    spec(&pool(), true, down, vec![set])
}

async fn fault_of(toy: &Toy, spec: vim::ty!(PropertyFilterSpec)) -> Fault {
    let args = call!(RetrievePropertiesEx { specSet: [spec], options: RetrieveOptions {} });
    toy.call(&toy.ids.property_collector, args).await.unwrap_err()
}

#[tokio::test]
async fn properties_come_by_the_names_that_were_asked_for() {
    let toy = Toy::new();
    let asked = ["name", "runtime.powerState", "config.hardware.device[4000].key", "snapshot"];
    let got = retrieve(&toy, all_vms(paths("VirtualMachine", &asked))).await;
    assert_eq!(ids(&got), ["vm-1", "vm-2", "vm-3"]);
    let off = EnumValue::from(vim_enum!(VirtualMachinePowerState.poweredOff));
    let expected = [
        ("config.hardware.device[4000].key", Value::Int(4000)),
        ("name", Value::from("web2")),
        ("runtime.powerState", Value::Enum(off)),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value));
    assert_eq!(got["vm-2"], expected.into(), "an unset property is left out");
}

#[tokio::test]
async fn all_properties_come_whatever_paths_are_asked_beside_them() {
    let toy = Toy::new();
    let of = |paths: &[&str]| {
        let set = vim!(PropertySpec { type: "VirtualMachine", all: true, pathSet: paths.to_vec() });
        spec(&vm(1), false, vec![], vec![set])
    };
    let whole = retrieve(&toy, of(&[])).await;
    assert!(whole["vm-1"].len() > 5);
    for paths in [&["name"][..], &["guest.ipAddress", "config.hardware.numCPU"], &["nonsense"]] {
        assert_eq!(retrieve(&toy, of(paths)).await, whole, "{paths:?}");
    }
}

#[tokio::test]
async fn all_property_sets_that_fit_an_object_are_united() {
    let toy = Toy::new();
    let sets = vec![
        paths("ManagedEntity", &["name"]),
        paths("VirtualMachine", &["name", "guest.ipAddress"]),
        paths("HostSystem", &["summary"]),
        paths("VirtualMachine", &[]),
    ];
    let got = retrieve(&toy, spec(&vm(1), false, vec![], sets)).await;
    assert_eq!(got["vm-1"].keys().collect::<Vec<_>>(), ["guest.ipAddress", "name"]);
    let got = retrieve(&toy, spec(&vm(1), false, vec![], vec![paths("VirtualMachine", &[])])).await;
    assert!(got["vm-1"].is_empty(), "an object without properties is an answer");
    let got = retrieve(&toy, spec(&vm(1), false, vec![], vec![paths("HostSystem", &["name"])])).await;
    assert!(got.is_empty(), "no property set names its type");
    let all = vim!(PropertySpec { type: "ManagedEntity", all: true });
    let got = retrieve(&toy, spec(&vm(1), false, vec![], vec![all])).await;
    assert!(got["vm-1"].contains_key("config") && got["vm-1"].contains_key("effectiveRole"));
}

#[tokio::test]
async fn what_may_not_be_read_is_named_as_missing() {
    let toy = Toy::new();
    let privilege = |name: &str| {
        use vim::Record;
        let ty = vim::schema().managed(vim::managed_id!(VirtualMachine));
        ty.privileges[usize::from(ty.member(name).unwrap())].unwrap_or("System.View")
    };
    assert_eq!(privilege("name"), "System.View");
    toy.deny("vm-1", "System.View");
    let args = call!(RetrieveProperties {
        specSet: [spec(&vm(1), false, vec![], vec![paths("VirtualMachine", &["name"])])],
    });
    let got = toy.get(&toy.ids.property_collector, args).await;
    let content = got.items()[0].as_object().unwrap();
    assert!(content.get(field!(ObjectContent.propSet)).is_none());
    let missing = content.get(field!(ObjectContent.missingSet)).unwrap();
    let first = missing.iter().next().unwrap();
    assert_eq!(first.get(field!(MissingProperty.path)), Some("name"));
    let fault = Fault::from_localized(first.get(field!(MissingProperty.fault)).unwrap()).unwrap();
    assert!(fault.is_a(data_id!(NoPermission)));
    let seen = retrieve(&toy, all_vms(paths("VirtualMachine", &["name"]))).await;
    assert_eq!(ids(&seen), ["vm-2", "vm-3"], "a traversal does not reveal hidden objects");
}

#[tokio::test]
async fn wrong_specifications_are_the_faults_that_clients_know() {
    let toy = Toy::new();
    let on = |object, set| spec(&object, false, vec![], vec![set]);
    let fault = fault_of(&toy, on(vm(1), paths("VirtualMachine", &["runtime.nothing"]))).await;
    assert_eq!(fault.object().named("name").and_then(Value::as_str), Some("runtime.nothing"));
    assert!(fault.is_a(data_id!(InvalidProperty)));
    let fault = fault_of(&toy, on(vm(9), paths("VirtualMachine", &["name"]))).await;
    assert!(fault.is_a(data_id!(ManagedObjectNotFound)));
    let fault = fault_of(&toy, on(vm(1), paths("Nothing", &[]))).await;
    assert!(fault.is_a(data_id!(InvalidType)));
    let set = paths("VirtualMachine", &["name"]);
    let fault = fault_of(&toy, spec(&vm(1), false, vec![named("nobody")], vec![set.clone()])).await;
    assert!(fault.is_a(data_id!(InvalidArgument)));
    let walk = traversal(None, "VirtualMachine", "nowhere", vec![]);
    let fault = fault_of(&toy, spec(&vm(1), false, vec![walk], vec![set.clone()])).await;
    assert!(fault.is_a(data_id!(InvalidProperty)));
    let many = vec![spec(&vm(1), false, vec![], vec![set.clone()]); crate::property::MAX_FILTER_SPECS + 1];
    let args = call!(RetrievePropertiesEx { specSet: many, options: RetrieveOptions {} });
    let fault = toy.call(&toy.ids.property_collector, args).await.unwrap_err();
    assert!(fault.is_a(data_id!(InvalidArgument)));
    let walks = vec![traversal(None, "HostSystem", "vm", vec![]); crate::property::MAX_TRAVERSALS + 1];
    let fault = fault_of(&toy, spec(&vm(1), false, walks, vec![set.clone()])).await;
    assert!(fault.is_a(data_id!(InvalidArgument)));
    let mut absent = spec(&vm(9), false, vec![], vec![set]);
    absent.set(field!(PropertyFilterSpec.reportMissingObjectsInResults), true);
    assert!(retrieve(&toy, absent).await.is_empty());
}

#[tokio::test]
async fn pages_come_by_tokens_that_work_once_and_show_one_state() {
    let toy = Toy::new();
    let pc = &toy.ids.property_collector;
    let first = |page| {
        let spec = all_vms(paths("VirtualMachine", &["name"]));
        call!(RetrievePropertiesEx { specSet: [spec], options: RetrieveOptions { maxObjects: page } })
    };
    let page = toy.object(pc, first(2)).await;
    assert_eq!(page.get(field!(RetrieveResult.objects)).unwrap().len(), 2);
    let token = page.get(field!(RetrieveResult.token)).unwrap().to_owned();
    toy.write(|w| w.set(&vm(3), props!(VirtualMachine { name: "new" })));
    let rest = toy.object(pc, call!(ContinueRetrievePropertiesEx { token: &token })).await;
    assert!(rest.get(field!(RetrieveResult.token)).is_none());
    let rest = to_map(rest.at(field!(RetrieveResult.objects).number()).unwrap().items());
    assert_eq!(rest["vm-3"]["name"], Value::from("web3"));
    let again = toy.call(pc, call!(ContinueRetrievePropertiesEx { token: &token })).await.unwrap_err();
    assert!(again.is_a(data_id!(InvalidProperty)));
    let page = toy.object(pc, first(1)).await;
    let token = page.get(field!(RetrieveResult.token)).unwrap().to_owned();
    toy.call(pc, call!(CancelRetrievePropertiesEx { token: &token })).await.unwrap();
    assert!(toy.call(pc, call!(ContinueRetrievePropertiesEx { token: &token })).await.is_err());
    assert!(toy.call(pc, first(0)).await.unwrap_err().is_a(data_id!(InvalidArgument)));
    let first_token = toy.object(pc, first(1)).await.get(field!(RetrieveResult.token)).unwrap().to_owned();
    for _ in 0..crate::property::MAX_TOKENS {
        toy.object(pc, first(1)).await;
    }
    let forgotten = toy.call(pc, call!(ContinueRetrievePropertiesEx { token: first_token })).await;
    assert!(forgotten.is_err(), "a session keeps a bounded number of unfinished retrievals");
}

#[tokio::test]
async fn without_a_login_only_anonymous_properties_are_read() {
    let toy = Toy::new();
    let ask = async |object: &MoRef, ty: &str, path: &str| {
        let args =
            call!(RetrieveProperties { specSet: [spec(object, false, vec![], vec![paths(ty, &[path])])] });
        let mut call = toy.make_call(&toy.ids.property_collector, args);
        call.session = None;
        toy.service.invoke(call).await
    };
    let got =
        ask(&toy.ids.service_instance, "ServiceInstance", "content.about.apiType").await.unwrap().unwrap();
    assert_eq!(to_map(got.items())["ServiceInstance"]["content.about.apiType"], Value::from("VirtualCenter"));
    let got = ask(&toy.ids.session_manager, "SessionManager", "currentSession").await.unwrap().unwrap();
    assert!(
        to_map(got.items())["SessionManager"].is_empty(),
        "this is how clients see that they are not logged in"
    );
    let fault = ask(&datacenter(), "Datacenter", "name").await.unwrap_err();
    assert!(fault.is_a(data_id!(NotAuthenticated)));
    assert_eq!(toy.fetch(&folder("group-v1"), "name"), Some(Value::from("vm")));
    assert!(toy.fetch(&toy.ids.session_manager, "currentSession").is_some());
}

#[tokio::test]
async fn what_is_written_from_the_tree_is_what_the_answer_is_as_a_value() {
    let toy = Toy::new();
    toy.deny("vm-2", "System.View");
    let set =
        paths("VirtualMachine", &["name", "guest.ipAddress", "effectiveRole", "snapshot", "config.hardware"]);
    let spec = spec(&vm(1), false, vec![], vec![set]);
    let mut spec = Object::from(spec);
    let starts: Vec<vim::ty!(ObjectSpec)> =
        [vm(1), vm(2), vm(3)].map(|vm| vim!(ObjectSpec { obj: vm })).into();
    spec.set(field!(PropertyFilterSpec.objectSet), starts);
    let collector = &toy.ids.property_collector;
    let newest = vim::api_release();
    for most in [1, 100] {
        let options = vim!(RetrieveOptions { maxObjects: most });
        let args = call!(RetrievePropertiesEx { specSet: vec![spec.clone()], options: options });
        let method = args.method;
        let answer = toy.service.answer(toy.make_call(collector, args)).await.unwrap().unwrap();
        let value = vim::encode::made(&*answer);
        let contents = value.as_object().unwrap();
        assert_eq!(contents.get(field!(RetrieveResult.token)).is_some(), most == 1);
        let mut out = Vec::new();
        vim::soap::write_response(&mut out, method, Some(&*answer), newest);
        assert_eq!(vim::soap::read_response(&out, method).unwrap().unwrap(), Some(value.clone()));
        let returns = vim::schema().method(method).returns.as_ref().unwrap();
        out.clear();
        vim::json::write_value(&mut out, returns.kind, returns.list, &*answer, newest);
        assert_eq!(vim::json::read_value(returns.kind, returns.list, &out).unwrap(), value);
        let missing = contents.get(field!(RetrieveResult.objects)).unwrap();
        let missing =
            missing.iter().filter(|content| content.get(field!(ObjectContent.missingSet)).is_some());
        assert_eq!(missing.count(), usize::from(most > 1), "vm-2 may not be read");
    }
}
