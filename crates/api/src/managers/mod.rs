//! The managers that hosts and the center have alike: their objects in the tree, and what their methods do.
//!
//! A daemon makes a [`Common`], calls [`register`] on its method table and [`create`], and [`add`]s its own managers, which are rows
//! as well ([`crate::Manager`]).

mod customization;
mod customization_xml;
mod extension;
mod fields;
mod in_turn;
mod ip_pools;
mod license;
mod license_assignment;
mod options;
mod service_instance;
mod session;
#[cfg(test)]
mod tests;

pub use crate::common::{Common, Facts};
pub use crate::singletons::Singletons;
pub use fields::{CUSTOM_VALUES, custom_values, show_custom_values};
pub use options::{changed_options, own_options, show_owned, shown_options};
pub(crate) use session::tell_refused;
pub use session::{begin_session, service_ticket};

use std::sync::Arc;

use vim::{Object, Value, managed_id, prop, props, vim};

use crate::{Core, Manager, Methods, Table, collectors, property, search, view};

/// On every daemon.
const MANAGERS: [Manager<Arc<Common>>; 8] = [
    property::ROW,
    view::ROW,
    search::ROW,
    session::ROW,
    collectors::EVENT_MANAGER,
    collectors::TASK_MANAGER,
    options::ROW,
    license::ROW,
];

/// On a daemon that is extensible; others know the methods only.
const EXTENSIBLE: [Manager<Arc<Common>>; 5] =
    [extension::ROW, fields::ROW, license_assignment::ROW, customization::ROW, ip_pools::ROW];

/// Enters the managers' methods and computed properties.
pub fn register(methods: &mut Methods, common: &Arc<Common>) {
    service_instance::register(methods);
    let mut table = Table { methods, daemon: common };
    table.register(&MANAGERS);
    table.register(&EXTENSIBLE);
    let effective_role = prop!(ManagedEntity.effectiveRole).number();
    methods.compute(managed_id!(ManagedEntity), effective_role, |service, session, node, state| {
        let roles = service.authority.roles(&session.account, node.me(), state);
        let roles: Vec<Value> = roles.into_iter().map(Value::Int).collect();
        (!roles.is_empty()).then(|| Value::List(vim::List::new(vim::Kind::Int, roles)))
    });
}

/// Makes the managers' objects. The root folder is the daemon's own to make.
///
/// # Errors
/// The store's, when stored settings and fields cannot be read.
pub fn create(common: &Arc<Common>) -> store::Result<()> {
    let Common { core, ids, facts } = &**common;
    let mut content =
        Object::from(vim!(ServiceContent { rootFolder: &ids.root_folder, about: facts.about.clone() }));
    core.tree.write(|w| {
        Manager::create_all(&MANAGERS, common, w, &mut content)?;
        if facts.extensible {
            Manager::create_all(&EXTENSIBLE, common, w, &mut content)?;
        }
        let instance = props!(ServiceInstance { content: content, capability: facts.capability.clone() });
        w.create(&ids.service_instance, instance);
        Ok::<_, store::Error>(())
    })?;
    core.tasks.shown_by(&ids.task_manager);
    core.events.shown_by(&ids.event_manager);
    Ok(())
}

/// Makes the objects of a daemon's own managers, and names them in `ServiceInstance.content`. To be called after [`create`].
///
/// # Errors
/// The store's, if a manager cannot read what it has kept there.
pub fn add<D>(core: &Core, managers: &[Manager<D>], daemon: &D) -> store::Result<()> {
    let instance = Singletons::center().service_instance;
    core.tree.write(|w| {
        let content = w.find(&instance).and_then(|node| node.get(prop!(ServiceInstance.content)));
        let mut content = Object::clone(content.expect("the service instance was made before"));
        Manager::create_all(managers, daemon, w, &mut content)?;
        w.set(&instance, props!(ServiceInstance { content: content }));
        Ok(())
    })
}
