//! The resolver's file: reading `resolv.conf`, and writing it.

use std::net::IpAddr;

use vswitch::declare::Dns;

use crate::limits::{MOST_DOMAINS, MOST_SERVERS};

/// Reads a `resolv.conf`.
pub(crate) fn read(text: &str) -> Dns {
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let key = words.next().unwrap_or_default();
        match key {
            // An address with a scope (`%eth0`) is of use to this system only, and is left out.
            "nameserver" => dns.servers.extend(words.next().and_then(|text| text.parse::<IpAddr>().ok())),
            "domain" => dns.domain = words.next().unwrap_or_default().to_owned(),
            // The last one counts.
            "search" => dns.search = words.map(str::to_owned).collect(),
            _ => {}
        }
    }
    dns.servers.truncate(MOST_SERVERS);
    dns.search.truncate(MOST_DOMAINS);
    dns
}

/// The text of a `resolv.conf`.
pub(crate) fn write(dns: &Dns) -> String {
    let mut text = String::from("# Written by the host daemon of Esfera: set by UpdateDnsConfig.\n");
    let domain = (!dns.domain.is_empty()).then_some(&dns.domain);
    let search: Vec<&str> = if dns.search.is_empty() {
        domain.into_iter().map(|name| &**name).collect()
    } else {
        dns.search.iter().map(|name| &**name).collect()
    };
    if !search.is_empty() {
        text += &format!("search {}\n", search.join(" "));
    }
    for server in &dns.servers {
        text += &format!("nameserver {server}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let dns = Dns {
            host_name: String::new(),
            domain: String::new(),
            servers: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            search: vec!["a.example".into(), "b".into()],
        };
        assert_eq!(read(&write(&dns)), dns);
        let read =
            super::read("; old\ndomain one\nsearch x\nsearch y z\nnameserver fe80::1%eth0\noptions rotate\n");
        assert_eq!(
            (&*read.domain, read.search, read.servers),
            ("one", vec!["y".into(), "z".to_owned()], vec![])
        );
    }
}
