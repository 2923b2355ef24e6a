//! Taking a snapshot.

use std::sync::Arc;
use std::time::Duration;

use datastore::vmsd::SnapshotRecord;
use vim::{DateTime, Fault, Object, data_id, fault, field};
use vm::config::VmConfig;
use vm::faults::not_supported;
use vm::{FileRef, Power};

use super::{check_name, files_of, layer_names, on_layers};
use crate::engine::{Error, Layer, Machine, image_fault, machine_fault};
use crate::limits::{MAX_SNAPSHOT_DEPTH, QUIESCE, QUIESCE_MINUTES, QUIESCE_SPEC};
use crate::vms::files::sibling;
use crate::vms::layers::{depth, disks_of, set_consolidation_needed};
use crate::vms::service::Vms;
use crate::vms::vm::Vm;

/// A snapshot that a client asks for.
pub(in crate::vms) struct Wanted {
    pub(in crate::vms) name: String,
    pub(in crate::vms) description: String,
    pub(in crate::vms) memory: bool,
    pub(in crate::vms) quiesce: Option<Quiesce>,
}

/// How the guest's file systems are brought to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vms) struct Quiesce {
    /// The time that the guest may take.
    within: Duration,
    /// The client has said how: then a guest whose agent fails at it makes the snapshot fail.
    strict: bool,
}

impl Quiesce {
    /// As `quiesce` of CreateSnapshot_Task asks.
    pub(in crate::vms) fn plain(asked: bool) -> Option<Self> {
        asked.then_some(Self { within: QUIESCE, strict: false })
    }

    /// As `quiesceSpec` of CreateSnapshotEx_Task asks.
    ///
    /// # Errors
    /// `NotSupported` for what only guests with Windows have, `InvalidArgument` for a time that is out of range.
    pub(in crate::vms) fn of(spec: &Object) -> Result<Self, Fault> {
        if spec.ty() != data_id!(VirtualMachineGuestQuiesceSpec) {
            let message = format!("quiesceSpec: {} is not supported; give a {PLAIN}", spec.type_name());
            return Err(not_supported(&message));
        }
        let minutes = match spec.get(field!(VirtualMachineGuestQuiesceSpec.timeout)) {
            None => return Ok(Self { within: QUIESCE_SPEC, strict: true }),
            Some(minutes) => u64::try_from(minutes).unwrap_or(0),
        };
        if !QUIESCE_MINUTES.contains(&minutes) {
            return Err(fault!(
                InvalidArgument { invalidProperty: "quiesceSpec.timeout" },
                "quiesceSpec.timeout: give {} to {} minutes",
                QUIESCE_MINUTES.start(),
                QUIESCE_MINUTES.end()
            ));
        }
        Ok(Self { within: Duration::from_secs(minutes * 60), strict: true })
    }
}

const PLAIN: &str = "VirtualMachineGuestQuiesceSpec";

/// Takes a snapshot; gives its number.
///
/// # Errors
/// `InvalidName`, `NotSupported` with memory or of a suspended VM, `SnapshotFault` if the chain is too long; those of QEMU
/// and of the files. The VM then has its old disks, unless QEMU does not say which it uses.
pub(in crate::vms) async fn take(vms: &Vms, vm: &Arc<Vm>, wanted: Wanted) -> Result<u32, Fault> {
    let _one = vm.changing.lock().await;
    check_name(&wanted.name)?;
    let (power, home, config, mut list) = {
        let state = vm.read();
        state.usable()?;
        (state.power, state.home.clone(), state.config.clone(), state.snapshots.clone())
    };
    if wanted.memory && power == Power::On {
        return Err(not_supported(
            "Snapshots with the guest's memory are not supported; take one without (memory = false)",
        ));
    }
    if power == Power::Suspended {
        return Err(not_supported("Snapshots of a suspended VM are not supported; power it on or off first"));
    }
    if depth(&list) >= MAX_SNAPSHOT_DEPTH {
        return Err(fault!(
            SnapshotFault {},
            "{} has {MAX_SNAPSHOT_DEPTH} snapshots on top of each other, as many as are possible",
            config.name
        ));
    }
    let uid = list.last_uid.saturating_add(1);
    let layers = layer_names(&vms.files, &config)?;
    let frozen = sibling(&home, &format!("{}-Snapshot{uid}.vmsn", home.path.stem()))?;
    vms.files.write_frozen(vm, &frozen, &config).await?;
    let laid = async {
        make(vms, vm, &config, &layers).await?;
        lay(vms, vm, &config, &layers, wanted.quiesce).await
    };
    let quiesced = match laid.await {
        Ok(quiesced) => quiesced,
        Err(fault) => {
            vms.files.clear_away(&[frozen]).await;
            return Err(fault);
        }
    };
    list.snapshots.push(SnapshotRecord {
        uid,
        parent: list.current,
        file_name: frozen.path.name().to_owned(),
        display_name: wanted.name,
        description: wanted.description,
        create_time_us: DateTime::now().as_micros(),
        kind: 0,
        disks: disks_of(&home, &config),
    });
    list.current = Some(uid);
    list.last_uid = uid;
    let saved = vms.files.save_snapshots(vm, list, |state| {
        state.frozen.insert(uid, config);
        if quiesced {
            state.quiesced.insert(uid);
        }
    });
    if let Err(fault) = saved.await {
        // The layers are in use; only the snapshot is missing, which no client was told of.
        set_consolidation_needed(vm, true);
        vms.files.clear_away(&[frozen]).await;
        return Err(fault);
    }
    vms.files.look(vm).await;
    Ok(uid)
}

/// Makes the files of new layers, empty. None is left if one cannot be made.
async fn make(vms: &Vms, vm: &Vm, config: &VmConfig, layers: &[Layer]) -> Result<(), Fault> {
    match vm.machine() {
        Some(machine) => {
            let made = machine.make_layers(layers).await;
            made.map_err(|error| layer_fault(vms, vm, layers, &error))?;
        }
        None => super::make_layers(vms, config, layers).await?,
    }
    // Each is the same disk.
    vms.files.identify(&super::on_layers(config, layers)).await;
    Ok(())
}

/// Makes the layers the disks of the VM's configuration, and lets a running QEMU process go over to them in one instant.
/// Whether the guest's file systems were at rest.
async fn lay(
    vms: &Vms,
    vm: &Vm,
    before: &Arc<VmConfig>,
    layers: &[Layer],
    quiesce: Option<Quiesce>,
) -> Result<bool, Fault> {
    if let Err(fault) = vms.files.save(vm, on_layers(before, layers), None).await {
        // It may have been written all the same: the layers go only if the configuration is surely the old one.
        leave_layers(vms, vm, before, layers).await;
        return Err(fault);
    }
    let Some(machine) = vm.machine() else { return Ok(false) };
    let frozen = match quiesce {
        None => false,
        Some(how) => match freeze(vm, &machine, how).await {
            Ok(frozen) => frozen,
            Err(fault) => {
                leave_layers(vms, vm, before, layers).await;
                return Err(fault);
            }
        },
    };
    let laid = machine.snapshot(layers).await;
    if frozen && let Err(error) = machine.thaw().await {
        tracing::error!(vm = vm.me.id(), %error, "the guest's file systems may still be frozen");
    }
    let Err(error) = laid else { return Ok(frozen) };
    if !error.is_undecided() {
        leave_layers(vms, vm, before, layers).await;
        return Err(layer_fault(vms, vm, layers, &error));
    }
    match uses_layers(&machine, layers).await {
        Some(true) => return Ok(frozen),
        // QEMU may still go over: the files stay, whatever names them.
        Some(false) => _ = save_before(vms, vm, before).await,
        // Whether it has ended before or after: the layers show all that was written.
        None => {}
    }
    set_consolidation_needed(vm, true);
    Err(layer_fault(vms, vm, layers, &error))
}

/// Goes back to the configuration without the layers, which no QEMU process uses, and removes them.
async fn leave_layers(vms: &Vms, vm: &Vm, before: &Arc<VmConfig>, layers: &[Layer]) {
    if save_before(vms, vm, before).await {
        vms.files.clear_away(&files_of(layers)).await;
    } else {
        set_consolidation_needed(vm, true);
    }
}

/// Makes the configuration the old one again; false if the `.vmx` may say another.
async fn save_before(vms: &Vms, vm: &Vm, before: &Arc<VmConfig>) -> bool {
    let saved = vms.files.save(vm, VmConfig::clone(before), None).await;
    if let Err(fault) = &saved {
        tracing::error!(vm = vm.me.id(), %fault, "the configuration may name layers that are not in use");
        vm.change(|state| state.config = before.clone());
    }
    saved.is_ok()
}

fn layer_fault(vms: &Vms, vm: &Vm, layers: &[Layer], error: &Error) -> Fault {
    match error {
        Error::NoSpace { .. } => {
            let file: FileRef = layers.first().map_or_else(|| vm.home(), |layer| layer.file.clone());
            image_fault(&vms.files.datastores, &file, error)
        }
        _ => machine_fault(&vm.me, error),
    }
}

/// Freezes the guest's file systems if an agent is there to do it; whether they are. A snapshot without is taken otherwise, as
/// the log says.
///
/// # Errors
/// `FilesystemQuiesceFault` if the client has said how, and the agent that is there fails at it.
async fn freeze(vm: &Vm, machine: &Arc<dyn Machine>, how: Quiesce) -> Result<bool, Fault> {
    let Err(error) = machine.freeze(how.within).await else { return Ok(true) };
    tracing::warn!(vm = vm.me.id(), %error, "the guest's file systems cannot be frozen");
    let has_agent = vm.read().guest.as_ref().is_some();
    if !how.strict || !has_agent {
        return Ok(false);
    }
    // It may have frozen some of them, or be about to.
    if let Err(error) = machine.thaw().await {
        tracing::error!(vm = vm.me.id(), %error, "the guest's file systems may still be frozen");
    }
    Err(fault!(
        FilesystemQuiesceFault {},
        "The guest of {} did not bring its file systems to rest within {} minutes: {error}",
        vm.name(),
        how.within.as_secs() / 60
    ))
}

/// Whether a QEMU process has gone over to new layers; none if it does not say.
async fn uses_layers(machine: &Arc<dyn Machine>, layers: &[Layer]) -> Option<bool> {
    for layer in layers {
        match machine.chain(layer.disk).await {
            Ok(chain) if chain.first() == Some(&layer.file) => {}
            Ok(_) => return Some(false),
            Err(error) => {
                tracing::warn!(%error, "the layers of a running VM are not known");
                return None;
            }
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use vim::vim;

    use super::*;

    #[test]
    fn a_quiesce_spec_is_carried_out_or_refused_by_name() {
        let plain =
            |minutes: Option<i32>| Object::from(vim!(VirtualMachineGuestQuiesceSpec { timeout: minutes }));
        let minutes = |spec: &Object| Quiesce::of(spec).map(|how| how.within.as_secs() / 60);
        assert_eq!(minutes(&plain(None)).unwrap(), 15);
        assert_eq!(minutes(&plain(Some(5))).unwrap(), 5);
        assert_eq!(minutes(&plain(Some(240))).unwrap(), 240);
        for wrong in [-1, 0, 4, 241, i32::MAX] {
            let fault = minutes(&plain(Some(wrong))).unwrap_err();
            assert_eq!(fault.type_name(), "InvalidArgument", "{wrong}");
            assert!(fault.to_string().contains("quiesceSpec.timeout"), "{fault}");
        }
        let windows = vim!(VirtualMachineWindowsQuiesceSpec { vssBackupContext: "ctx_auto" });
        let fault = minutes(&windows.into()).unwrap_err();
        assert_eq!(fault.type_name(), "NotSupported");
        assert!(fault.to_string().contains("VirtualMachineWindowsQuiesceSpec"), "{fault}");
    }
}
