//! Looking after the QEMU process of a VM that is on: [`watch`] follows its events until it ends, `guest` asks the guest
//! about itself, `macs` tells the virtual switch of the MACs that the guest sets.

mod guest;
mod macs;

pub(super) use guest::bounded;
pub(super) use macs::macs_of;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use vim::DateTime;
use vm::device::{Device, Kind, Medium};
use vm::observed::Question;

use super::end;
use super::service::Vms;
use super::vm::Vm;
use crate::engine::{ExitReason, Happening, Machine, Processors, drive_id};
use crate::events::{VmEvent, Who};

/// The time in which firmware resets the machine once more after the reset button.
const FIRMWARE_RESET: Duration = Duration::from_secs(10);

/// Follows a QEMU process until it ends or the host closes.
pub(super) fn watch(vms: &Arc<Vms>, vm: &Arc<Vm>, machine: Arc<dyn Machine>) {
    let guest = tokio::spawn(guest::poll(vm.clone(), machine.clone(), vms.closing.clone()));
    let macs = machine
        .changes_by_itself()
        .then(|| tokio::spawn(macs::poll(Arc::downgrade(vms), vm.clone(), machine.clone())));
    let (vms, vm, closing) = (Arc::downgrade(vms), vm.clone(), vms.closing.clone());
    let mut events = machine.events();
    tokio::spawn(async move {
        loop {
            // An end that came before the subscription.
            if let Some(reason) = machine.ended() {
                if let Some(vms) = vms.upgrade() {
                    Box::pin(noticed_end(&vms, &vm, &reason)).await;
                }
                break;
            }
            let event = tokio::select! {
                () = closing.cancelled() => break,
                event = events.recv() => event,
            };
            let Some(vms) = vms.upgrade() else { break };
            // Boxed, as is the end above: the work is large, and most processes only wait.
            match event {
                Ok(Happening::Ended(reason)) => {
                    Box::pin(noticed_end(&vms, &vm, &reason)).await;
                    break;
                }
                Ok(happening) => Box::pin(noticed(&vms, &vm, &machine, happening)).await,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            }
        }
        guest.abort();
        if let Some(macs) = macs {
            macs.abort();
        }
    });
}

/// The guest boots anew. One that is not asked in a rhythm is asked again.
pub(super) fn ask_again(vms: &Vms, vm: &Arc<Vm>, machine: &Arc<dyn Machine>) {
    if !machine.changes_by_itself() {
        tokio::spawn(guest::poll(vm.clone(), machine.clone(), vms.closing.clone()));
    }
}

/// A QEMU process has ended: the operation that asked for it does the rest, else it is done here.
async fn noticed_end(vms: &Vms, vm: &Arc<Vm>, reason: &ExitReason) {
    if vm.end_is_expected() {
        return;
    }
    let _one = vm.changing.lock().await;
    tracing::info!(vm = vm.me.id(), %reason, "a QEMU process has ended by itself");
    end::has_ended(vms, vm, reason, &Who::default()).await;
}

/// A reset of the machine.
struct Reset {
    by_guest: bool,
    /// A client has asked the guest to reboot, and the history says so.
    was_asked: bool,
    /// The guest has answered since it booted.
    answered: bool,
    since_button: Option<Duration>,
}

impl Reset {
    /// Whether the guest reboots by itself. Firmware that starts over after the reset button looks the same, but does so at once.
    fn is_news(&self) -> bool {
        let by_firmware = !self.answered && self.since_button.is_some_and(|since| since < FIRMWARE_RESET);
        self.by_guest && !self.was_asked && !by_firmware
    }
}

async fn noticed(vms: &Vms, vm: &Arc<Vm>, machine: &Arc<dyn Machine>, happening: Happening) {
    match happening {
        Happening::Reset { by_guest } => {
            let reset = vm.change(|state| {
                state.booted = Some(DateTime::now());
                Reset {
                    by_guest,
                    was_asked: std::mem::take(&mut state.reboot_asked),
                    answered: state.guest.take().is_some(),
                    since_button: state.reset_at.map(|at| at.elapsed()),
                }
            });
            ask_again(vms, vm, machine);
            if reset.is_news() {
                vms.post(vm, VmEvent::GuestReboot, &Who::default()).await;
            }
        }
        Happening::DiskError { drive, no_space, stopped, reason } => {
            let text = if no_space {
                format!(
                    "No space is left for the disk {drive}. Free space on the datastore and choose Retry; Cancel powers the VM off."
                )
            } else {
                format!(
                    "The disk {drive} cannot be used: {reason}. Choose Retry once it can; Cancel powers the VM off."
                )
            };
            if stopped {
                let id = format!("{:08x}", rand::random::<u32>());
                vm.change(|state| state.question = Some(Question { id, text: text.clone() }));
            }
            vms.post(vm, VmEvent::Warning(text), &Who::default()).await;
        }
        Happening::Tray { drive, open: true } => ejected(vm, &drive),
        Happening::Agent { open: false } if vm.read().guest.is_some() => {
            vm.change(|state| state.guest = None);
        }
        Happening::Changed => {
            let going = machine.processors().await;
            if matches!(going, Ok(Processors::Running)) && vm.read().question.is_some() {
                vm.change(|state| state.question = None);
            }
        }
        _ => {}
    }
}

/// The guest has opened a tray: the medium of the drive is no longer connected.
fn ejected(vm: &Vm, drive: &str) {
    // Opened by a change of the medium, which itself connects the next one.
    let Ok(_one) = vm.changing.try_lock() else { return };
    let inserted = |device: &&mut Device| {
        drive_id(device.key) == drive
            && matches!(&device.kind, Kind::Cdrom(cdrom) if matches!(cdrom.medium, Medium::Iso(_)))
    };
    vm.change(|state| {
        let device = Arc::make_mut(&mut state.config).devices.values_mut().find(inserted);
        if let Some(connect) = device.and_then(|device| device.connect.as_mut()) {
            connect.now = false;
        }
    });
}
