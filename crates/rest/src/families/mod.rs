//! The families of operations that Esfera does. A new one is a file here and a row in the table below; a part with many
//! families is a folder with a table of its own, and a row in [`PARTS`].

mod appliance;
mod cis_session;
mod cis_tasks;
mod tagging;
mod vcenter_cluster;
mod vcenter_datacenter;
mod vcenter_datastore;
mod vcenter_folder;
mod vcenter_host;
mod vcenter_network;
mod vcenter_permissions;
mod vcenter_privilege_checks;
mod vcenter_privileges;
mod vcenter_resource_pool;
mod vcenter_roles;
mod vm;

use crate::operation::Family;

/// The families of each part.
pub(crate) const PARTS: &[&[&Family]] = &[ALL, vm::ALL];

const ALL: &[&Family] = &[
    &appliance::DATABASE,
    &appliance::TIME,
    &appliance::VERSION,
    &cis_session::FAMILY,
    &cis_tasks::FAMILY,
    &tagging::ASSOCIATION,
    &tagging::CATEGORY,
    &tagging::TAG,
    &vcenter_cluster::FAMILY,
    &vcenter_datacenter::FAMILY,
    &vcenter_datastore::FAMILY,
    &vcenter_folder::FAMILY,
    &vcenter_host::FAMILY,
    &vcenter_network::FAMILY,
    &vcenter_permissions::FAMILY,
    &vcenter_privilege_checks::FAMILY,
    &vcenter_privilege_checks::LATEST,
    &vcenter_privileges::FAMILY,
    &vcenter_resource_pool::FAMILY,
    &vcenter_roles::FAMILY,
];
