//! A datacenter's properties.

use vim::{Props, props};

use crate::estate::records::Datacenter;

pub(crate) fn props(datacenter: &Datacenter) -> Props {
    props!(Datacenter {
        name: &datacenter.name,
        parent: &datacenter.parent,
        vmFolder: &datacenter.vm_folder,
        hostFolder: &datacenter.host_folder,
        datastoreFolder: &datacenter.datastore_folder,
        networkFolder: &datacenter.network_folder,
        configuration: DatacenterConfigInfo {
            defaultHardwareVersionKey: datacenter.hardware_version.clone(),
        },
    })
}
