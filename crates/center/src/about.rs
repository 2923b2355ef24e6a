//! What the center says of itself. Clients choose by `apiType`, `productLineId` and the versions; the names are ours.

use vim::{API_RELEASE, MoRef, Value, ty, vim};

/// What clients parse as the product's version.
const VERSION: &str = "8.0.3";
const NAME: &str = "Esfera Center";

pub(crate) fn about(uuid: &str) -> ty!(AboutInfo) {
    let own = env!("CARGO_PKG_VERSION");
    // Clients read a number here.
    let build: String = own.chars().filter(char::is_ascii_digit).collect();
    vim!(AboutInfo {
        name: NAME,
        fullName: format!("{NAME} {VERSION} build-{build} (Esfera {own})"),
        vendor: "Esfera",
        version: VERSION,
        build: build,
        localeVersion: "INTL",
        localeBuild: "000",
        osType: "linux-x64",
        productLineId: "vpx",
        apiType: "VirtualCenter",
        apiVersion: API_RELEASE,
        instanceUuid: uuid,
        licenseProductName: NAME,
        licenseProductVersion: "8.0",
    })
}

pub(crate) fn capability() -> ty!(Capability) {
    vim!(Capability {
        provisioningSupported: true,
        multiHostSupported: true,
        userShellAccessSupported: false,
    })
}

/// Initial settings.
pub(crate) fn settings(uuid: &str, address: Option<&str>) -> Vec<(String, Value)> {
    let name = address.unwrap_or("localhost");
    let text = |key: &str, value: &str| (key.to_owned(), Value::from(value));
    vec![
        text("VirtualCenter.InstanceName", name),
        text("VirtualCenter.FQDN", name),
        text("VirtualCenter.VimApiUrl", &format!("https://{name}/sdk")),
        text("config.vpxd.sso.default.admin", "Administrator@vsphere.local"),
        text("instance.uuid", uuid),
    ]
}

/// The entity to which an object belongs that is none itself.
pub(crate) fn owner(object: &MoRef, state: &api::Snapshot) -> Option<MoRef> {
    use vim::{managed_id, prop};
    let id = object.id();
    if object.ty() == managed_id!(VirtualMachineSnapshot) {
        return state.find(object)?.get(prop!(VirtualMachineSnapshot.vm)).cloned();
    }
    // Tasks have numbers of their own, which say nothing of hosts.
    if object.ty() == managed_id!(Task) {
        return None;
    }
    let entity = match id.strip_prefix("datastoreBrowser-") {
        Some(entity) => entity.to_owned(),
        None if object.ty() == managed_id!(EnvironmentBrowser) => {
            let number = id.strip_prefix("envbrowser-")?;
            let found = ["domain-c", "domain-s"]
                .iter()
                .find_map(|prefix| state.find_id(&format!("{prefix}{number}")));
            return found.map(|node| node.me().clone());
        }
        None => format!("host-{}", id.rsplit_once('-')?.1),
    };
    state.find_id(&entity).map(|node| node.me().clone()).filter(|at| at.is_a(managed_id!(ManagedEntity)))
}

#[cfg(test)]
mod tests {
    use vim::{managed_id, props};

    use super::*;

    #[test]
    fn the_parts_of_a_host_are_its_own_and_a_task_of_the_same_number_is_not() {
        let tree = api::Tree::new();
        let host = MoRef::new(managed_id!(HostSystem), "host-7");
        tree.write(|w| w.create(&host, props!(HostSystem { name: "h" })));
        let state = tree.snapshot();
        let part = MoRef::new(managed_id!(HostNetworkSystem), "networkSystem-7");
        assert_eq!(owner(&part, &state), Some(host));
        assert_eq!(owner(&MoRef::new(managed_id!(Task), "task-7"), &state), None);
    }
}
