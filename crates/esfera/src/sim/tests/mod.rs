//! The seam between the center and its hosts: both show and refuse the same.

mod arguments;
mod automation;
mod describing;
mod nobody_gets_through;
mod references;
mod specifications;
mod unknown_names;

use api::Authority;
use center::Place;
use center::link::LocalLink;
use center::sim::{Counts, DATASTORE};
use store::Store;
use vim::{Args, Fault, ManagedId, MoRef, Value, call, field, managed_id, prop};

use super::insider::Insider;

use super::*;

const PASSWORD: &str = "Test!123";
const VM: &str = "web";

/// The host of a plan with these VMs.
async fn one_host(administrator: Option<(&str, &str)>, vms: &[&str]) -> Site {
    let (mut host, _) = lone_host(&Counts { vms: vms.len(), ..Counts::default() });
    host.name = "h1".into();
    for (vm, name) in host.vms.iter_mut().zip(vms) {
        vm.name = (*name).into();
    }
    let datastores = vec![(DATASTORE.into(), Arc::new(Datastore::memory(uuid::Uuid::new_v4(), 10 << 40)))];
    let names = ["", "h1"];
    let seed = Seed(0);
    let (number, first_adapter, with_vms) = (0, 0, true);
    let plan = Plan { host: &host, names, datastores, number, first_adapter, seed, with_vms, administrator };
    plan.make().await.unwrap()
}

/// A standalone host with one VM, and its administrator.
async fn lone() -> Insider {
    let site = one_host(Some((ADMINISTRATOR, PASSWORD)), &[VM]).await;
    Insider::new(&site.service).unwrap()
}

/// A center with the same host in a datacenter, and its administrator.
async fn managed() -> (Arc<Center>, Insider) {
    managed_with(&[VM]).await
}

/// The same, with these VMs.
async fn managed_with(vms: &[&str]) -> (Arc<Center>, Insider) {
    let mut options = center::Options::new(Store::in_memory().unwrap());
    options.durable = false;
    options.password = Some(PASSWORD.into());
    let center = Center::open(options).await.unwrap();
    let (_, folder) = center.add_datacenter("DC0").await.unwrap();
    let Site { service, files, .. } = one_host(None, vms).await;
    let link = Arc::new(LocalLink::new("h1", service, files).unwrap());
    center.attach(link, &Place::Standalone { folder }).await.unwrap();
    let account = center.accounts().login(CENTER_USER, PASSWORD).await.unwrap();
    let insider = Insider::of(&center.service(), account).unwrap();
    (center, insider)
}

impl Insider {
    /// The only object of the type, or the first by its id.
    fn first(&self, ty: ManagedId) -> MoRef {
        let state = self.service.core.tree.snapshot();
        let mut found: Vec<MoRef> =
            state.iter().map(|node| node.me().clone()).filter(|me| me.is_a(ty)).collect();
        found.sort();
        found.into_iter().next().unwrap()
    }

    fn vm(&self) -> MoRef {
        self.first(managed_id!(VirtualMachine))
    }

    /// The value of a property by its number.
    fn get(&self, object: &MoRef, number: u16) -> Option<Value> {
        let state = self.service.core.tree.snapshot();
        let object = self.service.find(object, Some(&self.session), &state).unwrap();
        self.service.property(&object, number, &self.session, &state)
    }

    /// The reference that a property has.
    fn reference(&self, object: &MoRef, number: u16) -> MoRef {
        self.get(object, number).and_then(|value| value.as_ref().cloned()).unwrap()
    }
}
