//! The families of operations that Esfera does. A new one is a file here and a row in [`ALL`].

mod cis_session;
mod vcenter_datacenter;

use crate::operation::Family;

pub(crate) const ALL: &[&Family] = &[&cis_session::FAMILY, &vcenter_datacenter::FAMILY];
