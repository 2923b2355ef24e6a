//! Adding hosts: by address and password, or one that runs in this process.

use std::sync::Arc;

use api::{Call, Methods, Table};
use vim::{Fault, MoRef, Object, Value, arg, data_id, fault, field, managed_id, method, prop};

use super::announce::Occurrence;
use super::membership::Membership;
use super::wanted::{HTTPS, Wanted};
use crate::cluster;
use crate::error::Error;
use crate::estate::show::compute::new_standalone_config;
use crate::estate::{Holds, Host, Record, not_found, not_supported, stored};
use crate::link::connector::{Address, Certificate};
use crate::link::{HostLink, LinkError, names};
use crate::mirror::ManagedHost;
use crate::reply::Reply;

/// The place of a new host in the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By itself in a host folder.
    Standalone { folder: MoRef },
    /// In a cluster.
    Cluster { cluster: MoRef },
}

pub(super) fn register(methods: &mut Methods, membership: &Arc<Membership>) {
    let mut table = Table { methods, daemon: membership };
    table.on(managed_id!(Folder), method!(AddStandaloneHost_Task), add_standalone_host);
    table.on(managed_id!(ClusterComputeResource), method!(AddHost_Task), add_to_cluster);
}

async fn add_standalone_host(membership: Arc<Membership>, call: Call) -> Reply {
    let wanted = Wanted::read(call.required(arg!(AddStandaloneHost_Task.spec))?)?;
    let connect = call.required(arg!(AddStandaloneHost_Task.addConnected))?;
    let config = match call.arg(arg!(AddStandaloneHost_Task.compResSpec)) {
        None => None,
        Some(spec) => Some(Arc::new(cluster::changed(&new_standalone_config(), spec, true)?)),
    };
    let folder = call.this.clone();
    match membership.inventory.record(&folder) {
        Some(Record::Folder(record)) if record.holds == Holds::Hosts => {}
        Some(Record::Folder(_)) => return Err(not_supported("Hosts can be added to host folders only")),
        _ => return Err(not_found(&folder)),
    }
    let options = membership.inventory.shared(&call);
    call.task(options, move |_running| async move {
        let place = Place::Standalone { folder };
        let host = membership.add_host(&place, wanted, config, connect).await?;
        match membership.inventory.record(&host) {
            Some(Record::Host(record)) => Ok(Some(record.parent.into())),
            _ => Err(not_found(&host)),
        }
    })
    .await
}

async fn add_to_cluster(membership: Arc<Membership>, call: Call) -> Reply {
    let wanted = Wanted::read(call.required(arg!(AddHost_Task.spec))?)?;
    let connect = call.required(arg!(AddHost_Task.asConnected))?;
    let place = Place::Cluster { cluster: call.this.clone() };
    let options = membership.inventory.shared(&call);
    call.task(options, move |_running| async move {
        Ok(Some(membership.add_host(&place, wanted, None, connect).await?.into()))
    })
    .await
}

impl Membership {
    /// Adds a host by its address: checks its certificate, logs in once with the password, makes the host trust the
    /// center, and follows it. The center does not keep the password.
    ///
    /// # Errors
    /// `SSLVerifyFault`, `InvalidLogin`, `AlreadyConnected`, `AlreadyBeingManaged`, `NoHost`, `DuplicateName`.
    async fn add_host(
        &self,
        place: &Place,
        wanted: Wanted,
        compute_config: Option<Arc<Object>>,
        connect: bool,
    ) -> Result<MoRef, Fault> {
        self.refuse_known(&wanted.address)?;
        let certificate = self.trusted_certificate(&wanted).await?;
        let Wanted { address, credentials, .. } = &wanted;
        let visit = self.connector.visit(address, &certificate.fingerprint, credentials).await?;
        let entered = self.enroll(place, &wanted, &certificate, compute_config, connect, &visit).await;
        visit.close().await;
        let host = entered?;
        self.announcer.tell(&host, Occurrence::Added).await;
        if connect {
            // The host stays in the inventory in any case; if its state cannot be read now, it is read later.
            if let Err(fault) = self.supervisor.bring_in(&host).await {
                tracing::warn!(host = host.name, %fault, "the state of the new host could not be read yet");
            }
        }
        Ok(host.me.clone())
    }

    /// Makes the host trust the center and puts it into the inventory; `visit` is an administrator's connection to it.
    async fn enroll(
        &self,
        place: &Place,
        wanted: &Wanted,
        certificate: &Certificate,
        compute_config: Option<Arc<Object>>,
        connect: bool,
        visit: &Arc<dyn HostLink>,
    ) -> Result<Arc<ManagedHost>, Fault> {
        let Wanted { address, credentials, force, .. } = wanted;
        let uuid = read_uuid(visit).await?;
        // A host that is in the inventory by another name already trusts the center, and must continue to do so.
        refuse_same_host(self.inventory.records().hosts(), &address.host, &uuid)?;
        self.connector.enroll(address, &certificate.fingerprint, credentials, *force).await?;
        let record = |parent: MoRef| Host {
            name: address.host.clone(),
            parent,
            port: address.port,
            fingerprint: certificate.pin.clone(),
            uuid: uuid.clone(),
            disconnected: !connect,
            maintenance: false,
            vm_folder: wanted.vm_folder.clone(),
        };
        let entered = match self.connector.connect(address, &certificate.pin).await {
            Ok(link) => {
                link.close().await;
                self.enter(place, record, compute_config).await
            }
            Err(error) => Err(connect_fault(error, address)),
        };
        if let Err(fault) = &entered
            && !fault.is_a(data_id!(AlreadyConnected))
        {
            self.connector.release(visit).await;
        }
        entered
    }

    /// Adds a host that runs in this process. A host with the UUID of one that was attached before is that host again.
    ///
    /// # Errors
    /// [`Error::Attach`].
    pub(crate) async fn attach(&self, link: Arc<dyn HostLink>, place: &Place) -> Result<MoRef, Error> {
        let uuid = read_uuid(&link).await.map_err(Error::Attach)?;
        let known = self.inventory.records().hosts().find_map(|(me, record)| match record {
            Record::Host(host) if host.uuid == uuid && host.fingerprint.is_empty() => Some(me.clone()),
            _ => None,
        });
        let host = match known.and_then(|me| self.hosts.find(&me)) {
            Some(host) => host,
            None => {
                let record = |parent: MoRef| Host {
                    name: link.address().to_owned(),
                    parent,
                    port: HTTPS,
                    fingerprint: String::new(),
                    uuid: uuid.clone(),
                    disconnected: false,
                    maintenance: false,
                    vm_folder: None,
                };
                let host = self.enter(place, record, None).await.map_err(Error::Attach)?;
                self.announcer.tell(&host, Occurrence::Added).await;
                host
            }
        };
        host.set_link(Some(link));
        self.supervisor.bring_in(&host).await.map_err(Error::Attach)?;
        Ok(host.me.clone())
    }

    fn refuse_known(&self, address: &Address) -> Result<(), Fault> {
        let records = self.inventory.records();
        let known = records.hosts().any(|(_, record)| {
            matches!(record, Record::Host(host) if host.name.eq_ignore_ascii_case(&address.host) && host.port == address.port)
        });
        if known {
            let name = &address.host;
            return Err(fault!(AlreadyConnected { name: name }, "Host {name} is already in the inventory"));
        }
        Ok(())
    }

    /// The host's certificate, if the client named its thumbprint.
    ///
    /// # Errors
    /// `SSLVerifyFault` with the thumbprint to confirm.
    pub(super) async fn trusted_certificate(&self, wanted: &Wanted) -> Result<Certificate, Fault> {
        let found = self.connector.probe(&wanted.address).await?;
        let plain = |text: &str| text.replace(':', "").to_ascii_lowercase();
        let trusted = wanted.thumbprint.as_deref().is_some_and(|given| {
            let given = plain(given);
            [&found.thumbprint, &found.fingerprint, &found.pin].into_iter().any(|known| given == plain(known))
        });
        if trusted {
            return Ok(found);
        }
        let (host, thumbprint) = (&wanted.address.host, &found.thumbprint);
        Err(fault!(
            SSLVerifyFault { selfSigned: found.self_signed, thumbprint: thumbprint },
            "The certificate of host {host} has the thumbprint {thumbprint}; if that is right, add the host with it"
        ))
    }

    /// Puts a new host into the inventory, with a compute resource if it stands alone.
    async fn enter(
        &self,
        place: &Place,
        record: impl FnOnce(MoRef) -> Host,
        compute_config: Option<Arc<Object>>,
    ) -> Result<Arc<ManagedHost>, Fault> {
        let me = self
            .inventory
            .change(|plan| {
                let new = record(match place {
                    Place::Cluster { cluster } => cluster.clone(),
                    Place::Standalone { folder } => folder.clone(),
                });
                refuse_same_host(plan.hosts(), &new.name, &new.uuid)?;
                let compute = match place {
                    Place::Cluster { cluster } => {
                        plan.compute(cluster)?;
                        plan.free_name(cluster, &new.name, None)?;
                        cluster.clone()
                    }
                    Place::Standalone { folder } => {
                        plan.folder(folder)?;
                        plan.free_name(folder, &new.name, None)?;
                        let config = compute_config.unwrap_or_else(|| Arc::new(new_standalone_config()));
                        let config = stored::encode(&config);
                        plan.add_compute(managed_id!(ComputeResource), folder, &new.name, config)
                    }
                };
                let me = plan.ids.reference(managed_id!(HostSystem));
                plan.put(&me, Record::Host(Box::new(Host { parent: compute, ..new })));
                Ok(me)
            })
            .await?;
        self.supervisor.manage(&me)
    }
}

fn refuse_same_host<'a>(
    mut known: impl Iterator<Item = (&'a MoRef, &'a Record)>,
    new: &str,
    uuid: &str,
) -> Result<(), Fault> {
    let same = known.find_map(|(_, record)| match record {
        Record::Host(host) if !uuid.is_empty() && host.uuid == uuid => Some(&host.name),
        _ => None,
    });
    match same {
        None => Ok(()),
        Some(name) => {
            Err(fault!(AlreadyConnected { name: name }, "Host {new} is already in the inventory, as {name}"))
        }
    }
}

/// The fault of `AddHost` for a failure to connect.
pub(super) fn connect_fault(error: LinkError, address: &Address) -> Fault {
    match error {
        LinkError::Fault(fault) => fault,
        error => fault!(NoHost { name: &address.host }, "{error}"),
    }
}

/// Reads the hardware's UUID from the host.
async fn read_uuid(link: &Arc<dyn HostLink>) -> Result<String, Fault> {
    let summary =
        link.read(&names::host(), prop!(HostSystem.summary).number()).await.map_err(LinkError::into_fault)?;
    let summary = summary.as_ref().and_then(Value::as_object);
    let hardware = summary.and_then(|summary| summary.get(field!(HostListSummary.hardware)));
    let uuid = hardware.and_then(|hardware| hardware.get(field!(HostHardwareSummary.uuid)));
    Ok(uuid.unwrap_or_default().to_lowercase())
}
