//! The service that changes which hosts the center manages.

use std::sync::Arc;

use vim::{Fault, MoRef};

use super::announce::Announcer;
use super::supervise::Supervisor;
use crate::estate::{Host, Inventory, Record, not_found};
use crate::link::connector::Connector;
use crate::mirror::{Hosts, Mirror};

pub(crate) struct Membership {
    pub(super) inventory: Arc<Inventory>,
    pub(super) hosts: Arc<Hosts>,
    pub(super) mirror: Arc<Mirror>,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) supervisor: Arc<Supervisor>,
    pub(super) announcer: Arc<Announcer>,
}

impl Membership {
    pub(crate) fn new(
        inventory: Arc<Inventory>,
        hosts: Arc<Hosts>,
        mirror: Arc<Mirror>,
        connector: Arc<dyn Connector>,
        supervisor: Arc<Supervisor>,
        announcer: Arc<Announcer>,
    ) -> Self {
        Self { inventory, hosts, mirror, connector, supervisor, announcer }
    }

    /// Changes the record of a host.
    pub(super) async fn change_host(&self, me: &MoRef, change: impl FnOnce(&mut Host)) -> Result<(), Fault> {
        let done = self.inventory.change(|plan| {
            let Record::Host(host) = plan.get(me)? else { return Err(not_found(me)) };
            let mut host = host.clone();
            change(&mut host);
            plan.put(me, Record::Host(host));
            Ok(())
        });
        done.await
    }
}
