//! The WSDL is well formed and closed: it defines everything that it refers to.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use quick_xml::events::Event;
use vim::{api_release, is_of_pbm, schema, wsdl};

#[test]
fn every_name_that_is_referred_to_is_defined_once() {
    let mut reader = quick_xml::Reader::from_str(wsdl::service_wsdl());
    reader.config_mut().expand_empty_elements = true;
    let (mut defined, mut used) = (HashSet::new(), HashSet::new());
    let mut depth = 0;
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                depth += 1;
                let sort = start.local_name().as_ref().to_owned();
                for attribute in start.attributes() {
                    let attribute = attribute.unwrap();
                    let value = attribute.value.into_owned();
                    match attribute.key.as_ref() {
                        // Definitions stand in the schema or right below the root.
                        "name" if depth <= 4 && sort != "operation" && sort != "part" && sort != "fault" => {
                            let sort = match sort.as_str() {
                                "complexType" | "simpleType" => "type",
                                other => other,
                            };
                            assert!(defined.insert((sort.to_owned(), value.clone())), "{sort} {value} twice");
                        }
                        "base" | "type" | "element" | "message" | "binding" => {
                            if let Some(name) = value.strip_prefix("vim25:") {
                                let sort = match (attribute.key.as_ref(), sort.as_str()) {
                                    ("element", _) => "element",
                                    ("message", _) => "message",
                                    ("binding", _) => "binding",
                                    ("type", "binding") => "portType",
                                    _ => "type",
                                };
                                used.insert((sort.to_owned(), name.to_owned()));
                            }
                        }
                        _ => {}
                    }
                }
            }
            Event::End(_) => depth -= 1,
            Event::Eof => break,
            _ => {}
        }
    }
    let missing: Vec<_> = used.difference(&defined).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // Storage policies are a service of their own.
    assert!(!wsdl::service_wsdl().contains("Pbm"));
    for ty in schema().data.iter().filter(|ty| ty.since <= api_release() && !is_of_pbm(ty.name)) {
        assert!(defined.contains(&("type".to_owned(), ty.name.to_owned())), "{}", ty.name);
    }
    assert!(defined.contains(&("type".into(), "ArrayOfVirtualDevice".into())));
    assert!(defined.contains(&("type".into(), "ArrayOfString".into())));
}

#[test]
fn what_is_newer_than_our_release_is_left_out() {
    let text = wsdl::service_wsdl();
    let newer: Vec<_> = schema().data.iter().filter(|ty| ty.since > api_release()).collect();
    assert!(!newer.is_empty());
    for ty in newer {
        assert!(!text.contains(&format!("\"vim25:{}\"", ty.name)), "{}", ty.name);
    }
}
