//! The services that VMkernel adapters carry.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! services {
    ($($variant:ident $text:literal),* $(,)?) => {
        /// Traffic that an adapter carries: the values of vSphere's `HostVirtualNicManagerNicType`, plus storage that
        /// is bound to adapters by other means.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Service {
            $(
                #[doc = concat!("`", $text, "`")]
                #[serde(rename = $text)]
                $variant,
            )*
        }

        impl Service {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// vSphere's nicType; Esfera's own words for iSCSI and NFS, for which vSphere has none.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

services! {
    Vmotion "vmotion",
    FaultToleranceLogging "faultToleranceLogging",
    VSphereReplication "vSphereReplication",
    VSphereReplicationNfc "vSphereReplicationNFC",
    Management "management",
    Vsan "vsan",
    VSphereProvisioning "vSphereProvisioning",
    VsanWitness "vsanWitness",
    VSphereBackupNfc "vSphereBackupNFC",
    Ptp "ptp",
    VsanReplication "vsanReplication",
    NvmeTcp "nvmeTcp",
    NvmeRdma "nvmeRdma",
    VsanExternal "vsanExternal",
    Vnetworking "vnetworking",
    Iscsi "iscsi",
    Nfs "nfs",
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that does not name a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("VMkernel adapters cannot carry {0:?}; use one of vSphere's nicTypes, such as `vmotion`")]
pub struct BadService(String);

impl FromStr for Service {
    type Err = BadService;

    fn from_str(text: &str) -> Result<Self, BadService> {
        let found = Self::ALL.iter().copied().find(|service| service.as_str() == text);
        found.ok_or_else(|| BadService(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_the_nic_types_of_the_schema_and_storage() {
        let schema = include_str!("../../../vim-schema/vim.schema");
        let mut lines =
            schema.lines().skip_while(|line| !line.starts_with("enum HostVirtualNicManagerNicType"));
        lines.next().unwrap();
        let mut types: Vec<&str> = lines.take_while(|line| line.starts_with(' ')).map(str::trim).collect();
        types.extend(["iscsi", "nfs"]);
        assert_eq!(types, Service::ALL.iter().map(|service| service.as_str()).collect::<Vec<_>>());
        for service in Service::ALL {
            assert_eq!(service.as_str().parse(), Ok(*service));
        }
        assert!("vMotion".parse::<Service>().is_err());
    }
}
