//! Ids of the singletons, as vCenter and ESXi spell them. Clients use the references that they receive; people know these ids from logs
//! and scripts.

use vim::{MoRef, managed_id};

macro_rules! singletons {
    ($($(#[$doc:meta])* $name:ident: $ty:ident $center:literal $host:literal;)*) => {
        /// References to the objects that exist once. A daemon need not have all of them.
        #[derive(Clone, Debug)]
        pub struct Singletons {
            $($(#[$doc])* pub $name: MoRef,)*
        }

        impl Singletons {
            /// As vCenter names them.
            pub fn center() -> Self {
                Self { $($name: MoRef::new(managed_id!($ty), $center)),* }
            }

            /// As ESXi names them.
            pub fn host() -> Self {
                Self { $($name: MoRef::new(managed_id!($ty), $host)),* }
            }
        }
    };
}

singletons! {
    service_instance: ServiceInstance "ServiceInstance" "ServiceInstance";
    root_folder: Folder "group-d1" "ha-folder-root";
    property_collector: PropertyCollector "propertyCollector" "ha-property-collector";
    view_manager: ViewManager "ViewManager" "ViewManager";
    setting: OptionManager "VpxSettings" "HostAgentSettings";
    user_directory: UserDirectory "UserDirectory" "ha-user-directory";
    session_manager: SessionManager "SessionManager" "ha-sessionmgr";
    authorization_manager: AuthorizationManager "AuthorizationManager" "ha-authmgr";
    service_manager: ServiceManager "ServiceMgr" "ha-servicemanager";
    perf_manager: PerformanceManager "PerfMgr" "ha-perfmgr";
    scheduled_task_manager: ScheduledTaskManager "ScheduledTaskManager" "ha-scheduledtaskmgr";
    alarm_manager: AlarmManager "AlarmManager" "ha-alarmmgr";
    event_manager: EventManager "EventManager" "ha-eventmgr";
    task_manager: TaskManager "TaskManager" "ha-taskmgr";
    extension_manager: ExtensionManager "ExtensionManager" "ha-extensionmgr";
    customization_spec_manager: CustomizationSpecManager "CustomizationSpecManager" "ha-customizationspecmgr";
    guest_customization_manager: VirtualMachineGuestCustomizationManager "GuestCustomizationManager" "ha-guest-customization-manager";
    custom_fields_manager: CustomFieldsManager "CustomFieldsManager" "ha-customfieldsmgr";
    account_manager: HostLocalAccountManager "LocalAccountManager" "ha-localacctmgr";
    diagnostic_manager: DiagnosticManager "DiagMgr" "ha-diagnosticmgr";
    license_manager: LicenseManager "LicenseManager" "ha-license-manager";
    search_index: SearchIndex "SearchIndex" "ha-searchindex";
    file_manager: FileManager "FileManager" "ha-nfc-file-manager";
    datastore_namespace_manager: DatastoreNamespaceManager "DatastoreNamespaceManager" "ha-datastore-namespace-manager";
    virtual_disk_manager: VirtualDiskManager "virtualDiskManager" "ha-vdiskmanager";
    snmp_system: HostSnmpSystem "SnmpSystem" "ha-snmp-agent";
    provisioning_checker: VirtualMachineProvisioningChecker "ProvChecker" "ha-provisioning-checker";
    compatibility_checker: VirtualMachineCompatibilityChecker "CompatChecker" "ha-compatibility-checker";
    ovf_manager: OvfManager "OvfManager" "ha-ovf-manager";
    ip_pool_manager: IpPoolManager "IpPoolManager" "ha-ip-pool-manager";
    dv_switch_manager: DistributedVirtualSwitchManager "DVSManager" "ha-dvsmanager";
    host_profile_manager: HostProfileManager "HostProfileManager" "ha-host-profile-manager";
    cluster_profile_manager: ClusterProfileManager "ClusterProfileManager" "ha-cluster-profile-manager";
    compliance_manager: ProfileComplianceManager "MoComplianceManager" "ha-compliance-manager";
    localization_manager: LocalizationManager "LocalizationManager" "ha-l10n-manager";
    storage_resource_manager: StorageResourceManager "StorageResourceManager" "ha-storage-resource-manager";
    guest_operations_manager: GuestOperationsManager "guestOperationsManager" "ha-guest-operations-manager";
    overhead_memory_manager: OverheadMemoryManager "OverheadMemoryManager" "ha-overhead-memory-manager";
    certificate_manager: CertificateManager "certificateManager" "ha-certificate-manager";
    io_filter_manager: IoFilterManager "IoFilterManager" "ha-io-filter-manager";
    host_spec_manager: HostSpecificationManager "HostSpecificationManager" "ha-host-spec-manager";
    crypto_manager: CryptoManager "CryptoManager" "ha-crypto-manager";
    health_update_manager: HealthUpdateManager "HealthUpdateManager" "ha-health-update-manager";
    license_assignment_manager: LicenseAssignmentManager "LicenseAssignmentManager" "ha-license-assignment-manager";
}
