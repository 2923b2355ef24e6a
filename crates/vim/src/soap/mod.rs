//! SOAP 1.1 messages of `urn:vim25`.
//!
//! A server calls [`read_request`], then one of [`write_response`], [`write_fetch_response`] and [`write_fault`]; a
//! client [`write_request`] and [`read_response`]. The schema's table drives all of it. The reader accepts more than the
//! writer sends: any prefix, any order of members, unknown attributes.

mod escape;
mod fragment;
mod read;
mod values;
mod write;
mod xml;

pub use fragment::{Element, MAX_ELEMENTS, read_fragment, write_fragment};
pub use read::{read_request, read_response};

use crate::{Args, Encode, Fault, Kind, MethodId, MoRef, Release, names, schema};
use write::Writer;

/// A received call.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub this: MoRef,
    pub call: Call,
    pub header: Header,
}

/// The method of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    Method(Args),
    /// The undocumented read of one property, which the schema lacks.
    Fetch {
        property: String,
    },
}

/// The client's header of the envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// `operationID`: the client's name for the call, for logs and task records.
    pub operation_id: Option<String>,
    /// `vcSessionCookie`: the session, where it is not in the HTTP cookie.
    pub session_cookie: Option<String>,
    /// Whether there is a `Security`, in which a login has its SAML token.
    pub security: bool,
}

const BEGIN: &[u8] = concat!(
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n",
    "<soapenv:Envelope xmlns:soapenc=\"http://schemas.xmlsoap.org/soap/encoding/\"",
    " xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"",
    " xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"",
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\n<soapenv:Body>\n"
)
.as_bytes();
const END: &[u8] = b"\n</soapenv:Body>\n</soapenv:Envelope>\n";

/// ` xmlns="…"` for an element with this name, or of the type with this name.
fn namespace(name: &str) -> &'static [u8] {
    if names::is_of_pbm(name) { b" xmlns=\"urn:pbm\"" } else { b" xmlns=\"urn:vim25\"" }
}

/// Writes an envelope with one element in its Body, in the namespace of its service.
fn envelope(out: &mut Vec<u8>, name: &[&str], write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(BEGIN);
    out.push(b'<');
    name.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    out.extend_from_slice(namespace(name[0]));
    out.push(b'>');
    write(out);
    out.extend_from_slice(b"</");
    name.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
    out.push(b'>');
    out.extend_from_slice(END);
}

/// Appends the whole envelope of a result; `None` for a void method or an unset result. The caller of a method knows the
/// method's release, whatever release it claimed.
pub fn write_response(out: &mut Vec<u8>, method: MethodId, result: Option<&dyn Encode>, release: Release) {
    let method = schema().method(method);
    envelope(out, &[method.name, "Response"], |out| {
        if let (Some(member), Some(value)) = (&method.returns, result) {
            Writer::new(out, release.max(method.since)).result(member.kind, member.list, value);
        }
    });
}

/// Appends the whole envelope of a fetched property: its value carries its type, a list is an array.
pub fn write_fetch_response(out: &mut Vec<u8>, result: Option<&dyn Encode>, release: Release) {
    envelope(out, &["FetchResponse"], |out| {
        if let Some(value) = result {
            Writer::new(out, release).result(Kind::Any, false, value);
        }
    });
}

/// Appends the whole envelope of a fault. `client_error` says that the request itself was wrong.
pub fn write_fault(out: &mut Vec<u8>, fault: &Fault, release: Release, client_error: bool) {
    out.extend_from_slice(BEGIN);
    out.extend_from_slice(b"<soapenv:Fault><faultcode>");
    let code: &[u8] = if client_error { b"ClientFaultCode" } else { b"ServerFaultCode" };
    out.extend_from_slice(code);
    out.extend_from_slice(b"</faultcode><faultstring>");
    escape::write(out, fault.message());
    out.extend_from_slice(b"</faultstring><detail>");
    let object = fault.object();
    // Every chain of faults ends in MethodFault, which every release knows.
    if let Some(ty) = crate::tags::tags().known(object.ty(), release) {
        let name = schema().data(ty).name.as_bytes();
        out.push(b'<');
        out.extend_from_slice(name);
        out.extend_from_slice(b"Fault");
        out.extend_from_slice(namespace(schema().data(ty).name));
        out.extend_from_slice(b" xsi:type=\"");
        out.extend_from_slice(name);
        out.extend_from_slice(b"\">");
        Writer::new(out, release).fields(ty, object);
        out.extend_from_slice(b"</");
        out.extend_from_slice(name);
        out.extend_from_slice(b"Fault>");
    }
    out.extend_from_slice(b"</detail></soapenv:Fault>");
    out.extend_from_slice(END);
}

/// Appends the whole envelope of a call.
pub fn write_request(out: &mut Vec<u8>, this: &MoRef, args: &Args, release: Release) {
    envelope(out, &[args.method_name()], |out| {
        out.extend_from_slice(b"<_this type=\"");
        out.extend_from_slice(this.type_name().as_bytes());
        out.extend_from_slice(b"\">");
        escape::write(out, this.id());
        out.extend_from_slice(b"</_this>");
        Writer::new(out, release).parameters(args);
    });
}
