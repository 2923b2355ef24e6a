//! The network of a host, as its verbs read and change it.

use std::sync::Arc;

use api::client::Client;
use vim::{MoRef, Object, Value, field};

use crate::client::failure::{Failure, Reason};
use crate::client::inventory::Inventory;
use crate::client::session;
use crate::client::target::OnHost;

/// A host's network: its managed objects, and its current state.
pub(super) struct Network {
    pub(super) client: Client,
    system: MoRef,
    /// The HostVirtualNicManager, which selects the services of VMkernel adapters.
    pub(super) adapters: MoRef,
    pub(super) info: Arc<Object>,
}

impl Network {
    pub(super) async fn of(on: &OnHost) -> Result<Self, Failure> {
        let client = session::open(&on.target).await?;
        let inventory = Inventory::of(&client).await?;
        let host = on.find(&inventory).await?;
        let paths = ["configManager.networkSystem", "configManager.virtualNicManager", "config.network"];
        let found = inventory.read(&host, &paths).await?;
        let missing = || Failure::new(Reason::Failed, "the host shows no network; is it connected?");
        let system = found.reference(0).cloned().ok_or_else(missing)?;
        let adapters = found.reference(1).cloned().ok_or_else(missing)?;
        let info = found.at(2).and_then(Value::as_object).cloned().ok_or_else(missing)?;
        Ok(Self { client, system, adapters, info })
    }

    /// Calls a method of the HostNetworkSystem without a result.
    pub(super) async fn ask(&self, call: vim::Args) -> Result<(), Failure> {
        self.answer(call).await.map(drop)
    }

    /// Calls a method of the HostNetworkSystem.
    pub(super) async fn answer(&self, call: vim::Args) -> Result<Option<Value>, Failure> {
        Ok(self.client.invoke(&self.system, &call).await?)
    }

    pub(super) fn switches(&self) -> Vec<&Arc<Object>> {
        self.info.get(field!(HostNetworkInfo.vswitch)).into_iter().flatten().collect()
    }

    pub(super) fn groups(&self) -> Vec<&Arc<Object>> {
        self.info.get(field!(HostNetworkInfo.portgroup)).into_iter().flatten().collect()
    }

    /// The specification of a switch, to be changed.
    pub(super) fn switch_spec(&self, name: &str) -> Result<Object, Failure> {
        let found = self
            .switches()
            .into_iter()
            .find(|switch| switch.get(field!(HostVirtualSwitch.name)) == Some(name));
        let spec = found.and_then(|switch| switch.get(field!(HostVirtualSwitch.spec)));
        spec.map(|spec| Object::clone(spec)).ok_or_else(|| Failure::not_found("standard switch", name))
    }

    /// The specification of a port group, to be changed.
    pub(super) fn group_spec(&self, name: &str) -> Result<Object, Failure> {
        let specs = self.groups().into_iter().filter_map(|group| group.get(field!(HostPortGroup.spec)));
        let found = specs.into_iter().find(|spec| spec.get(field!(HostPortGroupSpec.name)) == Some(name));
        found.map(|spec| Object::clone(spec)).ok_or_else(|| Failure::not_found("port group", name))
    }
}
