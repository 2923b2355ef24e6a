#!/usr/bin/env python3
"""Writes vim.schema and pbm.schema from the type tables that the installed pyVmomi registers.

usage: python3 generate.py > vim.schema        (needs the PyPI package pyvmomi)
       python3 generate.py pbm > pbm.schema
       python3 generate.py --check              fails if vim.schema is not what would be written
       python3 generate.py pbm --check

The text's grammar is described at its top and in src/parse.rs. Three things differ from pyVmomi's table, because
the published XSD differs there and the wire follows the XSD: a field that holds a fault is a LocalizedMethodFault,
MethodFault is a root of its own, and the two DynamicData fields, which are never sent, are left out.
"""
import pathlib
import sys

# Tables of other services (vSAN, storage policies, ...) have endpoints of their own.
SERVICE = "pbm" if "pbm" in sys.argv[1:] else "vim25"
for other in ("vsanhealth", "pbm", "sms", "eam", "vslm"):
    if other != SERVICE:
        sys.modules["pyVmomi._typeinfo_" + other] = None

from pyVmomi import VmomiSupport as V  # noqa: E402

SCALARS = {
    "void": "void", "anyType": "any", "string": "string", "bool": "boolean", "boolean": "boolean",
    "byte": "byte", "short": "short", "int": "int", "long": "long", "float": "float", "double": "double",
    "vmodl.URI": "anyURI", "vmodl.Binary": "base64Binary", "vmodl.DateTime": "dateTime",
    "vmodl.TypeName": "TypeName", "vmodl.MethodName": "MethodName", "vmodl.PropertyPath": "PropertyPath",
    "vmodl.ManagedObject": "&ManagedObject", "vmodl.DataObject": "DataObject",
    "vmodl.MethodFault": "MethodFault", "vmodl.RuntimeFault": "RuntimeFault",
    "vmodl.LocalizedMethodFault": "LocalizedMethodFault",
}
# Every release that a client may name, oldest first.
RELEASES = """2.0 2.5 2.5u2 2.5u2server 4.0 4.1 5.0 5.1 5.5 6.0 6.5 6.7 6.7.1 6.7.2 6.7.3 6.8.7 6.9.1 7.0.0.0 7.0.0.2
7.0.1.0 7.0.1.1 7.0.2.0 7.0.2.1 7.0.3.0 7.0.3.1 7.0.3.2 8.0.0.0 8.0.0.1 8.0.0.2 8.0.1.0 8.0.2.0 8.0.3.0 8.0.3.1
9.0.0.0 9.1.0.0""".split()

HEADER = """\
# The vSphere data model: names, order, types, optionality, since-version, privileges.
# Made by generate.py; do not edit. An indented line belongs to the line above that is not indented.
#
#   releases ID...                                every release, oldest first
#   enum NAME @SINCE, then one value a line
#   data NAME : BASE @SINCE, then fields          NAME TYPE [k] [secret] [@SINCE if not the type's]
#   managed NAME : BASE @SINCE, then
#     NAME TYPE [!PRIVILEGE] [@SINCE]             a property
#     method NAME VMODLNAME -> TYPE [=TASKRESULT] [!PRIVILEGE] [@SINCE] [throws FAULT...]
#       NAME TYPE [!PRIVILEGE] [@SINCE]           a parameter
#
# TYPE: a scalar, a data type or enum, &Managed for a reference; then [] for a list, ? if it may be unset.
# A trailing k marks a string that is the key of another object ("link").
"""


PBM_HEADER = """\
# Storage policies: the types of /pbm/sdk. On the wire they are of urn:pbm; their names begin with Pbm and are unique.
# Made by generate.py; do not edit. The same grammar as vim.schema, read after it. Every release has them.
"""


def main():
    wanted = "urn:" + SERVICE
    releases = dict(V.versionIdMap)

    def keep(version):
        return V.GetInternedWsdlNamespace(version) == wanted

    by_release = {releases[v]: v for v in releases if V.nsMap.get(v) == "vim25" and releases[v] in RELEASES}
    mapped = [release for release in RELEASES if release in by_release]

    def since(version):
        if SERVICE == "pbm":
            return RELEASES[0]
        wire = releases.get(version, "")
        if wire in RELEASES:
            return wire
        # Versions of the parts below vim have no release of their own: the first release that includes them counts.
        for release in mapped:
            if version in V.parentMap[by_release[release]]:
                return RELEASES[0] if release == mapped[0] else release
        raise SystemExit("no release includes " + version)

    wire_name = {}
    for table, mark in ((V._dataDefMap, ""), (V._enumDefMap, ""), (V._managedDefMap, "&")):
        for key, definition in table.items():
            wire_name[key] = wire_name[definition[0]] = mark + definition[1]

    def type_text(name, optional=False, fault_is_localized=True):
        is_list = name.endswith("[]")
        element = name[:-2] if is_list else name
        text = SCALARS.get(element) or wire_name[element]
        if text == "MethodFault" and fault_is_localized:
            text = "LocalizedMethodFault"
        return text + ("[]" if is_list else "") + ("?" if optional else "")

    def member(row, owner_since, privilege=None, localized=True):
        name, kind, version, flags = row[:4]
        link = bool(flags & V.F_LINK)
        if link:
            kind = "string[]" if kind.endswith("[]") else "string"
        words = [name, type_text(kind, bool(flags & V.F_OPTIONAL), localized)]
        if link:
            words.append("k")
        if flags & V.F_SECRET:
            words.append("secret")
        if privilege:
            words.append("!" + privilege)
        if since(version) != owner_since:
            words.append("@" + since(version))
        return " ".join(words)

    out = [HEADER.rstrip(), "", "releases " + " ".join(RELEASES), ""]
    if SERVICE == "pbm":
        out = [PBM_HEADER.rstrip(), ""]

    for name, definition in sorted((d[1], d) for d in V._enumDefMap.values() if keep(d[2])):
        out.append("enum %s @%s" % (name, since(definition[2])))
        out.extend("  " + value for value in definition[3])
    out.append("")

    for name, definition in sorted((d[1], d) for d in V._dataDefMap.values() if keep(d[3])):
        _, _, parent, version, fields = definition
        base = None
        if name == "LocalizedMethodFault":
            base = "DynamicData"
        elif name != "MethodFault" and parent not in (None, "vmodl.DataObject"):
            base = type_text(parent, fault_is_localized=False)
        own = since(version)
        out.append("data %s%s @%s" % (name, " : " + base if base else "", own))
        for row in fields or []:
            if row[0] in ("dynamicType", "dynamicProperty") or (name == "MethodFault" and row[0] == "msg"):
                continue
            out.append("  " + member(row, own, localized=name != "LocalizedMethodFault"))
    out.append("")

    for name, definition in sorted((d[1], d) for d in V._managedDefMap.values() if keep(d[3])):
        _, _, parent, version, props, methods = definition
        own = since(version)
        base = type_text(parent).lstrip("&") if parent else None
        out.append("managed %s%s @%s" % (name, " : " + base if base else "", own))
        for row in props or []:
            out.append("  " + member(row, own, row[4]))
        for vmodl, wire, method_version, params, result, privilege, faults in methods or []:
            words = ["method", wire, vmodl, "->", type_text(result[1], bool(result[0] & V.F_OPTIONAL))]
            if result[2] != result[1]:
                words.append("=" + type_text(result[2]))
            if privilege:
                words.append("!" + privilege)
            method_since = since(method_version)
            if method_since != own:
                words.append("@" + method_since)
            if faults:
                words.append("throws " + " ".join(type_text(f, fault_is_localized=False) for f in faults))
            out.append("  " + " ".join(words))
            out.extend("    " + member(row, method_since, row[4]) for row in params)
    text = "\n".join(out) + "\n"
    name = "pbm.schema" if SERVICE == "pbm" else "vim.schema"
    if "--check" not in sys.argv[1:]:
        sys.stdout.write(text)
    elif pathlib.Path(__file__).with_name(name).read_text() != text:
        sys.exit(name + " differs from what the installed pyVmomi says: write it anew and read the difference")


main()
