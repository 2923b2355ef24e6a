//! `esfera vm create`

use clap::Args;
use vim::{MoRef, Value, call, managed_id, vim};

use super::devices;
use crate::client::failure::{Failure, Reason};
use crate::client::inventory::{Found, Inventory};
use crate::client::session;
use crate::client::target::Target;
use crate::client::terminal;

/// The key of the first IDE controller, which every VM has.
const FIRST_IDE_CONTROLLER: i32 = 200;

#[derive(Args)]
pub struct Create {
    name: String,
    /// Host, by name [default: the center chooses]
    #[arg(long)]
    host: Option<String>,
    /// Datastore, by name; needed if there are several
    #[arg(long)]
    datastore: Option<String>,
    /// Virtual CPUs
    #[arg(long, default_value_t = 1)]
    cpus: i32,
    /// Memory in MiB
    #[arg(long, default_value_t = 1024)]
    memory: i64,
    /// Size of a new disk in GiB
    #[arg(long, conflicts_with = "disk_file")]
    disk: Option<i64>,
    /// An existing disk: "[datastore] path"
    #[arg(long)]
    disk_file: Option<String>,
    /// Network, by name
    #[arg(long, default_value = "VM Network")]
    network: String,
    /// An ISO image in the CD drive: "[datastore] path"
    #[arg(long)]
    iso: Option<String>,
    /// Guest operating system, as vSphere names it
    #[arg(long, default_value = "otherLinux64Guest")]
    guest_id: String,
    /// Boot by UEFI instead of BIOS
    #[arg(long)]
    efi: bool,
    #[command(flatten)]
    target: Target,
}

pub async fn run(create: Create) -> Result<(), Failure> {
    let client = session::open(&create.target).await?;
    let inventory = Inventory::of(&client).await?;
    let place = Place::choose(&inventory, &create).await?;
    let mut changes = Vec::new();
    if create.disk.is_some() || create.disk_file.is_some() {
        let (controller, key) = devices::scsi_controller(0);
        changes.extend([controller, devices::disk(key, 0, create.disk_file.as_deref(), create.disk)]);
    }
    let adapter = vim!(VirtualVmxnet3 {
        key: -10,
        addressType: "generated",
        backing: VirtualEthernetCardNetworkBackingInfo { deviceName: &create.network },
        connectable: VirtualDeviceConnectInfo {
            startConnected: true,
            allowGuestControl: true,
            connected: true
        },
    });
    changes.push(vim!(VirtualDeviceConfigSpec { operation: "add", device: adapter }).into());
    if let Some(iso) = &create.iso {
        changes.push(devices::drive(FIRST_IDE_CONTROLLER, 0, iso));
    }
    let spec = vim!(VirtualMachineConfigSpec {
        name: &create.name,
        guestId: &create.guest_id,
        numCPUs: create.cpus,
        memoryMB: create.memory,
        firmware: if create.efi { "efi" } else { "bios" },
        files: VirtualMachineFileInfo { vmPathName: format!("[{}]", place.datastore) },
        deviceChange: changes,
    });
    let call = call!(CreateVM_Task { config: spec, pool: place.pool, host: place.host });
    let made = inventory.task(&place.folder, call).await?;
    if let Some(vm) = made.as_ref().and_then(Value::as_ref) {
        terminal::line(vm.id())?;
    }
    Ok(())
}

/// The place of a new VM.
struct Place {
    folder: MoRef,
    pool: MoRef,
    host: Option<MoRef>,
    datastore: String,
}

impl Place {
    async fn choose(inventory: &Inventory<'_>, create: &Create) -> Result<Self, Failure> {
        let hosts = inventory.all(managed_id!(HostSystem), &["name", "parent", "datastore"]).await?;
        let host = match &create.host {
            Some(name) => {
                let host = hosts.iter().find(|host| host.text(0) == name || host.me.id() == name);
                host.ok_or_else(|| Failure::not_found("host", name))?
            }
            None => hosts
                .first()
                .ok_or_else(|| Failure::new(Reason::NotFound, "the inventory has no host to run the VM"))?,
        };
        let datastores = inventory.all(managed_id!(Datastore), &["name"]).await?;
        let mounted: Vec<&Found> = datastores
            .iter()
            .filter(|ds| {
                host.at(2).is_some_and(|list| list.items().iter().any(|item| item.as_ref() == Some(&ds.me)))
            })
            .collect();
        let datastore = match (&create.datastore, mounted.as_slice()) {
            (Some(name), _) => name.clone(),
            (None, [only]) => only.text(0).to_owned(),
            (None, several) => {
                let names: Vec<_> = several.iter().map(|ds| ds.text(0)).collect();
                let message = format!("{} has several datastores: {}", host.text(0), names.join(", "));
                return Err(Failure::new(Reason::Usage, message).hint("choose one with --datastore"));
            }
        };
        let compute =
            host.reference(1).ok_or_else(|| Failure::new(Reason::Failed, "the host is in no cluster"))?;
        let pool = inventory.read(compute, &["resourcePool"]).await?;
        let pool = pool
            .reference(0)
            .cloned()
            .ok_or_else(|| Failure::new(Reason::Failed, "the compute resource has no resource pool"))?;
        let folder = datacenter_folder(inventory, compute).await?;
        let host = (create.host.is_some() || hosts.len() == 1).then(|| host.me.clone());
        Ok(Self { folder, pool, host, datastore })
    }
}

/// The VM folder of the datacenter that an entity is in.
async fn datacenter_folder(inventory: &Inventory<'_>, entity: &MoRef) -> Result<MoRef, Failure> {
    let mut at = entity.clone();
    while !at.is_a(managed_id!(Datacenter)) {
        let found = inventory.read(&at, &["parent"]).await?;
        at = found
            .reference(0)
            .cloned()
            .ok_or_else(|| Failure::new(Reason::Failed, "the host is in no datacenter"))?;
    }
    let found = inventory.read(&at, &["vmFolder"]).await?;
    found.reference(0).cloned().ok_or_else(|| Failure::new(Reason::Failed, "the datacenter has no VM folder"))
}
