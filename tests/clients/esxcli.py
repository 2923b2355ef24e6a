"""esxcli as object models of pyVmomi: types from a host's dynamic type manager, methods through its executer.

Older pyVmomi had this in DynamicTypeManagerHelper and ManagedMethodExecuterHelper; 9 has the means, but not the helpers.
"""
from pyVmomi import SoapAdapter, VmomiSupport, vim

VERSION = "vim.version.version5"
REFLECT = "vmodl.reflect."
TYPES, EXECUTER = REFLECT + "DynamicTypeManager", REFLECT + "ManagedMethodExecuter"
FLAGS = {"optional": VmomiSupport.F_OPTIONAL, "link": VmomiSupport.F_LINK, "linkable": VmomiSupport.F_LINKABLE,
         "secret": VmomiSupport.F_SECRET}


def fields(*names):
    """Fields by `name type`; a type with `?` may be unset."""
    known = []
    for name, kind in (field.split() for field in names):
        flags = VmomiSupport.F_OPTIONAL if kind.endswith("?") else 0
        known.append((name, kind.rstrip("?").replace("~", TYPES + "."), VERSION, flags))
    return known


def method(name, wire, result, *parameters):
    optional = VmomiSupport.F_OPTIONAL if result.endswith("?") else 0
    result = result.rstrip("?")
    return (name, wire, VERSION, tuple((*parameter, None) for parameter in fields(*parameters)), (optional, result, result), None, None)


def make_types():
    def data(name, wire, *its, base="vmodl.DynamicData"):
        VmomiSupport.CreateDataType(name, wire, base, VERSION, fields(*its))

    described = ("name string", "wsdlName string", "version string")
    parameter = ("name string", "version string", "type string", "privId string?")
    data(TYPES + ".Annotation", "DynamicTypeMgrAnnotation", "name string", "parameter string[]?")
    data(TYPES + ".PropertyTypeInfo", "DynamicTypeMgrPropertyTypeInfo", *parameter, "msgIdFormat string?", "annotation ~Annotation[]?")
    data(TYPES + ".ParamTypeInfo", "DynamicTypeMgrParamTypeInfo", *parameter, "annotation ~Annotation[]?")
    data(TYPES + ".DataTypeInfo", "DynamicTypeMgrDataTypeInfo", *described, "base string[]?", "property ~PropertyTypeInfo[]?",
         "annotation ~Annotation[]?")
    data(TYPES + ".MethodTypeInfo", "DynamicTypeMgrMethodTypeInfo", *described, "paramTypeInfo ~ParamTypeInfo[]?",
         "returnTypeInfo ~ParamTypeInfo?", "fault string[]?", "privId string?", "annotation ~Annotation[]?")
    data(TYPES + ".ManagedTypeInfo", "DynamicTypeMgrManagedTypeInfo", *described, "base string[]?", "property ~PropertyTypeInfo[]?",
         "method ~MethodTypeInfo[]?", "annotation ~Annotation[]?")
    data(TYPES + ".EnumTypeInfo", "DynamicTypeEnumTypeInfo", *described, "value string[]?", "annotation ~Annotation[]?")
    data(TYPES + ".AllTypeInfo", "DynamicTypeMgrAllTypeInfo", "managedTypeInfo ~ManagedTypeInfo[]?", "enumTypeInfo ~EnumTypeInfo[]?",
         "dataTypeInfo ~DataTypeInfo[]?")
    data(TYPES + ".MoInstance", "DynamicTypeMgrMoInstance", "id string", "moType string")
    data(TYPES + ".FilterSpec", "DynamicTypeMgrFilterSpec")
    data(TYPES + ".TypeFilterSpec", "DynamicTypeMgrTypeFilterSpec", "typeSubstr string?", base=TYPES + ".FilterSpec")
    data(TYPES + ".MoFilterSpec", "DynamicTypeMgrMoFilterSpec", "id string?", "typeSubstr string?", base=TYPES + ".FilterSpec")
    data(EXECUTER + ".SoapArgument", "ReflectManagedMethodExecuterSoapArgument", "name string", "val string")
    data(EXECUTER + ".SoapFault", "ReflectManagedMethodExecuterSoapFault", "faultMsg string", "faultDetail string?")
    data(EXECUTER + ".SoapResult", "ReflectManagedMethodExecuterSoapResult", "response string?", f"fault {EXECUTER}.SoapFault?")

    def managed(name, wire, *methods):
        VmomiSupport.CreateManagedType(name, wire, "vmodl.ManagedObject", VERSION, None, list(methods))

    managed(TYPES, "InternalDynamicTypeManager",
            method("queryTypeInfo", "DynamicTypeMgrQueryTypeInfo", TYPES + ".AllTypeInfo", "filterSpec ~FilterSpec?"),
            method("queryMoInstances", "DynamicTypeMgrQueryMoInstances", TYPES + ".MoInstance[]?", "filterSpec ~FilterSpec?"))
    managed(EXECUTER, "ReflectManagedMethodExecuter",
            method("executeSoap", "ExecuteSoap", EXECUTER + ".SoapResult?", "moid string", "version string", "method string",
                   f"argument {EXECUTER}.SoapArgument[]?"),
            method("fetchSoap", "FetchSoap", EXECUTER + ".SoapResult?", "moid string", "version string", "prop string"))
    # pyVmomi's own HostSystem lacks these two; the host answers them all the same.
    managed("vim.ReflectingHost", "ReflectingHost", method("retrieveDynamicTypeManager", "RetrieveDynamicTypeManager", TYPES),
            method("retrieveManagedMethodExecuter", "RetrieveManagedMethodExecuter", EXECUTER))


make_types()


class ExecuterStub(SoapAdapter.SoapStubAdapterBase):
    """Calls methods of the objects that only the executer knows."""

    def __init__(self, executer):
        super().__init__(version=executer._stub.version)
        self.executer = executer

    def InvokeMethod(self, mo, info, args):
        argument = VmomiSupport.GetVmodlType(EXECUTER + ".SoapArgument")
        given = [argument(name=parameter.name, val=SoapAdapter.SerializeToStr(value, parameter, self.version))
                 for parameter, value in zip(info.params, args) if value is not None]
        name = f"{VmomiSupport.GetVmodlName(info.type)}.{info.name}"
        result = self.executer.ExecuteSoap(mo._GetMoId(), "urn:vim25/5.0", name, given)
        if result.fault:
            raise SoapAdapter.Deserialize(result.fault.faultDetail, object, stub=self)
        return SoapAdapter.Deserialize(result.response, info.result, stub=self)


def reflect(host, name):
    info = getattr(vim.ReflectingHost, name).info
    return host._stub.InvokeMethod(host, info, [])


class Esxcli:
    """The commands of a host: `Esxcli(host).network.vswitch.standard.List()`."""

    def __init__(self, host):
        self.executer = reflect(host, "RetrieveManagedMethodExecuter")
        self.types = reflect(host, "RetrieveDynamicTypeManager")
        self.instances = {known.moType: known.id for known in self.types.QueryMoInstances()}
        load(self.types.QueryTypeInfo())
        self.stub = ExecuterStub(self.executer)

    def __getitem__(self, namespace):
        name = "vim.CLIInfo" if namespace == "info" else "vim.EsxCLI." + namespace.replace(" ", ".")
        return VmomiSupport.GetVmodlType(name)(self.instances[name], self.stub)

    def run(self, command, **arguments):
        """Runs `network vswitch standard list` with these arguments."""
        namespace, _, name = command.rpartition(" ")
        return getattr(self[namespace], name.capitalize())(**arguments)

    def execute(self, moid, name, *arguments, version="urn:vim25/5.0"):
        """The executer's answer, unchanged."""
        argument = VmomiSupport.GetVmodlType(EXECUTER + ".SoapArgument")
        return self.executer.ExecuteSoap(moid, version, name, [argument(name=key, val=value) for key, value in arguments])


def load(types):
    """Makes the types that a host describes."""
    def flags(annotated):
        return sum(FLAGS.get(annotation.name, 0) for annotation in annotated.annotation)

    def known(name):
        try:
            return VmomiSupport.GetVmodlType(name)
        except KeyError:
            return None

    for info in types.dataTypeInfo:
        if not known(info.name):
            its = [(field.name, field.type, field.version, flags(field)) for field in info.property]
            VmomiSupport.CreateDataType(info.name, info.wsdlName, info.base[0], info.version, its)
    for info in types.managedTypeInfo:
        if not known(info.name):
            methods = []
            for told in info.method:
                its = tuple((of.name, of.type, of.version, flags(of), of.privId) for of in told.paramTypeInfo)
                back = told.returnTypeInfo
                result = (flags(back), back.type, back.type) if back else (0, "void", "void")
                methods.append((told.name, told.wsdlName, told.version, its, result, told.privId, list(told.fault)))
            VmomiSupport.CreateManagedType(info.name, info.wsdlName, info.base[0], info.version, [], methods)
