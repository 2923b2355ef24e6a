//! The service's WSDL, one document made from the schema alone.
//!
//! It has the content of our release: newer types, fields and methods are left out, as they are from messages.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::LazyLock;

use crate::{DataType, Kind, Member, Method, Release, api_release, names, schema};

/// The WSDL of `urn:vim25`, some 3 MB; made at first use.
pub fn service_wsdl() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| Document::default().make());
    &TEXT
}

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<definitions targetNamespace="urn:vim25" xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:vim25="urn:vim25" xmlns:xsd="http://www.w3.org/2001/XMLSchema">
<types>
<schema targetNamespace="urn:vim25" xmlns="http://www.w3.org/2001/XMLSchema" xmlns:vim25="urn:vim25" elementFormDefault="qualified">
<complexType name="ManagedObjectReference"><simpleContent><extension base="xsd:string"><attribute name="type" type="xsd:string"/><attribute name="serverGuid" type="xsd:string"/></extension></simpleContent></complexType>
"#;

const TAIL: &str = r#"</binding>
<service name="VimService"><port binding="vim25:VimBinding" name="VimPort"><soap:address location="https://localhost/sdk/vimService"/></port></service>
</definitions>
"#;

/// The faults that every method can have.
const ANY_FAULT: &str = "RuntimeFault";

#[derive(Default)]
struct Document {
    text: String,
}

/// Appends to the document; a string takes everything.
macro_rules! put {
    ($document:expr, $($text:tt)*) => {
        write!($document.text, $($text)*).expect("a string takes everything")
    };
}

/// Whether the document has a type or method. Storage policies are a service of their own.
fn has(name: &str, since: Release) -> bool {
    since <= api_release() && !names::is_of_pbm(name)
}

impl Document {
    fn make(mut self) -> String {
        self.text.push_str(HEAD);
        let methods: Vec<_> =
            schema().methods.iter().filter(|method| has(method.name, method.since)).collect();
        for ty in schema().enums.iter().filter(|ty| has(ty.name, ty.since)) {
            put!(self, "<simpleType name=\"{}\"><restriction base=\"xsd:string\">", ty.name);
            for value in &ty.values {
                put!(self, "<enumeration value=\"{value}\"/>");
            }
            put!(self, "</restriction></simpleType>\n");
        }
        for ty in schema().data.iter().filter(|ty| has(ty.name, ty.since)) {
            self.data_type(ty);
        }
        self.arrays(&methods);
        let faults = faults(&methods);
        for fault in &faults {
            put!(self, "<element name=\"{fault}Fault\" type=\"vim25:{fault}\"/>\n");
        }
        for method in &methods {
            self.elements_of(method);
        }
        put!(self, "</schema>\n</types>\n");
        for fault in &faults {
            put!(self, "<message name=\"{fault}FaultMsg\">");
            put!(self, "<part element=\"vim25:{fault}Fault\" name=\"fault\"/></message>\n");
        }
        for Method { name, .. } in &methods {
            put!(self, "<message name=\"{name}RequestMsg\">");
            put!(self, "<part element=\"vim25:{name}\" name=\"parameters\"/></message>\n");
            put!(self, "<message name=\"{name}ResponseMsg\">");
            put!(self, "<part element=\"vim25:{name}Response\" name=\"parameters\"/></message>\n");
        }
        self.port_and_binding(&methods);
        self.text.push_str(TAIL);
        self.text
    }

    fn data_type(&mut self, ty: &DataType) {
        put!(self, "<complexType name=\"{}\">", ty.name);
        let own = &ty.fields[ty.inherited..];
        match ty.base {
            Some(base) => {
                let base = schema().data(base).name;
                put!(self, "<complexContent><extension base=\"vim25:{base}\">");
                self.sequence(own);
                put!(self, "</extension></complexContent>");
            }
            None => self.sequence(own),
        }
        put!(self, "</complexType>\n");
    }

    fn sequence(&mut self, members: &[Member]) {
        put!(self, "<sequence>");
        for member in members.iter().filter(|member| has(member.name, member.since)) {
            self.element(member);
        }
        put!(self, "</sequence>");
    }

    fn element(&mut self, member: &Member) {
        put!(self, "<element name=\"{}\" type=\"{}\"", member.name, type_name(member.kind));
        if member.optional || member.list {
            put!(self, " minOccurs=\"0\"");
        }
        if member.list {
            put!(self, " maxOccurs=\"unbounded\"");
        }
        put!(self, "/>");
    }

    /// The types of lists where no type is declared: one for every possible kind of element.
    fn arrays(&mut self, methods: &[&Method]) {
        let schema = schema();
        let data = schema.data.iter().filter(|ty| !names::is_of_pbm(ty.name)).flat_map(|ty| &ty.fields);
        let members = data
            .chain(schema.managed.iter().flat_map(|ty| &ty.properties))
            .chain(methods.iter().filter_map(|method| method.returns.as_ref()));
        let kinds: BTreeSet<_> = members
            .filter(|member| member.list && has(member.name, member.since))
            .map(|member| (names::element(member.kind), type_name(member.kind)))
            .collect();
        let mut done = BTreeSet::new();
        for (element, ty) in kinds {
            if !done.insert(element) {
                continue;
            }
            let (first, rest) = element.split_at(1);
            put!(self, "<complexType name=\"ArrayOf{}{rest}\"><sequence>", first.to_ascii_uppercase());
            put!(self, "<element name=\"{element}\" type=\"{ty}\" minOccurs=\"0\" maxOccurs=\"unbounded\"/>");
            put!(self, "</sequence></complexType>\n");
        }
    }

    /// The elements of a call and of its response.
    fn elements_of(&mut self, method: &Method) {
        put!(self, "<element name=\"{}\"><complexType><sequence>", method.name);
        put!(self, "<element name=\"_this\" type=\"vim25:ManagedObjectReference\"/>");
        for parameter in method.parameters.iter().filter(|parameter| has(parameter.name, parameter.since)) {
            self.element(parameter);
        }
        put!(self, "</sequence></complexType></element>\n");
        put!(self, "<element name=\"{}Response\"><complexType>", method.name);
        self.sequence(method.returns.as_slice());
        put!(self, "</complexType></element>\n");
    }

    fn port_and_binding(&mut self, methods: &[&Method]) {
        put!(self, "<portType name=\"VimPortType\">\n");
        for method in methods {
            let name = method.name;
            put!(self, "<operation name=\"{name}\"><input message=\"vim25:{name}RequestMsg\"/>");
            put!(self, "<output message=\"vim25:{name}ResponseMsg\"/>");
            for fault in faults(&[method]) {
                put!(self, "<fault message=\"vim25:{fault}FaultMsg\" name=\"{fault}\"/>");
            }
            put!(self, "</operation>\n");
        }
        put!(self, "</portType>\n<binding name=\"VimBinding\" type=\"vim25:VimPortType\">\n");
        put!(self, "<soap:binding style=\"document\" transport=\"http://schemas.xmlsoap.org/soap/http\"/>\n");
        for method in methods {
            put!(self, "<operation name=\"{}\">", method.name);
            put!(
                self,
                "<soap:operation soapAction=\"urn:vim25/{}\" style=\"document\"/>",
                crate::API_RELEASE
            );
            put!(
                self,
                "<input><soap:body use=\"literal\"/></input><output><soap:body use=\"literal\"/></output>"
            );
            for fault in faults(&[method]) {
                put!(self, "<fault name=\"{fault}\"><soap:fault name=\"{fault}\" use=\"literal\"/></fault>");
            }
            put!(self, "</operation>\n");
        }
    }
}

/// The names of all faults that these methods declare.
fn faults(methods: &[&Method]) -> BTreeSet<&'static str> {
    let declared = methods.iter().flat_map(|method| &method.faults).map(|id| schema().data(*id));
    let known = declared.filter(|ty| has(ty.name, ty.since)).map(|ty| ty.name);
    known.chain([ANY_FAULT]).collect()
}

/// The name of a kind as the type of an element.
fn type_name(kind: Kind) -> String {
    match kind {
        Kind::Uri => "xsd:anyURI".to_owned(),
        kind => match names::scalar(kind) {
            Some(name) => format!("xsd:{name}"),
            None => format!("vim25:{}", names::element(kind)),
        },
    }
}
