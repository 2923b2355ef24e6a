//! The methods that hosts do as they are called: a row for each, and all methods of a host's systems.

use std::sync::Arc;

use api::managers::{Singletons, own_options};
use api::{Call, Guard, Methods, Table};
use vim::{ManagedId, MethodId, fault, managed_id, method, schema};

use super::by::By;
use super::carrier::Carrier;
use crate::estate::systems;
use crate::link::LinkError;
use crate::reply::Reply;

const VM: ManagedId = managed_id!(VirtualMachine);
const HOST: ManagedId = managed_id!(HostSystem);
const DATASTORE: ManagedId = managed_id!(Datastore);
const SNAPSHOT: ManagedId = managed_id!(VirtualMachineSnapshot);

/// The way in which a carried task works on its object.
#[derive(Clone, Copy)]
enum How {
    /// No other task that does so may run on the object at the same time.
    Alone,
    /// The same, on the object's owner: the VM of a snapshot.
    AloneOnOwner,
    /// Other tasks may run on the object; also for a method that is not a task.
    Shared,
}

use How::{Alone, AloneOnOwner, Shared};

const CARRIED: &[(ManagedId, MethodId, How)] = &[
    (VM, method!(PowerOffVM_Task), Alone),
    (VM, method!(SuspendVM_Task), Alone),
    (VM, method!(ResetVM_Task), Alone),
    (VM, method!(CreateSnapshot_Task), Alone),
    (VM, method!(CreateSnapshotEx_Task), Alone),
    (VM, method!(RevertToCurrentSnapshot_Task), Alone),
    (VM, method!(RemoveAllSnapshots_Task), Alone),
    (VM, method!(ConsolidateVMDisks_Task), Alone),
    (VM, method!(UpgradeVM_Task), Alone),
    (VM, method!(Destroy_Task), Alone),
    (VM, method!(CreateScreenshot_Task), Shared),
    (VM, method!(ShutdownGuest), Shared),
    (VM, method!(RebootGuest), Shared),
    (VM, method!(StandbyGuest), Shared),
    (VM, method!(AnswerVM), Shared),
    (VM, method!(UnregisterVM), Shared),
    (VM, method!(MarkAsTemplate), Shared),
    (VM, method!(RefreshStorageInfo), Shared),
    (VM, method!(ResetGuestInformation), Shared),
    (VM, method!(MountToolsInstaller), Shared),
    (VM, method!(UnmountToolsInstaller), Shared),
    (VM, method!(PutUsbScanCodes), Shared),
    (VM, method!(SetScreenResolution), Shared),
    (VM, method!(QueryConnections), Shared),
    (VM, method!(TerminateVM), Shared),
    (VM, method!(SendNMI), Shared),
    (VM, method!(ExtractOvfEnvironment), Shared),
    (VM, method!(QueryChangedDiskAreas), Shared),
    (VM, method!(QueryUnownedFiles), Shared),
    (SNAPSHOT, method!(RevertToSnapshot_Task), AloneOnOwner),
    (SNAPSHOT, method!(RemoveSnapshot_Task), AloneOnOwner),
    (SNAPSHOT, method!(RenameSnapshot), Shared),
    (HOST, method!(QueryMemoryOverhead), Shared),
    (HOST, method!(QueryMemoryOverheadEx), Shared),
    (HOST, method!(UpdateFlags), Shared),
    (HOST, method!(UpdateSystemResources), Shared),
    (HOST, method!(UpdateSystemSwapConfiguration), Shared),
    (HOST, method!(RetrieveHardwareUptime), Shared),
    (HOST, method!(RetrieveDynamicTypeManager), Shared),
    (HOST, method!(RetrieveManagedMethodExecuter), Shared),
    (HOST, method!(EnterLockdownMode), Shared),
    (HOST, method!(ExitLockdownMode), Shared),
    (HOST, method!(RebootHost_Task), Shared),
    (HOST, method!(ShutdownHost_Task), Shared),
    (DATASTORE, method!(RefreshDatastore), Shared),
    (DATASTORE, method!(RefreshDatastoreStorageInfo), Shared),
];

/// Methods that change a host's network although the schema names no privilege for them.
const NETWORK_CHANGES: [MethodId; 5] = [
    method!(UpdateNetworkConfig),
    method!(AddVirtualNic),
    method!(UpdateVirtualNic),
    method!(AddServiceConsoleVirtualNic),
    method!(UpdateServiceConsoleVirtualNic),
];

/// The privilege for changing the settings of a host.
const ADVANCED_SETTINGS: &str = "Host.Config.AdvancedConfig";

pub(super) fn register(methods: &mut Methods, carrier: &Arc<Carrier>) {
    let mut table = Table { methods, daemon: carrier };
    for (ty, method, how) in CARRIED.iter().copied() {
        table.on(ty, method, move |carrier, call| carry(carrier, call, how));
    }
    for system in systems() {
        let mut ty = Some(system);
        while let Some(id) = ty {
            for method in &schema().managed(id).methods {
                table.on(system, *method, |carrier, call| carry(carrier, call, Shared));
            }
            ty = schema().managed(id).base;
        }
    }
    for method in NETWORK_CHANGES {
        let guard = Guard::Privilege("Host.Config.Network");
        table.methods.guard(managed_id!(HostNetworkSystem), method, guard);
    }
    // The host checks the privilege of the command.
    let executer = managed_id!(ReflectManagedMethodExecuter);
    table.guarded(executer, method!(ExecuteSoap), Guard::Asks(&[]), execute);
    table.methods.guard(executer, method!(FetchSoap), Guard::Privilege("System.Read"));
    accounts_of_hosts(table.methods, carrier);
    let own = Singletons::center().setting;
    let carrier = carrier.clone();
    own_options(methods, move |manager| *manager != own, move |call| options(carrier.clone(), call));
}

/// The users of hosts, beside those of the center. A user of a host changes his password there.
fn accounts_of_hosts(methods: &mut Methods, carrier: &Arc<Carrier>) {
    let accounts = managed_id!(HostLocalAccountManager);
    let of_accounts = &schema().managed(accounts).methods;
    let carried = of_accounts.iter().filter(|method| **method != method!(ChangePassword));
    let carried = carried.map(|method| (accounts, *method));
    for (ty, method) in carried.chain([(managed_id!(UserDirectory), method!(RetrieveUserGroups))]) {
        let own = [Singletons::center().account_manager, Singletons::center().user_directory];
        let carrier = carrier.clone();
        methods.elsewhere(
            ty,
            method,
            move |object| own.contains(object),
            move |call| carry(carrier.clone(), call, Shared),
        );
    }
    let own = Singletons::center().account_manager;
    methods.elsewhere(
        accounts,
        method!(ChangePassword),
        move |object| *object == own,
        |_| async { Err(fault!(NotSupported {}, "Log in to the host itself to change this password")) },
    );
}

async fn carry(carrier: Arc<Carrier>, call: Call, how: How) -> Reply {
    let options = match how {
        Alone => carrier.inventory.alone(&call),
        AloneOnOwner => match carrier.inventory.parts.owner(&call.this) {
            Some(owner) => api::TaskOptions::exclusive(&owner, carrier.inventory.name_of(&owner)),
            None => carrier.inventory.shared(&call),
        },
        Shared => carrier.inventory.shared(&call),
    };
    carrier.carry(call, options).await
}

/// Changes the advanced settings of a host.
async fn options(carrier: Arc<Carrier>, call: Call) -> Reply {
    call.service.check(call.session()?, &call.this, ADVANCED_SETTINGS, &call.state())?;
    carry(carrier, call, Shared).await
}

/// The host checks the privilege of the command. The center tells it which privileges the user lacks.
async fn execute(carrier: Arc<Carrier>, call: Call) -> Reply {
    let host = carrier.home(&call.this)?.me.clone();
    let lacks = |privilege: &&str| call.check(&host, privilege).is_err();
    let missing = api::host_privileges().filter(lacks);
    let by = missing.fold(By::caller(&call), |by, privilege| by.limited(privilege, []));
    carrier.carry_out(&call.this, &call.args, &by).await.map_err(LinkError::into_fault)
}
