//! A client's description of a host to connect to (`HostConnectSpec`).

use vim::{Fault, MoRef, Object, fault, field};

use crate::link::connector::{Address, Credentials};

/// The port of a host if the client names none.
pub(super) const HTTPS: u16 = 443;

pub(super) struct Wanted {
    pub address: Address,
    pub thumbprint: Option<String>,
    pub credentials: Credentials,
    pub vm_folder: Option<MoRef>,
    pub force: bool,
}

impl Wanted {
    /// # Errors
    /// `InvalidArgument` for a missing address or an impossible port.
    pub(super) fn read(spec: &Object) -> Result<Self, Fault> {
        let text =
            |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let name = text(spec.get(field!(HostConnectSpec.hostName)));
        let given = name.ok_or_else(|| invalid("spec.hostName", "The address of the host is missing"))?;
        let port = spec.get(field!(HostConnectSpec.port)).filter(|port| *port != 0);
        let (host, inline) = split(&given);
        let port = match port.map(u16::try_from).or(inline.map(Ok)) {
            None => HTTPS,
            Some(port) => {
                port.map_err(|_| invalid("spec.port", "The port must be a number from 1 to 65535"))?
            }
        };
        let user = text(spec.get(field!(HostConnectSpec.userName)));
        let password = spec.get(field!(HostConnectSpec.password)).unwrap_or_default().to_owned();
        Ok(Self {
            address: Address { host, port },
            thumbprint: text(spec.get(field!(HostConnectSpec.sslThumbprint))),
            credentials: Credentials { user: user.unwrap_or_default(), password },
            vm_folder: spec.get(field!(HostConnectSpec.vmFolder)).cloned(),
            force: spec.get(field!(HostConnectSpec.force)).unwrap_or(false),
        })
    }
}

/// Splits `host:port`; an IPv6 address with a port stands in brackets.
fn split(given: &str) -> (String, Option<u16>) {
    if let Some(rest) = given.strip_prefix('[')
        && let Some((host, rest)) = rest.split_once(']')
    {
        return (host.to_owned(), rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match given.split_once(':') {
        Some((host, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (host.to_owned(), Some(port)),
            Err(_) => (given.to_owned(), None),
        },
        _ => (given.to_owned(), None),
    }
}

fn invalid(property: &str, message: &str) -> Fault {
    fault!(InvalidArgument { invalidProperty: property }, "{message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_may_carry_its_port() {
        for (given, host, port) in [
            ("esx1", "esx1", None),
            ("esx1:8443", "esx1", Some(8443)),
            ("10.0.0.1:1", "10.0.0.1", Some(1)),
            ("::1", "::1", None),
            ("[::1]:9", "::1", Some(9)),
            ("esx1:x", "esx1:x", None),
        ] {
            assert_eq!(split(given), (host.to_owned(), port), "{given}");
        }
    }
}
