//! A method that the center carries to a host refuses unknown names and references with the fault of the host.

use vim::{Kind, ManagedId, MethodId, Record as _, managed_id, schema};

use super::*;

/// Methods that give a name instead of asking for one, after which the name is known.
const NAMING: [&str; 2] = ["Rename_Task", "RenameDatastore"];

/// The center carries no password of a user of a host.
const NOT_CARRIED: &str = "ChangePassword";

/// Whether the center must be told more than a host: in which pool or on which host to register a VM.
fn needs_more(method: &str, all: bool) -> bool {
    method == "RegisterVM_Task" && !all
}

/// How deep data objects are filled.
const DEPTH: usize = 4;

/// Makes arguments that name nothing that exists.
struct Unknown {
    /// The value of every text.
    text: &'static str,
    /// Whether optional parameters are given as well.
    all: bool,
}

impl Unknown {
    /// None if nothing in the call would be a name.
    fn args(&self, method: MethodId) -> Option<Args> {
        let parameters = &schema().method(method).parameters;
        let mut names = false;
        let mut values = Vec::new();
        for (number, parameter) in (0..).zip(parameters) {
            if self.all || !parameter.optional {
                let value = arguments::member(parameter, DEPTH, &mut |kind| self.leaf(kind, &mut names))?;
                values.push((number, value));
            }
        }
        names.then(|| Args::new(method, values))
    }

    fn leaf(&self, kind: Kind, names: &mut bool) -> Value {
        *names |= kind != Kind::Boolean;
        match kind {
            Kind::Ref(ty) => MoRef::new(ty, "unknown-1").into(),
            Kind::Boolean => Value::Boolean(false),
            _ => Value::from(self.text),
        }
    }
}

/// The objects whose methods go to a host, by what they are.
async fn objects(who: &Insider) -> Vec<(String, MoRef)> {
    let host = who.first(managed_id!(HostSystem));
    let (vm, datastore) = (who.vm(), who.first(managed_id!(Datastore)));
    let compute = who.reference(&host, prop!(HostSystem.parent).number());
    let snapshot = who.get(&vm, prop!(VirtualMachine.snapshot).number()).unwrap();
    let snapshot =
        snapshot.as_object().unwrap().get(field!(VirtualMachineSnapshotInfo.currentSnapshot)).cloned();
    let executer = who.call(&host, call!(RetrieveManagedMethodExecuter {})).await.unwrap().unwrap();
    let mut found = vec![
        ("vm".to_owned(), vm),
        ("snapshot".to_owned(), snapshot.unwrap()),
        ("browser of a datastore".to_owned(), who.reference(&datastore, prop!(Datastore.browser).number())),
        ("datastore".to_owned(), datastore),
        ("browser of a host".to_owned(), who.reference(&host, prop!(HostSystem.datastoreBrowser).number())),
        (
            "folder".to_owned(),
            who.reference(&who.first(managed_id!(Datacenter)), prop!(Datacenter.vmFolder).number()),
        ),
        ("pool".to_owned(), who.reference(&compute, prop!(ComputeResource.resourcePool).number())),
        (
            "environment".to_owned(),
            who.reference(&compute, prop!(ComputeResource.environmentBrowser).number()),
        ),
        ("files".to_owned(), who.first(managed_id!(FileManager))),
        ("disks".to_owned(), who.first(managed_id!(VirtualDiskManager))),
        ("executer".to_owned(), executer.as_ref().cloned().unwrap()),
    ];
    let systems = who.get(&host, prop!(HostSystem.configManager).number()).unwrap();
    let systems = systems.as_object().unwrap();
    let row = schema().data(systems.ty());
    for (number, value) in systems.fields() {
        found.push((row.members()[usize::from(*number)].name.to_owned(), value.as_ref().unwrap().clone()));
    }
    found.push(("host".to_owned(), host));
    found
}

fn methods(mut ty: Option<ManagedId>) -> Vec<MethodId> {
    let mut all = Vec::new();
    while let Some(at) = ty {
        all.extend(&schema().managed(at).methods);
        ty = schema().managed(at).base;
    }
    all
}

/// The type of the fault of a call or its task; none if it succeeds.
async fn refusal(who: &Insider, object: &MoRef, args: Args) -> Option<String> {
    if schema().method(args.method).is_task {
        return who.task(object, args).await.err().map(|error| match error.downcast::<Fault>() {
            Ok(fault) => fault.type_name().to_owned(),
            Err(other) => other.to_string(),
        });
    }
    who.call(object, args).await.err().map(|fault| fault.type_name().to_owned())
}

#[tokio::test]
async fn an_unknown_name_meets_the_same_fault_through_a_center_as_on_a_host() {
    let host = lone().await;
    let (_center, client) = managed().await;
    for who in [&host, &client] {
        let snapshot = call!(CreateSnapshot_Task { name: "s", memory: false, quiesce: false });
        who.task(&who.vm(), snapshot).await.unwrap();
    }
    let (here, there) = (objects(&client).await, objects(&host).await);
    let labels =
        |objects: &[(String, MoRef)]| objects.iter().map(|(label, _)| label.clone()).collect::<Vec<_>>();
    assert_eq!(labels(&here), labels(&there));
    let file = "[LocalDS_0] missing/a.vmdk";
    let (mut asked, mut differ) = (0, Vec::new());
    for ((label, here), (_, there)) in here.iter().zip(&there) {
        for method in methods(Some(there.ty())) {
            let name = schema().method(method).name;
            for text in ["unknown", "[unknown] a/a.vmdk", file] {
                for all in [false, true] {
                    let Some(args) = (Unknown { text, all }).args(method) else { continue };
                    if NAMING.contains(&name) || name == NOT_CARRIED || needs_more(name, all) {
                        continue;
                    }
                    let on_host = refusal(&host, there, args.clone()).await;
                    let through = refusal(&client, here, args).await;
                    // Methods of hosts only; the center may do others itself.
                    if on_host.as_deref() == Some("NotSupported") {
                        continue;
                    }
                    asked += 1;
                    if on_host != through {
                        differ.push(format!("{label} {name} {text:?} {all}: {on_host:?} on a host, {through:?} through the center"));
                    }
                }
            }
        }
    }
    assert!(asked > 100, "{asked}");
    assert!(differ.is_empty(), "of {asked} calls, these differ:\n{}", differ.join("\n"));
}
