//! Switching VMs on and off. Before the processors of a VM run, its `.vmx` no longer names a saved state, and its record no
//! longer says that the VM is being suspended: see [`super::saved_state`].

use std::sync::Arc;
use std::time::Instant;

use datastore::disk_image;
use hostnet::Tap;
use vim::{DateTime, Fault, fault};
use vm::config::VmConfig;
use vm::device::{Kind, Medium};
use vm::faults::not_supported;
use vm::{FileRef, Power};

use super::files::{Files, sibling};
use super::service::Vms;
use super::vm::Vm;
use super::watch::{ask_again, watch};
use super::{end, saved_state};
use crate::blocking::blocking;
use crate::engine::{Error, ExitReason, Launch, Machine, image_fault, machine_fault};
use crate::events::{VmEvent, Who};

/// Switches a VM on, or lets a suspended one go on.
///
/// # Errors
/// `InvalidPowerState`, `InvalidState`, `NotSupported` for a template; those of its files, its ports and QEMU. The VM stays
/// as it was.
pub(super) async fn power_on(vms: &Arc<Vms>, vm: &Arc<Vm>, who: &Who) -> Result<(), Fault> {
    let _one = vm.changing.lock().await;
    vm.can_power_on()?;
    let (power, home, before) = {
        let state = vm.read();
        (state.power, state.home.clone(), state.config.clone())
    };
    if before.template {
        return Err(not_supported("A template cannot be powered on; make it a virtual machine first"));
    }
    vms.post(vm, VmEvent::Starting, who).await;
    let config = ready_config(&vms.files, &before)?;
    let on = vms.files.datastores.of(&home)?;
    let (path, name) = (home.path.clone(), vms.host.name.clone());
    let lock = blocking(move || on.store.lock_vm(&path, &name).map_err(|error| on.fault(&error))).await?;
    let resume_from = match power {
        Power::Suspended => Some(saved_state::find(&vms.files, vm)?),
        _ => None,
    };
    let taps = vms.ports.plug_all(vm, &config).await?;
    let started = start(vms, vm, &config, &home, taps, resume_from.clone()).await;
    let machine = match started {
        Ok(machine) => machine,
        Err(fault) => {
            vms.ports.unplug_all(vm, &config).await;
            return Err(fault);
        }
    };
    // From here on the saved state is worthless.
    let stored = async {
        vms.files.save(vm, config.clone(), None).await?;
        saved_state::forget(&vms.register, &vms.files, vm, resume_from.as_ref()).await
    };
    let runs = match stored.await {
        Ok(()) => machine.resume().await.map_err(|error| machine_fault(&vm.me, &error)),
        Err(fault) => Err(fault),
    };
    if let Err(fault) = runs {
        stop_for_good(vms, vm, &machine, &config).await;
        vm.change(|state| {
            end::disconnect_all(state);
            state.power = state.power_at_rest();
        });
        return Err(fault);
    }
    vm.expect_end(false);
    vm.change(|state| {
        state.power = Power::On;
        state.machine = Some(machine.clone());
        state.lock = Some(lock);
        state.booted = Some(DateTime::now());
        state.suspended = None;
        state.clean_power_off = None;
        state.guest = None;
        state.cpu_ms = 0;
    });
    watch(vms, vm, machine);
    if let Some(file) = resume_from {
        vms.files.clear_away(&[file]).await;
    }
    vms.files.look(vm).await;
    vms.post(vm, VmEvent::PoweredOn, who).await;
    if let Some(warning) = vm::efi::warning(&config).filter(|_| !vms.engine.info().simulated) {
        vms.post(vm, VmEvent::Warning(warning.into()), who).await;
    }
    Ok(())
}

/// The configuration as it is to be while the VM runs: devices that connect at power-on are connected.
pub(super) fn ready_config(files: &Files, before: &VmConfig) -> Result<VmConfig, Fault> {
    let mut config = before.clone();
    let unusable = config.devices.values().find_map(|device| match &device.kind {
        Kind::Unusable(unusable) => Some(unusable),
        _ => None,
    });
    if let Some(unusable) = unusable {
        let (name, reason) = (unusable.name(), &unusable.reason);
        return Err(fault!(
            GenericVmConfigFault { reason: format!("{name}: {reason}") },
            "{name} cannot be used on this host, and must be removed before the VM is powered on: {reason}"
        ));
    }
    for device in config.devices.values_mut() {
        let can = match &device.kind {
            Kind::Cdrom(cdrom) => match &cdrom.medium {
                Medium::Iso(file) => files.has(file)?,
                _ => false,
            },
            _ => true,
        };
        if let Some(connect) = &mut device.connect {
            connect.now = connect.at_start && can;
        }
    }
    config.boot.setup = false;
    for (_, disk) in config.disks() {
        if !files.has(&disk.file)? {
            let file = files.datastores.show(&disk.file);
            return Err(fault!(FileNotFound { file: &*file }, "The disk {file} does not exist"));
        }
        let on = files.datastores.of(&disk.file)?;
        disk_image::fit_to_run(&on.store, &disk.file.path).map_err(|error| on.fault(&error))?;
    }
    Ok(config)
}

/// Starts the process of a VM.
///
/// # Errors
/// Those of the engine.
pub(super) async fn start(
    vms: &Vms,
    vm: &Vm,
    config: &VmConfig,
    home: &FileRef,
    taps: Vec<(i32, Tap)>,
    resume_from: Option<FileRef>,
) -> Result<Arc<dyn Machine>, Fault> {
    let user = vm.read().user;
    let launch = Launch {
        vm: vm.me.id().to_owned(),
        config: Arc::new(config.clone()),
        home: home.clone(),
        taps,
        resume_from,
        nvram: sibling(home, &vm::vmx::nvram(config, home))?,
        user,
    };
    vms.engine.start(launch).await.map_err(|error| match &error {
        Error::NoSpace { .. } => image_fault(&vms.files.datastores, home, &error),
        Error::AlreadyRunning(_) => fault!(
            InvalidState {},
            "A QEMU process of {} runs already; restart the host daemon, which then adopts it",
            config.name
        ),
        other => machine_fault(&vm.me, other),
    })
}

/// Ends a QEMU process that could not be brought up.
async fn stop_for_good(vms: &Vms, vm: &Vm, machine: &Arc<dyn Machine>, config: &VmConfig) {
    if let Err(error) = machine.power_off().await {
        tracing::error!(vm = config.name, %error, "a QEMU process could not be ended");
    }
    vms.ports.unplug_all(vm, config).await;
    vms.forget_process(vm).await;
}

/// Switches a VM off at once; a suspended one loses its saved state.
///
/// # Errors
/// `InvalidPowerState`; those of QEMU and of the VM's files.
pub(super) async fn power_off(vms: &Vms, vm: &Arc<Vm>, who: &Who) -> Result<(), Fault> {
    let _one = vm.changing.lock().await;
    let (power, machine) = {
        let state = vm.read();
        (state.power, state.machine.clone())
    };
    match (power, machine) {
        (Power::On, Some(machine)) => {
            saved_state::forget(&vms.register, &vms.files, vm, None).await?;
            vm.expect_end(true);
            let reason = match machine.power_off().await {
                Ok(reason) => reason,
                Err(error) if machine.ended().is_some() => {
                    tracing::debug!(%error, "it ended by itself meanwhile");
                    ExitReason::Quit
                }
                Err(error) => {
                    vm.expect_end(false);
                    return Err(machine_fault(&vm.me, &error));
                }
            };
            end::has_ended(vms, vm, &reason, who).await;
            Ok(())
        }
        (Power::On, None) => end::end_silent(vms, vm, who).await,
        (Power::Suspended, _) => discard_saved_state(vms, vm, who).await,
        _ => vm.require(Power::On),
    }
}

/// Switches a suspended VM off.
async fn discard_saved_state(vms: &Vms, vm: &Arc<Vm>, who: &Who) -> Result<(), Fault> {
    vm.read().usable()?;
    let file = saved_state::find(&vms.files, vm).ok();
    let config = VmConfig::clone(&vm.config());
    vms.files.save(vm, config, None).await?;
    saved_state::forget(&vms.register, &vms.files, vm, None).await?;
    vms.files.clear_away(file.as_slice()).await;
    vms.files.look(vm).await;
    vm.change(|state| {
        state.power = Power::Off;
        state.suspended = None;
    });
    vms.post(vm, VmEvent::PoweredOff(None), who).await;
    Ok(())
}

/// Presses the reset button.
///
/// # Errors
/// `InvalidPowerState`; those of QEMU.
pub(super) async fn reset(vms: &Vms, vm: &Arc<Vm>, who: &Who) -> Result<(), Fault> {
    let _one = vm.changing.lock().await;
    let machine = vm.running()?;
    vms.post(vm, VmEvent::Resetting, who).await;
    vm.change(|state| state.reset_at = Some(Instant::now()));
    machine.reset().await.map_err(|error| machine_fault(&vm.me, &error))?;
    vm.change(|state| {
        state.guest = None;
        state.booted = Some(DateTime::now());
    });
    ask_again(vms, vm, &machine);
    Ok(())
}

/// Asks the guest to shut down or to reboot.
///
/// # Errors
/// `InvalidPowerState`; `ToolsUnavailable` if no agent answers in the guest.
pub(super) async fn ask_guest(vms: &Vms, vm: &Arc<Vm>, reboot: bool, who: &Who) -> Result<(), Fault> {
    let machine = vm.running()?;
    let event = if reboot { VmEvent::GuestReboot } else { VmEvent::GuestShutdown };
    // The guest may reboot before it answers.
    vm.change(|state| state.reboot_asked = reboot);
    let asked = if reboot { machine.reboot_guest().await } else { machine.shutdown_guest().await };
    if asked.is_err() {
        vm.change(|state| state.reboot_asked = false);
    }
    asked.map_err(|error| match error {
        Error::AgentSilent { .. } | Error::Agent { .. } => fault!(
            ToolsUnavailable {},
            "No guest agent answers in {}; install and start qemu-guest-agent there",
            vm.name()
        ),
        other => machine_fault(&vm.me, &other),
    })?;
    vms.post(vm, event, who).await;
    Ok(())
}
