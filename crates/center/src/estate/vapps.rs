//! vApps: resource pools that belong to a folder too and start and stop what is in them as a whole. Here are their records'
//! changes (pure) and the methods that need no host; `carry` starts, stops and removes them.

use std::collections::HashSet;
use std::sync::Arc;

use api::{Call, Guard, Methods, Table, invalid_argument};
use vim::{Fault, MoRef, Object, arg, data_id, field, managed_id, method};

use super::destroy::in_use;
use super::faults::{not_found, not_supported};
use super::inventory::Inventory;
use super::plan::Plan;
use super::records::{Allocation, Holds, Pool, Record, VApp, VAppEntity};
use super::show::vapp::entities;
use super::vapp_config::{changed, new_config};
use super::{folders, names, pools, stored};
use crate::reply::Reply;

/// vApps inside of each other.
const MAX_DEPTH: usize = 8;
const CONFIGURE: Guard = Guard::Privilege("VApp.ApplicationConfig");

pub(super) fn register(methods: &mut Methods, inventory: &Arc<Inventory>) {
    let mut table = Table { methods, daemon: inventory };
    super::show::vapp::compute(table.methods);
    table.on(managed_id!(ResourcePool), method!(CreateVApp), create);
    let app = managed_id!(VirtualApp);
    table.guarded(app, method!(UpdateVAppConfig), CONFIGURE, update);
    table.on(app, method!(CreateResourcePool), |_, _| async {
        Err(not_supported("A vApp contains VMs and vApps only; create the resource pool beside it"))
    });
}

async fn create(inventory: Arc<Inventory>, call: Call) -> Reply {
    let name = names::parse(call.required(arg!(CreateVApp.name))?, Some(&call.this))?;
    let resources = call.required(arg!(CreateVApp.resSpec))?.clone();
    let spec = call.required(arg!(CreateVApp.configSpec))?.clone();
    let folder = call.arg(arg!(CreateVApp.vmFolder)).map(|folder| inventory.resolve(folder)).transpose()?;
    if let Some(folder) = &folder {
        call.check(folder, "VApp.Create")?;
    }
    let (parent, state) = (call.this.clone(), call.state());
    let made = inventory.change(|plan| {
        let me = add(plan, &parent, folder.as_ref(), name)?;
        let Record::Pool(mut pool) = plan.get(&me)?.clone() else { return Err(not_found(&me)) };
        let before = pools::Before::of(plan, &pool.owner);
        let owner = pool.owner.clone();
        [pool.cpu, pool.memory] = ::pools::fresh(&resources)?;
        plan.put(&me, Record::Pool(pool));
        configure(plan, &me, &spec)?;
        before.admit(plan, &owner, &state)?;
        Ok(me)
    });
    Ok(Some(made.await?.into()))
}

/// A new vApp in a pool and a folder of VMs; one inside of a vApp has no folder.
///
/// # Errors
/// `InvalidArgument` for a missing folder or one of another datacenter, `NotSupported`, `DuplicateName`.
pub(crate) fn add(
    plan: &mut Plan,
    parent: &MoRef,
    folder: Option<&MoRef>,
    name: String,
) -> Result<MoRef, Fault> {
    let owner = plan.pool(parent)?.owner.clone();
    let inner = is_vapp(parent);
    let folder = match (inner, folder) {
        (true, None) => None,
        (true, Some(_)) => {
            return Err(invalid_argument("vmFolder", "A vApp inside of another one has no folder"));
        }
        (false, None) => return Err(invalid_argument("vmFolder", "A vApp needs a folder of VMs")),
        (false, Some(folder)) => {
            folders::holding(plan, folder, Holds::Vms, "a vApp")?;
            if plan.datacenter_of(folder) != plan.datacenter_of(parent) {
                return Err(invalid_argument(
                    "vmFolder",
                    "The folder is in another datacenter than the pool",
                ));
            }
            plan.free_name(folder, &name, None)?;
            Some(folder.clone())
        }
    };
    check_depth(plan, parent, 1)?;
    plan.free_name(parent, &name, None)?;
    let me = plan.ids.reference(managed_id!(VirtualApp));
    let config = stored::encode(&Arc::new(new_config()));
    let pool = Pool {
        name,
        parent: parent.clone(),
        owner,
        cpu: Allocation::default(),
        memory: Allocation::default(),
        version: 0,
        vapp: Some(Box::new(VApp { folder, config, entities: Vec::new() })),
    };
    plan.put(&me, Record::Pool(pool));
    Ok(me)
}

pub(crate) fn is_vapp(at: &MoRef) -> bool {
    at.is_a(managed_id!(VirtualApp))
}

/// Refuses to put so many levels of vApps below a pool.
///
/// # Errors
/// `NotSupported`.
pub(super) fn check_depth(plan: &Plan, parent: &MoRef, levels: usize) -> Result<(), Fault> {
    let mut above = 0;
    let mut at = Some(parent.clone());
    while let Some(here) = at.filter(is_vapp) {
        above += 1;
        at = plan.find(&here).and_then(Record::parent).cloned();
    }
    if above + levels > MAX_DEPTH {
        return Err(not_supported(&format!("At most {MAX_DEPTH} vApps can be inside of each other")));
    }
    Ok(())
}

/// How many levels of vApps begin with this object.
pub(super) fn levels(plan: &Plan, me: &MoRef) -> usize {
    if !is_vapp(me) {
        return 0;
    }
    let inner: Vec<MoRef> = plan.children(me).map(|(at, _)| at.clone()).filter(is_vapp).collect();
    1 + inner.iter().map(|at| levels(plan, at)).max().unwrap_or(0)
}

/// The folder of a vApp; that of the outermost one, if it is inside of others.
pub(super) fn folder_of(plan: &Plan, vapp: &MoRef) -> Option<MoRef> {
    let mut at = vapp.clone();
    loop {
        let Some(Record::Pool(pool)) = plan.find(&at) else { return None };
        match &pool.vapp.as_ref()?.folder {
            Some(folder) => return Some(folder.clone()),
            None => at = pool.parent.clone(),
        }
    }
}

/// Makes the folder of a vApp that of the VMs in it.
pub(super) fn refolder(plan: &mut Plan, vapp: &MoRef) {
    let mut apps = vec![vapp.clone()];
    while let Some(app) = apps.pop() {
        let inside: Vec<(MoRef, Record)> =
            plan.children(&app).map(|(at, record)| (at.clone(), record.clone())).collect();
        for (at, record) in inside {
            match record {
                Record::Vm(vm) => plan.put_into_pool(&at, vm, &app),
                _ => apps.push(at),
            }
        }
    }
}

/// Removes a vApp from the inventory, with the vApps inside of it.
///
/// # Errors
/// `ResourceInUse` if a VM is in it.
pub(crate) fn remove(plan: &mut Plan, me: &MoRef) -> Result<(), Fault> {
    let name = plan.get(me)?.name().to_owned();
    let mut gone = vec![me.clone()];
    let mut at = 0;
    while at < gone.len() {
        let here = gone[at].clone();
        for (child, record) in plan.children(&here) {
            match record {
                Record::Pool(_) => gone.push(child.clone()),
                other => return Err(in_use(me, &name, &format!("the VM '{}' is in it", other.name()))),
            }
        }
        at += 1;
    }
    gone.iter().rev().for_each(|at| plan.remove(at));
    Ok(())
}

impl Inventory {
    /// The VMs and vApps in a vApp, with the way in which it starts and stops each.
    pub(crate) fn vapp_entities(&self, me: &MoRef) -> Vec<VAppEntity> {
        match self.records().get(me) {
            Some(Record::Pool(pool)) => entities(&self.tree.snapshot(), pool, me),
            _ => Vec::new(),
        }
    }
}

async fn update(inventory: Arc<Inventory>, call: Call) -> Reply {
    let me = call.this.clone();
    let spec = call.required(arg!(UpdateVAppConfig.spec))?.clone();
    inventory.change(|plan| configure(plan, &me, &spec)).await.map(|()| None)
}

/// Applies a client's specification.
///
/// # Errors
/// `InvalidArgument` for what does not fit, such as an entity that is not in the vApp.
fn configure(plan: &mut Plan, me: &MoRef, spec: &Object) -> Result<(), Fault> {
    let Record::Pool(pool) = plan.get(me)?.clone() else { return Err(not_found(me)) };
    let Some(vapp) = &pool.vapp else { return Err(not_found(me)) };
    let old = stored::decode(data_id!(VAppConfigInfo), &vapp.config);
    let config = stored::encode(&Arc::new(changed(&old, spec)?));
    let inside: HashSet<MoRef> = plan.children(me).map(|(at, _)| at.clone()).collect();
    let mut entities: Vec<VAppEntity> =
        vapp.entities.iter().filter(|known| inside.contains(&known.key)).cloned().collect();
    for given in spec.get(field!(VAppConfigSpec.entityConfig)).into_iter().flatten() {
        let key = given.get(field!(VAppEntityConfigInfo.key));
        let key = key.and_then(|key| inside.iter().find(|known| known.id() == key.id()));
        let Some(key) = key else {
            return Err(invalid_argument("spec.entityConfig.key", "The entity is not in the vApp"));
        };
        let at = match entities.iter().position(|known| known.key == *key) {
            Some(at) => at,
            None => {
                entities.push(VAppEntity::new(key.clone()));
                entities.len() - 1
            }
        };
        entities[at].apply(given)?;
    }
    let vapp = VApp { folder: vapp.folder.clone(), config, entities };
    plan.put(me, Record::Pool(Pool { vapp: Some(Box::new(vapp)), version: pool.version + 1, ..pool }));
    Ok(())
}
