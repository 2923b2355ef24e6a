//! A vApp: a pool with a folder, a configuration and a state. The properties that follow from its contents are computed again
//! when those change.

use std::collections::HashSet;

use api::{Methods, Node, Service, Session, Snapshot, Writer};
use vim::{Kind, List, MoRef, Object, Value, data_id, field, managed_id, prop, props, ty, vim_enum};

use crate::estate::index::Records;
use crate::estate::records::{Pool, Record, VAppEntity};
use crate::estate::stored;

pub(crate) fn show(w: &mut Writer, me: &MoRef, pool: &Pool) {
    let Some(vapp) = &pool.vapp else { return };
    let outer = Some(&pool.parent).filter(|parent| parent.is_a(managed_id!(VirtualApp))).cloned();
    w.set(me, props!(VirtualApp { parentFolder: vapp.folder.clone(), parentVApp: outer }));
}

/// The entities of a vApp, those without settings of their own with the defaults.
pub(crate) fn entities(w: &Snapshot, pool: &Pool, me: &MoRef) -> Vec<VAppEntity> {
    let Some(node) = w.find(me) else { return Vec::new() };
    let vms = node.get(prop!(ResourcePool.vm)).into_iter().flatten();
    let apps = node.get(prop!(ResourcePool.resourcePool)).into_iter().flatten();
    let known = |key: &MoRef| {
        let stored = pool.vapp.iter().flat_map(|vapp| &vapp.entities).find(|entity| entity.key == *key);
        stored.cloned().unwrap_or_else(|| VAppEntity::new(key.clone()))
    };
    vms.chain(apps).map(known).collect()
}

/// Shows the configuration with the present entities, and the datastores and networks of the VMs.
pub(crate) fn refresh(w: &mut Writer, records: &Records, me: &MoRef) {
    let Some(Record::Pool(pool)) = records.get(me) else { return };
    let Some(vapp) = &pool.vapp else { return };
    let mut config = Object::clone(&stored::decode(data_id!(VAppConfigInfo), &vapp.config));
    let entities = entities(w.state(), pool, me);
    let shown: Vec<Value> = entities.iter().map(|entity| entity.shown().into()).collect();
    let list = (!shown.is_empty())
        .then(|| Value::List(List::new(Kind::Data(data_id!(VAppEntityConfigInfo)), shown)));
    config.put(field!(VAppConfigInfo.entityConfig).number(), list);
    let datastores = union(w, &entities, prop!(VirtualMachine.datastore).number(), managed_id!(Datastore));
    let networks = union(w, &entities, prop!(VirtualMachine.network).number(), managed_id!(Network));
    w.set(me, props!(VirtualApp { vAppConfig: config, datastore: datastores, network: networks }));
}

fn union(w: &Writer, entities: &[VAppEntity], number: u16, ty: vim::ManagedId) -> Option<List> {
    let mut seen = HashSet::new();
    let mut items: Vec<Value> = Vec::new();
    for entity in entities.iter().filter(|entity| entity.key.is_a(managed_id!(VirtualMachine))) {
        let Some(node) = w.find(&entity.key) else { continue };
        for item in node.at(number).map(Value::items).unwrap_or_default() {
            if item.as_ref().is_some_and(|item| seen.insert(item.clone())) {
                items.push(item.clone());
            }
        }
    }
    (!items.is_empty()).then(|| List::new(Kind::Ref(ty), items))
}

/// Enters the computed properties.
pub(crate) fn compute(methods: &mut Methods) {
    methods.compute(managed_id!(VirtualApp), prop!(VirtualApp.summary).number(), summary);
}

fn summary(_: &Service, _: &Session, node: &Node, state: &Snapshot) -> Option<Value> {
    let mut summary =
        Object::from(pools::show::summary_of(node, state)?).retyped(data_id!(VirtualAppSummary));
    let config = node.get(prop!(VirtualApp.vAppConfig));
    if let Some(config) = config {
        let product =
            config.get(field!(VmConfigInfo.product)).and_then(|products| products.iter().next().cloned());
        summary.put(field!(VirtualAppSummary.product).number(), product.map(Value::Object));
        let required = config.get(field!(VmConfigInfo.installBootRequired));
        summary.put(field!(VirtualAppSummary.installBootRequired).number(), required.map(Value::Boolean));
        let uuid = config.at(field!(VAppConfigInfo.instanceUuid).number()).cloned();
        summary.put(field!(VirtualAppSummary.instanceUuid).number(), uuid);
    }
    let (on, suspended) = power(node, state);
    summary.set(
        field!(VirtualAppSummary.vAppState),
        under_way(node, state).unwrap_or(if on {
            vim_enum!(VirtualAppVAppState.started)
        } else {
            vim_enum!(VirtualAppVAppState.stopped)
        }),
    );
    summary.set(field!(VirtualAppSummary.suspended), suspended && !on);
    Some(summary.into())
}

/// Whether a VM in the vApp is on, and whether one is suspended.
pub(super) fn power(node: &Node, state: &Snapshot) -> (bool, bool) {
    let (mut on, mut suspended) = (false, false);
    let mut pools = vec![node.me().clone()];
    while let Some(at) = pools.pop() {
        let Some(pool) = state.find(&at) else { continue };
        pools.extend(pool.get(prop!(ResourcePool.resourcePool)).into_iter().flatten().cloned());
        for vm in pool.get(prop!(ResourcePool.vm)).into_iter().flatten() {
            let runtime = state.find(vm).and_then(|vm| vm.get(prop!(VirtualMachine.runtime)).cloned());
            let power = runtime.and_then(|runtime| runtime.get(field!(VirtualMachineRuntimeInfo.powerState)));
            on |= power == Some(vim_enum!(VirtualMachinePowerState.poweredOn));
            suspended |= power == Some(vim_enum!(VirtualMachinePowerState.suspended));
        }
    }
    (on, suspended)
}

/// The state while a task starts or stops the vApp.
fn under_way(node: &Node, state: &Snapshot) -> Option<ty!(VirtualAppVAppState)> {
    let tasks = node.get(prop!(VirtualApp.recentTask)).into_iter().flatten();
    tasks.into_iter().find_map(|task| {
        let info = state.find(task)?.get(prop!(Task.info))?;
        if info.get(field!(TaskInfo.state)) != Some(vim_enum!(TaskInfoState.running)) {
            return None;
        }
        match info.get(field!(TaskInfo.name))? {
            "PowerOnVApp_Task" => Some(vim_enum!(VirtualAppVAppState.starting)),
            "PowerOffVApp_Task" | "SuspendVApp_Task" => Some(vim_enum!(VirtualAppVAppState.stopping)),
            _ => None,
        }
    })
}
