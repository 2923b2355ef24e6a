//! The host learns of a VM that runs from its QEMU process, which has the text of the configuration beside it. The
//! `.vmx` may be cut, or its datastore gone; it is written anew as soon as it can be.

use datastore::Error;
use datastore::limits::MAX_DICTIONARY_BYTES;
use vm::config::VmConfig;
use vm::{FileRef, Power};

use crate::blocking::blocking;
use crate::events::{VmEvent, Who};
use crate::vms::service::Vms;
use crate::vms::state::State;
use crate::vms::vm::Vm;

/// The state of a VM that runs; none if no text is kept beside its process that can be understood.
pub(super) async fn read(vms: &Vms, number: u64, home: &FileRef) -> Option<State> {
    let text = vms.engine.kept(&number.to_string())?;
    let (config, text) = match vms.files.understand(home, text).await {
        Ok(understood) => understood,
        Err(fault) => {
            tracing::error!(vm = number, %fault, "the configuration that a VM runs with cannot be understood");
            return None;
        }
    };
    let mut state = State::new(home.clone(), config, &text, vms.pools.of(number));
    match vms.files.load_snapshots(home).await {
        Ok((snapshots, frozen)) => (state.snapshots, state.frozen) = (snapshots, frozen),
        Err(fault) => {
            tracing::error!(vm = number, %fault, "the snapshots of a running VM cannot be read");
            state.broken = Some(fault.to_string());
        }
    }
    Some(state)
}

/// Writes the `.vmx` of a VM that runs anew, if it does not say what the VM runs with.
pub(super) async fn mend(vms: &Vms, vm: &Vm) {
    let (home, text, suspended) = {
        let state = vm.read();
        // Without the lock another host may have the VM, and have changed the file.
        if state.power != Power::On || state.broken.is_some() || state.unread || state.lock.is_none() {
            return;
        }
        (state.home.clone(), state.text.clone(), state.suspend_file.clone())
    };
    let Ok(on) = vms.files.datastores.of(&home) else { return };
    let found = blocking(move || Ok(on.store.read(&home.path, MAX_DICTIONARY_BYTES as u64))).await;
    match found {
        Ok(Ok(found)) if found == text.as_bytes() => return,
        Ok(Ok(_) | Err(Error::NotFound(_) | Error::TooMany { .. })) => {}
        _ => return,
    }
    let config = VmConfig::clone(&vm.config());
    let text = match vms.files.save(vm, config, suspended.as_deref()).await {
        Ok(()) => "The .vmx was not what the virtual machine runs with, and was written anew".to_owned(),
        Err(fault) => {
            tracing::error!(vm = vm.me.id(), %fault, "the .vmx of a running VM cannot be written anew");
            format!("The .vmx is not what the virtual machine runs with, and cannot be written: {fault}")
        }
    };
    tracing::warn!(vm = vm.me.id(), "the .vmx of a running VM was cut or changed");
    vms.post(vm, VmEvent::Warning(text), &Who::default()).await;
}
