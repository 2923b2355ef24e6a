//! Elements over quick-xml's events: the content between a start and its end, with the limits applied.
//!
//! Namespaces decide only where they must: the envelope's elements and the `type` attribute of XML Schema. Document
//! types are refused, so only XML's own five entities exist.

use std::borrow::Cow;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use crate::error::ReadError;
use crate::limits::{Limits, MAX_ATTRIBUTES, MAX_DEPTH, MAX_TEXT_BYTES};

pub(super) const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

pub(super) struct Xml<'i> {
    reader: NsReader<&'i [u8]>,
    depth: usize,
    elements: usize,
    pub(super) limits: Limits,
}

/// A step through mixed content.
pub(super) enum Next<'i> {
    Start(BytesStart<'i>),
    Text(Cow<'i, str>),
    /// Of the current element, or of all.
    End,
}

/// The attributes that have a meaning.
#[derive(Default)]
pub(super) struct Attributes<'a> {
    /// `type`: a reference's type.
    pub(super) reference: Option<Cow<'a, str>>,
    /// `xsi:type` without its prefix.
    pub(super) xsi_type: Option<Cow<'a, str>>,
    pub(super) nil: bool,
}

impl<'i> Xml<'i> {
    pub(super) fn new(body: &'i [u8], limits: Limits) -> Result<Self, ReadError> {
        let text = std::str::from_utf8(body).map_err(|e| ReadError::Encoding { at: e.valid_up_to() })?;
        let mut reader = NsReader::from_str(text);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_end_names = true;
        Ok(Self { reader, depth: 0, elements: 0, limits })
    }

    pub(super) fn malformed(&self, problem: impl ToString) -> ReadError {
        let at = usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX);
        ReadError::Malformed { at, problem: problem.to_string() }
    }

    fn event(&mut self) -> Result<Event<'i>, ReadError> {
        let event = match self.reader.read_event() {
            Ok(event) => event,
            Err(error) => return Err(self.malformed(error)),
        };
        match &event {
            Event::Start(_) => {
                self.depth += 1;
                self.elements += 1;
                if self.depth > MAX_DEPTH {
                    return Err(ReadError::TooMuch { what: "levels of elements", limit: MAX_DEPTH });
                }
                if self.elements > self.limits.elements {
                    return Err(ReadError::TooMuch { what: "elements", limit: self.limits.elements });
                }
            }
            Event::End(_) => self.depth = self.depth.saturating_sub(1),
            Event::DocType(_) => return Err(self.malformed("a document type is not allowed")),
            Event::Decl(declaration) => {
                if let Some(Ok(encoding)) = declaration.encoding() {
                    let encoding = encoding.to_ascii_lowercase();
                    if !matches!(encoding.as_str(), "utf-8" | "utf8" | "us-ascii" | "ascii") {
                        return Err(self.malformed(format!("the encoding must be UTF-8, not {encoding}")));
                    }
                }
            }
            _ => {}
        }
        Ok(event)
    }

    /// The next element inside the current one; `None` at its end. Text between elements must be blank.
    pub(super) fn child(&mut self) -> Result<Option<BytesStart<'i>>, ReadError> {
        loop {
            match self.event()? {
                Event::Start(start) => return Ok(Some(start)),
                Event::End(_) => return Ok(None),
                Event::Eof if self.depth == 0 => return Ok(None),
                Event::Eof => return Err(self.malformed("the message ends too early")),
                Event::Text(text) if text.trim_ascii().is_empty() => {}
                Event::CData(text) if text.trim_ascii().is_empty() => {}
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {
                    return Err(self.malformed("text where an element is expected"));
                }
                _ => {}
            }
        }
    }

    /// The text up to the end of the current element, which must have no elements.
    pub(super) fn text(&mut self) -> Result<Cow<'i, str>, ReadError> {
        let mut text: Cow<'i, str> = Cow::Borrowed("");
        loop {
            let piece = match self.event()? {
                Event::Text(piece) => normalized(piece.into_inner()),
                Event::CData(piece) => normalized(piece.into_inner()),
                Event::GeneralRef(reference) => Cow::Owned(String::from(self.reference(&reference)?)),
                Event::End(_) => return Ok(text),
                Event::Eof => return Err(self.malformed("the message ends too early")),
                Event::Start(start) => {
                    let problem = format!("element {} where text is expected", start.name().as_ref());
                    return Err(self.malformed(problem));
                }
                _ => continue,
            };
            if text.len() + piece.len() > MAX_TEXT_BYTES {
                return Err(ReadError::TooMuch { what: "bytes in one text", limit: MAX_TEXT_BYTES });
            }
            if text.is_empty() { text = piece } else { text.to_mut().push_str(&piece) }
        }
    }

    /// The next element or text, where both may be mixed.
    pub(super) fn next(&mut self) -> Result<Next<'i>, ReadError> {
        loop {
            return Ok(match self.event()? {
                Event::Start(start) => Next::Start(start),
                Event::End(_) => Next::End,
                Event::Eof if self.depth == 0 => Next::End,
                Event::Eof => return Err(self.malformed("the message ends too early")),
                Event::Text(piece) => Next::Text(normalized(piece.into_inner())),
                Event::CData(piece) => Next::Text(normalized(piece.into_inner())),
                Event::GeneralRef(reference) => {
                    Next::Text(Cow::Owned(String::from(self.reference(&reference)?)))
                }
                _ => continue,
            });
        }
    }

    /// A character reference or one of XML's own entities.
    fn reference(&self, reference: &quick_xml::events::BytesRef) -> Result<char, ReadError> {
        match reference.resolve_char_ref() {
            Ok(Some(c)) if is_allowed(c) => Ok(c),
            Ok(Some(_)) | Err(_) => {
                Err(self.malformed(format!("&{};: not a character of XML", &**reference)))
            }
            Ok(None) => match &**reference {
                "lt" => Ok('<'),
                "gt" => Ok('>'),
                "amp" => Ok('&'),
                "quot" => Ok('"'),
                "apos" => Ok('\''),
                name => Err(self.malformed(format!("unknown entity &{name};"))),
            },
        }
    }

    /// Skips to the end of the current element.
    pub(super) fn skip(&mut self) -> Result<(), ReadError> {
        let outside = self.depth - 1;
        while self.depth > outside {
            if let Event::Eof = self.event()? {
                return Err(self.malformed("the message ends too early"));
            }
        }
        Ok(())
    }

    /// Whether an element is in the namespace of SOAP 1.1 envelopes.
    pub(super) fn is_envelope(&self, start: &BytesStart) -> bool {
        let (namespace, _) = self.reader.resolver().resolve_element(start.name());
        matches!(namespace, ResolveResult::Bound(Namespace(ENVELOPE)))
    }

    pub(super) fn attributes<'a>(&self, start: &'a BytesStart) -> Result<Attributes<'a>, ReadError> {
        let mut found = Attributes::default();
        if start.attributes_raw().trim_ascii().is_empty() {
            return Ok(found);
        }
        let mut count = 0;
        // The library's own check for repeated attributes takes quadratic time.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| self.malformed(error))?;
            count += 1;
            if count > MAX_ATTRIBUTES {
                return Err(ReadError::TooMuch { what: "attributes on one element", limit: MAX_ATTRIBUTES });
            }
            let (local, prefix) = attribute.key.decompose();
            let slot = match (local.as_ref(), prefix) {
                ("type", None) => &mut found.reference,
                ("type" | "nil", Some(_)) => {
                    let (namespace, _) = self.reader.resolver().resolve_attribute(attribute.key);
                    if !matches!(namespace, ResolveResult::Bound(Namespace(INSTANCE))) {
                        continue;
                    }
                    if local.as_ref() == "nil" {
                        found.nil = matches!(attribute.value.trim(), "true" | "1");
                        continue;
                    }
                    &mut found.xsi_type
                }
                _ => continue,
            };
            let value =
                attribute.normalized_value(XmlVersion::default()).map_err(|error| self.malformed(error))?;
            *slot = Some(value);
        }
        if let Some(name) = &mut found.xsi_type {
            let local = name.trim().rsplit(':').next().unwrap_or_default();
            if local.len() != name.len() {
                *name = Cow::Owned(local.to_owned());
            }
        }
        Ok(found)
    }
}

/// Line ends as XML reads them: each is one line feed.
fn normalized(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { text }
}

/// Whether XML 1.0 allows a character.
pub(super) fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}
