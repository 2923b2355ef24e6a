//! `esfera logout`

use crate::client::failure::Failure;
use crate::client::session::{Saved, normal, open};
use crate::client::target::Target;

pub async fn run(target: &Target) -> Result<(), Failure> {
    let client = open(target).await?;
    client.logout().await?;
    let mut saved = Saved::load()?;
    let url = target.url.as_deref().map(normal).or_else(|| saved.current.clone());
    if let Some(url) = url {
        saved.sessions.remove(&url);
        saved.current = saved.sessions.keys().next().cloned();
    }
    Ok(saved.store()?)
}
