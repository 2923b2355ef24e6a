//! A SAML token, or a message to the token service, from any client. A token that reads is the same token when it is written again.

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    sts::is_request(text);
    if let Some(written) = sts::rewritten(text) {
        assert_eq!(sts::rewritten(&written).as_ref(), Some(&written));
    }
}
