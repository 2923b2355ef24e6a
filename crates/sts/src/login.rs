//! `SessionManager.LoginByToken`: the token stands in the header of the message.

use std::sync::Arc;

use api::managers::begin_session;
use api::{Call, Methods};
use vim::{Fault, Value, arg, fault, managed_id, method};

use crate::read::{Presented, read};
use crate::tokens::Tokens;
use crate::xml::{SECURITY, SOAP, child, is, parse};

/// Adds the method to a center's.
pub fn register(methods: &mut Methods, tokens: &Arc<Tokens>) {
    let tokens = tokens.clone();
    methods.on(managed_id!(SessionManager), method!(LoginByToken), move |call| {
        let tokens = tokens.clone();
        async move { login(call, &tokens).await }
    });
}

async fn login(call: Call, tokens: &Tokens) -> Result<Option<Value>, Fault> {
    let locale = call.arg(arg!(LoginByToken.locale));
    let Some(text) = call.token.clone() else {
        return Err(fault!(InvalidLogin {}, "The message has no SAML token in its security header"));
    };
    let account = presented(&text)
        .and_then(|presented| tokens.accept(&presented).map_err(|problem| problem.to_string()));
    match account {
        Ok(account) => begin_session(&call, account, locale).await,
        Err(problem) => {
            tracing::warn!(problem, address = %call.peer.address, "a login with a SAML token was refused");
            Err(fault!(InvalidLogin {}, "Cannot log in with this token: {problem}"))
        }
    }
}

/// Reads the token: it is the whole text, or stands in the security header of a message.
fn presented(text: &str) -> Result<Presented, String> {
    let document = parse(text)?;
    let root = document.root_element();
    if !is(root, SOAP, "Envelope") {
        return read(root);
    }
    let security = child(root, SOAP, "Header").and_then(|header| child(header, SECURITY, "Security"));
    read(security.ok_or("the message has no security header")?)
}
