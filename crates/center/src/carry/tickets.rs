//! Tickets for one HTTP request to a host: the host gives them, since only it can accept them.

use std::sync::Arc;

use api::files::unescape;
use api::managers::service_ticket;
use api::{Call, Methods, Table, invalid_argument};
use vim::{Fault, MoRef, arg, field, managed_id, method};

use super::by::By;
use super::carrier::Carrier;
use crate::access::{BROWSE, MANAGE};
use crate::estate::Record;
use crate::link::{LinkError, names};
use crate::mirror::ManagedHost;
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, carrier: &Arc<Carrier>) {
    let mut table = Table { methods, daemon: carrier };
    table.on(managed_id!(SessionManager), method!(AcquireGenericServiceTicket), acquire);
}

async fn acquire(carrier: Arc<Carrier>, call: Call) -> Reply {
    let spec = call.required(arg!(AcquireGenericServiceTicket.spec))?;
    let url = spec.get(field!(SessionManagerHttpServiceRequestSpec.url)).and_then(Url::parse);
    let host = url.as_ref().and_then(|url| carrier.host_at(url));
    let (Some(url), Some(host)) = (url, host) else { return service_ticket(&call) };
    let host = carrier.hosts.get(&host)?;
    let method = spec.get(field!(SessionManagerHttpServiceRequestSpec.method)).unwrap_or_default();
    carrier.may_request(&call, &host, &url, method)?;
    let (by, manager) = (By::caller(&call), names::session_manager());
    carrier.carry_remote(&host, &manager, &call.args, &by).await.map_err(LinkError::into_fault)
}

impl Carrier {
    /// The host with the address of the URL.
    fn host_at(&self, url: &Url) -> Option<MoRef> {
        let records = self.inventory.records();
        let is_there = |record: &Record| matches!(record, Record::Host(host) if host.name.eq_ignore_ascii_case(&url.host) && host.port == url.port);
        records.iter().find(|(_, record)| is_there(record)).map(|(at, _)| at.clone())
    }

    /// The host takes a ticket for the center's own account, so the center checks what the caller may do.
    fn may_request(&self, call: &Call, host: &ManagedHost, url: &Url, method: &str) -> Result<(), Fault> {
        let refuse = |message: String| invalid_argument("spec.url", &message);
        let name = url.datastore().ok_or_else(|| {
            refuse("The center gives tickets for files of a host only: /folder/PATH?dsName=DATASTORE".into())
        })?;
        let among = host.reported().datastores().to_vec();
        let datastore = self.inventory.datastore_among(&among, &name);
        let datastore =
            datastore.ok_or_else(|| refuse(format!("Host {} has no datastore {name}", host.name)))?;
        let reads =
            ["", "httpget", "get", "httphead", "head"].contains(&method.to_ascii_lowercase().as_str());
        let privilege = if reads { BROWSE } else { MANAGE };
        call.service.check(call.session()?, &datastore, privilege, &call.state())
    }
}

/// The parts of a URL that say whom a ticket is for.
#[derive(Debug, PartialEq, Eq)]
struct Url {
    /// A name or an address, without brackets.
    host: String,
    port: u16,
    /// Path and query, as they are written.
    target: String,
}

impl Url {
    /// None for a text without a host, such as a path.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (authority, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let default = if scheme.eq_ignore_ascii_case("http") { 80 } else { 443 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { host, port, target: target.to_owned() })
    }

    /// The datastore that a URL of a file names.
    fn datastore(&self) -> Option<String> {
        let (_, query) = self.target.strip_prefix("/folder/")?.split_once('?')?;
        let name = query.split('&').find_map(|pair| pair.strip_prefix("dsName="))?;
        unescape(&name.replace('+', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_host_and_a_datastore() {
        for (text, host, port, datastore) in [
            ("https://h1/folder/a/b.iso?dcPath=ha-datacenter&dsName=ds%201", "h1", 443, Some("ds 1")),
            ("https://10.0.0.1:8443/folder/?dsName=a+b", "10.0.0.1", 8443, Some("a b")),
            ("http://[fe80::1]/folder/x?dsName=d", "fe80::1", 80, Some("d")),
            ("https://[fe80::1]:444/screen?id=vm-1&dsName=d", "fe80::1", 444, None),
            ("https://h1/folder/x", "h1", 443, None),
            ("https://h1", "h1", 443, None),
        ] {
            let url = Url::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((url.host.as_str(), url.port), (host, port), "{text}");
            assert_eq!(url.datastore().as_deref(), datastore, "{text}");
        }
        for text in ["/folder/x?dsName=d", "", "https://h1:port/"] {
            assert_eq!(Url::parse(text), None, "{text}");
        }
    }
}
