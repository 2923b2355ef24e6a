//! Operations that the center carries to the host of an object, with references translated on the way there and back.
//!
//! [`Carrier`] is the mechanism; `table` lists the methods that hosts do as they are called. The other files hold the
//! methods for which the center has to choose the host or to add something of its own.

mod browse;
mod by;
mod carried;
mod carrier;
mod console;
mod create;
mod datastores;
mod find;
mod folder_files;
mod folders;
mod managers;
mod new_vms;
mod power;
mod recover;
mod register;
mod screens;
mod table;
mod tickets;
mod vapps;
mod vms;

pub(crate) use carried::CarriedTasks;
pub(crate) use carrier::Carrier;
pub(crate) use folder_files::CenterFiles;
pub(crate) use managers::MANAGERS;
pub(crate) use new_vms::NewVms;
pub(crate) use recover::recover;
pub(crate) use screens::CenterScreens;

use std::sync::Arc;

use api::Methods;

/// Registers the methods that are carried to hosts.
pub(crate) fn register(methods: &mut Methods, carrier: &Arc<Carrier>, new_vms: &Arc<NewVms>) {
    table::register(methods, carrier);
    vms::register(methods, carrier);
    vapps::register(methods, carrier);
    power::register(methods, carrier);
    folders::register(methods, carrier);
    datastores::register(methods, carrier);
    managers::register(methods, carrier);
    browse::register(methods, carrier);
    console::register(methods, carrier);
    tickets::register(methods, carrier);
    create::register(methods, new_vms);
    register::register(methods, new_vms);
}
