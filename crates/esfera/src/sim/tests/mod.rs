//! The seam between the center and its hosts: both show and refuse the same.

mod insider;
mod references;
mod specifications;
mod unknown_names;

use api::Authority;
use vim::{Args, Fault, ManagedId, MoRef, Value, call, field, managed_id, prop};

use insider::Insider;

use super::*;

const PASSWORD: &str = "Test!123";
const VM: &str = "web";

fn host_plan() -> HostPlan {
    HostPlan { name: "h1".into(), vms: vec![VM.into()] }
}

/// A standalone host with one VM, and its administrator.
async fn lone() -> Insider {
    let site =
        simulated_host(&host_plan(), &shared_datastore(), Some((ADMINISTRATOR, PASSWORD))).await.unwrap();
    Insider::new(&site.service).unwrap()
}

/// A center with the same host in a datacenter, and its administrator.
async fn managed() -> (Arc<Center>, Insider) {
    let mut options = center::Options::new(Store::in_memory().unwrap());
    options.durable = false;
    options.password = Some(PASSWORD.into());
    let center = Center::open(options).await.unwrap();
    let (_, folder) = center.add_datacenter("DC0").await.unwrap();
    attach_all(&center, &[host_plan()], &shared_datastore(), &Place::Standalone { folder }).await.unwrap();
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
