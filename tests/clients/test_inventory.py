"""The inventory of the center beside folders and clusters: datastore clusters, IP pools, customization specifications,
extensions, licence keys."""
import pytest
from pyVmomi import vim, vmodl
from vsphere import all_of, by_name, wait


def dc(si):
    return by_name(si, vim.Datacenter, "DC0")


def test_a_datastore_cluster_sums_up_its_datastores(sim):
    si = sim.connect()
    folder, store = dc(si).datastoreFolder, by_name(si, vim.Datastore, "LocalDS_0")
    pod = folder.CreateStoragePod("gold")
    assert pod._moId.startswith("group-p") and list(pod.childType) == ["Datastore"] and pod in folder.childEntity
    assert (pod.summary.capacity, pod.summary.freeSpace) == (0, 0)
    wait(si, pod.MoveIntoFolder_Task([store]))
    assert store.parent == pod and list(pod.childEntity) == [store]
    assert pod.summary.capacity == store.summary.capacity > 0 and pod.summary.freeSpace == store.summary.freeSpace
    vm = all_of(si, vim.VirtualMachine)[0]
    assert vm.datastore[0] == store
    with pytest.raises(vim.fault.DuplicateName):
        folder.CreateStoragePod("gold")
    for refused in (lambda: pod.CreateFolder("x"), lambda: pod.CreateStoragePod("x"),
                    lambda: dc(si).vmFolder.CreateStoragePod("x"),
                    lambda: wait(si, pod.MoveIntoFolder_Task([folder.CreateFolder("f")]))):
        with pytest.raises(vmodl.fault.NotSupported):
            refused()
    wait(si, pod.Rename_Task("silver"))
    assert pod.name == "silver" and pod.summary.name == "silver"
    wait(si, pod.Destroy_Task())
    assert store.parent == folder and store.summary.accessible


def test_the_settings_of_a_datastore_cluster_are_kept_but_nothing_is_enabled(sim):
    si = sim.connect()
    pod = dc(si).datastoreFolder.CreateStoragePod("gold")
    manager = si.content.storageResourceManager
    spec = vim.storageDrs.ConfigSpec(podConfigSpec=vim.storageDrs.PodConfigSpec(
        defaultVmBehavior="automated",
        spaceLoadBalanceConfig=vim.storageDrs.SpaceLoadBalanceConfig(spaceUtilizationThreshold=70)))
    wait(si, manager.ConfigureStorageDrsForPod_Task(pod, spec, True))
    config = pod.podStorageDrsEntry.storageDrsConfig.podConfig
    assert (config.enabled, config.defaultVmBehavior) == (False, "automated")
    assert config.spaceLoadBalanceConfig.spaceUtilizationThreshold == 70
    on = vim.storageDrs.ConfigSpec(podConfigSpec=vim.storageDrs.PodConfigSpec(enabled=True))
    with pytest.raises(vmodl.fault.InvalidArgument):
        wait(si, manager.ConfigureStorageDrsForPod_Task(pod, on, True))
    assert manager.ValidateStoragePodConfig(pod, on) is not None and manager.ValidateStoragePodConfig(pod, spec) is None
    with pytest.raises(vmodl.fault.NotSupported):
        manager.RecommendDatastores(vim.storageDrs.StoragePlacementSpec(type="create", podSelectionSpec=vim.storageDrs.PodSelectionSpec()))


def test_ip_pools_hand_out_addresses(sim):
    si = sim.connect()
    manager = si.content.ipPoolManager
    network = all_of(si, vim.Network)[0]
    config = vim.vApp.IpPool.IpPoolConfigInfo(subnetAddress="10.9.0.0", netmask="255.255.255.0", gateway="10.9.0.1",
                                              range="10.9.0.10#2, 10.9.0.20#1", ipPoolEnabled=True, dns=["10.9.0.2"])
    pool = vim.vApp.IpPool(name="shop", ipv4Config=config, networkAssociation=[
        vim.vApp.IpPool.Association(network=network, networkName=network.name)])
    number = manager.CreateIpPool(dc(si), pool)
    [shown] = manager.QueryIpPools(dc(si))
    assert (shown.id, shown.name, shown.availableIpv4Addresses, shown.allocatedIpv4Addresses) == (number, "shop", 3, 0)
    taken = [manager.AllocateIpv4Address(dc(si), number, f"com.example:{n}") for n in range(3)]
    assert taken == ["10.9.0.10", "10.9.0.11", "10.9.0.20"]
    assert manager.AllocateIpv4Address(dc(si), number, "com.example:1") == "10.9.0.11"
    with pytest.raises(vmodl.RuntimeFault):
        manager.AllocateIpv4Address(dc(si), number, "com.example:more")
    manager.ReleaseIpAllocation(dc(si), number, "com.example:1")
    assert [a.ipAddress for a in manager.QueryIPAllocations(dc(si), number, "com.example")] == ["10.9.0.10", "10.9.0.20"]
    assert manager.QueryIpPools(dc(si))[0].availableIpv4Addresses == 1
    with pytest.raises(vmodl.fault.InvalidArgument):
        manager.CreateIpPool(dc(si), pool)
    config.range = "everything"
    with pytest.raises(vmodl.fault.InvalidArgument):
        manager.UpdateIpPool(dc(si), vim.vApp.IpPool(id=number, ipv4Config=config))
    manager.UpdateIpPool(dc(si), vim.vApp.IpPool(id=number, name="renamed"))
    assert manager.QueryIpPools(dc(si))[0].name == "renamed"
    with pytest.raises(vim.fault.InvalidState):
        manager.DestroyIpPool(dc(si), number, False)
    manager.DestroyIpPool(dc(si), number, True)
    assert not manager.QueryIpPools(dc(si))


def windows(name, password, plain=True):
    c = vim.vm.customization
    secret = c.Password(value=password, plainText=plain)
    identity = c.Sysprep(guiUnattended=c.GuiUnattended(password=secret, timeZone=110, autoLogon=False, autoLogonCount=1),
                         userData=c.UserData(fullName="A", orgName="B", computerName=c.FixedName(name="web"), productId=""),
                         identification=c.Identification(joinWorkgroup="W"))
    adapter = c.AdapterMapping(adapter=c.IPSettings(ip=c.DhcpIpGenerator()))
    spec = c.Specification(identity=identity, globalIPSettings=c.GlobalIPSettings(), nicSettingMap=[adapter],
                           options=c.WinOptions(changeSID=True, deleteAccounts=False))
    return vim.CustomizationSpecItem(info=vim.CustomizationSpecInfo(name=name, description="d", type="Windows"), spec=spec)


def test_customization_specifications_are_kept_without_showing_passwords(sim):
    si = sim.connect()
    manager = si.content.customizationSpecManager
    manager.CreateCustomizationSpec(windows("win", "s3cret!"))
    assert manager.DoesCustomizationSpecExist("win") and [info.name for info in manager.info] == ["win"]
    item = manager.GetCustomizationSpec("win")
    shown = item.spec.identity.guiUnattended.password
    assert not shown.plainText and "s3cret!" not in shown.value and item.info.changeVersion
    with pytest.raises(vim.fault.AlreadyExists):
        manager.CreateCustomizationSpec(windows("win", "x"))
    item.info.description = "changed"
    manager.OverwriteCustomizationSpec(item)
    again = manager.GetCustomizationSpec("win")
    assert again.info.description == "changed" and again.spec.identity.guiUnattended.password.value == shown.value
    with pytest.raises(vim.fault.ConcurrentAccess):
        manager.OverwriteCustomizationSpec(item)
    with pytest.raises(vim.fault.CustomizationFault):
        manager.CreateCustomizationSpec(windows("forged", "AAAA", plain=False))
    manager.DuplicateCustomizationSpec("win", "copy")
    manager.RenameCustomizationSpec("copy", "twin")
    assert sorted(info.name for info in manager.info) == ["twin", "win"]
    with pytest.raises(vim.fault.AlreadyExists):
        manager.RenameCustomizationSpec("twin", "win")
    manager.DeleteCustomizationSpec("win")
    for missing in (manager.GetCustomizationSpec, manager.DeleteCustomizationSpec):
        with pytest.raises(vim.fault.NotFound):
            missing("win")
    assert [info.name for info in manager.info] == ["twin"]


def test_a_customization_specification_goes_through_xml_unchanged(sim):
    manager = sim.connect().content.customizationSpecManager
    custom = vim.vm.customization
    network = custom.AdapterMapping(adapter=custom.IPSettings(ip=custom.FixedIp(ipAddress="10.0.0.5"), subnetMask="255.0.0.0"))
    spec = custom.Specification(
        identity=custom.LinuxPrep(hostName=custom.FixedName(name="web"), domain="example.org"),
        globalIPSettings=custom.GlobalIPSettings(dnsServerList=["10.0.0.1"]), nicSettingMap=[network])
    info = vim.CustomizationSpecInfo(name="xml", description="d", type="Linux")
    manager.CreateCustomizationSpec(vim.CustomizationSpecItem(info=info, spec=spec))
    text = manager.CustomizationSpecItemToXml(manager.GetCustomizationSpec("xml"))
    assert "<_type>vim.vm.customization.LinuxPrep</_type>" in text
    item = manager.XmlToCustomizationSpecItem(text.replace(">xml<", ">copy<"))
    assert item.info.name == "copy" and item.spec.nicSettingMap[0].adapter.ip.ipAddress == "10.0.0.5"
    assert item.spec.globalIPSettings.dnsServerList == ["10.0.0.1"]
    manager.CreateCustomizationSpec(item)
    with pytest.raises(vim.fault.CustomizationFault):
        manager.XmlToCustomizationSpecItem("<ConfigRoot><a/></ConfigRoot>")


def test_extensions_register_and_go(sim):
    si = sim.connect()
    manager = si.content.extensionManager
    extension = vim.Extension(key="com.example.shop", version="1", lastHeartbeatTime=si.CurrentTime(),
                              description=vim.Description(label="Shop", summary="sells"))
    manager.RegisterExtension(extension)
    with pytest.raises(vmodl.fault.InvalidArgument):
        manager.RegisterExtension(extension)
    extension.version = "2"
    manager.UpdateExtension(extension)
    assert manager.FindExtension("com.example.shop").version == "2"
    assert [known.key for known in manager.extensionList] == ["com.example.shop"]
    extension.key = "com.example.other"
    with pytest.raises(vim.fault.NotFound):
        manager.UpdateExtension(extension)
    manager.UnregisterExtension("com.example.shop")
    assert manager.FindExtension("com.example.shop") is None and not manager.extensionList
    with pytest.raises(vim.fault.NotFound):
        manager.UnregisterExtension("com.example.shop")


def test_licence_keys_are_kept_shown_and_assigned(sim):
    si = sim.connect()
    manager, key = si.content.licenseManager, "AAAAA-BBBBB-CCCCC-DDDDD-11111"
    host = all_of(si, vim.HostSystem)[0]
    added = manager.AddLicense(key, [vim.KeyValue(key="source", value="test")])
    assert (added.licenseKey, added.used) == (key, 0)
    assert [known.licenseKey for known in manager.licenses][1:] == [key]
    assignment = manager.licenseAssignmentManager
    assignment.UpdateAssignedLicense(host._moId, key, None)
    [assigned] = assignment.QueryAssignedLicenses(host._moId)
    assert assigned.assignedLicense.licenseKey == key and manager.licenses[1].used == 1
    with pytest.raises(vim.fault.InvalidState):
        manager.RemoveLicense(key)
    with pytest.raises(vim.fault.LicenseEntityNotFound):
        assignment.UpdateAssignedLicense("host-99999", key, None)
    assignment.RemoveAssignedLicense(host._moId)
    manager.UpdateLicenseLabel(key, "owner", "ann")
    assert {label.key for label in manager.licenses[1].labels} == {"source", "owner"}
    manager.RemoveLicense(key)
    assert len(manager.licenses) == 1
    with pytest.raises(vmodl.fault.InvalidArgument):
        manager.AddLicense("not a key", None)


def test_a_template_is_in_no_pool_and_does_not_start(sim):
    si = sim.connect()
    vm = by_name(si, vim.VirtualMachine, "DC0_H0_VM0")
    pool = vm.resourcePool
    if vm.runtime.powerState != "poweredOff":
        wait(si, vm.PowerOffVM_Task())
    vm.MarkAsTemplate()
    assert vm.config.template and vm.resourcePool is None and vm not in pool.vm and vm in vm.parent.childEntity
    assert "PowerOnVM_Task" in vm.disabledMethod
    for refused in (vm.PowerOnVM_Task, lambda: vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=2))):
        with pytest.raises((vmodl.fault.NotSupported, vim.fault.InvalidState)):
            wait(si, refused())
    vm.MarkAsVirtualMachine(pool, None)
    assert not vm.config.template and vm.resourcePool == pool and vm in pool.vm
    wait(si, vm.PowerOnVM_Task())


def test_what_cannot_be_renamed_or_removed_now_says_so(sim):
    si = sim.connect()
    folder, cluster = dc(si).vmFolder, by_name(si, vim.ClusterComputeResource, "DC0_C0")
    both = {"Destroy_Task", "Rename_Task"}
    for fixed in (si.content.rootFolder, folder, cluster.resourcePool, by_name(si, vim.Network, "VM Network")):
        assert both <= set(fixed.disabledMethod), fixed
    assert list(cluster.disabledMethod) == ["Destroy_Task"]
    empty = dc(si).hostFolder.CreateClusterEx("empty", vim.cluster.ConfigSpecEx())
    for free in (folder.CreateFolder("f"), empty, dc(si)):
        assert not free.disabledMethod, free


def test_what_a_host_cannot_do_now_is_disabled(sim):
    si = sim.connect()
    host = by_name(si, vim.HostSystem, "DC0_H0")
    assert "ReconnectHost_Task" in host.disabledMethod and "DisconnectHost_Task" not in host.disabledMethod
    vm = host.vm[0]
    wait(si, host.DisconnectHost_Task())
    assert "DisconnectHost_Task" in host.disabledMethod and "ReconnectHost_Task" not in host.disabledMethod
    assert "PowerOffVM_Task" in vm.disabledMethod and "PowerOnVM_Task" in vm.disabledMethod
    wait(si, host.ReconnectHost_Task())
    assert vm.runtime.connectionState == "connected"
