#!/usr/bin/env python3
"""Writes vapi.schema from the bindings of the vSphere automation API.

usage: python3 generate.py > vapi.schema        (needs the PyPI package vmware-vcenter)
       python3 generate.py --check              fails if vapi.schema is not what would be written

The text's grammar is described at its top and in src/schema/parse.rs.
"""
import importlib
import inspect
import pathlib
import pkgutil
import sys

import com.vmware
import com.vmware.vapi
from vmware.vapi.bindings import stub
from vmware.vapi.bindings.enum import Enum
from vmware.vapi.bindings.error import VapiError
from vmware.vapi.bindings.struct import VapiStruct
from vmware.vapi.lib.constants import TaskType

SCALARS = {
    "VoidType": "void", "IntegerType": "long", "DoubleType": "double", "BooleanType": "boolean",
    "StringType": "string", "BlobType": "binary", "DateTimeType": "datetime", "URIType": "uri",
    "SecretType": "secret", "OpaqueType": "opaque", "DynamicStructType": "struct", "AnyErrorType": "error",
}
PREFIX = "com.vmware."
STANDARD = {"com.vmware.vapi.std_client", "com.vmware.vapi.std.errors_client"}
HEADER = """\
# The vSphere automation API: services, operations, structures and enumerations.
# Made by generate.py; do not edit. An indented line belongs to the line above that is indented less.
# Names are written without their common beginning "com.vmware."; behind "!", errors without "vapi.std.errors." too.
#
#   service NAME, then
#     NAME [VERB PATH] [body=PARAMETER] [headers=HEADER:PARAMETER,...] [task=also|only] -> TYPE [! ERROR...]
#       NAME TYPE                                a parameter
#   struct NAME, then fields                     NAME TYPE
#   error NAME, then fields                      a structure that is raised
#   enum NAME, then one value a line
#
# PATH: {parameter} stands for one segment; behind "?" come fixed pairs (action=attach), names that a request must carry
# (library_id) and the query's parameters (name={parameter}).
# TYPE: a scalar, a structure or an enumeration; id or id<RESOURCE,...>; optional<T>, list<T>, set<T>, map<K,V>.
"""


def short(name):
    return name.removeprefix(PREFIX)


def error_name(name):
    return short(name).removeprefix("vapi.std.errors.")


def type_text(binding):
    kind = type(binding).__name__
    if kind in SCALARS:
        return SCALARS[kind]
    if kind == "IdType":
        resources = binding.resource_types or []
        resources = [resources] if isinstance(resources, str) else resources
        return f"id<{','.join(map(short, resources))}>" if resources else "id"
    if kind in ("OptionalType", "ListType", "SetType"):
        return f"{kind.removesuffix('Type').lower()}<{type_text(binding.element_type)}>"
    if kind == "MapType":
        return f"map<{type_text(binding.key_type)},{type_text(binding.value_type)}>"
    if kind == "ReferenceType":
        return type_text(binding.resolved_type)
    return short(binding.name)


def fields(struct):
    return [(name, type_text(struct.get_field(name))) for name in struct.get_field_names()]


def path_text(rest):
    """The path with its parameters by their names in the operation, and everything that its query may hold."""
    path, _, query = rest._url_template.partition("?")
    for parameter, variable in (getattr(rest, "_path_variables", None) or {}).items():
        path = path.replace("{%s}" % variable, "{%s}" % parameter)
    pairs = [pair for pair in query.split("&") if pair]
    for parameter, name in (getattr(rest, "_query_parameters", None) or {}).items():
        pairs.append("%s={%s}" % (name, parameter))
    return path + ("?" + "&".join(pairs) if pairs else "")


def operation_line(name, operation, rest):
    line = [name]
    if rest is not None:
        line += [rest.http_method, path_text(rest)]
        if rest.request_body_parameter:
            line.append("body=" + rest.request_body_parameter)
        headers = getattr(rest, "_header_parameters", None) or {}
        if headers:
            line.append("headers=" + ",".join(f"{header}:{name}" for header, name in headers.items()))
    task = {TaskType.TASK: "task=also", TaskType.TASK_ONLY: "task=only"}.get(operation.get("task_type"))
    line += [task] if task else []
    line += ["->", type_text(operation["output_type"])]
    errors = sorted(map(error_name, operation["errors"]))
    return " ".join(line + (["!", *errors] if errors else []))


def bindings():
    """Every service, structure and enumeration of the installed package."""
    services, structs, enums = {}, {}, {}

    def record(_, iface_name=None, config=None, operations=None, rest_metadata=None, is_vapi_rest=False, **__):
        services[short(iface_name)] = (operations, rest_metadata or {})

    stub.ApiInterfaceStub.__init__ = record

    def visit(cls, module):
        if issubclass(cls, (VapiStruct, VapiError)):
            binding = cls.get_binding_type()
            structs[short(binding.name)] = ("error" if issubclass(cls, VapiError) else "struct", fields(binding))
        elif issubclass(cls, Enum):
            values = sorted(k for k, v in vars(cls).items() if k.isupper() and isinstance(v, (str, cls)))
            enums[short(cls.get_binding_type().name)] = values
        for _, inner in inspect.getmembers(cls, inspect.isclass):
            if inner.__module__ == module and inner is not cls and inner.__qualname__.startswith(cls.__qualname__ + "."):
                visit(inner, module)

    # The walk does not descend into com.vmware.vapi, which belongs to two distributions.
    roots = [(com.vmware.__path__, PREFIX), (com.vmware.vapi.__path__, PREFIX + "vapi.")]
    modules = {module.name for root in roots for module in pkgutil.walk_packages(*root)} | STANDARD
    for name in sorted(name for name in modules if name.endswith("_client")):
        module = importlib.import_module(name)
        for name, cls in inspect.getmembers(module, inspect.isclass):
            if cls.__module__ != module.__name__:
                continue
            if name.startswith("_") and name.endswith("Stub"):
                cls(None)
            else:
                visit(cls, module.__name__)
    return services, structs, enums


def schema():
    services, structs, enums = bindings()
    lines = [HEADER]
    for name, (operations, rest) in sorted(services.items()):
        lines.append(f"service {name}")
        for operation, row in operations.items():
            lines.append("  " + operation_line(operation, row, rest.get(operation)))
            lines += [f"    {field} {kind}" for field, kind in fields(row["input_type"])]
    for name, (kind, members) in sorted(structs.items()):
        lines.append(f"{kind} {name}")
        lines += [f"  {field} {kind}" for field, kind in members]
    for name, values in sorted(enums.items()):
        lines.append(f"enum {name}")
        lines += [f"  {value}" for value in values]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    text = schema()
    if sys.argv[1:] == ["--check"]:
        written = pathlib.Path(__file__).with_name("vapi.schema").read_text()
        sys.exit(0 if written == text else "vapi.schema is not what generate.py writes")
    sys.stdout.write(text)
