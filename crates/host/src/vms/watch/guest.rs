//! Asks a guest about itself as long as its VM runs, and bounds its answers.

use std::sync::Arc;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use vm::Power;
use vm::observed::GuestReport;

use crate::engine::Machine;
use crate::limits::{
    GUEST_POLL, GUEST_POLL_FIRST, MAX_GUEST_ADDRESSES, MAX_GUEST_INTERFACES, MAX_GUEST_TEXT,
};
use crate::vms::vm::Vm;

/// Asks until the VM is off or the host closes, or nothing new is to come.
pub(super) async fn poll(vm: Arc<Vm>, machine: Arc<dyn Machine>, closing: CancellationToken) {
    loop {
        if machine.ended().is_some() || vm.power() == Power::Off {
            return;
        }
        let report = machine.guest().await.map(bounded);
        if closing.is_cancelled() {
            return;
        }
        note(&vm, report);
        let known = vm.read().guest.as_ref().is_some_and(|guest| {
            guest.interfaces.iter().any(|interface| interface.addresses.iter().any(|(ip, _)| ip.is_ipv4()))
        });
        if !machine.changes_by_itself() && vm.read().guest.is_some() {
            return;
        }
        sleep(if known { GUEST_POLL } else { GUEST_POLL_FIRST }).await;
    }
}

fn note(vm: &Vm, report: Option<GuestReport>) {
    let is_news = {
        let state = vm.read();
        state.guest != report && state.power == Power::On
    };
    if is_news {
        vm.change(|state| {
            // It may have ended meanwhile.
            if state.power == Power::On {
                state.tools_seen |= report.is_some();
                state.guest = report;
            }
        });
    }
}

/// The part that is kept of a guest's report, which may say anything.
pub(in crate::vms) fn bounded(mut report: GuestReport) -> GuestReport {
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

#[cfg(test)]
mod tests {
    use super::*;
    use vm::observed::GuestInterface;

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
