"""Storage policies by pyVmomi at /pbm/sdk, with tags by the automation API."""
import ssl

import pytest
import requests
from pyVmomi import SoapStubAdapter, VmomiSupport, pbm, vim, vmodl

from vsphere import all_of

TAGS = "http://www.vmware.com/storage/tag"
STORAGE = pbm.profile.ResourceType(resourceType="STORAGE")


class Tagger:
    """Makes and attaches tags through REST."""

    def __init__(self, server):
        self.base = f"https://{server.address}:{server.port}/api"
        self.web = requests.Session()
        self.web.verify = self.web.trust_env = False
        key = self.post("/session", auth=(server.user, server.password))
        self.web.headers["vmware-api-session-id"] = key

    def post(self, path, **rest):
        answer = self.web.post(self.base + path, timeout=60, **rest)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def category(self, name, *tags):
        made = self.post("/cis/tagging/category", json={
            "name": name, "description": "", "cardinality": "MULTIPLE", "associable_types": []})
        return {tag: self.post("/cis/tagging/tag", json={"name": tag, "description": "", "category_id": made})
                for tag in tags}

    def attach(self, tag, reference):
        kind = type(reference).__name__.split(".")[-1]
        self.post(f"/cis/tagging/tag-association/{tag}?action=attach",
                  json={"object_id": {"id": reference._moId, "type": kind}})


def service(server, si):
    """The service of storage policies, in the session of the vSphere API."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    cookie = si._stub.cookie.split('"')[1]
    VmomiSupport.GetRequestContext()["vcSessionCookie"] = cookie
    stub = SoapStubAdapter(host=server.address, port=server.port, path="/pbm/sdk", version="pbm.version.v8_0_3_0",
                           sslContext=context)
    return pbm.ServiceInstance("ServiceInstance", stub).RetrieveContent()


@pytest.fixture
def policies(sim):
    si = sim.connect()
    yield service(sim, si), si, Tagger(sim)
    VmomiSupport.GetRequestContext().pop("vcSessionCookie", None)


def rules(category, *tags, operator=None):
    name = f"com.vmware.storage.tag.{category}.property"
    values = pbm.capability.types.DiscreteSet(values=list(tags))
    instance = pbm.capability.PropertyInstance(id=name, value=values, operator=operator)
    capability = pbm.capability.CapabilityInstance(
        id=pbm.capability.CapabilityMetadata.UniqueId(namespace=TAGS, id=category),
        constraint=[pbm.capability.ConstraintInstance(propertyInstance=[instance])])
    profile = pbm.profile.SubProfileCapabilityConstraints.SubProfile(name="rules", capability=[capability])
    return pbm.profile.SubProfileCapabilityConstraints(subProfiles=[profile])


def spec(name, constraints):
    return pbm.profile.CapabilityBasedProfileCreateSpec(
        name=name, description="from a test", category="REQUIREMENT", resourceType=STORAGE, constraints=constraints)


def named(content):
    manager = content.profileManager
    ids = manager.PbmQueryProfile(STORAGE, "REQUIREMENT")
    return {profile.name: profile for profile in manager.PbmRetrieveContent(ids)}


def test_policies_come_change_and_go(policies):
    content, _, tagger = policies
    manager = content.profileManager
    tagger.category("tier", "gold", "silver")
    assert {"vSAN Default Storage Policy", "VVol No Requirements Policy"} <= set(named(content))
    made = manager.PbmCreate(spec("Gold", rules("tier", "gold")))
    gold = named(content)["Gold"]
    assert gold.profileId.uniqueId == made.uniqueId and gold.description == "from a test"
    assert gold.constraints.subProfiles[0].capability[0].constraint[0].propertyInstance[0].value.values == ["gold"]
    assert gold.createdBy.lower().endswith("administrator") and not gold.isDefault
    with pytest.raises(pbm.fault.DuplicateName):
        manager.PbmCreate(spec("gold", rules("tier", "silver")))
    for wrong in (spec("", rules("tier", "gold")), spec("x", rules("nowhere", "gold")), spec("x", rules("tier", "gold", operator="OR"))):
        with pytest.raises(vmodl.fault.InvalidArgument):
            manager.PbmCreate(wrong)
    change = pbm.profile.CapabilityBasedProfileUpdateSpec(name="Noble", constraints=rules("tier", "gold", "silver"))
    manager.PbmUpdate(made, change)
    noble = named(content)["Noble"]
    assert noble.generationId == gold.generationId + 1 and "Gold" not in named(content)
    assert manager.PbmDelete([made])[0].fault is None
    assert "Noble" not in named(content)
    assert isinstance(manager.PbmDelete([made])[0].fault, pbm.fault.NotFound)
    default = named(content)["vSAN Default Storage Policy"].profileId
    assert manager.PbmDelete([default])[0].fault is not None


def test_datastores_that_fit_a_policy_are_found_by_their_tags(policies):
    content, si, tagger = policies
    tags = tagger.category("tier", "gold", "silver")
    store = all_of(si, vim.Datastore)[0]
    made = content.profileManager.PbmCreate(spec("Gold", rules("tier", "gold")))
    other = content.profileManager.PbmCreate(spec("Not silver", rules("tier", "silver", operator="NOT")))
    solver = content.placementSolver
    assert not solver.PbmQueryMatchingHub(None, made)
    tagger.attach(tags["gold"], store)
    hubs = solver.PbmQueryMatchingHub(None, made)
    assert [(hub.hubType, hub.hubId) for hub in hubs] == [("Datastore", store._moId)]
    assert solver.PbmQueryMatchingHub(hubs, other)
    tagger.attach(tags["silver"], store)
    [result] = solver.PbmCheckCompatibility(hubs, other)
    assert result.hub.hubId == store._moId and len(result.error) == 1
    requirement = pbm.placement.CapabilityProfileRequirement(profileId=made)
    [result] = solver.PbmCheckRequirements(hubs, None, [requirement])
    assert not result.error
    vsan = named(content)["vSAN Default Storage Policy"].profileId
    assert not solver.PbmQueryMatchingHub(None, vsan)
    with pytest.raises(pbm.fault.NonExistentHubs):
        solver.PbmQueryMatchingHub([pbm.placement.PlacementHub(hubType="Datastore", hubId="datastore-0")], made)

    vm = next(vm for vm in all_of(si, vim.VirtualMachine) if vm.datastore == [store])
    entity = pbm.ServerObjectRef(objectType="virtualMachine", key=vm._moId)
    disk = pbm.ServerObjectRef(objectType="virtualDiskId", key=f"{vm._moId}:2000")
    check = content.complianceManager.PbmCheckCompliance
    assert [result.complianceStatus for result in check([entity, disk], made)] == ["compliant"] * 2
    assert [result.complianceStatus for result in check([entity], other)] == ["nonCompliant"]


def test_capabilities_are_the_categories_of_tags_and_defaults_are_kept(policies):
    content, si, tagger = policies
    tagger.category("tier", "gold", "silver")
    manager = content.profileManager
    [group] = manager.PbmFetchCapabilityMetadata(STORAGE, None)
    [capability] = group.capabilityMetadata
    assert capability.id.id == "tier" and sorted(capability.propertyMetadata[0].allowedValue.values) == ["gold", "silver"]
    store = all_of(si, vim.Datastore)[0]
    hub = pbm.placement.PlacementHub(hubType="Datastore", hubId=store._moId)
    assert manager.PbmQueryDefaultRequirementProfile(hub) is None
    made = manager.PbmCreate(spec("Gold", rules("tier", "gold")))
    manager.PbmAssignDefaultRequirementProfile(made, [hub])
    assert manager.PbmQueryDefaultRequirementProfile(hub).uniqueId == made.uniqueId
    assert manager.PbmDelete([made])[0].fault is not None


def test_nobody_without_the_privilege_sees_or_makes_policies(sim):
    si = sim.connect()
    si.content.accountManager.CreateUser(
        vim.host.LocalAccountManager.AccountSpecification(id="eve", password="Blue-whale-7x"))
    mine = sim.connect("eve@vsphere.local", "Blue-whale-7x")
    content = service(sim, mine)
    try:
        with pytest.raises(pbm.fault.NoPermission) as refused:
            content.profileManager.PbmQueryProfile(STORAGE, "REQUIREMENT")
        assert refused.value.missingPrivileges[0].privilegeIds == ["StorageProfile.View"]
    finally:
        VmomiSupport.GetRequestContext().pop("vcSessionCookie", None)
