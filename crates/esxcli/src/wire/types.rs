//! The objects of the namespaces and their types, as the dynamic type manager lists them.

use vim::{Object, data_id, field, ty, vim};

use super::wire_name;
use crate::namespaces::all;
use crate::table::{Command, FieldKind, Kind, Namespace, Output, Structure};

/// The object that tells of the commands.
pub(super) const INFO: &str = "ha-dynamic-type-manager-local-cli-cliinfo";
/// The type of that object.
const INFO_TYPE: &str = "vim.CLIInfo";
/// The release since which all types exist, as the object model names it.
const VERSION: &str = "vim.version.version5";
const FAULT: &str = "vim.EsxCLI.CLIFault";
const DATA: &str = "vmodl.DynamicData";

type Property = ty!(DynamicTypeMgrPropertyTypeInfo);
type Data = ty!(DynamicTypeMgrDataTypeInfo);

/// The objects that match the filter.
pub(super) fn instances(filter: Option<&Object>) -> Vec<ty!(DynamicTypeMgrMoInstance)> {
    let own = [(INFO.to_owned(), INFO_TYPE.to_owned())];
    let known = own.into_iter().chain(all().map(|namespace| (namespace.moid(), namespace.type_name())));
    let filter = filter.filter(|filter| filter.is_a(data_id!(DynamicTypeMgrMoFilterSpec)));
    let id = filter.and_then(|filter| filter.get(field!(DynamicTypeMgrMoFilterSpec.id)));
    let part = filter.and_then(|filter| filter.get(field!(DynamicTypeMgrMoFilterSpec.typeSubstr)));
    let wanted = |(own, ty): &(String, String)| {
        id.is_none_or(|id| id == own) && part.is_none_or(|part| ty.contains(part))
    };
    let instance = |(id, ty): (String, String)| vim!(DynamicTypeMgrMoInstance { id: id, moType: ty });
    known.filter(wanted).map(instance).collect()
}

/// The types that match the filter.
pub(super) fn types(filter: Option<&Object>) -> ty!(DynamicTypeMgrAllTypeInfo) {
    let filter = filter.filter(|filter| filter.is_a(data_id!(DynamicTypeMgrTypeFilterSpec)));
    let part = filter.and_then(|filter| filter.get(field!(DynamicTypeMgrTypeFilterSpec.typeSubstr)));
    let wanted = |name: &str| part.is_none_or(|part| name.contains(part));
    let (mut managed, mut data) = (Vec::new(), Vec::new());
    if wanted(INFO_TYPE) {
        managed.push(info_object());
    }
    for (name, fields) in INFO_DATA {
        if wanted(name) {
            let fields = fields.iter().map(|(name, kind, optional)| property(name, kind, *optional));
            data.push(data_type(name, DATA, fields.collect()));
        }
    }
    if wanted(FAULT) {
        data.push(data_type(FAULT, "vmodl.RuntimeFault", vec![property("errMsg", "string[]", false)]));
    }
    for namespace in all() {
        if wanted(&namespace.type_name()) {
            managed.push(object(namespace));
        }
        for command in namespace.commands {
            if let Some(structure) = command.output.structure() {
                let owner = format!("{}.{}", namespace.type_name(), command.name);
                structures(&owner, structure, &wanted, &mut data);
            }
        }
    }
    vim!(DynamicTypeMgrAllTypeInfo { managedTypeInfo: managed, dataTypeInfo: data })
}

/// Name, kind, whether it may be unset.
type InfoField = (&'static str, &'static str, bool);

/// Types of `vim.CLIInfo`.
const INFO_DATA: [(&str, &[InfoField]); 4] = [
    (
        "vim.CLIInfo.Param",
        &[
            ("name", "string", false),
            ("displayName", "string", true),
            ("aliases", "string[]", true),
            ("default", "string", true),
            ("constraint", "string[]", true),
            ("help", "string", true),
            ("flag", "boolean", true),
        ],
    ),
    ("vim.CLIInfo.Example", &[("example", "string", false), ("description", "string", false)]),
    (
        "vim.CLIInfo.Method",
        &[
            ("name", "string", false),
            ("displayName", "string", true),
            ("help", "string", true),
            ("param", "vim.CLIInfo.Param[]", true),
            ("ret", "vim.CLIInfo.Param", true),
            ("hints", "vim.KeyValue[]", true),
            ("examples", "vim.CLIInfo.Example[]", true),
        ],
    ),
    (
        "vim.CLIInfo.Info",
        &[
            ("name", "string", false),
            ("displayName", "string", true),
            ("help", "string", true),
            ("method", "vim.CLIInfo.Method[]", true),
        ],
    ),
];

fn annotation(optional: bool) -> Option<Vec<ty!(DynamicTypeMgrAnnotation)>> {
    optional.then(|| vec![vim!(DynamicTypeMgrAnnotation { name: "optional" })])
}

fn property(name: &str, kind: &str, optional: bool) -> Property {
    vim!(DynamicTypeMgrPropertyTypeInfo {
        name: name,
        version: VERSION,
        type: kind,
        annotation: annotation(optional),
    })
}

fn parameter(name: &str, kind: &str, optional: bool) -> ty!(DynamicTypeMgrParamTypeInfo) {
    vim!(DynamicTypeMgrParamTypeInfo {
        name: name,
        version: VERSION,
        type: kind,
        annotation: annotation(optional),
    })
}

fn data_type(name: &str, base: &str, fields: Vec<Property>) -> Data {
    vim!(DynamicTypeMgrDataTypeInfo {
        name: name,
        wsdlName: wire_name(name),
        version: VERSION,
        base: [base],
        property: fields,
    })
}

/// Adds the types of a structure and of the structures within it, which come first.
fn structures(owner: &str, structure: &Structure, wanted: &dyn Fn(&str) -> bool, all: &mut Vec<Data>) {
    let mut fields = Vec::new();
    for field in structure.fields {
        let kind = match field.kind {
            FieldKind::Text => "string".to_owned(),
            FieldKind::Number => "long".to_owned(),
            FieldKind::Boolean => "boolean".to_owned(),
            FieldKind::Texts => "string[]".to_owned(),
            FieldKind::Structure(inner) => {
                structures(owner, inner, wanted, all);
                format!("{owner}.{}", inner.name)
            }
        };
        fields.push(property(&field.name(), &kind, true));
    }
    let name = format!("{owner}.{}", structure.name);
    if wanted(&name) {
        all.push(data_type(&name, DATA, fields));
    }
}

fn object(namespace: &Namespace) -> ty!(DynamicTypeMgrManagedTypeInfo) {
    let methods: Vec<_> = namespace.commands.iter().map(|command| method(namespace, command)).collect();
    managed(&namespace.type_name(), methods)
}

fn managed(
    name: &str,
    methods: Vec<ty!(DynamicTypeMgrMethodTypeInfo)>,
) -> ty!(DynamicTypeMgrManagedTypeInfo) {
    vim!(DynamicTypeMgrManagedTypeInfo {
        name: name,
        wsdlName: wire_name(name),
        version: VERSION,
        base: ["vmodl.ManagedObject"],
        method: methods,
    })
}

fn method(namespace: &Namespace, command: &Command) -> ty!(DynamicTypeMgrMethodTypeInfo) {
    let owner = format!("{}.{}", namespace.type_name(), command.name);
    let parameters = command.parameters.iter().map(|known| {
        let list = if known.list { "[]" } else { "" };
        let kind = match known.kind {
            Kind::Flag => Kind::Boolean.word(),
            kind => kind.word(),
        };
        parameter(&known.name(), &format!("{kind}{list}"), !known.required)
    });
    let (result, optional) = match &command.output {
        Output::Done => ("boolean".to_owned(), false),
        Output::Text => ("string".to_owned(), false),
        Output::One(structure) => (format!("{owner}.{}", structure.name), false),
        Output::Many(structure) => (format!("{owner}.{}[]", structure.name), true),
    };
    vim!(DynamicTypeMgrMethodTypeInfo {
        name: command.name,
        wsdlName: wire_name(&owner),
        version: VERSION,
        paramTypeInfo: parameters.collect::<Vec<_>>(),
        returnTypeInfo: parameter("result", &result, optional),
        fault: [FAULT],
        privId: command.privilege,
    })
}

fn info_object() -> ty!(DynamicTypeMgrManagedTypeInfo) {
    let method = |name: &str, argument: &str| {
        vim!(DynamicTypeMgrMethodTypeInfo {
            name: name,
            wsdlName: wire_name(&format!("{INFO_TYPE}.{name}")),
            version: VERSION,
            paramTypeInfo: [parameter(argument, "string", false)],
            returnTypeInfo: parameter("result", "vim.CLIInfo.Info", false),
            fault: ["vim.fault.NotFound"],
        })
    };
    let methods = vec![method("FetchCLIInfo", "typeName"), method("FetchCLIInfoFromDisplayName", "name")];
    managed(INFO_TYPE, methods)
}
