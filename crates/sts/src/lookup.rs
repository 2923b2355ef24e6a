//! The lookup service: tells clients where a center's services are, in the namespace `urn:lookup`.
//!
//! It has the two calls that clients make, and no state: all services are at the address by which the client came.

use std::fmt::Write;

use http::StatusCode;
use roxmltree::Node;

use crate::trust::envelope;
use crate::xml::{SOAP, child, children, element, escape, is, parse, text};

const LOOKUP: &str = "urn:lookup";
const DOMAIN: &str = "vsphere.local";

/// The facts of a server and a request that an answer depends on.
pub(crate) struct Seen<'a> {
    /// Name and port by which the client came.
    pub(crate) host: &'a str,
    /// The center's UUID.
    pub(crate) center: &'a str,
}

/// A service with its one endpoint.
struct Row {
    id: &'static str,
    product: &'static str,
    kind: &'static str,
    path: &'static str,
    protocol: &'static str,
    endpoint: &'static str,
}

const SERVICES: &[Row] = &[
    Row {
        id: "sso",
        product: "com.vmware.cis",
        kind: "cs.identity",
        path: "/sts/STSService/vsphere.local",
        protocol: "wsTrust",
        endpoint: "com.vmware.cis.cs.identity.sso",
    },
    Row {
        id: "vcenter",
        product: "com.vmware.cis",
        kind: "vcenterserver",
        path: "/sdk",
        protocol: "vmomi",
        endpoint: "com.vmware.vim",
    },
    Row {
        id: "vapi",
        product: "com.vmware.cis",
        kind: "cs.vapi",
        path: "/api",
        protocol: "vapi.json.https.public",
        endpoint: "com.vmware.vapi.endpoint",
    },
];

/// Answers a message to the lookup service.
pub(crate) fn answer(message: &str, seen: &Seen<'_>) -> (StatusCode, String) {
    match called(message, seen) {
        Ok(out) => (StatusCode::OK, out),
        Err(problem) => {
            let out = envelope(|out| {
                out.push_str("<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>");
                escape(out, &problem);
                out.push_str("</faultstring></soapenv:Fault>");
            });
            (StatusCode::INTERNAL_SERVER_ERROR, out)
        }
    }
}

fn called(message: &str, seen: &Seen<'_>) -> Result<String, String> {
    let document = parse(message)?;
    let envelope_node = document.root_element();
    let body = Some(envelope_node).filter(|node| is(*node, SOAP, "Envelope"));
    let body =
        body.and_then(|node| child(node, SOAP, "Body")).ok_or("the message is not a SOAP 1.1 envelope")?;
    let call = children(body).next().ok_or("the body has no method")?;
    let name = call.tag_name().name();
    match name {
        "RetrieveServiceContent" => Ok(envelope(content)),
        "List" => {
            let filter = children(call).find(|node| node.tag_name().name() == "filterCriteria");
            Ok(envelope(|out| list(out, filter, seen)))
        }
        _ => Err(format!("The lookup service does not support {name:.80}")),
    }
}

fn content(out: &mut String) {
    let _ = write!(out, "<RetrieveServiceContentResponse xmlns=\"{LOOKUP}\"><returnval>");
    for (name, kind) in [
        ("lookupService", "LookupLookupService"),
        ("serviceRegistration", "LookupServiceRegistration"),
        ("deploymentInformationService", "LookupDeploymentInformationService"),
        ("l10n", "LookupL10n"),
    ] {
        let _ = write!(out, "<{name} type=\"{kind}\">{name}</{name}>");
    }
    out.push_str("</returnval></RetrieveServiceContentResponse>");
}

/// The text of a word of the filter, such as `serviceType/product`.
fn word(place: Option<Node<'_, '_>>, path: [&str; 2]) -> Option<String> {
    let named = |node: Node<'_, '_>, name: &str| node.tag_name().name() == name;
    let outer = children(place?).find(|node| named(*node, path[0]))?;
    let inner = children(outer).find(|node| named(*node, path[1]))?;
    text(inner).filter(|text| !text.is_empty())
}

fn list(out: &mut String, filter: Option<Node<'_, '_>>, seen: &Seen<'_>) {
    let wanted = [
        word(filter, ["serviceType", "product"]),
        word(filter, ["serviceType", "type"]),
        word(filter, ["endpointType", "protocol"]),
        word(filter, ["endpointType", "type"]),
    ];
    let _ = write!(out, "<ListResponse xmlns=\"{LOOKUP}\">");
    for row in SERVICES {
        let has = [row.product, row.kind, row.protocol, row.endpoint];
        if wanted.iter().zip(has).all(|(wanted, has)| wanted.as_deref().is_none_or(|wanted| wanted == has)) {
            service(out, row, seen);
        }
    }
    out.push_str("</ListResponse>");
}

fn service(out: &mut String, row: &Row, seen: &Seen<'_>) {
    out.push_str("<returnval>");
    element(out, "serviceVersion", "1.0");
    out.push_str("<serviceEndpoints>");
    element(out, "url", &format!("https://{}{}", seen.host, row.path));
    out.push_str("<endpointType>");
    element(out, "protocol", row.protocol);
    element(out, "type", row.endpoint);
    out.push_str("</endpointType>");
    out.push_str("</serviceEndpoints>");
    element(out, "serviceNameDefault", row.id);
    element(out, "ownerId", &format!("{}@{DOMAIN}", seen.center));
    out.push_str("<serviceType>");
    element(out, "product", row.product);
    element(out, "type", row.kind);
    out.push_str("</serviceType>");
    element(out, "nodeId", seen.center);
    element(out, "serviceId", &format!("{}:{}", seen.center, row.id));
    element(out, "siteId", "default-site");
    out.push_str("</returnval>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: &str) -> (StatusCode, String) {
        let message = format!("<e:Envelope xmlns:e=\"{SOAP}\"><e:Body>{body}</e:Body></e:Envelope>");
        answer(&message, &Seen { host: "center:8443", center: "uuid" })
    }

    #[test]
    fn the_token_service_is_found_by_its_type_at_the_address_of_the_client() {
        let filter = "<filterCriteria><serviceType><product>com.vmware.cis</product><type>cs.identity</type></serviceType>\
                      <endpointType><protocol>wsTrust</protocol></endpointType></filterCriteria>";
        let (status, out) = call(&format!("<List xmlns=\"{LOOKUP}\">{filter}</List>"));
        assert_eq!(status, StatusCode::OK);
        assert!(out.contains("<url>https://center:8443/sts/STSService/vsphere.local</url>"), "{out}");
        assert_eq!(out.matches("<returnval>").count(), 1);
        let (_, all) = call(&format!("<List xmlns=\"{LOOKUP}\"/>"));
        assert_eq!(all.matches("<returnval>").count(), SERVICES.len());
    }

    #[test]
    fn a_call_that_is_not_there_gets_a_fault() {
        let (status, out) = call("<Create xmlns=\"urn:lookup\"/>");
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(out.contains("does not support Create"), "{out}");
    }
}
