//! Which methods a host does as they come, and which of them are tasks that no other task on the VM may join.

use std::sync::Arc;

use api::{Call, Guard, managers};
use vim::{Fault, ManagedId, MethodId, Value, arg, field, managed_id, method, schema};
use vm::privileges::to_reconfigure;

use super::By;
use super::storage::StorageCheck;
use crate::LinkError;
use crate::ops::{Table, check_vm_name};
use crate::state::State;

/// On a VM, alone.
const VM_ALONE: &[MethodId] = &[
    method!(PowerOffVM_Task),
    method!(SuspendVM_Task),
    method!(ResetVM_Task),
    method!(CreateSnapshot_Task),
    method!(CreateSnapshotEx_Task),
    method!(RevertToCurrentSnapshot_Task),
    method!(RemoveAllSnapshots_Task),
    method!(ConsolidateVMDisks_Task),
    method!(UpgradeVM_Task),
];

/// On a VM, beside others or at once.
const VM_SHARED: &[MethodId] = &[
    method!(CreateScreenshot_Task),
    method!(ShutdownGuest),
    method!(RebootGuest),
    method!(StandbyGuest),
    method!(AnswerVM),
    method!(UnregisterVM),
    method!(MarkAsTemplate),
    method!(RefreshStorageInfo),
    method!(ResetGuestInformation),
    method!(MountToolsInstaller),
    method!(UnmountToolsInstaller),
    method!(PutUsbScanCodes),
    method!(SetScreenResolution),
    method!(QueryConnections),
    method!(TerminateVM),
    method!(SendNMI),
    method!(ExtractOvfEnvironment),
    method!(QueryChangedDiskAreas),
    method!(QueryUnownedFiles),
];

const SNAPSHOT_ALONE: &[MethodId] = &[method!(RevertToSnapshot_Task), method!(RemoveSnapshot_Task)];

/// Methods of the host itself that are its own business.
const HOST: &[MethodId] = &[
    method!(QueryMemoryOverhead),
    method!(QueryMemoryOverheadEx),
    method!(UpdateFlags),
    method!(UpdateSystemResources),
    method!(UpdateSystemSwapConfiguration),
    method!(RetrieveHardwareUptime),
    method!(RetrieveDynamicTypeManager),
    method!(RetrieveManagedMethodExecuter),
    method!(EnterLockdownMode),
    method!(ExitLockdownMode),
    method!(RebootHost_Task),
    method!(ShutdownHost_Task),
];

/// What changing the settings of a host takes.
const ADVANCED_SETTINGS: &str = "Host.Config.AdvancedConfig";

/// The parts of a host, whose methods are all its own.
const PARTS: &[ManagedId] = &[
    managed_id!(HostCpuSchedulerSystem),
    managed_id!(HostDatastoreSystem),
    managed_id!(HostMemorySystem),
    managed_id!(HostStorageSystem),
    managed_id!(HostNetworkSystem),
    managed_id!(HostVMotionSystem),
    managed_id!(HostVirtualNicManager),
    managed_id!(HostServiceSystem),
    managed_id!(HostFirewallSystem),
    managed_id!(HostDiagnosticSystem),
    managed_id!(HostAutoStartManager),
    managed_id!(HostSnmpSystem),
    managed_id!(HostDateTimeSystem),
    managed_id!(HostBootDeviceSystem),
    managed_id!(HostFirmwareSystem),
    managed_id!(HostHealthStatusSystem),
    managed_id!(HostPciPassthruSystem),
    managed_id!(HostKernelModuleSystem),
    managed_id!(HostAuthenticationManager),
    managed_id!(HostPowerSystem),
    managed_id!(HostCacheConfigurationManager),
    managed_id!(IscsiManager),
    managed_id!(HostLocalAccountManager),
    managed_id!(HostAccessManager),
    managed_id!(HostGraphicsManager),
    managed_id!(HostCertificateManager),
    managed_id!(HostAssignableHardwareManager),
    managed_id!(InternalDynamicTypeManager),
    managed_id!(ReflectManagedMethodExecuter),
];

/// Methods of the HostNetworkSystem of which the schema does not say that they change the network.
const NETWORK_UNNAMED: &[MethodId] = &[
    method!(UpdateNetworkConfig),
    method!(AddVirtualNic),
    method!(UpdateVirtualNic),
    method!(AddServiceConsoleVirtualNic),
    method!(UpdateServiceConsoleVirtualNic),
];

pub(super) fn register(table: &mut Table) {
    let vm = managed_id!(VirtualMachine);
    for method in VM_ALONE {
        table.on(vm, *method, alone);
    }
    for method in VM_SHARED {
        table.on(vm, *method, shared);
    }
    for method in SNAPSHOT_ALONE {
        table.on(managed_id!(VirtualMachineSnapshot), *method, alone_on_vm);
    }
    table.on(managed_id!(VirtualMachineSnapshot), method!(RenameSnapshot), shared);
    table.guarded(vm, method!(ReconfigVM_Task), Guard::Arguments(to_reconfigure), reconfigure);
    for method in HOST {
        table.on(managed_id!(HostSystem), *method, shared);
    }
    for method in [method!(RefreshDatastore), method!(RefreshDatastoreStorageInfo)] {
        table.on(managed_id!(Datastore), method, shared);
    }
    let state = table.daemon.clone();
    let own = managers::Singletons::center().setting;
    managers::own_options(
        table.methods,
        move |manager| *manager != own,
        move |call| options(state.clone(), call),
    );
    for part in PARTS {
        let mut ty = Some(*part);
        while let Some(id) = ty {
            for method in &schema().managed(id).methods {
                table.on(*part, *method, shared);
            }
            ty = schema().managed(id).base;
        }
    }
    for method in NETWORK_UNNAMED {
        table.methods.guard(managed_id!(HostNetworkSystem), *method, Guard::Privilege("Host.Config.Network"));
    }
    // The host asks, with the limits of the user here.
    let (executer, asks) = (managed_id!(ReflectManagedMethodExecuter), Guard::Asks(&[]));
    table.guarded(executer, method!(ExecuteSoap), asks, execute);
    table.methods.guard(executer, method!(FetchSoap), asks);
}

async fn alone(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let options = state.alone(&call);
    state.carry(call, options).await
}

/// Advanced settings of a host.
async fn options(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    call.service.check(call.session()?, &call.this, ADVANCED_SETTINGS, &call.state())?;
    shared(state, call).await
}

async fn shared(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let options = state.shared(&call);
    state.carry(call, options).await
}

/// The host asks for the privilege of the command; what the user lacks here, he lacks there.
async fn execute(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let host = state.home(&call.this)?.me.clone();
    let lacks = |privilege: &&str| call.check(&host, privilege).is_err();
    let missing = api::host_privileges().filter(lacks);
    let by = missing.fold(By::caller(&call), |by, privilege| by.limited(privilege, []));
    state.carry_out(&call.this, &call.args, &by).await.map_err(LinkError::into_fault)
}

/// A snapshot's task works on its VM.
async fn alone_on_vm(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let tree = call.state();
    let vm = tree.find(&call.this).and_then(|node| node.get(vim::prop!(VirtualMachineSnapshot.vm)).cloned());
    let options = match vm {
        Some(vm) => api::TaskOptions::exclusive(&vm, state.name_of(&vm)),
        None => state.shared(&call),
    };
    state.carry(call, options).await
}

async fn reconfigure(state: Arc<State>, call: Call) -> Result<Option<Value>, Fault> {
    let spec = call.required(arg!(ReconfigVM_Task.spec))?;
    if let Some(name) = spec.get(field!(VirtualMachineConfigSpec.name)) {
        check_vm_name(&state, &call.this, name)?;
    }
    let host = state.home(&call.this)?;
    StorageCheck::of_vm(&state, &call, &host).may_use(spec)?;
    alone(state, call).await
}
