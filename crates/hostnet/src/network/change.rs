//! Changing the network: the kernel first, then the disk.

use std::sync::Arc;

use store::Batch;
use vim::{Fault, fault};

use super::ports::{self, Ports};
use super::{HostNetwork, record};
use crate::Result;
use crate::change::Around;
use crate::config::NetworkConfig;
use crate::fabric::FabricError;

impl HostNetwork {
    /// Changes the configuration: the kernel first, then the disk, so that an acknowledged change is in both. If either fails, the
    /// network is as before.
    ///
    /// # Errors
    /// The fault of `change`; `HostConfigFault` if the switch refuses the result, or the record is unreadable; those of the store.
    pub async fn change(
        &self,
        user: &(dyn Fn(&str) -> Option<String> + Sync),
        change: impl FnOnce(&mut NetworkConfig, &Around<'_>) -> Result<(), Fault>,
    ) -> Result<()> {
        self.is_ours()
            .map_err(|error| fault!(HostConfigFault {}, "The network cannot be changed: {error}"))?;
        let mut held = self.held.lock().await;
        let mut next = NetworkConfig::clone(&held.config);
        {
            let nics = self.fabric.nics();
            let has_nic = |name: &str| nics.iter().any(|nic| nic.name == name);
            change(&mut next, &Around { has_nic: &has_nic, user })?;
        }
        if next == *held.config {
            return Ok(());
        }
        let next = Arc::new(next);
        let declare = async |config: &NetworkConfig, ports: &Ports| {
            self.fabric.declare(config.declaration(ports::declared(config, ports))).await
        };
        let renamed = next.names != held.config.names;
        let applied = match declare(&next, &held.ports).await {
            Ok(()) => {
                held.trouble = None;
                Ok(())
            }
            // An error from before does not prevent other changes, or mending it in two steps.
            Err(error) if held.trouble.as_ref() == Some(&error) => {
                tracing::warn!(%error, "the network is not as it was declared");
                Ok(())
            }
            Err(error) => Err(error),
        };
        let applied = match applied {
            Ok(()) if renamed => self.name(&next).await,
            applied => applied,
        };
        let kept = match applied {
            Ok(()) => self.keep(&next).await,
            Err(error) => {
                tracing::error!(%error, "the switch refused a change of the network");
                Err(fault!(HostConfigFault {}, "The switch refused the change of the network: {error}")
                    .into())
            }
        };
        if let Err(error) = kept {
            let mut undone = declare(&held.config, &held.ports).await;
            if renamed {
                undone = undone.and(self.name(&held.config).await);
            }
            if let Err(error) = undone {
                tracing::error!(%error, "a change failed, and the network could not be brought back to its state before");
            }
            return Err(error);
        }
        held.config = next.clone();
        *self.current.write() = next;
        Ok(())
    }

    /// Sets the Linux system's name and name servers to those that a client set, or that a lease gives now.
    pub async fn resolve(&self) {
        if self.unread.is_some() {
            return;
        }
        let mut held = self.held.lock().await;
        let failed = self.name(&held.config).await.err();
        if let Some(error) = failed.as_ref().filter(|error| held.nameless.as_ref() != Some(error)) {
            tracing::warn!(%error, "the host's names are not as they were declared");
        }
        held.nameless = failed;
    }

    async fn name(&self, config: &NetworkConfig) -> Result<(), FabricError> {
        let names = config.names.as_ref().and_then(|said| said.effective(&self.fabric.seen()));
        match names {
            Some(names) => self.fabric.resolve(&names).await,
            None => Ok(()),
        }
    }

    async fn keep(&self, config: &NetworkConfig) -> Result<()> {
        self.store.commit(batch(config)?).await?;
        Ok(())
    }
}

pub(super) fn batch(config: &NetworkConfig) -> Result<Batch, store::Error> {
    let mut batch = Batch::new();
    record::put(&mut batch, config)?;
    Ok(batch)
}
