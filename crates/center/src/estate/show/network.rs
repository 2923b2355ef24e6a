//! A network. Networks of the same name on the hosts of a datacenter are one object.

use api::Writer;
use vim::{MoRef, props};

use crate::estate::records::Network;

pub(crate) fn show(w: &mut Writer, me: &MoRef, network: &Network, new: bool) {
    w.set(me, props!(Network { name: &network.name, parent: &network.folder }));
    if new {
        let name = &network.name;
        w.set(
            me,
            props!(Network {
                summary: NetworkSummary { network: me, name: name, accessible: false, ipPoolName: "" },
            }),
        );
    }
}
