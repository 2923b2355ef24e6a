//! `Network` objects.

use vim::{Props, props};

use crate::ids;

/// A network of this host.
pub(crate) fn props(name: &str) -> Props {
    props!(Network {
        summary: NetworkSummary { network: ids::network(name), name: name, accessible: true, ipPoolName: "" },
        host: [ids::host()],
    })
}
