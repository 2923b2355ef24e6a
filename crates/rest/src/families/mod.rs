//! The families of operations that Esfera does. A new one is a file here and a row in [`ALL`].

mod cis_session;
mod vcenter_datacenter;
mod vcenter_permissions;
mod vcenter_privilege_checks;
mod vcenter_privileges;
mod vcenter_roles;

use crate::operation::Family;

pub(crate) const ALL: &[&Family] = &[
    &cis_session::FAMILY,
    &vcenter_datacenter::FAMILY,
    &vcenter_permissions::FAMILY,
    &vcenter_privilege_checks::FAMILY,
    &vcenter_privilege_checks::LATEST,
    &vcenter_privileges::FAMILY,
    &vcenter_roles::FAMILY,
];
