//! The environment browser of a cluster or standalone host, which describes the VMs that can be created there. One of
//! its hosts answers.

use std::sync::Arc;

use api::{Call, Methods, Table};
use vim::{Fault, MoRef, Value, arg, fault, field, managed_id, method, prop};

use super::by::By;
use super::carrier::Carrier;
use crate::estate::not_found;
use crate::link::{LinkError, names};
use crate::mirror::ManagedHost;
use crate::reply::Reply;

pub(super) fn register(methods: &mut Methods, carrier: &Arc<Carrier>) {
    let mut table = Table { methods, daemon: carrier };
    let browser = managed_id!(EnvironmentBrowser);
    table.on(browser, method!(QueryConfigOptionDescriptor), |carrier, call| carry(carrier, call, None));
    table.on(browser, method!(QueryConfigOption), |carrier, call| {
        let host = call.arg(arg!(QueryConfigOption.host)).cloned();
        carry(carrier, call, host)
    });
    table.on(browser, method!(QueryConfigOptionEx), |carrier, call| {
        let spec = call.arg(arg!(QueryConfigOptionEx.spec));
        let host =
            spec.and_then(|spec| spec.get(field!(EnvironmentBrowserConfigOptionQuerySpec.host)).cloned());
        carry(carrier, call, host)
    });
    table.on(browser, method!(QueryConfigTarget), |carrier, call| {
        let host = call.arg(arg!(QueryConfigTarget.host)).cloned();
        carry(carrier, call, host)
    });
    table.on(browser, method!(QueryTargetCapabilities), |carrier, call| {
        let host = call.arg(arg!(QueryTargetCapabilities.host)).cloned();
        carry(carrier, call, host)
    });
}

async fn carry(carrier: Arc<Carrier>, call: Call, host: Option<MoRef>) -> Reply {
    call.require_references()?;
    let host = match host {
        Some(host) => carrier.hosts.get(&carrier.inventory.resolve(&host)?)?,
        None => carrier.any_host(&call.this)?,
    };
    let link = host.link()?;
    let compute = names::compute_resource();
    let browser = link
        .read(&compute, prop!(ComputeResource.environmentBrowser).number())
        .await
        .map_err(LinkError::into_fault)?;
    let browser = browser
        .as_ref()
        .and_then(Value::as_ref)
        .ok_or_else(|| fault!(NotSupported {}, "Host {} does not have an environment browser", host.name))?;
    let by = By::caller(&call);
    carrier.carry_remote(&host, browser, &call.args, &by).await.map_err(LinkError::into_fault)
}

impl Carrier {
    /// A connected host of the compute resource that has this browser.
    fn any_host(&self, browser: &MoRef) -> Result<Arc<ManagedHost>, Fault> {
        let compute = self.inventory.parts.owner(browser).ok_or_else(|| not_found(browser))?;
        let hosts = self.hosts.connected_of(&compute);
        hosts.into_iter().min_by_key(|host| host.me.clone()).ok_or_else(|| {
            let name = self.inventory.name_of(&compute);
            fault!(HostNotConnected {}, "No host of {name} is connected that could describe its VMs")
        })
    }
}
