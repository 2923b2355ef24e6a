//! A network, which is the same on all hosts of a datacenter that have one of its name.

use api::Writer;
use vim::{MoRef, props};

use crate::records::Network;

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
