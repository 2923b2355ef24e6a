//! Customization specifications as the XML documents that clients of vSphere export and import: `<ConfigRoot>` with an element for each
//! field, `<_type>` for the type of an object, and `<e>` for each item of a list.

use vim::soap::{Element, read_fragment, write_fragment};
use vim::{DataId, Fault, Kind, List, Member, Object, Record as _, Value, arg, data_id, fault, schema};

use crate::Call;

const ITEM: DataId = data_id!(CustomizationSpecItem);
const ROOT: &str = "ConfigRoot";
const TYPE: &str = "_type";
const LENGTH: &str = "_length";
const ENTRY: &str = "e";
/// Most bytes of a document.
const MAX_BYTES: usize = 1 << 20;
/// Most objects inside of each other.
const MAX_DEPTH: usize = 32;

pub(super) async fn to_xml(call: &Call) -> Result<Option<Value>, Fault> {
    let item = call.required(arg!(CustomizationSpecItemToXml.item))?;
    Ok(Some(write(item)?.into()))
}

pub(super) async fn from_xml(call: &Call) -> Result<Option<Value>, Fault> {
    Ok(Some(read(call.required(arg!(XmlToCustomizationSpecItem.specItemXml))?)?.into()))
}

fn write(item: &Object) -> Result<String, Fault> {
    Ok(write_fragment(&object(ROOT, item, 0)?))
}

fn object(name: &str, object: &Object, depth: usize) -> Result<Element, Fault> {
    if depth > MAX_DEPTH {
        return Err(wrong("The specification is nested too deeply"));
    }
    let ty = schema().data(object.ty());
    let mut inside = vec![Element::text(TYPE, long_name(ty.name))];
    for (at, value) in object.fields() {
        inside.push(field(ty.members()[usize::from(*at)].name, value, depth + 1)?);
    }
    Ok(Element::of(name, inside))
}

fn field(name: &str, value: &Value, depth: usize) -> Result<Element, Fault> {
    match value {
        Value::Object(inner) => object(name, inner, depth),
        Value::List(list) => {
            let element = match list.element() {
                Kind::Data(ty) => long_name(schema().data(ty).name),
                _ => "string".to_owned(),
            };
            let mut inside = vec![
                Element::text(LENGTH, list.items().len().to_string()),
                Element::text(TYPE, format!("{element}[]")),
            ];
            for item in list.items() {
                inside.push(field(ENTRY, item, depth + 1)?);
            }
            Ok(Element::of(name, inside))
        }
        scalar => {
            let text = scalar.converted(Kind::String);
            let text = text.as_ref().and_then(Value::as_str);
            Ok(Element::text(name, text.ok_or_else(|| wrong(&format!("{name} cannot be written as text")))?))
        }
    }
}

fn read(text: &str) -> Result<Object, Fault> {
    if text.len() > MAX_BYTES {
        return Err(wrong(&format!("A document has at most {MAX_BYTES} bytes")));
    }
    let read = read_fragment(text).map_err(|error| wrong(&error.to_string()))?;
    match read.as_slice() {
        [root] if root.name == ROOT => object_of(root, ITEM, 0),
        _ => Err(wrong(&format!("A document is one element {ROOT}"))),
    }
}

/// The object that the element holds, of this type or of a subtype that the element names.
fn object_of(element: &Element, base: DataId, depth: usize) -> Result<Object, Fault> {
    if depth > MAX_DEPTH {
        return Err(wrong("The document is nested too deeply"));
    }
    let ty = match element.get(TYPE) {
        None => base,
        Some(name) => schema()
            .find_data(&short_name(name))
            .filter(|ty| Object::new(*ty).is_a(base))
            .ok_or_else(|| wrong(&format!("{} cannot be a {name}", element.name)))?,
    };
    let fields = schema().data(ty);
    let mut made = Object::new(ty);
    for child in element.children.iter().filter(|child| child.name != TYPE) {
        let at = fields.member(&child.name);
        let at = at.ok_or_else(|| wrong(&format!("{} has no {}", fields.name, child.name)))?;
        made.put(at, Some(value_of(child, &fields.members()[usize::from(at)], depth + 1)?));
    }
    let missing =
        (0u16..).zip(fields.members()).find(|(at, member)| !member.optional && made.at(*at).is_none());
    if let Some((at, member)) = missing {
        if !member.list {
            return Err(wrong(&format!("{} lacks {}", fields.name, member.name)));
        }
        made.put(at, Some(Value::List(List::new(member.kind, Vec::<Value>::new()))));
    }
    Ok(made)
}

fn value_of(element: &Element, member: &Member, depth: usize) -> Result<Value, Fault> {
    if !member.list {
        return one(element, member.kind, depth);
    }
    let items: Result<Vec<Value>, Fault> =
        element.all(ENTRY).map(|item| one(item, member.kind, depth)).collect();
    Ok(Value::List(List::new(member.kind, items?)))
}

fn one(element: &Element, kind: Kind, depth: usize) -> Result<Value, Fault> {
    if let Kind::Data(base) = kind {
        return Ok(object_of(element, base, depth)?.into());
    }
    let value = Value::from(element.text.as_str()).converted(kind);
    value.ok_or_else(|| wrong(&format!("{} has a value of another type", element.name)))
}

/// The name that documents have for a type, from that of the schema: `vim.vm.customization.FixedIp`.
fn long_name(name: &str) -> String {
    match name.strip_prefix("Customization") {
        None => format!("vim.{name}"),
        Some("SpecItem" | "SpecInfo") => format!("vim.{name}"),
        Some("Spec") => "vim.vm.customization.Specification".into(),
        Some(rest) => match rest.strip_prefix("IPSettings").filter(|inner| !inner.is_empty()) {
            Some(inner) => format!("vim.vm.customization.IPSettings.{inner}"),
            None => format!("vim.vm.customization.{rest}"),
        },
    }
}

fn short_name(name: &str) -> String {
    match name.strip_prefix("vim.vm.customization.") {
        Some("Specification") => "CustomizationSpec".into(),
        Some(rest) => format!("Customization{}", rest.replace('.', "")),
        None => name.strip_prefix("vim.").unwrap_or(name).to_owned(),
    }
}

fn wrong(message: &str) -> Fault {
    fault!(CustomizationFault {}, "{message}")
}

#[cfg(test)]
mod tests {
    use vim::vim;

    use super::*;

    fn item() -> Object {
        vim!(CustomizationSpecItem {
            info: CustomizationSpecInfo { name: "linux & <more>", description: "", type: "Linux" },
            spec: CustomizationSpec {
                identity: CustomizationLinuxPrep {
                    hostName: CustomizationFixedName { name: "web" },
                    domain: "example.org",
                    hwClockUTC: true,
                },
                globalIPSettings: CustomizationGlobalIPSettings { dnsServerList: ["10.0.0.1", "10.0.0.2"] },
                nicSettingMap: [CustomizationAdapterMapping {
                    adapter: CustomizationIPSettings {
                        ip: CustomizationFixedIp { ipAddress: "10.0.0.5" },
                        subnetMask: "255.0.0.0",
                        ipV6Spec: CustomizationIPSettingsIpV6AddressSpec {
                            ip: [CustomizationFixedIpV6 { ipAddress: "fd00::5", subnetMask: 64 }],
                        },
                    },
                }],
            },
        })
        .into()
    }

    #[test]
    fn what_is_written_reads_as_it_was() {
        let text = write(&item()).expect("it is written");
        for part in [
            "<_type>vim.vm.customization.LinuxPrep</_type>",
            "<_type>vim.vm.customization.AdapterMapping[]</_type>",
            "<_type>vim.vm.customization.IPSettings.IpV6AddressSpec</_type>",
            "<e>10.0.0.2</e>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(read(&text).expect("it is read"), item());
    }

    #[test]
    fn a_document_of_anything_else_is_refused() {
        let deep = "<spec>".repeat(100) + &"</spec>".repeat(100);
        for text in [
            "",
            "no XML",
            "<other/>",
            "<ConfigRoot/>",
            "<ConfigRoot><nothing/></ConfigRoot>",
            "<ConfigRoot><_type>vim.vm.customization.FixedIp</_type></ConfigRoot>",
            "<ConfigRoot><info><name>a</name><description/><type>Linux</type></info><spec><identity><_type>vim.VirtualMachine</_type></identity></spec></ConfigRoot>",
            &format!("<ConfigRoot>{deep}</ConfigRoot>"),
        ] {
            assert_eq!(read(text).expect_err(text).type_name(), "CustomizationFault", "{text}");
        }
    }
}
