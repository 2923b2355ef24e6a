//! The environment of a cluster or host: what VMs may be like there. A host of it answers.

use std::sync::Arc;

use api::Call;
use vim::{Fault, MoRef, Value, arg, fault, field, managed_id, method, prop};

use super::By;
use crate::LinkError;
use crate::hosts::ManagedHost;
use crate::ops::Table;
use crate::state::State;

pub(super) fn register(table: &mut Table) {
    let browser = managed_id!(EnvironmentBrowser);
    table.on(browser, method!(QueryConfigOptionDescriptor), |state, call| carry(state, call, None));
    table.on(browser, method!(QueryConfigOption), |state, call| {
        let host = call.arg(arg!(QueryConfigOption.host)).cloned();
        carry(state, call, host)
    });
    table.on(browser, method!(QueryConfigOptionEx), |state, call| {
        let spec = call.arg(arg!(QueryConfigOptionEx.spec));
        let host =
            spec.and_then(|spec| spec.get(field!(EnvironmentBrowserConfigOptionQuerySpec.host)).cloned());
        carry(state, call, host)
    });
    table.on(browser, method!(QueryConfigTarget), |state, call| {
        let host = call.arg(arg!(QueryConfigTarget.host)).cloned();
        carry(state, call, host)
    });
    table.on(browser, method!(QueryTargetCapabilities), |state, call| {
        let host = call.arg(arg!(QueryTargetCapabilities.host)).cloned();
        carry(state, call, host)
    });
}

async fn carry(state: Arc<State>, call: Call, host: Option<MoRef>) -> Result<Option<Value>, Fault> {
    let host = match host {
        Some(host) => state.hosts.get(&state.resolve(&host)?)?,
        None => any_host(&state, &call.this)?,
    };
    let link = host.link()?;
    let compute = crate::link::names::compute_resource();
    let browser = link
        .read(&compute, prop!(ComputeResource.environmentBrowser).number())
        .await
        .map_err(LinkError::into_fault)?;
    let browser = browser
        .as_ref()
        .and_then(Value::as_ref)
        .ok_or_else(|| fault!(NotSupported {}, "Host {} has no environment browser", host.name))?;
    state.carry_remote(&host, browser, &call.args, &By::caller(&call)).await.map_err(LinkError::into_fault)
}

/// A connected host of the compute resource whose browser this is.
fn any_host(state: &State, browser: &MoRef) -> Result<Arc<ManagedHost>, Fault> {
    let hosts = state.hosts.all();
    let of = hosts
        .into_iter()
        .filter(|host| crate::objects::compute::browser(&host.refs().fixed().compute) == *browser)
        .filter(|host| host.is_connected())
        .min_by_key(|host| host.me.clone());
    of.ok_or_else(|| {
        fault!(HostNotConnected {}, "No host is connected that could say what VMs may be like there")
    })
}
