//! A user without the privileges gets through with no method of any type: neither one who may only read, nor one without access, nor one
//! whose rights are on another object.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::Node;
use vim::{Kind, ManagedId, MethodId, Object, Record as _, data_id, schema, vim};

use super::*;

/// The VM on which one of the users may do everything, and that user.
const SIBLING: &str = "sibling";

/// How deep data objects are filled.
const DEPTH: usize = 3;

/// Faults that refuse a call, whatever was asked.
const REFUSALS: [&str; 3] = ["NoPermission", "NotAuthenticated", "NotSupported"];

/// Types whose objects belong to the caller's session, or to everybody who is logged in: their methods change nothing of others.
const OWN: [&str; 4] = ["PropertyCollector", "PropertyFilter", "View", "HistoryCollector"];

/// Methods that end the caller's own session, or wait for what may never come.
const LEFT_OUT: [&str; 4] = ["Logout", "WaitForUpdates", "WaitForUpdatesEx", "CancelWaitForUpdates"];

/// Properties that tell of what happened.
const HISTORY: [&str; 3] = ["recentTask", "latestEvent", "latestPage"];

/// Makes arguments out of what there is: references lead to an object of their type.
struct Known<'a> {
    state: &'a api::Snapshot,
}

impl Known<'_> {
    fn args(&self, method: MethodId, this: &MoRef) -> Option<Args> {
        let parameters = &schema().method(method).parameters;
        let mut values = Vec::new();
        for (number, parameter) in (0..).zip(parameters).filter(|(_, parameter)| !parameter.optional) {
            values.push((number, arguments::member(parameter, DEPTH, &mut |kind| self.leaf(kind, this))?));
        }
        Some(Args::new(method, values))
    }

    fn leaf(&self, kind: Kind, this: &MoRef) -> Value {
        match kind {
            Kind::Ref(ty) if this.is_a(ty) => Value::Ref(this.clone()),
            Kind::Ref(ty) => Value::Ref(self.first(ty).unwrap_or_else(|| MoRef::new(ty, "unknown-1"))),
            Kind::Boolean => Value::Boolean(true),
            _ => Value::from("x"),
        }
    }

    fn first(&self, ty: ManagedId) -> Option<MoRef> {
        self.state.iter().map(|node| node.me()).filter(|me| me.is_a(ty)).min().cloned()
    }
}

fn methods(ty: ManagedId) -> Vec<MethodId> {
    let mut all = Vec::new();
    let mut at = Some(ty);
    while let Some(ty) = at {
        all.extend(&schema().managed(ty).methods);
        at = schema().managed(ty).base;
    }
    all
}

fn is_own(ty: ManagedId) -> bool {
    let is = |name: &&str| {
        schema().find_managed(name).is_some_and(|own| schema().managed(ty).is_a(schema().managed(own)))
    };
    OWN.iter().any(is)
}

/// Whether the method takes no more than reading, which the caller may do.
fn only_reads(method: MethodId) -> bool {
    let privilege = schema().method(method).privilege;
    privilege.is_some_and(|privilege| privilege.starts_with("System."))
}

/// The objects of the inventory, each with its state; what time alone changes is left out.
pub(super) fn picture(state: &api::Snapshot) -> BTreeMap<String, Arc<Node>> {
    let stays = |node: &&Arc<Node>| {
        !node.me().is_a(managed_id!(Task)) && !node.me().is_a(managed_id!(SessionManager))
    };
    state.iter().filter(stays).map(|node| (node.me().to_string(), node.clone())).collect()
}

/// The value without the space that was free when somebody last looked: looking again is what a reader may do (`RefreshDatastore`).
fn kept(value: Option<&Value>) -> Option<Value> {
    let mut object = match value?.as_object() {
        Some(object) => Object::clone(object),
        None => return value.cloned(),
    };
    if object.is_a(data_id!(DatastoreInfo)) {
        object.put(field!(DatastoreInfo.freeSpace).number(), None);
        object.put(field!(DatastoreInfo.timestamp).number(), None);
    } else if object.is_a(data_id!(DatastoreSummary)) {
        object.put(field!(DatastoreSummary.freeSpace).number(), None);
    }
    Some(object.into())
}

/// Differences between two pictures, each as the object and the property, or the object alone if it came or went.
pub(super) fn differences(
    before: &BTreeMap<String, Arc<Node>>,
    after: &BTreeMap<String, Arc<Node>>,
) -> BTreeSet<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut found = BTreeSet::new();
    for name in names {
        let (Some(before), Some(after)) = (before.get(name), after.get(name)) else {
            found.insert(name.clone());
            continue;
        };
        for (number, member) in (0..).zip(schema().managed(before.me().ty()).members()) {
            if !HISTORY.contains(&member.name) && kept(before.at(number)) != kept(after.at(number)) {
                found.insert(format!("{name}: {}", member.name));
            }
        }
    }
    found
}

/// One user, and on which object he may do what.
struct Case {
    user: &'static str,
    role: i32,
    at: fn(&Insider) -> MoRef,
    /// Whether the user may read the objects that are called.
    reads: bool,
}

fn sibling(admin: &Insider) -> MoRef {
    let state = admin.service.core.tree.snapshot();
    let is = |node: &&Arc<Node>| {
        node.me().is_a(managed_id!(VirtualMachine)) && node.get(prop!(VirtualMachine.name)) == Some(SIBLING)
    };
    state.iter().find(is).unwrap().me().clone()
}

pub(super) fn root(admin: &Insider) -> MoRef {
    let state = admin.service.core.tree.snapshot();
    let is =
        |node: &&Arc<Node>| node.me().is_a(managed_id!(Folder)) && node.get(prop!(Folder.parent)).is_none();
    state.iter().find(is).unwrap().me().clone()
}

#[tokio::test]
async fn nobody_without_the_privileges_gets_through_with_any_method_of_any_type() {
    let (center, admin) = managed_with(&[VM, SIBLING]).await;
    with_a_snapshot(&admin).await;
    let cases = [
        Case { user: "reader", role: api::accounts::READ_ONLY, at: root, reads: true },
        Case { user: "nobody", role: api::accounts::NO_ACCESS, at: root, reads: false },
        Case { user: SIBLING, role: api::accounts::ADMIN, at: sibling, reads: false },
    ];
    let manager = admin.first(managed_id!(AuthorizationManager));
    let (mut asked, mut wrong) = (0, Vec::new());
    for case in cases {
        center.accounts().create(case.user, "", Some("Test!1234")).await.unwrap();
        let rule =
            vim!(Permission { principal: case.user, group: false, roleId: case.role, propagate: true });
        let at = (case.at)(&admin);
        admin
            .call(&manager, call!(SetEntityPermissions { entity: at.clone(), permission: [rule] }))
            .await
            .unwrap();
        let account = center.accounts().find(case.user).unwrap();
        let user = Insider::of(&center.service(), account).unwrap();
        let state = admin.service.core.tree.snapshot();
        let before = picture(&state);
        let known = Known { state: &state };
        // One object of each type stands for all of them; what is the user's own is left out.
        let mut objects: BTreeMap<ManagedId, MoRef> = BTreeMap::new();
        for me in state.iter().map(|node| node.me()).filter(|me| **me != at && !is_own(me.ty())) {
            let first = objects.entry(me.ty()).or_insert_with(|| me.clone());
            if *me < *first {
                *first = me.clone();
            }
        }
        for (ty, object) in &objects {
            for method in methods(*ty) {
                let row = schema().method(method);
                if LEFT_OUT.contains(&row.name) {
                    continue;
                }
                let Some(args) = known.args(method, object) else {
                    wrong.push(format!("{}.{} cannot be asked", object.type_name(), row.name));
                    continue;
                };
                asked += 1;
                let answer = user.call(object, args).await;
                let refused =
                    answer.as_ref().err().is_some_and(|fault| REFUSALS.contains(&fault.type_name()));
                let entity = object.is_a(managed_id!(ManagedEntity));
                // Reading is what a reader may do, and what everybody may do with the center's own managers.
                let may = only_reads(method) && (case.reads || !entity);
                if row.is_task && answer.is_ok() {
                    wrong.push(format!("{}: {}.{} began a task", case.user, object.type_name(), row.name));
                } else if !refused && !may && entity {
                    let said = answer.as_ref().err().map(Fault::type_name);
                    wrong.push(format!("{}: {}.{}: {said:?}", case.user, object.type_name(), row.name));
                }
            }
        }
        let after = picture(&admin.service.core.tree.snapshot());
        for changed in differences(&before, &after) {
            wrong.push(format!("{}: {changed} is not as it was", case.user));
        }
    }
    assert!(wrong.is_empty(), "of {asked} calls:\n{}", wrong.join("\n"));
    assert!(asked > 1_200, "{asked}");
}

async fn with_a_snapshot(who: &Insider) {
    let state = who.service.core.tree.snapshot();
    let spared = sibling(who);
    let mut vms = state.iter().map(|node| node.me()).filter(|me| me.is_a(managed_id!(VirtualMachine)));
    let vm = vms.find(|me| **me != spared).unwrap();
    let snapshot = call!(CreateSnapshot_Task { name: "s", memory: false, quiesce: false });
    who.task(vm, snapshot).await.unwrap();
}
