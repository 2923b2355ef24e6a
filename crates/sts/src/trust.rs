//! WS-Trust 1.3: requests for tokens, and the answers.

use std::fmt::Write;

use roxmltree::Node;
use vim::DateTime;

use crate::read::{Presented, read};
use crate::tokens::Issued;
use crate::xml::{SECURITY, SOAP, TRUST, UTILITY, child, element, escape, is, text};

/// How far the clocks of client and server may differ.
const TOLERANCE: i64 = 10 * 60 * 1_000_000;
const MAX_NAME_BYTES: usize = 256;

/// A request for a token.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) wanted: Wanted,
    /// The length of the lifetime that the client asks for, in microseconds.
    pub(crate) lifetime: Option<i64>,
}

#[derive(Debug)]
pub(crate) enum Wanted {
    Issue { user: String, password: String, renewable: bool },
    Renew(Box<Presented>),
    Validate(Box<Presented>),
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{0}")]
    InvalidRequest(String),
    #[error("{0}")]
    RequestFailed(String),
    #[error("Invalid credentials")]
    FailedAuthentication,
    #[error("{0}")]
    InvalidSecurityToken(String),
    #[error("The request is not valid now ({0}); compare the clocks of client and server")]
    InvalidTimeRange(String),
    #[error("{0}")]
    Unavailable(String),
}

impl Refusal {
    /// The fault's code in the namespace of WS-Trust; SOAP's own for a failure of the server.
    fn code(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "wst:InvalidRequest",
            Self::RequestFailed(_) => "wst:RequestFailed",
            Self::FailedAuthentication => "wst:FailedAuthentication",
            Self::InvalidSecurityToken(_) => "wst:InvalidSecurityToken",
            Self::InvalidTimeRange(_) => "wst:InvalidTimeRange",
            Self::Unavailable(_) => "soapenv:Server",
        }
    }
}

fn invalid(problem: impl Into<String>) -> Refusal {
    Refusal::InvalidRequest(problem.into())
}

/// Reads a request, which must be valid at this time.
///
/// # Errors
/// [`Refusal`].
pub(crate) fn request(envelope: Node<'_, '_>, now: DateTime) -> Result<Request, Refusal> {
    if !is(envelope, SOAP, "Envelope") {
        return Err(invalid("the message is not a SOAP 1.1 envelope"));
    }
    let security = child(envelope, SOAP, "Header").and_then(|header| child(header, SECURITY, "Security"));
    if let Some(stamp) = security.and_then(|security| child(security, UTILITY, "Timestamp")) {
        in_time(stamp, now)?;
    }
    let body = child(envelope, SOAP, "Body").ok_or_else(|| invalid("the message has no body"))?;
    let token = child(body, TRUST, "RequestSecurityToken")
        .ok_or_else(|| invalid("the body has no RequestSecurityToken"))?;
    let word = |name| child(token, TRUST, name).and_then(text).map(|text| text.trim().to_owned());
    if let Some(kind) = word("KeyType").filter(|kind| !kind.ends_with("/Bearer")) {
        return Err(Refusal::RequestFailed(format!(
            "Tokens with the key type {kind} are not issued; ask for a bearer token"
        )));
    }
    let kind = word("RequestType").ok_or_else(|| invalid("the request has no RequestType"))?;
    let wanted = match kind.strip_prefix(TRUST) {
        Some("/Issue") => issue(security, token)?,
        Some("/Renew") => Wanted::Renew(target(token, "RenewTarget")?),
        Some("/Validate") => Wanted::Validate(target(token, "ValidateTarget")?),
        _ => return Err(invalid(format!("the request type {kind} is not one of Issue, Renew, Validate"))),
    };
    Ok(Request { wanted, lifetime: lifetime(token)? })
}

fn issue(security: Option<Node<'_, '_>>, token: Node<'_, '_>) -> Result<Wanted, Refusal> {
    if child(token, TRUST, "OnBehalfOf").is_some() || child(token, TRUST, "ActAs").is_some() {
        return Err(Refusal::RequestFailed("Tokens on behalf of others are not issued".to_owned()));
    }
    let security = security.ok_or_else(|| invalid("the header has no Security"))?;
    let user = child(security, SECURITY, "UsernameToken").ok_or_else(|| {
        Refusal::RequestFailed("Only a UsernameToken with a password proves an identity here".to_owned())
    })?;
    let word = |name| child(user, SECURITY, name).and_then(text);
    let name = word("Username").ok_or_else(|| invalid("the UsernameToken has no Username"))?;
    let password = word("Password").ok_or_else(|| invalid("the UsernameToken has no Password"))?;
    if name.len() > MAX_NAME_BYTES {
        return Err(Refusal::FailedAuthentication);
    }
    let renewable = child(token, TRUST, "Renewing")
        .is_some_and(|renewing| matches!(renewing.attribute("Allow"), None | Some("true" | "1")));
    Ok(Wanted::Issue { user: name, password, renewable })
}

fn target(token: Node<'_, '_>, name: &str) -> Result<Box<Presented>, Refusal> {
    let target = child(token, TRUST, name).ok_or_else(|| invalid(format!("the request has no {name}")))?;
    let presented = read(target)
        .map_err(|problem| Refusal::InvalidSecurityToken(format!("The token cannot be used: {problem}")))?;
    Ok(Box::new(presented))
}

/// A time in a child element.
fn time(place: Node<'_, '_>, namespace: &str, name: &str) -> Result<Option<DateTime>, Refusal> {
    let Some(node) = child(place, namespace, name) else { return Ok(None) };
    let read = text(node).and_then(|text| DateTime::parse(&text));
    read.map(Some).ok_or_else(|| invalid(format!("{name} is not a time")))
}

fn in_time(stamp: Node<'_, '_>, now: DateTime) -> Result<(), Refusal> {
    let now = now.as_micros();
    let created = time(stamp, UTILITY, "Created")?.filter(|at| at.as_micros() > now + TOLERANCE);
    if let Some(created) = created {
        return Err(Refusal::InvalidTimeRange(format!("it was created at {created}")));
    }
    let ended = time(stamp, UTILITY, "Expires")?.filter(|at| at.as_micros() < now - TOLERANCE);
    match ended {
        Some(ended) => Err(Refusal::InvalidTimeRange(format!("it expired at {ended}"))),
        None => Ok(()),
    }
}

/// The length that a client asks for. Its clock may differ from ours, so only the length counts.
fn lifetime(token: Node<'_, '_>) -> Result<Option<i64>, Refusal> {
    let Some(span) = child(token, TRUST, "Lifetime") else { return Ok(None) };
    let (begins, ends) = (time(span, UTILITY, "Created")?, time(span, UTILITY, "Expires")?);
    let (Some(begins), Some(ends)) = (begins, ends) else { return Ok(None) };
    let length = ends.as_micros().saturating_sub(begins.as_micros());
    if length > 0 {
        Ok(Some(length))
    } else {
        Err(Refusal::InvalidTimeRange(format!("the token would end at {ends}")))
    }
}

/// The answer with a token. Issue answers a collection, Renew and Validate the response alone.
pub(crate) fn issued(token: &Issued, collection: bool) -> String {
    envelope(|out| {
        if collection {
            out.push_str("<RequestSecurityTokenResponseCollection xmlns=\"");
            out.push_str(TRUST);
            out.push_str("\">");
        }
        let _ = write!(out, "<RequestSecurityTokenResponse xmlns=\"{TRUST}\">");
        element(out, "TokenType", crate::xml::SAML);
        let _ = write!(
            out,
            "<Lifetime><Created xmlns=\"{UTILITY}\">{}</Created><Expires xmlns=\"{UTILITY}\">{}</Expires></Lifetime>",
            token.begins, token.ends
        );
        let _ = write!(out, "<RequestedSecurityToken>{}</RequestedSecurityToken>", token.text);
        let _ = write!(out, "<Renewing Allow=\"{}\" OK=\"false\"></Renewing>", token.renewable);
        element(out, "KeyType", &format!("{TRUST}/Bearer"));
        element(out, "Delegatable", "false");
        out.push_str("</RequestSecurityTokenResponse>");
        if collection {
            out.push_str("</RequestSecurityTokenResponseCollection>");
        }
    })
}

/// The answer to the question whether a token is valid.
pub(crate) fn validated(problem: Option<&str>) -> String {
    envelope(|out| {
        let code = if problem.is_none() { "valid" } else { "invalid" };
        let _ = write!(out, "<RequestSecurityTokenResponse xmlns=\"{TRUST}\">");
        element(out, "TokenType", &format!("{TRUST}/RSTR/Status"));
        out.push_str("<Status>");
        element(out, "Code", &format!("{TRUST}/status/{code}"));
        if let Some(problem) = problem {
            element(out, "Reason", problem);
        }
        out.push_str("</Status></RequestSecurityTokenResponse>");
    })
}

/// The fault for a refusal.
pub(crate) fn refused(refusal: &Refusal) -> String {
    envelope(|out| {
        let _ = write!(
            out,
            "<soapenv:Fault><faultcode xmlns:wst=\"{TRUST}\">{}</faultcode><faultstring>",
            refusal.code()
        );
        escape(out, &refusal.to_string());
        out.push_str("</faultstring></soapenv:Fault>");
    })
}

/// An envelope around a body. A token in it declares all namespaces that it uses, and no other one lies above it but the envelope's.
pub(crate) fn envelope(body: impl FnOnce(&mut String)) -> String {
    let mut out = String::with_capacity(4_096);
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soapenv:Envelope xmlns:soapenv=\"{SOAP}\"><soapenv:Body>"
    );
    body(&mut out);
    out.push_str("</soapenv:Body></soapenv:Envelope>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xml::parse;

    fn now() -> DateTime {
        DateTime::parse("2026-06-01T12:00:00Z").unwrap()
    }

    fn ask(security: &str, token: &str) -> Result<Request, Refusal> {
        let text = format!(
            "<e:Envelope xmlns:e=\"{SOAP}\" xmlns:t=\"{TRUST}\" xmlns:u=\"{UTILITY}\" xmlns:s=\"{SECURITY}\"><e:Header>\
             <s:Security>{security}</s:Security></e:Header><e:Body><t:RequestSecurityToken>{token}\
             </t:RequestSecurityToken></e:Body></e:Envelope>"
        );
        request(parse(&text).unwrap().root_element(), now())
    }

    const USER: &str =
        "<s:UsernameToken><s:Username>a@b</s:Username><s:Password>p &amp; q</s:Password></s:UsernameToken>";

    fn issue_request() -> String {
        format!("<t:RequestType>{TRUST}/Issue</t:RequestType>")
    }

    #[test]
    fn a_request_gives_user_password_and_the_length_of_the_lifetime() {
        let rest = "<t:Renewing Allow=\"true\"/><t:Lifetime><u:Created>2020-01-01T00:00:00Z</u:Created>\
                    <u:Expires>2020-01-01T00:05:00.000Z</u:Expires></t:Lifetime>";
        let request = ask(USER, &format!("{}{rest}", issue_request())).unwrap();
        assert_eq!(request.lifetime, Some(300_000_000));
        let Wanted::Issue { user, password, renewable } = request.wanted else { panic!("not an issue") };
        assert_eq!((user.as_str(), password.as_str(), renewable), ("a@b", "p & q", true));
    }

    #[test]
    fn a_request_of_another_time_is_refused_beyond_what_clocks_may_differ() {
        let stamp = |created: &str, expires: &str| {
            format!(
                "<u:Timestamp><u:Created>{created}</u:Created><u:Expires>{expires}</u:Expires></u:Timestamp>{USER}"
            )
        };
        let times = [
            ("2026-06-01T12:09:00Z", "2026-06-01T12:10:00Z", true),
            ("2026-06-01T12:11:00Z", "2026-06-01T12:12:00Z", false),
            ("2026-06-01T11:00:00Z", "2026-06-01T11:51:00Z", true),
            ("2026-06-01T11:00:00Z", "2026-06-01T11:49:00Z", false),
        ];
        for (created, expires, fits) in times {
            let answer = ask(&stamp(created, expires), &issue_request());
            let wrong = matches!(answer, Err(Refusal::InvalidTimeRange(_)));
            assert_eq!((answer.is_ok(), wrong), (fits, !fits), "{created} {expires}");
        }
    }

    #[test]
    fn each_request_that_this_service_cannot_fulfil_is_refused_by_name() {
        let failed = |security: &str, token: &str| ask(security, token).unwrap_err().code();
        let issue = issue_request();
        assert_eq!(failed("", &issue), "wst:RequestFailed");
        assert_eq!(failed(USER, ""), "wst:InvalidRequest");
        assert_eq!(failed(USER, "<t:RequestType>x</t:RequestType>"), "wst:InvalidRequest");
        let key = format!("<t:KeyType>{TRUST}/PublicKey</t:KeyType>");
        assert_eq!(failed(USER, &format!("{issue}{key}")), "wst:RequestFailed");
        assert_eq!(failed(USER, &format!("{issue}<t:OnBehalfOf/>")), "wst:RequestFailed");
        let renew =
            format!("<t:RequestType>{TRUST}/Renew</t:RequestType><t:RenewTarget><a/></t:RenewTarget>");
        assert_eq!(failed(USER, &renew), "wst:InvalidSecurityToken");
    }
}
