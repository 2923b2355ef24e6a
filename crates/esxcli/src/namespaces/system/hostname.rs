//! `esxcli system hostname`

use host::Host;
use vim::field;

use crate::table::{Answer, Arguments, Namespace, Outcome, Output, READ, Row, Structure, text};

static NAME: Structure = Structure {
    name: "FullyQualifiedHostName",
    table: false,
    fields: &[text("Domain Name"), text("Fully Qualified Domain Name"), text("Host Name")],
};

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "system.hostname",
    help: "The host's name",
    commands: &[reads!(
        "get",
        "Show the host's name, with and without its domain",
        READ,
        [],
        Output::One(&NAME),
        get
    )],
};

fn get(host: &Host, _: &Arguments) -> Outcome {
    let dns = host.networking().names();
    let domain = dns.get(field!(HostDnsConfig.domainName)).filter(|domain| !domain.is_empty());
    Ok(Answer::One(
        Row::new()
            .put("Domain Name", domain)
            .put("Fully Qualified Domain Name", &host.name)
            .put("Host Name", dns.get(field!(HostDnsConfig.hostName))),
    ))
}
