//! Port mirroring sessions: adding, checking and removing them. vSphere has them on distributed switches only; a host has its own,
//! by name, for ports as the host names them.

use vim::{Fault, fault};
use vswitch::declare::{Encapsulation, MirrorDestination, MirrorSession, MirrorSource};
use vswitch::limits::{MIRROR_DESTINATIONS, MIRROR_LENGTH, MIRRORS};

use super::check_name;
use crate::config::{NamedMirror, NetworkConfig};
use crate::invalid;
use crate::limits::MIRROR_NAME;

/// Highest session number (10 bits) and class of service (3 bits) of ERSPAN.
const ERSPAN_ID: u16 = 1023;
const ERSPAN_COS: u8 = 7;

impl NetworkConfig {
    /// Adds a session, which gets a free number. `ports` are the interfaces that the host has.
    ///
    /// # Errors
    /// `AlreadyExists`; `InvalidArgument`, which names the wrong item; `HostConfigFault` if the host has the maximum of sessions.
    pub fn add_mirror(&mut self, name: &str, session: MirrorSession, ports: &[String]) -> Result<(), Fault> {
        check_name(name, MIRROR_NAME, "name")?;
        if self.mirror(name).is_some() {
            return Err(fault!(
                AlreadyExists { name: name },
                "The host already has a mirroring session {name}"
            ));
        }
        self.check_source(&session.source, ports)?;
        self.check_destination(&session, ports)?;
        if let Some(length) = session.length.filter(|length| *length < MIRROR_LENGTH) {
            return Err(invalid(
                "length",
                format_args!("Packet length {length} is out of range; the minimum is {MIRROR_LENGTH} bytes"),
            ));
        }
        let used: Vec<u32> = self.mirrors.iter().map(|mirror| mirror.session.number).collect();
        let most = u32::try_from(MIRRORS).expect("is small");
        let number = (0..most).find(|number| !used.contains(number)).ok_or_else(|| {
            fault!(HostConfigFault {}, "The host already has {MIRRORS} mirroring sessions, its maximum")
        })?;
        self.mirrors.push(NamedMirror { name: name.into(), session: MirrorSession { number, ..session } });
        Ok(())
    }

    /// The session that mirrors VLANs of the switch with this number.
    pub(super) fn mirror_of(&self, switch: u32) -> Option<&str> {
        let is_of = |session: &MirrorSession| matches!(session.source, MirrorSource::Vlans { switch: of, .. } if of == switch);
        self.mirrors.iter().find(|mirror| is_of(&mirror.session)).map(|mirror| mirror.name.as_str())
    }

    /// Removes a session.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn remove_mirror(&mut self, name: &str) -> Result<(), Fault> {
        let before = self.mirrors.len();
        self.mirrors.retain(|mirror| mirror.name != name);
        match self.mirrors.len() == before {
            true => Err(fault!(NotFound {}, "The host has no mirroring session {name}")),
            false => Ok(()),
        }
    }

    fn check_source(&self, source: &MirrorSource, ports: &[String]) -> Result<(), Fault> {
        match source {
            MirrorSource::Ports { transmitted, received } => {
                if transmitted.is_empty() && received.is_empty() {
                    return Err(invalid("source", "The session has no source; name a port or a VLAN"));
                }
                let mut all = transmitted.iter().chain(received);
                all.try_for_each(|port| self.check_port("source", port, ports))
            }
            MirrorSource::Vlans { switch, vlans } => {
                if vlans.is_empty() {
                    return Err(invalid("source", "The session has no source; name a port or a VLAN"));
                }
                match self.switches.iter().any(|known| known.declared.number == *switch) {
                    true => Ok(()),
                    false => Err(invalid("source", "The host has no switch of this number")),
                }
            }
        }
    }

    fn check_destination(&self, session: &MirrorSession, ports: &[String]) -> Result<(), Fault> {
        match &session.destination {
            MirrorDestination::Ports { interfaces, .. } => {
                if interfaces.is_empty() || interfaces.len() > MIRROR_DESTINATIONS {
                    let message = format_args!(
                        "{} destination ports are out of range (1–{MIRROR_DESTINATIONS})",
                        interfaces.len()
                    );
                    return Err(invalid("destination", message));
                }
                if let MirrorSource::Ports { transmitted, received } = &session.source
                    && let Some(both) =
                        interfaces.iter().find(|port| transmitted.contains(port) || received.contains(port))
                {
                    let message = format_args!("{both} cannot be both source and destination");
                    return Err(invalid("destination", message));
                }
                interfaces.iter().try_for_each(|port| self.check_port("destination", port, ports))
            }
            MirrorDestination::Uplink { interfaces, .. } => {
                if matches!(session.source, MirrorSource::Vlans { .. }) {
                    return Err(invalid(
                        "destination",
                        "A session that mirrors VLANs of uplinks needs ports as its destination",
                    ));
                }
                match interfaces.iter().find(|name| !self.is_uplink(name)) {
                    Some(other) => {
                        Err(invalid("destination", format_args!("{other} is not an uplink of a switch")))
                    }
                    None if interfaces.is_empty() => {
                        Err(invalid("destination", "The session names no uplink"))
                    }
                    None => Ok(()),
                }
            }
            MirrorDestination::Address(to) => check_encapsulation(to.encapsulation),
            MirrorDestination::Routed { encapsulation, destination_ip } => {
                if destination_ip.is_unspecified()
                    || destination_ip.is_multicast()
                    || destination_ip.is_broadcast()
                {
                    return Err(invalid(
                        "destination",
                        format_args!("{destination_ip} is not a unicast address"),
                    ));
                }
                check_encapsulation(*encapsulation)
            }
        }
    }

    fn check_port(&self, property: &str, port: &str, ports: &[String]) -> Result<(), Fault> {
        if self.is_uplink(port) {
            let message = format_args!("{port} is an uplink; name a port or a VLAN instead");
            return Err(invalid(property, message));
        }
        match ports.iter().any(|known| known == port) {
            true => Ok(()),
            false => {
                let known: Vec<&str> =
                    ports.iter().map(String::as_str).filter(|name| !self.is_uplink(name)).collect();
                let known = known.join(", ");
                Err(invalid(property, format_args!("The host has no port {port}; it has {known}")))
            }
        }
    }

    fn is_uplink(&self, name: &str) -> bool {
        self.switches.iter().any(|switch| switch.declared.uplinks.iter().any(|uplink| uplink == name))
    }
}

fn check_encapsulation(encapsulation: Encapsulation) -> Result<(), Fault> {
    let (session, class) = match encapsulation {
        Encapsulation::Gre => return Ok(()),
        Encapsulation::Erspan2 { session, class_of_service }
        | Encapsulation::Erspan3 { session, class_of_service, .. } => (session, class_of_service),
    };
    if session > ERSPAN_ID {
        return Err(invalid("erspanId", format_args!("ERSPAN ID {session} is out of range (0–{ERSPAN_ID})")));
    }
    match class > ERSPAN_COS {
        true => Err(invalid(
            "erspanCOS",
            format_args!("ERSPAN class of service {class} is out of range (0–{ERSPAN_COS})"),
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
