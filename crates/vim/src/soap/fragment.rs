//! Elements of types that the schema lacks: the arguments and answers of the executer of dynamic methods, as text.

use super::escape;
use super::xml::{Next, Xml};
use crate::error::{ReadError, shortened};
use crate::limits::{Limits, MAX_TEXT_BYTES};

/// Most elements of one fragment.
pub const MAX_ELEMENTS: usize = 100_000;

/// An element with its content. Attributes other than `xsi:type` mean nothing here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Without a prefix.
    pub name: String,
    /// `xsi:type`; read without its prefix, written unchanged.
    pub xsi_type: Option<String>,
    /// Its own text. Blanks beside elements do not count.
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    /// An element with only text.
    pub fn text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into(), ..Self::default() }
    }

    /// An element with only elements.
    pub fn of(name: impl Into<String>, children: Vec<Self>) -> Self {
        Self { name: name.into(), children, ..Self::default() }
    }

    #[must_use]
    pub fn typed(self, xsi_type: impl Into<String>) -> Self {
        Self { xsi_type: Some(xsi_type.into()), ..self }
    }

    /// Its child elements of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of its first child element of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.children.iter().find(|child| child.name == name).map(|child| &*child.text)
    }
}

/// Reads the elements of a fragment, one after the other.
///
/// # Errors
/// If it is not well-formed XML, has text outside elements, or exceeds a limit.
pub fn read_fragment(text: &str) -> Result<Vec<Element>, ReadError> {
    let mut xml = Xml::new(text.as_bytes(), Limits { elements: MAX_ELEMENTS, list_items: MAX_ELEMENTS })?;
    let mut open = vec![Element::default()];
    loop {
        match xml.next()? {
            Next::Start(start) => {
                let xsi_type = xml.attributes(&start)?.xsi_type.map(|name| name.into_owned());
                let name = start.local_name().as_ref().to_owned();
                if let Some(wrong) =
                    [Some(&name), xsi_type.as_ref()].into_iter().flatten().find(|it| !is_name(it))
                {
                    return Err(xml.malformed(format!("{:?} is not a name", shortened(wrong))));
                }
                open.push(Element { name, xsi_type, ..Element::default() });
            }
            Next::Text(piece) => {
                let text = &mut open.last_mut().expect("the outermost is never closed").text;
                if text.len() + piece.len() > MAX_TEXT_BYTES {
                    return Err(ReadError::TooMuch { what: "bytes in one text", limit: MAX_TEXT_BYTES });
                }
                text.push_str(&piece);
            }
            Next::End => {
                let mut closed = open.pop().expect("the outermost is closed last");
                if !closed.children.is_empty() && closed.text.trim().is_empty() {
                    closed.text.clear();
                }
                match open.last_mut() {
                    Some(parent) => parent.children.push(closed),
                    None if closed.text.trim().is_empty() => return Ok(closed.children),
                    None => return Err(xml.malformed("text where an element is expected")),
                }
            }
        }
    }
}

/// Whether a text can name an XML element or type, so that it reads back unchanged.
fn is_name(text: &str) -> bool {
    let is_first = |c: char| c == '_' || c.is_alphabetic();
    let is_other = |c: char| is_first(c) || c == '-' || c == '.' || c.is_numeric();
    text.starts_with(is_first) && text.chars().all(is_other)
}

/// The text of an element of `urn:vim25` that stands alone, as a host answers it.
pub fn write_fragment(root: &Element) -> String {
    const NAMESPACES: &str = concat!(
        " xmlns=\"urn:vim25\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"",
        " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\""
    );
    let mut out = Vec::new();
    element(&mut out, root, NAMESPACES);
    String::from_utf8(out).expect("text and escaped text")
}

fn element(out: &mut Vec<u8>, it: &Element, attributes: &str) {
    out.push(b'<');
    out.extend_from_slice(it.name.as_bytes());
    out.extend_from_slice(attributes.as_bytes());
    if let Some(xsi_type) = &it.xsi_type {
        out.extend_from_slice(b" xsi:type=\"");
        escape::write(out, xsi_type);
        out.push(b'"');
    }
    out.push(b'>');
    escape::write(out, &it.text);
    for child in &it.children {
        element(out, child, "");
    }
    out.extend_from_slice(b"</");
    out.extend_from_slice(it.name.as_bytes());
    out.push(b'>');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let rows = vec![
            Element::of("DataObject", vec![Element::text("Name", "a<&>\"b"), Element::text("Name", "")])
                .typed("VimEsxCLIx"),
        ];
        let root = Element::of("obj", rows).typed("ArrayOfDataObject");
        assert_eq!(read_fragment(&write_fragment(&root)).unwrap(), [root]);
    }

    #[test]
    fn arguments_are_read_as_clients_write_them() {
        let bare = read_fragment("<uplinks>vmnic0</uplinks>\n <uplinks>vmnic1</uplinks>").unwrap();
        assert_eq!(bare.iter().map(|it| &*it.text).collect::<Vec<_>>(), ["vmnic0", "vmnic1"]);
        let typed = read_fragment(
            "<name xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"xsd:string\">a &amp; b</name>",
        );
        assert_eq!(typed.unwrap(), [Element::text("name", "a & b").typed("string")]);
        assert_eq!(read_fragment("").unwrap(), []);
    }

    #[test]
    fn what_is_no_fragment_is_refused() {
        for wrong in
            ["text", "<a>", "<a></b>", "</a>", "<a/>x", "<!DOCTYPE a><a/>", "<a>&x;</a>", "<p:!--x>", "<1/>"]
        {
            assert!(read_fragment(wrong).is_err(), "{wrong}");
        }
        let deep = "<a>".repeat(100) + &"</a>".repeat(100);
        assert!(matches!(read_fragment(&deep), Err(ReadError::TooMuch { .. })));
        let many = "<a/>".repeat(MAX_ELEMENTS + 1);
        assert!(matches!(read_fragment(&many), Err(ReadError::TooMuch { .. })));
    }
}
