//! Screenshots: the host writes one into the VM's directory, from where the center takes it.

use std::sync::Arc;

use api::Account;
use api::files::Target;
use api::server::Screens;
use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use vim::{Fault, MoRef, Value, call, fault};

use super::By;
use crate::LinkError;
use crate::state::State;

/// Bytes of a picture at most.
const MAX_BYTES: u64 = 32 << 20;

pub(crate) struct CenterScreens {
    pub state: Arc<State>,
}

#[async_trait]
impl Screens for CenterScreens {
    async fn screenshot(&self, who: &Account, vm: &MoRef) -> Result<Vec<u8>, Fault> {
        let host = self.state.home(vm)?;
        let files = host.link()?.files();
        let files = files.ok_or_else(|| fault!(NotSupported {}, "Host {} makes no pictures", host.name))?;
        let by = By::user(&who.name);
        let made = self.state.carry_to(&host, vm, &call!(CreateScreenshot_Task {}), &by).await;
        let made = made.map_err(LinkError::into_fault)?;
        let path = made.as_ref().and_then(Value::as_str).unwrap_or_default();
        let (datastore, path) = path
            .trim_start_matches('[')
            .split_once(']')
            .ok_or_else(|| fault!(RuntimeFault {}, "The host did not say where the picture is"))?;
        let (datastore, path) = (datastore.to_owned(), path.trim_start().to_owned());
        let target = Target { datacenter: None, datastore, path };
        let failed = |error| fault!(RuntimeFault {}, "The picture cannot be fetched from its host: {error}");
        let mut picture = Vec::new();
        let file = files.read(who, &target, None).await.map_err(failed)?;
        let read = file.body.take(MAX_BYTES).read_to_end(&mut picture).await;
        if let Err(error) = files.delete(who, &target).await {
            tracing::warn!(%error, path = target.path, "a picture stays on the datastore");
        }
        read.map_err(|error| failed(error.into()))?;
        Ok(picture)
    }
}
