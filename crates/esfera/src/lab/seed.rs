//! Fills a new lab: a datacenter, its hosts, the guest's disk image and a VM that runs. Existing objects stay as they are.

use std::fs::Permissions;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::client::{CallError, Client, Options};
use api::tls::{Trust, thumbprint_of};
use vim::{MoRef, Value, call, field, managed_id, vim};

use super::credentials::Credentials;
use crate::client::inventory::{Found, Inventory};

const DATACENTER: &str = "Lab";
const VM: &str = "demo";
const IMAGE: &str = "[shared] images/guest.vmdk";
/// How long a daemon may take to answer, and a host to be connected.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);
const DEMO_MEMORY_MIB: i64 = 192;

/// The wanted content of the data center.
pub struct Seed {
    pub center: String,
    pub user: String,
    pub credentials: Credentials,
    /// Public URL and management address of each host.
    pub hosts: Vec<(String, Ipv4Addr)>,
    /// Directory of the shared datastore.
    pub shared: PathBuf,
    pub image: Option<PathBuf>,
    pub vm: bool,
}

/// Makes the missing objects.
pub async fn fill(seed: &Seed) -> Result<()> {
    for url in seed.hosts.iter().map(|(url, _)| url).chain([&seed.center]) {
        wait_until_it_answers(url).await?;
    }
    let client = log_in(&seed.center, &seed.user, &seed.credentials.center).await?;
    let inventory = Inventory::of(&client).await?;
    let datacenter = datacenter(&inventory).await?;
    for (url, address) in &seed.hosts {
        add_host(&inventory, &datacenter, seed, url, *address).await?;
    }
    if seed.vm {
        place_image(seed)?;
        demo_vm(&inventory, &datacenter).await?;
    }
    client.logout().await?;
    Ok(())
}

/// Turns every running VM off.
pub async fn power_off_all(center: &str, user: &str, password: &str) -> Result<()> {
    let client = log_in(center, user, password).await?;
    let inventory = Inventory::of(&client).await?;
    for vm in inventory.all(managed_id!(VirtualMachine), &["name", "runtime.powerState"]).await? {
        if vm.text(1) == "poweredOn" {
            inventory.task(&vm.me, call!(PowerOffVM_Task {})).await?;
        }
    }
    client.logout().await?;
    Ok(())
}

async fn log_in(url: &str, user: &str, password: &str) -> Result<Client> {
    let client = connect(url).await?;
    client.login(user, password).await?;
    Ok(client)
}

/// The lab's own daemons, on the loopback interface.
async fn connect(url: &str) -> Result<Client, CallError> {
    Client::connect(url, Options::new(Trust::Insecure)).await
}

async fn wait_until_it_answers(url: &str) -> Result<()> {
    let mut reason = String::new();
    let answers = async {
        while let Err(error) = connect(url).await {
            reason = error.to_string();
            tokio::time::sleep(POLL).await;
        }
    };
    let answered = tokio::time::timeout(START_TIMEOUT, answers).await;
    answered.ok().with_context(|| format!("{url} does not answer ({reason}); its messages above say why"))
}

async fn datacenter(inventory: &Inventory<'_>) -> Result<Found> {
    let paths = ["name", "hostFolder", "vmFolder"];
    let find = async || -> Result<Option<Found>> {
        let all = inventory.all(managed_id!(Datacenter), &paths).await?;
        Ok(all.into_iter().find(|found| found.text(0) == DATACENTER))
    };
    if let Some(found) = find().await? {
        return Ok(found);
    }
    inventory.client.invoke(&inventory.root()?, &call!(CreateDatacenter { name: DATACENTER })).await?;
    find().await?.context("the new datacenter is missing")
}

async fn add_host(
    inventory: &Inventory<'_>,
    datacenter: &Found,
    seed: &Seed,
    url: &str,
    address: Ipv4Addr,
) -> Result<()> {
    let name = address.to_string();
    let paths = ["name", "runtime.connectionState"];
    let find = async || -> Result<Option<Found>> {
        let all = inventory.all(managed_id!(HostSystem), &paths).await?;
        Ok(all.into_iter().find(|found| found.text(0) == name))
    };
    if find().await?.is_none() {
        let public = url.trim_start_matches("https://");
        let shown = thumbprint_of(public).await?;
        let folder = datacenter.reference(1).context("the datacenter has no host folder")?;
        let spec = vim!(HostConnectSpec {
            hostName: &name,
            port: 443,
            sslThumbprint: shown.sha1,
            userName: "root",
            password: &seed.credentials.host,
            force: true,
        });
        inventory.task(folder, call!(AddStandaloneHost_Task { spec: spec, addConnected: true })).await?;
    }
    let connected = async {
        while find().await?.is_none_or(|host| host.text(1) != "connected") {
            tokio::time::sleep(POLL).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(START_TIMEOUT, connected)
        .await
        .with_context(|| format!("the center does not reach host {name}"))?
}

/// Copies the guest's image into the shared datastore; renamed when it is whole.
fn place_image(seed: &Seed) -> Result<()> {
    let target = seed.shared.join("images/guest.vmdk");
    if target.exists() {
        return Ok(());
    }
    let source = image(seed.image.as_deref())?;
    let half = target.with_extension("part");
    std::fs::copy(&source, &half)
        .and_then(|_| std::fs::set_permissions(&half, Permissions::from_mode(0o600)))
        .with_context(|| format!("cannot copy the guest's image {}", source.display()))?;
    Ok(std::fs::rename(&half, &target)?)
}

fn image(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let path = cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("esfera/guest.qcow2");
    if !path.exists() {
        bail!("the guest image {} is missing; make it with: cargo xtask guest", path.display());
    }
    Ok(path)
}

async fn demo_vm(inventory: &Inventory<'_>, datacenter: &Found) -> Result<()> {
    let vms = inventory.all(managed_id!(VirtualMachine), &["name", "runtime.powerState"]).await?;
    let (vm, on) = match vms.into_iter().find(|found| found.text(0) == VM) {
        Some(found) => (found.me.clone(), found.text(1) == "poweredOn"),
        None => (make_vm(inventory, datacenter).await?, false),
    };
    if !on {
        inventory.task(&vm, call!(PowerOnVM_Task {})).await?;
    }
    let has_address = async {
        loop {
            let found = inventory.read(&vm, &["guest.ipAddress"]).await?;
            if !found.text(0).is_empty() {
                return anyhow::Ok(found.text(0).to_owned());
            }
            tokio::time::sleep(POLL * 5).await;
        }
    };
    match tokio::time::timeout(ADDRESS_TIMEOUT, has_address).await {
        Ok(address) => tracing::info!(vm = VM, address = address?, "the guest answers"),
        Err(_) => tracing::warn!(vm = VM, "the guest has not reported an address yet"),
    }
    Ok(())
}

async fn make_vm(inventory: &Inventory<'_>, datacenter: &Found) -> Result<MoRef> {
    let disk = format!("[shared] {VM}/{VM}.vmdk");
    let files = inventory.manager(field!(ServiceContent.fileManager))?;
    let disks = inventory.manager(field!(ServiceContent.virtualDiskManager))?;
    let directory = call!(MakeDirectory {
        name: format!("[shared] {VM}"),
        datacenter: &datacenter.me,
        createParentDirectories: true,
    });
    if let Err(failure) = inventory.task(&files, directory).await
        && failure.fault().is_none_or(|fault| !fault.is_a(vim::data_id!(FileAlreadyExists)))
    {
        return Err(anyhow::anyhow!("{failure}"));
    }
    let copy = call!(CopyVirtualDisk_Task {
        sourceName: IMAGE,
        sourceDatacenter: &datacenter.me,
        destName: &disk,
        destDatacenter: &datacenter.me,
        force: true,
    });
    inventory.task(&disks, copy).await?;
    let hosts = inventory.all(managed_id!(HostSystem), &["name", "parent"]).await?;
    let host = hosts.first().context("the lab has no host")?;
    let compute = host.reference(1).context("the host has no parent")?;
    let pool = inventory.read(compute, &["resourcePool"]).await?;
    let pool = pool.reference(0).context("the host has no resource pool")?.clone();
    let spec = vim!(VirtualMachineConfigSpec {
        name: VM,
        annotation: "Made by the lab. Log in at its console as root, password esfera.",
        guestId: "otherLinux64Guest",
        numCPUs: 1,
        memoryMB: DEMO_MEMORY_MIB,
        files: VirtualMachineFileInfo { vmPathName: format!("[shared] {VM}/{VM}.vmx") },
        deviceChange: [
            VirtualDeviceConfigSpec {
                operation: "add",
                device: ParaVirtualSCSIController { key: -1, busNumber: 0, sharedBus: "noSharing" },
            },
            VirtualDeviceConfigSpec {
                operation: "add",
                device: VirtualDisk {
                    key: -2,
                    controllerKey: -1,
                    unitNumber: 0,
                    capacityInKB: 0,
                    backing: VirtualDiskFlatVer2BackingInfo { fileName: &disk, diskMode: "persistent" },
                },
            },
            VirtualDeviceConfigSpec {
                operation: "add",
                device: VirtualVmxnet3 {
                    key: -3,
                    addressType: "generated",
                    backing: VirtualEthernetCardNetworkBackingInfo { deviceName: "VM Network" },
                },
            },
            VirtualDeviceConfigSpec {
                operation: "add",
                device: VirtualSerialPort {
                    key: -4,
                    yieldOnPoll: true,
                    backing: VirtualSerialPortPipeBackingInfo { pipeName: "console", endpoint: "server" },
                },
            },
        ],
    });
    let folder = datacenter.reference(2).context("the datacenter has no VM folder")?;
    let call = call!(CreateVM_Task { config: spec, pool: pool, host: &host.me });
    let made = inventory.task(folder, call).await?;
    made.as_ref().and_then(Value::as_ref).cloned().context("the center did not name the new VM")
}
