//! Screenshots: the host writes one to the VM's directory, and the center fetches it from there.

use std::sync::Arc;

use api::Account;
use api::files::Target;
use api::server::Screens;
use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use vim::{Fault, MoRef, Value, call, fault};

use super::by::By;
use super::carrier::Carrier;
use crate::link::LinkError;

/// The largest picture, in bytes.
const MAX_BYTES: u64 = 32 << 20;

pub(crate) struct CenterScreens {
    pub carrier: Arc<Carrier>,
}

#[async_trait]
impl Screens for CenterScreens {
    async fn screenshot(&self, who: &Account, vm: &MoRef) -> Result<Vec<u8>, Fault> {
        let host = self.carrier.home(vm)?;
        let files = host.link()?.files();
        let files =
            files.ok_or_else(|| fault!(NotSupported {}, "Host {} does not offer screenshots", host.name))?;
        let by = By::user(&who.name);
        let made = self.carrier.carry_to(&host, vm, &call!(CreateScreenshot_Task {}), &by).await;
        let made = made.map_err(LinkError::into_fault)?;
        let path = made.as_ref().and_then(Value::as_str).unwrap_or_default();
        let (datastore, path) = path
            .trim_start_matches('[')
            .split_once(']')
            .ok_or_else(|| fault!(RuntimeFault {}, "The host did not return the path of the screenshot"))?;
        let (datastore, path) = (datastore.to_owned(), path.trim_start().to_owned());
        let target = Target { datacenter: None, datastore, path };
        let failed =
            |error| fault!(RuntimeFault {}, "The screenshot cannot be fetched from its host: {error}");
        let mut picture = Vec::new();
        let file = files.read(who, &target, None).await.map_err(failed)?;
        let read = file.body.take(MAX_BYTES).read_to_end(&mut picture).await;
        if let Err(error) = files.delete(who, &target).await {
            tracing::warn!(%error, path = target.path, "a screenshot could not be deleted from the datastore");
        }
        read.map_err(|error| failed(error.into()))?;
        Ok(picture)
    }
}
