//! The objects that a host always has, put into the tree when it opens.

mod datastore;
mod host_system;
mod network;
mod pool;

pub(crate) use datastore::props as datastore_props;
pub(crate) use datastore::{capability as datastore_capability, current_summary as datastore_summary};
pub use host_system::about;
pub(crate) use host_system::capability;
pub(crate) use host_system::quick_stats;
pub(crate) use network::props as network_props;
pub(crate) use pool::runtime;

use vim::{MoRef, props};

use crate::{Host, ids};

/// Puts the fixed objects into the tree, with datastores and networks.
pub(crate) fn bootstrap(host: &Host) {
    let datastores: Vec<MoRef> = host.datastores.all().iter().map(crate::datastores::Mounted::me).collect();
    host.core.tree.write(|w| {
        let entity = |w: &mut api::Writer, me: &MoRef, name: &str, parent: Option<&MoRef>| {
            w.create(
                me,
                props!(ManagedEntity {
                    name: name,
                    parent: parent.cloned(),
                    overallStatus: vim::vim_enum!(ManagedEntityStatus.green),
                    configStatus: vim::vim_enum!(ManagedEntityStatus.green),
                    alarmActionsEnabled: true,
                }),
            );
        };
        let (root, datacenter) = (ids::root_folder(), ids::datacenter());
        entity(w, &root, "ha-folder-root", None);
        entity(w, &datacenter, "ha-datacenter", Some(&root));
        w.set(&root, props!(Folder { childType: ["Datacenter"], childEntity: [&datacenter] }));
        let folder = |w: &mut api::Writer, me: &MoRef, name: &str, ty: Vec<&str>, children: Vec<MoRef>| {
            entity(w, me, name, Some(&datacenter));
            w.set(me, props!(Folder { childType: ty, childEntity: children }));
        };
        folder(w, &ids::vm_folder(), "vm", vec!["VirtualMachine"], Vec::new());
        folder(w, &ids::host_folder(), "host", vec!["ComputeResource"], vec![ids::compute_resource()]);
        folder(w, &ids::datastore_folder(), "datastore", vec!["Datastore"], datastores.clone());
        folder(w, &ids::network_folder(), "network", vec!["Network"], Vec::new());
        w.set(
            &datacenter,
            props!(Datacenter {
                vmFolder: ids::vm_folder(),
                hostFolder: ids::host_folder(),
                datastoreFolder: ids::datastore_folder(),
                networkFolder: ids::network_folder(),
                datastore: datastores.clone(),
                configuration: DatacenterConfigInfo { defaultHardwareVersionKey: vm::show::HARDWARE_KEY },
            }),
        );
        entity(w, &ids::compute_resource(), &host.name, Some(&ids::host_folder()));
        entity(w, &ids::host(), &host.name, Some(&ids::compute_resource()));
        entity(w, &ids::root_pool(), "Resources", Some(&ids::compute_resource()));
        for mounted in host.datastores.all() {
            entity(w, &mounted.me(), &mounted.name, Some(&ids::datastore_folder()));
            w.set(&mounted.me(), datastore::props(&mounted));
        }
        w.set(&ids::root_pool(), pool::root(host));
        w.set(&ids::compute_resource(), pool::compute_resource(host, datastores.clone()));
        w.set(&ids::host(), host_system::props(host, datastores));
        w.create(&ids::auto_start_manager(), host_system::auto_start());
        w.create(&ids::method_executer(), props!(ReflectManagedMethodExecuter {}));
        w.create(&ids::dynamic_type_manager(), props!(InternalDynamicTypeManager {}));
        w.create(
            &ids::environment_browser(),
            props!(EnvironmentBrowser { datastoreBrowser: ids::datastore_browser() }),
        );
    });
}
