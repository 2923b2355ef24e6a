//! XML as this crate reads and writes it: elements by namespace and name within limits, and text that needs no further canonicalization.

use std::fmt::Write;

use roxmltree::{Document, Node, ParsingOptions};

pub(crate) const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
pub(crate) const SECURITY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
pub(crate) const UTILITY: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
pub(crate) const TRUST: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512";
pub(crate) const SAML: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
pub(crate) const SIGNATURE: &str = "http://www.w3.org/2000/09/xmldsig#";

/// Elements, attributes and texts of one message.
const MAX_NODES: u32 = 4_000;

/// Declarations of namespaces in one message. Each element below one looks through all of them.
const MAX_NAMESPACES: usize = 64;

/// Reads a message. Document types are refused, so entities expand to nothing but single characters.
///
/// # Errors
/// A text that says where the message is not XML, or that it has too many nodes or namespaces.
pub(crate) fn parse(text: &str) -> Result<Document<'_>, String> {
    if text.matches("xmlns").count() > MAX_NAMESPACES {
        return Err(format!("a message declares at most {MAX_NAMESPACES} namespaces"));
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| error.to_string())
}

/// The elements in a node; text between them is left out.
pub(crate) fn children<'a, 'i>(node: Node<'a, 'i>) -> impl Iterator<Item = Node<'a, 'i>> + use<'a, 'i> {
    node.children().filter(Node::is_element)
}

/// The first child element with this name.
pub(crate) fn child<'a, 'i>(node: Node<'a, 'i>, namespace: &str, name: &str) -> Option<Node<'a, 'i>> {
    children(node).find(|child| is(*child, namespace, name))
}

/// Whether an element has this name.
pub(crate) fn is(node: Node<'_, '_>, namespace: &str, name: &str) -> bool {
    node.tag_name().namespace() == Some(namespace) && node.tag_name().name() == name
}

/// The text of an element that has nothing else in it.
pub(crate) fn text(node: Node<'_, '_>) -> Option<String> {
    if children(node).next().is_some() {
        return None;
    }
    Some(node.children().filter(Node::is_text).filter_map(|piece| piece.text()).collect())
}

/// Writes the text of an element, as Canonical XML spells it.
pub(crate) fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
}

/// Writes ` name="value"`, as Canonical XML spells it.
pub(crate) fn attribute(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, " {name}=\"");
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#x9;"),
            '\n' => out.push_str("&#xA;"),
            '\r' => out.push_str("&#xD;"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Writes an element with text.
pub(crate) fn element(out: &mut String, name: &str, content: &str) {
    let _ = write!(out, "<{name}>");
    escape(out, content);
    let _ = write!(out, "</{name}>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_with_a_document_type_or_with_too_many_elements_is_refused() {
        assert!(parse("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>").is_err());
        let many = format!("<a>{}</a>", "<b/>".repeat(MAX_NODES as usize));
        assert!(parse(&many).is_err());
    }

    #[test]
    fn a_message_with_too_many_namespaces_is_refused_before_it_is_read() {
        let nested: String =
            (0..=MAX_NAMESPACES).map(|number| format!("<a xmlns:n{number}=\"u\">")).collect();
        assert!(parse(&nested).unwrap_err().contains("namespaces"));
        let flat = format!("<a>{}</a>", "<b xmlns='u'/>".repeat(MAX_NAMESPACES));
        assert!(parse(&flat).is_ok());
    }

    #[test]
    fn a_deep_message_is_read_or_refused_and_nothing_overflows() {
        for depth in [100, 3_000, 60_000] {
            let deep = format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
            let _ = parse(&deep);
        }
    }

    #[test]
    fn text_and_attributes_are_escaped_as_canonical_xml_does() {
        let mut out = String::new();
        escape(&mut out, "a&b<c>d\"\r");
        attribute(&mut out, "x", "a&b<c>d\"\t\n");
        assert_eq!(out, "a&amp;b&lt;c&gt;d\"&#xD; x=\"a&amp;b&lt;c>d&quot;&#x9;&#xA;\"");
    }
}
