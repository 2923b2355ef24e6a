//! `EnvironmentBrowser`: the hardware and guest systems that VMs of this host can have. [`options`] is about any host of this
//! kind, [`target`] about this host.

mod options;
mod target;

pub(crate) use target::Environment;

use std::sync::Arc;

use api::Call;
use vim::{Fault, Value, arg, field, managed_id, method};

type Table<'a> = api::Table<'a, Arc<Environment>>;

/// Enters the methods of the environment browser.
pub(crate) fn register(table: &mut Table<'_>) {
    let browser = managed_id!(EnvironmentBrowser);
    table
        .on(browser, method!(QueryConfigOptionDescriptor), |_, _| async { Ok(Some(options::descriptors())) });
    table.on(browser, method!(QueryConfigOption), |environment, call| async move {
        call.require_references()?;
        let key = call.arg(arg!(QueryConfigOption.key)).unwrap_or_default();
        Ok(options::config_option(&*environment.datastores, key, &[]))
    });
    table.on(browser, method!(QueryConfigOptionEx), |environment, call| async move {
        option_ex(&environment, &call)
    });
    table.on(browser, method!(QueryConfigTarget), |environment, call| async move {
        call.require_references()?;
        Ok(Some(environment.target().into()))
    });
    table.on(browser, method!(QueryTargetCapabilities), |environment, call| async move {
        call.require_references()?;
        Ok(Some(environment.system.capability().into()))
    });
}

fn option_ex(environment: &Environment, call: &Call) -> Result<Option<Value>, Fault> {
    let spec = call.arg(arg!(QueryConfigOptionEx.spec));
    if let Some(host) = spec.and_then(|spec| spec.get(field!(EnvironmentBrowserConfigOptionQuerySpec.host))) {
        call.state().require(host)?;
    }
    let key = spec.and_then(|spec| spec.get(field!(EnvironmentBrowserConfigOptionQuerySpec.key)));
    let guests: Vec<&str> = spec
        .and_then(|spec| spec.get(field!(EnvironmentBrowserConfigOptionQuerySpec.guestId)))
        .map(|guests| guests.iter().collect())
        .unwrap_or_default();
    Ok(options::config_option(&*environment.datastores, key.unwrap_or_default(), &guests))
}
