//! Reads whole messages: requests on a server, responses in a client.

use quick_xml::events::BytesStart;

use super::values::{Members, Reader};
use super::xml::Xml;
use super::{Call, Header, Request};
use crate::error::{ReadError, shortened};
use crate::limits::{self, Limits, MAX_NAME_BYTES};
use crate::{
    Args, Fault, Kind, List, Member, MethodId, MoRef, Record, TypeRef, Value, data_id, managed_id, schema,
};

/// The element that names the object whose method is called.
const THIS: &str = "_this";
const FETCH: &str = "Fetch";

/// Reads a request.
///
/// # Errors
/// [`ReadError`]; its `to_fault` is the answer for the client.
pub fn read_request(body: &[u8]) -> Result<Request, ReadError> {
    let (mut reader, header) = open(body, limits::REQUEST)?;
    let Some(start) = reader.xml.child()? else { return Err(empty_body()) };
    let local = start.local_name();
    let (this, call) = match (local.as_ref(), schema().find_method(local.as_ref())) {
        (_, Some(method)) => reader.method(method)?,
        (FETCH, None) => reader.fetch()?,
        (name, None) => {
            let receiver = reader.receiver_of_unknown()?;
            return Err(ReadError::UnknownMethod { name: shortened(name), receiver });
        }
    };
    reader.close()?;
    Ok(Request { this, call, header })
}

/// Reads a response to `method`: its result or the fault.
///
/// # Errors
/// [`ReadError`] if the body is not a response to that method.
pub fn read_response(body: &[u8], method: MethodId) -> Result<Result<Option<Value>, Fault>, ReadError> {
    let (mut reader, _) = open(body, limits::RESPONSE)?;
    let Some(start) = reader.xml.child()? else { return Err(empty_body()) };
    let method = schema().method(method);
    let local = start.local_name();
    let result = if local.as_ref() == "Fault" {
        Err(reader.fault()?)
    } else if local.as_ref().strip_suffix("Response") == Some(method.name) {
        Ok(reader.result(method.returns.as_ref())?)
    } else {
        return Err(ReadError::Envelope {
            expected: "the method's response",
            found: shortened(local.as_ref()),
        });
    };
    reader.close()?;
    Ok(result)
}

fn empty_body() -> ReadError {
    ReadError::Envelope { expected: "a method in the Body", found: "nothing".to_owned() }
}

/// Reads up to the first element in the Body.
fn open(body: &[u8], limits: Limits) -> Result<(Reader<'_>, Header), ReadError> {
    let mut xml = Xml::new(body, limits)?;
    let expect = |xml: &Xml, start: Option<BytesStart>, expected, name: &str| match start {
        Some(start) if xml.is_envelope(&start) && start.local_name().as_ref() == name => Ok(()),
        Some(start) => Err(ReadError::Envelope { expected, found: shortened(start.name().as_ref()) }),
        None => Err(ReadError::Envelope { expected, found: "nothing".to_owned() }),
    };
    let start = xml.child()?;
    expect(&xml, start, "a SOAP 1.1 Envelope", "Envelope")?;
    let mut header = Header::default();
    let mut start = xml.child()?;
    if start.as_ref().is_some_and(|s| xml.is_envelope(s) && s.local_name().as_ref() == "Header") {
        while let Some(start) = xml.child()? {
            let slot = match start.local_name().as_ref() {
                "operationID" => &mut header.operation_id,
                "vcSessionCookie" => &mut header.session_cookie,
                other => {
                    header.security |= other == "Security";
                    xml.skip()?;
                    continue;
                }
            };
            *slot = Some(xml.text()?.trim().to_owned());
        }
        start = xml.child()?;
    }
    expect(&xml, start, "a SOAP 1.1 Body", "Body")?;
    Ok((Reader { xml, place: Vec::new() }, header))
}

impl<'i> Reader<'i> {
    /// Reads to the end of the message, where only the ends of Body and Envelope may remain.
    fn close(&mut self) -> Result<(), ReadError> {
        for _ in ["Body", "Envelope", "message"] {
            if let Some(start) = self.xml.child()? {
                let found = shortened(start.name().as_ref());
                return Err(ReadError::Envelope { expected: "the end of the message", found });
            }
        }
        Ok(())
    }

    fn this(&mut self, this: &mut Option<MoRef>, start: &BytesStart<'i>) -> Result<(), ReadError> {
        self.place.push(THIS);
        if this.is_some() {
            return Err(ReadError::Duplicate { place: self.place() });
        }
        let attributes = self.xml.attributes(start)?;
        *this = Some(self.reference(managed_id!(ManagedObject), attributes.reference.as_deref())?);
        self.place.pop();
        Ok(())
    }

    fn method(&mut self, id: MethodId) -> Result<(MoRef, Call), ReadError> {
        let method = schema().method(id);
        self.place.push(method.name);
        let mut this = None;
        let mut members = Members::default();
        while let Some(start) = self.xml.child()? {
            if start.local_name().as_ref() == THIS {
                self.this(&mut this, &start)?;
            } else {
                self.member(method, &mut members, &start)?;
            }
        }
        let this = this.ok_or(ReadError::MissingParameter { method: method.name, name: THIS })?;
        for (number, parameter) in (0u16..).zip(&method.parameters) {
            if parameter.optional || parameter.list || members.has(number) {
                continue;
            }
            // suds omits empty elements, so a missing required text is an empty one.
            if parameter.kind != Kind::String {
                return Err(ReadError::MissingParameter { method: method.name, name: parameter.name });
            }
            members.put(number, "".into());
        }
        Ok((this, Call::Method(Args::new(id, members.finish(&method.parameters)))))
    }

    fn fetch(&mut self) -> Result<(MoRef, Call), ReadError> {
        self.place.push(FETCH);
        let (mut this, mut property) = (None, None);
        while let Some(start) = self.xml.child()? {
            match start.local_name().as_ref() {
                THIS => self.this(&mut this, &start)?,
                "prop" if property.is_none() => property = Some(self.xml.text()?.trim().to_owned()),
                name => return Err(ReadError::Unexpected { place: FETCH.to_owned(), name: shortened(name) }),
            }
        }
        let this = this.ok_or(ReadError::MissingParameter { method: FETCH, name: THIS })?;
        let property = property.ok_or(ReadError::MissingParameter { method: FETCH, name: "prop" })?;
        if property.len() > MAX_NAME_BYTES {
            return Err(ReadError::TooMuch { what: "bytes in a property path", limit: MAX_NAME_BYTES });
        }
        Ok((this, Call::Fetch { property }))
    }

    /// Looks for `_this` in a call of a method that the schema lacks.
    fn receiver_of_unknown(&mut self) -> Result<Option<MoRef>, ReadError> {
        let mut this = None;
        while let Some(start) = self.xml.child()? {
            if start.local_name().as_ref() == THIS && this.is_none() {
                self.this(&mut this, &start)?;
            } else {
                self.xml.skip()?;
            }
        }
        Ok(this)
    }

    fn result(&mut self, returns: Option<&'static Member>) -> Result<Option<Value>, ReadError> {
        let mut items = Vec::new();
        self.place.push("returnval");
        while let Some(start) = self.xml.child()? {
            let Some(member) = returns.filter(|_| start.local_name().as_ref() == "returnval") else {
                return Err(ReadError::Unexpected {
                    place: "the response".to_owned(),
                    name: shortened(start.local_name().as_ref()),
                });
            };
            if !member.list && !items.is_empty() {
                return Err(ReadError::Duplicate { place: self.place() });
            }
            if let Some(value) = self.value(member.kind, &start)? {
                self.push(&mut items, value)?;
            }
        }
        self.place.pop();
        Ok(match returns {
            Some(member) if member.list && !items.is_empty() => {
                Some(Value::List(List::new(member.kind, items)))
            }
            _ => items.pop(),
        })
    }

    fn fault(&mut self) -> Result<Fault, ReadError> {
        let (mut message, mut object) = (String::new(), None);
        while let Some(start) = self.xml.child()? {
            match start.local_name().as_ref() {
                "faultstring" => message = self.xml.text()?.into_owned(),
                "detail" => {
                    while let Some(start) = self.xml.child()? {
                        object = Some(self.fault_object(&start)?);
                    }
                }
                _ => self.xml.skip()?,
            }
        }
        // Without detail it is a fault of the protocol and says nothing more.
        let object = object.unwrap_or_else(|| crate::vim!(RuntimeFault {}).into());
        Ok(Fault::new(object, message))
    }

    fn fault_object(&mut self, start: &BytesStart<'i>) -> Result<crate::Object, ReadError> {
        let attributes = self.xml.attributes(start)?;
        let local = start.local_name();
        let name = match &attributes.xsi_type {
            Some(name) => name.as_ref(),
            None => local.as_ref().strip_suffix("Fault").unwrap_or(local.as_ref()),
        };
        let base = schema().data(data_id!(MethodFault));
        match schema().find(name) {
            Some(TypeRef::Data(ty)) if schema().data(ty).is_a(base) => {
                self.place.push(schema().data(ty).name());
                let object = self.object(ty)?;
                self.place.pop();
                Ok(object)
            }
            _ => Err(ReadError::UnknownType { place: "Fault.detail".to_owned(), name: shortened(name) }),
        }
    }
}
