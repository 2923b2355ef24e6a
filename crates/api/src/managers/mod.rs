//! The managers that hosts and the center have alike: their objects in the tree, and what their methods do.
//!
//! A daemon calls [`register`] on its method table, [`compute`] on its service and [`create`] on its core, adds its own
//! managers, and names them to clients with [`content`].

mod extension;
mod fields;
mod ids;
mod options;
mod service_instance;
mod session;
#[cfg(test)]
mod tests;

pub use fields::{CUSTOM_VALUES, custom_values, show_custom_values};
pub use ids::Singletons;
pub use options::{changed_options, create_options, own_options, shown_options};

use vim::{MoRef, Object, Value, managed_id, prop, props, ty, vim};

use crate::{Core, Methods, Service, event, history, property, search, task, view};

/// What a daemon says of itself.
pub struct Facts {
    pub about: ty!(AboutInfo),
    pub capability: ty!(Capability),
    /// Initial settings of `ServiceContent.setting` by key; what an administrator has changed is kept.
    pub settings: Vec<(String, Value)>,
    /// Whether clients may define fields of their own and extensions are listed: the center does, a host does not.
    pub extensible: bool,
}

/// Says what the managers' methods do.
pub fn register(methods: &mut Methods) {
    service_instance::register(methods);
    session::register(methods);
    options::register(methods);
    fields::register(methods);
    extension::register(methods);
    property::register(methods);
    view::register(methods);
    search::register(methods);
    task::register(methods);
    event::register(methods);
}

/// Says which of the managers' properties are computed.
pub fn compute(service: &mut Service) {
    service_instance::compute(service);
    session::compute(service);
    fields::compute(service);
    property::compute(service);
    view::compute(service);
    task::compute(service);
    event::compute(service);
    service.compute(
        managed_id!(ManagedEntity),
        prop!(ManagedEntity.effectiveRole).number(),
        |service, session, node, state| {
            let roles = service.authority.roles(&session.account, node.me(), state);
            let roles: Vec<Value> = roles.into_iter().map(Value::Int).collect();
            (!roles.is_empty()).then(|| Value::List(vim::List::new(vim::Kind::Int, roles)))
        },
    );
}

/// Makes the managers' objects. The root folder is the daemon's own to make.
///
/// # Errors
/// The store's, when stored settings and fields cannot be read.
pub fn create(core: &Core, ids: &Singletons, facts: Facts) -> Result<(), store::Error> {
    let content = vim!(ServiceContent {
        rootFolder: &ids.root_folder,
        propertyCollector: &ids.property_collector,
        viewManager: &ids.view_manager,
        about: facts.about,
        setting: &ids.setting,
        sessionManager: &ids.session_manager,
        eventManager: &ids.event_manager,
        taskManager: &ids.task_manager,
        extensionManager: facts.extensible.then_some(&ids.extension_manager).cloned(),
        customFieldsManager: facts.extensible.then_some(&ids.custom_fields_manager).cloned(),
        licenseManager: &ids.license_manager,
        searchIndex: &ids.search_index,
    });
    core.tree.write(|w| {
        w.create(
            &ids.service_instance,
            props!(ServiceInstance { content: content, capability: facts.capability }),
        );
        w.create(&ids.property_collector, props!(PropertyCollector {}));
        w.create(&ids.view_manager, props!(ViewManager {}));
        w.create(&ids.search_index, props!(SearchIndex {}));
        w.create(&ids.session_manager, session::properties());
        w.create(
            &ids.event_manager,
            props!(EventManager {
                description: event::description(),
                maxCollector: i32::try_from(history::MAX_COLLECTORS).unwrap_or(i32::MAX),
            }),
        );
        w.create(
            &ids.task_manager,
            props!(TaskManager {
                description: task::description(),
                maxCollector: i32::try_from(history::MAX_COLLECTORS).unwrap_or(i32::MAX),
            }),
        );
        w.create(&ids.license_manager, extension::license_properties());
        if facts.extensible {
            w.create(&ids.extension_manager, props!(ExtensionManager {}));
        }
    });
    session::restore(core, &ids.session_manager)?;
    create_options(core, &ids.setting, facts.settings)?;
    if facts.extensible {
        fields::create(core, &ids.custom_fields_manager)?;
    }
    core.tasks.shown_by(&ids.task_manager);
    core.events.shown_by(&ids.event_manager);
    Ok(())
}

/// Changes `ServiceInstance.content`: a daemon names the managers there that only it has.
pub fn content(core: &Core, change: impl FnOnce(&mut Object)) {
    let me = MoRef::new(managed_id!(ServiceInstance), service_instance::ID);
    core.tree.write(|w| {
        let content = w.find(&me).and_then(|node| node.get(prop!(ServiceInstance.content)).cloned());
        let Some(content) = content else { return };
        let mut content = Object::clone(&content);
        change(&mut content);
        w.set(&me, props!(ServiceInstance { content: content }));
    });
}
