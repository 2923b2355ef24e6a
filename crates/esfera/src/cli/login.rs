//! `esfera login`

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use api::tls::{PeerCertificate, Trust, same_thumbprint, thumbprint_of};
use clap::Args;

use crate::client::failure::{Failure, Reason};
use crate::client::session::{Saved, SavedSession, confirm, connect, normal, password};
use crate::client::terminal;

#[derive(Args)]
pub struct Login {
    /// https://HOST[:PORT]
    pub url: String,
    #[arg(long, short, env = "ESFERA_USER")]
    pub user: String,
    /// File that holds the password; otherwise $ESFERA_PASSWORD, or it is asked for
    #[arg(long)]
    pub password_file: Option<PathBuf>,
    /// SHA-256 or SHA-1 thumbprint of the server's certificate, AA:BB:…
    #[arg(long, conflicts_with_all = ["ca", "insecure"])]
    pub thumbprint: Option<String>,
    /// Certificate authority (PEM) that signed the server's certificate
    #[arg(long, conflicts_with = "insecure")]
    pub ca: Option<PathBuf>,
    /// Trust whatever certificate the server shows now
    #[arg(long)]
    pub insecure: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(args: Login) -> Result<(), Failure> {
    let url = normal(&args.url);
    let thumbprint = trusted_thumbprint(&url, &args).await?;
    let password = password(args.password_file.as_deref(), "ESFERA_PASSWORD", &args.user, &url)?;
    let client = connect(&url, thumbprint.clone().map_or(Trust::Insecure, Trust::Thumbprint)).await?;
    client.login(&args.user, &password).await?;
    let key = client.session_key().map(|key| key.to_string()).unwrap_or_default();
    let mut saved = Saved::load()?;
    saved.sessions.insert(url.clone(), SavedSession { user: args.user.clone(), key, thumbprint });
    saved.current = Some(url.clone());
    saved.store()?;
    if args.json {
        terminal::json(&serde_json::json!({ "url": url, "user": args.user }))
    } else {
        terminal::line(format!("Logged in to {url} as {}.", args.user))
    }
}

/// The thumbprint that the connection is pinned to from now on.
async fn trusted_thumbprint(url: &str, args: &Login) -> Result<Option<String>, Failure> {
    if url.starts_with("http://") {
        return Ok(None);
    }
    let address = address_of(url);
    let shown =
        thumbprint_of(&address).await.map_err(|e| Failure::new(Reason::Unreachable, e.to_string()))?;
    if let Some(path) = &args.ca {
        let pem = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let trust = Trust::from_pem(&pem).map_err(|e| Failure::new(Reason::Usage, e.to_string()))?;
        connect(url, trust).await?;
        return Ok(Some(shown.sha256));
    }
    match &args.thumbprint {
        Some(given) if has_thumbprint(&shown, given) => {}
        Some(_) => {
            let message = format!("{address} shows another certificate, with thumbprint {}", shown.sha256);
            return Err(Failure::new(Reason::Unreachable, message).hint(
                "if the server's certificate was renewed, check the new thumbprint and give that one",
            ));
        }
        None if args.insecure => {}
        None if known_thumbprint(url)?.as_deref() == Some(&shown.sha256) => {}
        None => {
            let question = format!(
                "{address} shows a certificate with SHA-256 thumbprint\n  {}\nTrust it?",
                shown.sha256
            );
            if !confirm(&question) {
                return Err(Failure::new(
                    Reason::Unreachable,
                    format!("the certificate of {address} is not trusted"),
                )
                .hint(format!("if it is the right one, give --thumbprint {}", shown.sha256)));
            }
        }
    }
    Ok(Some(shown.sha256))
}

fn has_thumbprint(shown: &PeerCertificate, text: &str) -> bool {
    shown.chain.first().is_some_and(|own| same_thumbprint(own, text))
}

fn known_thumbprint(url: &str) -> Result<Option<String>> {
    Ok(Saved::load()?.sessions.remove(url).and_then(|session| session.thumbprint))
}

fn address_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { rest.to_owned() } else { format!("{rest}:443") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_port_is_that_of_https() {
        assert_eq!((address_of("https://c"), address_of("https://c:1")), ("c:443".into(), "c:1".into()));
    }
}
