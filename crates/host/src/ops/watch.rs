//! Looking after machines that run: their end, what their guests say, what they use.

use std::sync::{Arc, Weak};

use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Duration, sleep};
use vim::DateTime;
use vm::Power;
use vm::device::{Kind, Medium};
use vm::observed::{Question, Statistics};

use crate::Host;
use crate::engine::{GuestReport, Happening, Machine};
use crate::events::{self, Who};
use crate::limits::{
    GUEST_POLL, GUEST_POLL_FIRST, MAX_GUEST_ADDRESSES, MAX_GUEST_INTERFACES, MAX_GUEST_TEXT, STATISTICS,
};
use crate::system::hardware;
use crate::vms::Vm;

impl Host {
    /// Follows a machine until it ends.
    pub(crate) fn watch(self: &Arc<Self>, vm: &Arc<Vm>, machine: Arc<dyn Machine>) {
        let (host, vm, closing) = (Arc::downgrade(self), vm.clone(), self.closing.clone());
        let guest = tokio::spawn(poll_guest(Arc::downgrade(self), vm.clone(), machine.clone()));
        let macs = tokio::spawn(super::macs::poll(Arc::downgrade(self), vm.clone(), machine.clone()));
        let mut events = machine.events();
        tokio::spawn(async move {
            loop {
                // An end that came before the subscription.
                if let Some(reason) = machine.ended() {
                    if let Some(host) = host.upgrade() {
                        Box::pin(host.noticed_end(&vm, &reason)).await;
                    }
                    break;
                }
                let event = tokio::select! {
                    () = closing.cancelled() => break,
                    event = events.recv() => event,
                };
                let Some(host) = host.upgrade() else { break };
                // Boxed, as is the end above: what is done is large, and most machines only wait.
                match event {
                    Ok(Happening::Ended(reason)) => {
                        Box::pin(host.noticed_end(&vm, &reason)).await;
                        break;
                    }
                    Ok(happening) => Box::pin(host.noticed(&vm, &machine, happening)).await,
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break,
                }
            }
            guest.abort();
            macs.abort();
        });
    }

    /// A machine has ended: whoever asked for it does the rest, else it is done here.
    async fn noticed_end(&self, vm: &Arc<Vm>, reason: &crate::engine::ExitReason) {
        if vm.state().ending {
            return;
        }
        let _one = vm.changing.lock().await;
        tracing::info!(vm = vm.me.id(), %reason, "a machine has ended by itself");
        self.has_ended(vm, reason, &Who::default()).await;
    }

    async fn noticed(&self, vm: &Arc<Vm>, machine: &Arc<dyn Machine>, happening: Happening) {
        match happening {
            Happening::Reset { by_guest } => {
                {
                    let mut state = vm.state();
                    state.guest = None;
                    state.booted = Some(DateTime::now());
                }
                self.publish(vm);
                if by_guest {
                    self.post(vm, events::Vm::GuestReboot, &Who::default()).await;
                }
            }
            Happening::DiskError { drive, no_space, stopped, reason } => {
                let text = if no_space {
                    format!(
                        "There is no more space for the disk {drive}. Free space on the datastore and choose Retry; Cancel powers the machine off."
                    )
                } else {
                    format!(
                        "The disk {drive} cannot be used: {reason}. Choose Retry once it can; Cancel powers the machine off."
                    )
                };
                if stopped {
                    vm.state().question =
                        Some(Question { id: format!("{:08x}", rand::random::<u32>()), text: text.clone() });
                    self.publish(vm);
                }
                self.post(vm, events::Vm::Warning(text), &Who::default()).await;
            }
            Happening::Tray { drive, open: true } => self.ejected(vm, &drive),
            Happening::Agent { open: false } => {
                let known = vm.state().guest.take().is_some();
                if known {
                    self.publish(vm);
                }
            }
            Happening::Changed => {
                let going = machine.processors().await;
                let answered = matches!(going, Ok(crate::engine::Processors::Running))
                    && vm.state().question.take().is_some();
                if answered {
                    self.publish(vm);
                }
            }
            _ => {}
        }
    }

    /// The guest has opened a tray: what was in the drive is no longer connected.
    fn ejected(&self, vm: &Vm, drive: &str) {
        let changed = {
            let mut state = vm.state();
            let mut config = vm::config::VmConfig::clone(&state.config);
            let device = config.devices.values_mut().find(|device| {
                crate::engine::drive_id(device.key) == drive
                    && matches!(&device.kind, Kind::Cdrom(cdrom) if matches!(cdrom.medium, Medium::Iso(_)))
            });
            match device.and_then(|device| device.connect.as_mut()) {
                // Opened by a change of the medium, which says itself what comes next.
                _ if vm.changing.try_lock().is_err() => false,
                Some(connect) if connect.now => {
                    connect.now = false;
                    state.config = Arc::new(config);
                    true
                }
                _ => false,
            }
        };
        if changed {
            self.publish(vm);
        }
    }

    /// Looks at use of machines, host and datastores in a slow rhythm, as long as the host is open.
    pub(crate) fn watch_statistics(self: &Arc<Self>) {
        let (host, closing) = (Arc::downgrade(self), self.closing.clone());
        tokio::spawn(async move {
            let mut before = hardware::processor_ticks();
            loop {
                tokio::select! {
                    () = closing.cancelled() => return,
                    () = sleep(STATISTICS) => {}
                }
                let Some(host) = host.upgrade() else { return };
                let now = hardware::processor_ticks();
                host.look_at_use(before, now);
                before = now;
            }
        });
    }

    fn look_at_use(&self, before: (u64, u64), now: (u64, u64)) {
        for vm in self.all_vms() {
            if self.look_at_machine(&vm) {
                self.publish(&vm);
            }
        }
        self.storage().show_all_space();
        if !self.engine.info().simulated {
            self.system().show_use(before, now);
        }
    }

    /// Notes what a machine uses; whether that has changed.
    fn look_at_machine(&self, vm: &Vm) -> bool {
        let mut state = vm.state();
        let Some(usage) = state.machine.as_ref().and_then(|machine| machine.usage()) else { return false };
        let now = DateTime::now();
        let elapsed_us = now.as_micros().saturating_sub(state.statistics_at.as_micros()).max(1);
        let used_ms = usage.cpu_ms.saturating_sub(state.cpu_ms);
        let mhz = u64::from(self.hardware.cpu.mhz);
        let elapsed_ms = u64::try_from(elapsed_us / 1000).unwrap_or(1).max(1);
        let seen = Statistics {
            resident_bytes: usage.resident_bytes,
            cpu_mhz: if state.cpu_ms == 0 { 0 } else { used_ms.saturating_mul(mhz) / elapsed_ms },
        };
        let changed = state.statistics != seen;
        state.cpu_ms = usage.cpu_ms;
        state.statistics_at = now;
        state.statistics = seen;
        changed
    }
}

/// What is kept of a guest's report, which may say anything.
fn bounded(mut report: GuestReport) -> GuestReport {
    for text in [&mut report.host_name, &mut report.system, &mut report.agent_version] {
        *text = text.take().map(|text| plain(&text)).filter(|text| !text.is_empty());
    }
    report.interfaces.truncate(MAX_GUEST_INTERFACES);
    for interface in &mut report.interfaces {
        interface.mac = plain(&interface.mac);
        interface.addresses.truncate(MAX_GUEST_ADDRESSES);
    }
    report
}

/// A text without control characters, cut at the end of a character.
fn plain(text: &str) -> String {
    let mut kept = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if kept.len() + c.len_utf8() > MAX_GUEST_TEXT {
            break;
        }
        kept.push(c);
    }
    kept
}

/// Asks a guest about itself as long as its machine runs.
async fn poll_guest(host: Weak<Host>, vm: Arc<Vm>, machine: Arc<dyn Machine>) {
    loop {
        if machine.ended().is_some() || vm.power() == Power::Off {
            return;
        }
        let report = machine.guest().await.map(bounded);
        let Some(host) = host.upgrade() else { return };
        let changed = {
            let mut state = vm.state();
            let changed = state.guest != report && state.power == Power::On;
            if changed {
                state.tools_seen |= report.is_some();
                state.guest = report;
            }
            changed
        };
        if changed {
            host.publish(&vm);
        }
        let known = vm.state().guest.as_ref().is_some_and(|guest| {
            guest.interfaces.iter().any(|interface| interface.addresses.iter().any(|(ip, _)| ip.is_ipv4()))
        });
        drop(host);
        let pause: Duration = if known { GUEST_POLL } else { GUEST_POLL_FIRST };
        sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::GuestInterface;

    #[test]
    fn a_guest_cannot_make_the_tree_large_or_write_control_characters_into_it() {
        let address = (std::net::IpAddr::from([10, 0, 0, 1]), 24);
        let interface = GuestInterface { mac: "m".repeat(1 << 20), addresses: vec![address; 10_000] };
        let kept = bounded(GuestReport {
            host_name: Some(format!("a\u{1b}[2J\n{}", "\u{e9}".repeat(1 << 20))),
            system: Some("\u{0}\r\n".into()),
            family: Some("linuxGuest"),
            agent_version: Some("9.2.0".into()),
            interfaces: vec![interface; 1000],
        });
        let name = kept.host_name.unwrap();
        assert_eq!((name.len(), name.chars().any(char::is_control)), (254, false));
        assert!(name.starts_with("a[2J\u{e9}"));
        assert_eq!((kept.system, kept.agent_version.as_deref()), (None, Some("9.2.0")));
        assert_eq!(kept.interfaces.len(), MAX_GUEST_INTERFACES);
        assert!(kept.interfaces.iter().all(|i| i.mac.len() <= MAX_GUEST_TEXT));
        assert!(kept.interfaces.iter().all(|i| i.addresses.len() == MAX_GUEST_ADDRESSES));
    }
}
