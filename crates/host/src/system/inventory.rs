//! The objects that a host always has, put into the tree when it opens. The slices add their own to them.

use api::Writer;
use vim::{MoRef, props, vim_enum};

use super::{System, pool};
use crate::ids;

impl System {
    /// Puts the fixed objects into the tree; their lists of datastores, networks and VMs are empty.
    pub(crate) fn create_inventory(&self, w: &mut Writer<'_>) {
        let (root, datacenter) = (ids::root_folder(), ids::datacenter());
        entity(w, &root, "ha-folder-root", None);
        entity(w, &datacenter, "ha-datacenter", Some(&root));
        w.set(&root, props!(Folder { childType: ["Datacenter"], childEntity: [&datacenter] }));
        let folder = |w: &mut Writer<'_>, me: &MoRef, name: &str, ty: Vec<&str>, children: Vec<MoRef>| {
            entity(w, me, name, Some(&datacenter));
            w.set(me, props!(Folder { childType: ty, childEntity: children }));
        };
        folder(w, &ids::vm_folder(), "vm", vec!["VirtualMachine"], Vec::new());
        folder(w, &ids::host_folder(), "host", vec!["ComputeResource"], vec![ids::compute_resource()]);
        folder(w, &ids::datastore_folder(), "datastore", vec!["Datastore"], Vec::new());
        folder(w, &ids::network_folder(), "network", vec!["Network"], Vec::new());
        w.set(
            &datacenter,
            props!(Datacenter {
                vmFolder: ids::vm_folder(),
                hostFolder: ids::host_folder(),
                datastoreFolder: ids::datastore_folder(),
                networkFolder: ids::network_folder(),
                datastore: Vec::<MoRef>::new(),
                configuration: DatacenterConfigInfo { defaultHardwareVersionKey: vm::show::HARDWARE_KEY },
            }),
        );
        entity(w, &ids::compute_resource(), &self.name, Some(&ids::host_folder()));
        entity(w, &ids::host(), &self.name, Some(&ids::compute_resource()));
        entity(w, &ids::root_pool(), "Resources", Some(&ids::compute_resource()));
        w.set(&ids::root_pool(), pool::root(self));
        w.set(&ids::compute_resource(), pool::compute_resource(self));
        w.set(&ids::host(), self.host_props());
        w.create(&ids::method_executer(), props!(ReflectManagedMethodExecuter {}));
        w.create(&ids::dynamic_type_manager(), props!(InternalDynamicTypeManager {}));
        w.create(
            &ids::environment_browser(),
            props!(EnvironmentBrowser { datastoreBrowser: ids::datastore_browser() }),
        );
    }
}

fn entity(w: &mut Writer<'_>, me: &MoRef, name: &str, parent: Option<&MoRef>) {
    w.create(
        me,
        props!(ManagedEntity {
            name: name,
            parent: parent.cloned(),
            overallStatus: vim_enum!(ManagedEntityStatus.green),
            configStatus: vim_enum!(ManagedEntityStatus.green),
            alarmActionsEnabled: true,
        }),
    );
}
