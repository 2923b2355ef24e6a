//! Reads a token that a client presents into its values.
//!
//! Clients may have written the XML anew, with other prefixes and blanks between elements; so elements are found by their names. An element
//! that our tokens do not have is refused, and one that stands twice as well.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use roxmltree::Node;
use vim::DateTime;

use crate::assertion::{Assertion, BEARER, BY_PASSWORD, RENEWAL, UPN};
use crate::xml::{SAML, SIGNATURE, child, children, is, text};

/// The longest id, issuer or subject.
const MAX_TEXT_BYTES: usize = 512;

/// A token as it was presented: its values are worth nothing until the signature is checked.
#[derive(Debug)]
pub(crate) struct Presented {
    pub(crate) assertion: Assertion,
    pub(crate) signature: Vec<u8>,
}

/// Finds the assertion of an element or in it, and reads it.
///
/// # Errors
/// A text that says what is not as our tokens are.
pub(crate) fn read(place: Node<'_, '_>) -> Result<Presented, String> {
    let node = if is(place, SAML, "Assertion") { Some(place) } else { child(place, SAML, "Assertion") };
    let node = node.ok_or("a SAML 2.0 assertion is missing")?;
    if node.attribute("Version") != Some("2.0") {
        return Err("the version of the assertion must be 2.0".to_owned());
    }
    let [issuer, signature, subject, conditions, statement] = parts(
        node,
        [
            (SAML, "Issuer"),
            (SIGNATURE, "Signature"),
            (SAML, "Subject"),
            (SAML, "Conditions"),
            (SAML, "AuthnStatement"),
        ],
    )?;
    let issued = time(node, "IssueInstant")?;
    let ends = time(conditions, "NotOnOrAfter")?;
    if time(conditions, "NotBefore")? != issued {
        return Err("NotBefore is not the time of issue".to_owned());
    }
    let renewable = match children(conditions).collect::<Vec<_>>().as_slice() {
        [] => false,
        [only] if is(*only, RENEWAL, "RenewRestriction") && only.attribute("Count") == Some("10") => true,
        _ => return Err("the conditions are not those of a token of this server".to_owned()),
    };
    let assertion = Assertion {
        id: short(node.attribute("ID").map(str::to_owned), "ID")?,
        issuer: short(text(issuer), "Issuer")?,
        subject: holder(subject, ends)?,
        issued,
        ends,
        authenticated: authenticated(statement)?,
        renewable,
    };
    let value =
        child(signature, SIGNATURE, "SignatureValue").and_then(text).ok_or("the signature is missing")?;
    let value: String = value.split_ascii_whitespace().collect();
    let signature = BASE64.decode(value).map_err(|_| "the signature is not base64")?;
    Ok(Presented { assertion, signature })
}

/// The child elements, which must be these in this order.
fn parts<'a, 'i, const N: usize>(
    node: Node<'a, 'i>,
    names: [(&str, &str); N],
) -> Result<[Node<'a, 'i>; N], String> {
    let found: Vec<Node<'a, 'i>> = children(node).take(N + 1).collect();
    let fits =
        found.len() == N && found.iter().zip(names).all(|(node, (space, name))| is(*node, space, name));
    let name = node.tag_name().name();
    let wrong = || format!("{name} does not consist of {}", names.map(|(_, name)| name).join(", "));
    if !fits {
        return Err(wrong());
    }
    found.try_into().map_err(|_| wrong())
}

/// The subject of a bearer token with this end.
fn holder(subject: Node<'_, '_>, ends: DateTime) -> Result<String, String> {
    let [name, confirmation] = parts(subject, [(SAML, "NameID"), (SAML, "SubjectConfirmation")])?;
    let [data] = parts(confirmation, [(SAML, "SubjectConfirmationData")])?;
    if name.attribute("Format") != Some(UPN) || confirmation.attribute("Method") != Some(BEARER) {
        return Err("the subject is not that of a bearer token of this server".to_owned());
    }
    if time(data, "NotOnOrAfter")? != ends {
        return Err("the times of the token differ from each other".to_owned());
    }
    short(text(name), "NameID")
}

fn authenticated(statement: Node<'_, '_>) -> Result<DateTime, String> {
    let [context] = parts(statement, [(SAML, "AuthnContext")])?;
    let [class] = parts(context, [(SAML, "AuthnContextClassRef")])?;
    if text(class).as_deref() != Some(BY_PASSWORD) {
        return Err("the token does not say that a password was given".to_owned());
    }
    time(statement, "AuthnInstant")
}

fn short(text: Option<String>, name: &str) -> Result<String, String> {
    text.filter(|text| !text.is_empty() && text.len() <= MAX_TEXT_BYTES)
        .ok_or_else(|| format!("{name} is missing or too long"))
}

/// The time in an attribute, in the spelling in which our tokens have it.
fn time(node: Node<'_, '_>, name: &str) -> Result<DateTime, String> {
    let text = node.attribute(name).ok_or_else(|| format!("{name} is missing"))?;
    DateTime::parse(text).ok_or_else(|| format!("{name} is not a time"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::xml::parse;

    fn assertion() -> impl Strategy<Value = Assertion> {
        let times = (0..2_000_000_000_000_000_i64, 0..1_000_000_000_i64, 0..1_000_000_000_i64);
        ("[!-~äß€][ -~äß€]{0,30}", "[!-~][a-z&<>\"'@. -]{0,30}", times, any::<bool>()).prop_map(
            |(issuer, subject, (at, lasts, before), renewable)| Assertion {
                id: format!("_{at:x}"),
                issuer,
                subject,
                issued: DateTime::from_micros(at),
                ends: DateTime::from_micros(at + lasts),
                authenticated: DateTime::from_micros(at - before),
                renewable,
            },
        )
    }

    fn shown(text: &str) -> Result<Presented, String> {
        read(parse(text)?.root_element())
    }

    proptest! {
        #[test]
        fn a_token_reads_as_it_was_written(token in assertion(), signature in any::<[u8; 64]>()) {
            let read = shown(&token.signed(&signature, b"certificate")).unwrap();
            prop_assert_eq!(read.assertion, token);
            prop_assert_eq!(read.signature, signature);
        }
    }

    #[test]
    fn a_token_with_more_less_or_other_than_ours_is_refused() {
        let now = DateTime::from_micros(1_800_000_000_000_000);
        let token = Assertion {
            id: "_1".into(),
            issuer: "https://center".into(),
            subject: "root@vsphere.local".into(),
            issued: now,
            ends: DateTime::from_micros(now.as_micros() + 1),
            authenticated: now,
            renewable: false,
        };
        let good = token.signed(&[1; 64], b"c");
        shown(&good).unwrap();
        for (from, to) in [
            ("Version=\"2.0\"", "Version=\"1.1\""),
            ("<saml2:Conditions", "<saml2:Advice></saml2:Advice><saml2:Conditions"),
            ("cm:bearer", "cm:holder-of-key"),
            ("claims/UPN", "claims/X500"),
            ("PasswordProtectedTransport", "Kerberos"),
            ("</saml2:Issuer>", "</saml2:Issuer><saml2:Subject></saml2:Subject>"),
            ("<ds:SignatureValue>", "<ds:SignatureValue>!"),
        ] {
            assert!(shown(&good.replace(from, to)).is_err(), "{from}");
        }
        assert!(shown(&token.unsigned()).is_err());
    }
}
