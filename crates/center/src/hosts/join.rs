//! Bringing hosts in: by address and password, or one that runs in this process.

use std::sync::Arc;

use vim::{Fault, MoRef, Object, Value, data_id, fault, field, managed_id, prop};

use super::ManagedHost;
use super::connector::{Address, Certificate, Credentials};
use super::supervise;
use crate::Error;
use crate::events::HostWord;
use crate::link::HostLink;
use crate::mirror::{Fixed, Refs};
use crate::objects;
use crate::records::{Host, Record};
use crate::state::State;

/// Where a new host goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// By itself in a host folder.
    Standalone { folder: MoRef },
    /// Into a cluster.
    Cluster { cluster: MoRef },
}

const HTTPS: u16 = 443;

/// What a client says of a host to be connected (`HostConnectSpec`).
pub(crate) struct Wanted {
    pub address: Address,
    pub thumbprint: Option<String>,
    pub credentials: Credentials,
    pub vm_folder: Option<MoRef>,
    pub force: bool,
}

impl Wanted {
    pub(crate) fn read(spec: &Object) -> Result<Self, Fault> {
        let text =
            |text: Option<&str>| text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let name = text(spec.get(field!(HostConnectSpec.hostName)));
        let given = name.ok_or_else(|| api_fault("spec.hostName", "the address of the host is missing"))?;
        let port = spec.get(field!(HostConnectSpec.port)).filter(|port| *port != 0);
        let (host, inline) = split(&given);
        let port = match port.map(u16::try_from).or(inline.map(Ok)) {
            None => HTTPS,
            Some(port) => port.map_err(|_| api_fault("spec.port", "a port is a number from 1 to 65535"))?,
        };
        let user = text(spec.get(field!(HostConnectSpec.userName)));
        let password = spec.get(field!(HostConnectSpec.password)).unwrap_or_default().to_owned();
        Ok(Self {
            address: Address { host, port },
            thumbprint: text(spec.get(field!(HostConnectSpec.sslThumbprint))),
            credentials: Credentials { user: user.unwrap_or_default(), password },
            vm_folder: spec.get(field!(HostConnectSpec.vmFolder)).cloned(),
            force: spec.get(field!(HostConnectSpec.force)).unwrap_or(false),
        })
    }
}

/// `host:port` in two; an IPv6 address with a port stands in brackets.
fn split(given: &str) -> (String, Option<u16>) {
    if let Some(rest) = given.strip_prefix('[')
        && let Some((host, rest)) = rest.split_once(']')
    {
        return (host.to_owned(), rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match given.split_once(':') {
        Some((host, port)) if !port.contains(':') => match port.parse() {
            Ok(port) => (host.to_owned(), Some(port)),
            Err(_) => (given.to_owned(), None),
        },
        _ => (given.to_owned(), None),
    }
}

fn api_fault(property: &str, message: &str) -> Fault {
    fault!(InvalidArgument { invalidProperty: property }, "{message}")
}

impl State {
    /// Adds a host by its address: checks its certificate, logs in once with the password, has the host trust the
    /// center, and follows it. The password is not kept.
    ///
    /// # Errors
    /// `SSLVerifyFault`, `InvalidLogin`, `AlreadyConnected`, `AlreadyBeingManaged`, `NoHost`, `DuplicateName`.
    pub(crate) async fn add_host(
        self: &Arc<Self>,
        place: Place,
        wanted: Wanted,
        compute_config: Option<Arc<Object>>,
        connect: bool,
    ) -> Result<MoRef, Fault> {
        self.refuse_known(&wanted.address)?;
        let certificate = self.trusted_certificate(&wanted).await?;
        let Wanted { address, credentials, .. } = &wanted;
        let visit = self.connector.visit(address, &certificate.fingerprint, credentials).await?;
        let entered = self.take_in(&place, &wanted, &certificate, compute_config, connect, &visit).await;
        visit.close().await;
        let host = entered?;
        self.tell(&host.me, HostWord::Added).await;
        if connect {
            // The host is in the inventory whatever comes: a state that cannot be read now is read later.
            if let Err(fault) = self.bring_in(&host).await {
                tracing::warn!(host = host.name, %fault, "the new host could not be read yet");
            }
        }
        Ok(host.me.clone())
    }

    /// Has the host trust the center and notes it in the inventory; `visit` is an administrator's connection to it.
    async fn take_in(
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
        // A machine that is here under another name trusts the center already, and must go on doing so.
        refuse_same_machine(self.inventory.records().iter(), &address.host, &uuid)?;
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

    /// Brings in a host that runs in this process. One that was attached before is the same host again, by its UUID.
    pub(crate) async fn attach(
        self: &Arc<Self>,
        link: Arc<dyn HostLink>,
        place: &Place,
    ) -> Result<MoRef, Error> {
        let uuid = read_uuid(&link).await.map_err(Error::Attach)?;
        let known = self.inventory.records().iter().find_map(|(me, record)| match record {
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
                self.enter(place, record, None).await.map_err(Error::Attach)?
            }
        };
        host.set_link(Some(link));
        self.bring_in(&host).await.map_err(Error::Attach)?;
        Ok(host.me.clone())
    }

    /// Follows a host and waits until its state is shown, or the first attempt has failed.
    pub(crate) async fn bring_in(self: &Arc<Self>, host: &Arc<ManagedHost>) -> Result<(), Fault> {
        let mut first = supervise::start(self, host);
        let said = first.wait_for(Option::is_some).await;
        match said {
            Ok(said) => said.clone().unwrap_or(Ok(())),
            Err(_) => {
                Err(fault!(RequestCanceled {}, "Host {} was disconnected or removed meanwhile", host.name))
            }
        }
    }

    fn refuse_known(&self, address: &Address) -> Result<(), Fault> {
        let records = self.inventory.records();
        let known = records.values().any(|record| {
            matches!(record, Record::Host(host) if host.name.eq_ignore_ascii_case(&address.host) && host.port == address.port)
        });
        if known {
            let name = &address.host;
            return Err(fault!(AlreadyConnected { name: name }, "Host {name} is in the inventory already"));
        }
        Ok(())
    }

    /// The host's certificate, if it is the one that the client named.
    ///
    /// # Errors
    /// `SSLVerifyFault` with the thumbprint to confirm.
    pub(crate) async fn trusted_certificate(&self, wanted: &Wanted) -> Result<Certificate, Fault> {
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

    /// Puts a new host into the inventory, with its compute resource if it stands alone.
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
                refuse_same_machine(plan.all(), &new.name, &new.uuid)?;
                let compute = match place {
                    Place::Cluster { cluster } => {
                        plan.compute(cluster)?;
                        plan.free_name(cluster, &new.name, None)?;
                        cluster.clone()
                    }
                    Place::Standalone { folder } => {
                        plan.folder(folder)?;
                        plan.free_name(folder, &new.name, None)?;
                        let config = compute_config
                            .clone()
                            .unwrap_or_else(|| Arc::new(objects::compute::new_standalone_config()));
                        let config = crate::stored::encode(&config);
                        plan.add_compute(managed_id!(ComputeResource), folder, &new.name, config)
                    }
                };
                let me = plan.ids.reference(managed_id!(HostSystem));
                plan.put(&me, Record::Host(Box::new(Host { parent: compute, ..new })));
                Ok(me)
            })
            .await?;
        let host = self.manage(&me)?;
        Ok(host)
    }

    /// Makes the part that works for a host of the inventory.
    pub(crate) fn manage(&self, me: &MoRef) -> Result<Arc<ManagedHost>, Fault> {
        let (name, fixed) = self.fixed(me)?;
        let host = ManagedHost::new(me.clone(), &name, Refs::new(fixed));
        self.hosts.add(&host);
        Ok(host)
    }

    /// Makes the parts that work for all hosts of the inventory, which know their VMs from before.
    pub(crate) fn manage_all(&self) -> Result<Vec<Arc<ManagedHost>>, Error> {
        let mut hosts: Vec<MoRef> = Vec::new();
        for (me, record) in self.inventory.records().iter() {
            if matches!(record, Record::Host(_)) {
                hosts.push(me.clone());
            }
        }
        hosts.sort();
        let hosts = hosts.iter().map(|me| self.manage(me)).collect::<Result<Vec<_>, _>>();
        let hosts = hosts.map_err(Error::Start)?;
        for (me, record) in self.inventory.records().iter() {
            let (host, remote) = match record {
                Record::Vm(vm) => (&vm.host, &vm.remote),
                Record::Snapshot(snapshot) => (&snapshot.host, &snapshot.remote),
                _ => continue,
            };
            if let Some(host) = self.hosts.find(host) {
                host.refs_mut().add(remote, me);
            }
        }
        Ok(hosts)
    }

    /// What stands for the fixed objects of the host, where it is now.
    pub(crate) fn fixed(&self, me: &MoRef) -> Result<(String, Fixed), Fault> {
        let records = self.inventory.records();
        let gone = || crate::inventory::not_found(me);
        let Some(Record::Host(host)) = records.get(me) else { return Err(gone()) };
        let Some(Record::Compute(compute)) = records.get(&host.parent) else { return Err(gone()) };
        let datacenter = crate::inventory::datacenter_of(|at| records.get(at), me).ok_or_else(gone)?;
        let Some(Record::Datacenter(place)) = records.get(&datacenter) else { return Err(gone()) };
        let fixed = Fixed {
            host: me.clone(),
            compute: host.parent.clone(),
            pool: compute.root_pool.clone(),
            datacenter,
            vm_folder: place.vm_folder.clone(),
            host_folder: place.host_folder.clone(),
            datastore_folder: place.datastore_folder.clone(),
            network_folder: place.network_folder.clone(),
        };
        Ok((host.name.clone(), fixed))
    }
}

fn refuse_same_machine<'a>(
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
            Err(fault!(AlreadyConnected { name: name }, "Host {new} is in the inventory already, as {name}"))
        }
    }
}

/// A failure to connect as `AddHost` tells it.
pub(crate) fn connect_fault(error: crate::LinkError, address: &Address) -> Fault {
    match error {
        crate::LinkError::Fault(fault) => fault,
        error => fault!(NoHost { name: &address.host }, "{error}"),
    }
}

/// The hardware's UUID, as the host says it.
async fn read_uuid(link: &Arc<dyn HostLink>) -> Result<String, Fault> {
    let summary = link
        .read(&crate::link::names::host(), prop!(HostSystem.summary).number())
        .await
        .map_err(crate::LinkError::into_fault)?;
    let summary = summary.as_ref().and_then(Value::as_object);
    let hardware = summary.and_then(|summary| summary.get(field!(HostListSummary.hardware)));
    let uuid = hardware.and_then(|hardware| hardware.get(field!(HostHardwareSummary.uuid)));
    Ok(uuid.unwrap_or_default().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_may_carry_its_port() {
        for (given, host, port) in [
            ("esx1", "esx1", None),
            ("esx1:8443", "esx1", Some(8443)),
            ("10.0.0.1:1", "10.0.0.1", Some(1)),
            ("::1", "::1", None),
            ("[::1]:9", "::1", Some(9)),
            ("esx1:x", "esx1:x", None),
        ] {
            assert_eq!(split(given), (host.to_owned(), port), "{given}");
        }
    }
}
