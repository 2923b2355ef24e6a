//! `esxcli system …`: what the host is called, what it runs, which it is.

use host::Host;
use vim::{Object, field};

use super::{Answer, Command, Namespace, Output, READ, Row, Structure, text};

static NAME: Structure = Structure {
    name: "FullyQualifiedHostName",
    table: false,
    fields: &[text("Domain Name"), text("Fully Qualified Domain Name"), text("Host Name")],
};

static VERSION: Structure = Structure {
    name: "VersionGet",
    table: false,
    fields: &[text("Product"), text("Version"), text("Build"), text("Update"), text("Patch")],
};

pub(super) static NAMESPACES: &[Namespace] = &[
    Namespace {
        name: "system.hostname",
        help: "The host's name",
        commands: &[Command {
            name: "get",
            help: "Show the host's name, with and without its domain",
            privilege: READ,
            parameters: &[],
            output: Output::One(&NAME),
            run: |host, _| Box::pin(async move { Ok(host_name(&host)) }),
        }],
    },
    Namespace {
        name: "system.version",
        help: "The product",
        commands: &[Command {
            name: "get",
            help: "Show product and version",
            privilege: READ,
            parameters: &[],
            output: Output::One(&VERSION),
            run: |host, _| Box::pin(async move { Ok(version(&host)) }),
        }],
    },
    Namespace {
        name: "system.uuid",
        help: "The host's identity",
        commands: &[Command {
            name: "get",
            help: "Show the host's UUID",
            privilege: READ,
            parameters: &[],
            output: Output::Text,
            run: |host, _| Box::pin(async move { Ok(Answer::Text(host.uuid.to_string())) }),
        }],
    },
];

fn host_name(host: &Host) -> Answer {
    let dns = host.names();
    let domain = dns.get(field!(HostDnsConfig.domainName)).filter(|domain| !domain.is_empty());
    Answer::One(
        Row::new()
            .put("Domain Name", domain)
            .put("Fully Qualified Domain Name", &host.name)
            .put("Host Name", dns.get(field!(HostDnsConfig.hostName))),
    )
}

fn version(host: &Host) -> Answer {
    let about = Object::from(host.system().about());
    Answer::One(
        Row::new()
            .put("Product", about.get(field!(AboutInfo.name)))
            .put("Version", about.get(field!(AboutInfo.version)))
            .put("Build", about.get(field!(AboutInfo.build))),
    )
}
