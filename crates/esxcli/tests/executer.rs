//! esxcli as its clients call it: through the executer, and what the dynamic type manager tells of it.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{Client, simulated};
use host::ids;
use vim::soap::{Element, read_fragment};
use vim::{Fault, MoRef, Object, Value, call, data_id, field, vim};

async fn reference(c: &Client, args: vim::Args) -> MoRef {
    c.invoke(&ids::host(), args).await.unwrap().and_then(|value| value.as_ref().cloned()).unwrap()
}

async fn executed(
    c: &Client,
    moid: &str,
    method: &str,
    given: &[(&str, &str)],
) -> Result<Arc<Object>, Fault> {
    let executer = reference(c, call!(RetrieveManagedMethodExecuter {})).await;
    let given: Vec<_> = given
        .iter()
        .map(|(name, value)| vim!(ReflectManagedMethodExecuterSoapArgument { name: *name, val: *value }))
        .collect();
    let args = call!(ExecuteSoap { moid: moid, version: "urn:vim25/5.0", method: method, argument: given });
    let result = c.invoke(&executer, args).await?.unwrap();
    Ok(result.as_object().unwrap().clone())
}

fn response(result: &Object) -> Element {
    let text = result.get(field!(ReflectManagedMethodExecuterSoapResult.response)).expect("a response");
    read_fragment(text).unwrap().remove(0)
}

/// Message and detail of the fault.
fn fault(result: &Object) -> (String, Element) {
    let fault = result.get(field!(ReflectManagedMethodExecuterSoapResult.fault)).expect("a fault");
    let detail = fault.get(field!(ReflectManagedMethodExecuterSoapFault.faultDetail)).unwrap();
    let message = fault.get(field!(ReflectManagedMethodExecuterSoapFault.faultMsg)).unwrap();
    (message.to_owned(), read_fragment(detail).unwrap().remove(0))
}

const SWITCHES: &str = "ha-cli-handler-network-vswitch-standard";
const LIST: &str = "vim.EsxCLI.network.vswitch.standard.list";

#[tokio::test]
async fn a_list_is_an_array_of_data_objects() {
    let c = simulated().await;
    let list = response(&executed(&c, SWITCHES, LIST, &[]).await.unwrap());
    assert_eq!((&*list.name, list.xsi_type.as_deref()), ("obj", Some("ArrayOfDataObject")));
    let [switch] = &list.children[..] else { panic!("one switch: {list:?}") };
    assert_eq!(switch.name, "DataObject");
    assert_eq!(switch.xsi_type.as_deref(), Some("VimEsxCLInetworkvswitchstandardlistVirtualSwitch"));
    assert_eq!((switch.get("Name"), switch.get("Uplinks")), (Some("vSwitch0"), Some("vmnic0")));
    assert_eq!(switch.get("CDPStatus"), Some("listen"));

    // Object models call methods with a capital; arguments may carry types.
    let argument = "<vswitchname xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
                    xsi:type=\"xsd:string\">vSwitch0</vswitchname>";
    let capital = "vim.EsxCLI.network.vswitch.standard.List";
    let again = executed(&c, SWITCHES, capital, &[("vswitchname", argument)]).await.unwrap();
    assert_eq!(response(&again), list);

    let name = executed(&c, "ha-cli-handler-system-hostname", "vim.EsxCLI.system.hostname.get", &[]).await;
    let name = response(&name.unwrap());
    assert_eq!(name.xsi_type.as_deref(), Some("VimEsxCLIsystemhostnamegetFullyQualifiedHostName"));
    assert_eq!(name.get("FullyQualifiedDomainName"), Some("sim.test"));
    let uuid = executed(&c, "ha-cli-handler-system-uuid", "vim.EsxCLI.system.uuid.get", &[]).await.unwrap();
    let uuid = response(&uuid);
    assert_eq!((uuid.xsi_type.as_deref(), uuid.text), (Some("string"), c.host.uuid.to_string()));
}

#[tokio::test]
async fn what_fails_is_a_cli_fault_in_the_result() {
    let c = simulated().await;
    let given = [("vswitchname", "<vswitchname>nosuch</vswitchname>")];
    let (message, detail) = fault(&executed(&c, SWITCHES, LIST, &given).await.unwrap());
    assert_eq!(message, "EsxCLI.CLIFault.summary");
    assert_eq!(detail.xsi_type.as_deref(), Some("LocalizedMethodFault"));
    assert_eq!(detail.children[0].xsi_type.as_deref(), Some("VimEsxCLICLIFault"));
    assert!(detail.children[0].get("errMsg").unwrap().contains("nosuch"));
    assert_eq!(detail.get("localizedMessage"), Some("EsxCLI.CLIFault.summary"));
}

#[tokio::test]
async fn what_is_not_there_is_an_invalid_argument() {
    let c = simulated().await;
    for (moid, method, property) in [
        ("ha-cli-handler-no-such", LIST, "moid"),
        (SWITCHES, "vim.EsxCLI.network.vswitch.standard.fly", "method"),
        (SWITCHES, "vim.EsxCLI.network.vm.list", "method"),
        (SWITCHES, "", "method"),
        ("ha-dynamic-type-manager-local-cli-cliinfo", "vim.CLIInfo.Nothing", "method"),
    ] {
        let refused = executed(&c, moid, method, &[]).await.unwrap_err();
        let said = refused.object().get(field!(InvalidArgument.invalidProperty));
        assert_eq!(said, Some(property), "{moid} {method}");
    }
    let executer = reference(&c, call!(RetrieveManagedMethodExecuter {})).await;
    let bogus = call!(ExecuteSoap { moid: SWITCHES, version: "bogus", method: LIST });
    let refused = c.invoke(&executer, bogus).await.unwrap_err();
    assert_eq!(refused.object().get(field!(InvalidArgument.invalidProperty)), Some("version"));
    let fetch = call!(FetchSoap { moid: SWITCHES, version: "urn:vim25/5.0", prop: "name" });
    let refused = c.invoke(&executer, fetch).await.unwrap_err();
    assert_eq!(refused.object().get(field!(InvalidArgument.invalidProperty)), Some("prop"));
}

#[tokio::test]
async fn help_comes_from_the_same_table() {
    let c = simulated().await;
    let info = "ha-dynamic-type-manager-local-cli-cliinfo";
    let method = "vim.CLIInfo.FetchCLIInfo";
    let name = "<typeName>vim.EsxCLI.network.vswitch.standard</typeName>";
    let help = response(&executed(&c, info, method, &[("typeName", name)]).await.unwrap());
    assert_eq!(
        (help.get("name"), help.get("displayName")),
        (Some("network.vswitch.standard"), Some("standard"))
    );
    let set = help.all("method").find(|method| method.get("name") == Some("set")).unwrap();
    let mtu = set.all("param").find(|param| param.get("name") == Some("mtu")).unwrap();
    assert_eq!(mtu.all("aliases").map(|alias| &*alias.text).collect::<Vec<_>>(), ["-m", "--mtu"]);
    assert_eq!(mtu.get("flag"), Some("false"));
    let list = help.all("method").find(|method| method.get("name") == Some("list")).unwrap();
    let hints: Vec<_> =
        list.all("hints").map(|hint| (hint.get("key").unwrap(), hint.get("value").unwrap())).collect();
    assert!(hints.contains(&("formatter", "simple")));
    assert!(
        hints.iter().any(|(key, value)| *key == "fields:VirtualSwitch" && value.starts_with("Name,Class,"))
    );

    let name = "<typeName>vim.EsxCLI.no.such</typeName>";
    let (message, detail) = fault(&executed(&c, info, method, &[("typeName", name)]).await.unwrap());
    assert!(message.contains("could not be found"));
    assert_eq!(detail.children[0].xsi_type.as_deref(), Some("NotFound"));
}

#[tokio::test]
async fn objects_and_types_are_told() {
    let c = simulated().await;
    let manager = reference(&c, call!(RetrieveDynamicTypeManager {})).await;
    let asked = c.invoke(&manager, call!(DynamicTypeMgrQueryMoInstances {})).await.unwrap().unwrap();
    let all: Vec<&Arc<Object>> = asked.items().iter().filter_map(Value::as_object).collect();
    let instance = |ty: &str| {
        let found = all.iter().find(|one| one.get(field!(DynamicTypeMgrMoInstance.moType)) == Some(ty));
        found.and_then(|one| one.get(field!(DynamicTypeMgrMoInstance.id)))
    };
    assert_eq!(instance("vim.EsxCLI.network.vswitch.standard"), Some(SWITCHES));
    assert_eq!(instance("vim.CLIInfo"), Some("ha-dynamic-type-manager-local-cli-cliinfo"));

    let filter =
        vim!(DynamicTypeMgrTypeFilterSpec { typeSubstr: "vim.EsxCLI.network.vswitch.standard.list" });
    let args = call!(DynamicTypeMgrQueryTypeInfo { filterSpec: filter });
    let types = c.invoke(&manager, args).await.unwrap().unwrap();
    let types = types.as_object().unwrap();
    assert!(types.get(field!(DynamicTypeMgrAllTypeInfo.managedTypeInfo)).is_none_or(|all| all.is_empty()));
    let data = types.get(field!(DynamicTypeMgrAllTypeInfo.dataTypeInfo)).unwrap();
    let names: Vec<_> =
        data.iter().filter_map(|one| one.get(field!(DynamicTypeMgrDataTypeInfo.wsdlName))).collect();
    assert_eq!(names, ["VimEsxCLInetworkvswitchstandardlistVirtualSwitch"]);

    let types = c.invoke(&manager, call!(DynamicTypeMgrQueryTypeInfo {})).await.unwrap().unwrap();
    let managed = types.as_object().unwrap().get(field!(DynamicTypeMgrAllTypeInfo.managedTypeInfo)).unwrap();
    assert_eq!(managed.len(), all.len(), "every object has a type");
}

#[tokio::test]
async fn a_change_is_shown_by_the_api_at_once() {
    let c = simulated().await;
    let group = [("portgroupname", "<portgroupname>Web</portgroupname>"), ("vswitchname", "vSwitch0")];
    let handler = "ha-cli-handler-network-vswitch-standard-portgroup";
    let add = "vim.EsxCLI.network.vswitch.standard.portgroup.add";
    let done = response(&executed(&c, handler, add, &group).await.unwrap());
    assert_eq!((done.xsi_type.as_deref(), &*done.text), (Some("boolean"), "true"));
    assert!(c.host.network.names().contains(&"Web".to_owned()));
    let network = ids::network("Web");
    assert!(c.host.core.tree.snapshot().find(&network).is_some());
    let (_, detail) = fault(&executed(&c, handler, add, &group).await.unwrap());
    assert!(detail.children[0].get("errMsg").unwrap().contains("already"));
    assert!(!Fault::is_a(&executed(&c, "x", add, &group).await.unwrap_err(), data_id!(NotFound)));
}
