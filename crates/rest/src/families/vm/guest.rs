//! `com.vmware.vcenter.vm.guest`: what the tools in a guest tell, and the guest's own power.

use api::Node;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Error, ErrorKind, Record, Value};
use vim::{Args, Object, call, field, prop};

use super::{guest_os, me, power_state, vm};
use crate::inventory::{self, name};
use crate::operation::{Ask, Family, Reply, Row};

pub(crate) const IDENTITY: Family = Family {
    service: "vcenter.vm.guest.identity",
    operations: &[Row { name: "get", handler: identity, open: false }],
};

pub(crate) const NETWORKING: Family = Family {
    service: "vcenter.vm.guest.networking",
    operations: &[Row { name: "get", handler: networking, open: false }],
};

pub(crate) const INTERFACES: Family = Family {
    service: "vcenter.vm.guest.networking.interfaces",
    operations: &[Row { name: "list", handler: interfaces, open: false }],
};

pub(crate) const ROUTES: Family = Family {
    service: "vcenter.vm.guest.networking.routes",
    operations: &[Row { name: "list", handler: routes, open: false }],
};

pub(crate) const POWER: Family = Family {
    service: "vcenter.vm.guest.power",
    operations: &[
        Row { name: "get", handler: power, open: false },
        Row { name: "shutdown", handler: shutdown, open: false },
        Row { name: "reboot", handler: reboot, open: false },
        Row { name: "standby", handler: standby, open: false },
    ],
};

/// The facts that the guest tells, if its tools run.
///
/// # Errors
/// `service_unavailable` without tools that run.
fn told(node: &Node) -> Result<&Object, Error> {
    let guest = node.get(prop!(VirtualMachine.guest)).map(|guest| &**guest);
    let runs = |guest: &&Object| guest.get(field!(GuestInfo.toolsRunningStatus)) == Some("guestToolsRunning");
    guest.filter(runs).ok_or_else(|| {
        let text = format!("No tools run in the guest of the VM {}", name(node));
        Error::new(ErrorKind::ServiceUnavailable, "esfera.no_tools", text)
    })
}

fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Unset, Value::from)
}

fn family(guest: Option<&str>) -> &'static str {
    match guest {
        Some("windowsGuest") => "WINDOWS",
        Some("linuxGuest") => "LINUX",
        Some("darwinGuestFamily") => "DARWIN",
        Some("solarisGuest") => "SOLARIS",
        Some("netwareGuest") => "NETWARE",
        _ => "OTHER",
    }
}

fn identity(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| {
        let node = vm(ask)?;
        let guest = told(&node)?;
        let id = guest.get(field!(GuestInfo.guestId)).unwrap_or_default();
        let full = guest.get(field!(GuestInfo.guestFullName)).unwrap_or_default();
        let full = Record::new(
            "vapi.std.localizable_message",
            [
                ("id", "esfera.guest".into()),
                ("default_message", full.into()),
                ("args", Value::List(Vec::new())),
            ],
        );
        Ok(Value::Record(Record::new(
            "vcenter.vm.guest.identity.info",
            [
                ("name", guest_os::shown(id).into()),
                ("family", family(guest.get(field!(GuestInfo.guestFamily))).into()),
                ("full_name", Value::Record(full)),
                ("host_name", guest.get(field!(GuestInfo.hostName)).unwrap_or_default().into()),
                ("ip_address", text(guest.get(field!(GuestInfo.ipAddress)))),
            ],
        )))
    };
    async move { read(&ask) }.boxed()
}

/// The guest's host name and domain name, and its name servers: of the first configuration that it tells.
fn dns(config: Option<&Object>) -> (Value, Value) {
    let Some(config) = config else { return (Value::Unset, Value::Unset) };
    let addresses = config.get(field!(NetDnsConfigInfo.ipAddress)).into_iter().flatten();
    let domains = config.get(field!(NetDnsConfigInfo.searchDomain)).into_iter().flatten();
    let values = Record::new(
        "vcenter.vm.guest.dns_assigned_values",
        [
            ("host_name", config.get(field!(NetDnsConfigInfo.hostName)).unwrap_or_default().into()),
            ("domain_name", config.get(field!(NetDnsConfigInfo.domainName)).unwrap_or_default().into()),
        ],
    );
    let servers = Record::new(
        "vcenter.vm.guest.dns_config_info",
        [
            ("ip_addresses", Value::List(addresses.map(Value::from).collect())),
            ("search_domains", Value::List(domains.map(Value::from).collect())),
        ],
    );
    (Value::Record(values), Value::Record(servers))
}

fn networking(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| {
        let node = vm(ask)?;
        let stacks = told(&node)?.get(field!(GuestInfo.ipStack)).into_iter().flatten();
        let config = stacks.filter_map(|stack| stack.get(field!(GuestStackInfo.dnsConfig))).next();
        let (values, servers) = dns(config.map(|config| &**config));
        let fields = [("dns_values", values), ("dns", servers)];
        Ok(Value::Record(Record::new("vcenter.vm.guest.networking.info", fields)))
    };
    async move { read(&ask) }.boxed()
}

fn address(of: &Object) -> Value {
    let state = match of.get(field!(NetIpConfigInfoIpAddress.state)) {
        Some("deprecated") => "DEPRECATED",
        Some("invalid") => "INVALID",
        Some("inaccessible") => "INACCESSIBLE",
        Some("unknown") => "UNKNOWN",
        Some("tentative") => "TENTATIVE",
        Some("duplicate") => "DUPLICATE",
        _ => "PREFERRED",
    };
    let origin = match of.get(field!(NetIpConfigInfoIpAddress.origin)) {
        Some("dhcp") => "DHCP".into(),
        Some("manual") => "MANUAL".into(),
        Some("linklayer") => "LINKLAYER".into(),
        Some("random") => "RANDOM".into(),
        Some("other") => "OTHER".into(),
        _ => Value::Unset,
    };
    let prefix = of.get(field!(NetIpConfigInfoIpAddress.prefixLength)).unwrap_or_default();
    Value::Record(Record::new(
        "vcenter.vm.guest.networking.interfaces.ip_address_info",
        [
            ("ip_address", of.get(field!(NetIpConfigInfoIpAddress.ipAddress)).unwrap_or_default().into()),
            ("prefix_length", Value::Long(prefix.into())),
            ("origin", origin),
            ("state", state.into()),
        ],
    ))
}

fn interfaces(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| {
        let node = vm(ask)?;
        let shown = |nic: &std::sync::Arc<Object>| {
            let config = nic.get(field!(GuestNicInfo.ipConfig));
            let addresses = config.and_then(|config| config.get(field!(NetIpConfigInfo.ipAddress)));
            let addresses: Vec<Value> = addresses.into_iter().flatten().map(|one| address(one)).collect();
            let ip = config.map(|_| {
                let fields = [("ip_addresses", Value::List(addresses))];
                Value::Record(Record::new("vcenter.vm.guest.networking.interfaces.ip_config_info", fields))
            });
            let (values, servers) = dns(nic.get(field!(GuestNicInfo.dnsConfig)).map(|config| &**config));
            let key = nic.get(field!(GuestNicInfo.deviceConfigId)).filter(|key| *key > 0);
            Value::Record(Record::new(
                "vcenter.vm.guest.networking.interfaces.info",
                [
                    ("dns_values", values),
                    ("mac_address", text(nic.get(field!(GuestNicInfo.macAddress)))),
                    ("dns", servers),
                    ("ip", ip.unwrap_or(Value::Unset)),
                    ("nic", key.map_or(Value::Unset, |key| key.to_string().into())),
                ],
            ))
        };
        let nics = told(&node)?.get(field!(GuestInfo.net)).into_iter().flatten();
        Ok(Value::List(nics.map(shown).collect()))
    };
    async move { read(&ask) }.boxed()
}

fn routes(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| {
        let node = vm(ask)?;
        let mut found = Vec::new();
        for stack in told(&node)?.get(field!(GuestInfo.ipStack)).into_iter().flatten() {
            let config = stack.get(field!(GuestStackInfo.ipRouteConfig));
            let routes = config.and_then(|config| config.get(field!(NetIpRouteConfigInfo.ipRoute)));
            for route in routes.into_iter().flatten() {
                let gateway = route.get(field!(NetIpRouteConfigInfoIpRoute.gateway));
                let via =
                    gateway.and_then(|gateway| gateway.get(field!(NetIpRouteConfigInfoGateway.ipAddress)));
                let device =
                    gateway.and_then(|gateway| gateway.get(field!(NetIpRouteConfigInfoGateway.device)));
                let device = device.and_then(|device| device.parse().ok());
                let prefix = route.get(field!(NetIpRouteConfigInfoIpRoute.prefixLength)).unwrap_or_default();
                let network = route.get(field!(NetIpRouteConfigInfoIpRoute.network)).unwrap_or_default();
                found.push(Value::Record(Record::new(
                    "vcenter.vm.guest.networking.routes.info",
                    [
                        ("network", network.into()),
                        ("prefix_length", Value::Long(prefix.into())),
                        ("gateway_address", text(via)),
                        ("interface_index", device.map_or(Value::Unset, Value::Long)),
                    ],
                )));
            }
        }
        Ok(Value::List(found))
    };
    async move { read(&ask) }.boxed()
}

fn power(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let read = |ask: &Ask<'_>| {
        let node = vm(ask)?;
        let guest = node.get(prop!(VirtualMachine.guest));
        let state = match guest.and_then(|guest| guest.get(field!(GuestInfo.guestState))) {
            Some("running") => "RUNNING",
            Some("shuttingDown") => "SHUTTING_DOWN",
            Some("resetting") => "RESETTING",
            Some("standby") => "STANDBY",
            Some("notRunning") => "NOT_RUNNING",
            _ if power_state(&node) != "POWERED_ON" => "NOT_RUNNING",
            _ => "UNAVAILABLE",
        };
        let fields = [("state", state.into()), ("operations_ready", Value::Boolean(told(&node).is_ok()))];
        Ok(Value::Record(Record::new("vcenter.vm.guest.power.info", fields)))
    };
    async move { read(&ask) }.boxed()
}

async fn ask_guest(ask: &Ask<'_>, args: Args) -> Reply {
    inventory::task(ask, &me(ask), args).await.map(|_| Value::Unset).map_err(no_tools)
}

/// The table has an error of its own for a guest that does not listen.
fn no_tools(error: Error) -> Error {
    match error.messages.first() {
        Some(message) if message.id == "vim.fault.ToolsUnavailable" => {
            Error { kind: ErrorKind::ServiceUnavailable, ..error }
        }
        _ => error,
    }
}

fn shutdown(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { ask_guest(&ask, call!(ShutdownGuest {})).await }.boxed()
}

fn reboot(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { ask_guest(&ask, call!(RebootGuest {})).await }.boxed()
}

fn standby(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    async move { ask_guest(&ask, call!(StandbyGuest {})).await }.boxed()
}
