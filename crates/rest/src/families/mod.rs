//! The families of operations that Esfera does. A new one is a file here and a row in [`ALL`].

mod cis_session;
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

use crate::operation::Family;

pub(crate) const ALL: &[&Family] = &[
    &cis_session::FAMILY,
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
