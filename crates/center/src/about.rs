//! The center's description of itself. Clients depend on `apiType`, `productLineId` and the versions; the names are
//! Esfera's own.

use vim::{API_RELEASE, Value, ty, vim};

/// The product version that clients parse.
const VERSION: &str = "8.0.3";
const NAME: &str = "Esfera Center";

pub(crate) fn about(uuid: &str) -> ty!(AboutInfo) {
    let own = env!("CARGO_PKG_VERSION");
    // Clients parse this as a number.
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
    let mut settings = vec![
        text("VirtualCenter.InstanceName", name),
        text("VirtualCenter.FQDN", name),
        text("VirtualCenter.VimApiUrl", &format!("https://{name}/sdk")),
        text("config.vpxd.sso.default.admin", "Administrator@vsphere.local"),
        text("instance.uuid", uuid),
    ];
    settings.extend(api::retention::settings());
    settings
}
