//! The service that keeps the hosts' objects in the center's tree.

use std::sync::Arc;

use api::Core;

use super::hosts::Hosts;
use crate::estate::{Expected, Inventory};

pub(crate) struct Mirror {
    pub(super) core: Arc<Core>,
    pub(super) inventory: Arc<Inventory>,
    pub(super) hosts: Arc<Hosts>,
    pub(super) expected: Arc<Expected>,
    /// The center's own address, for `managementServerIp`, if it was given.
    pub(super) address: Option<String>,
}

impl Mirror {
    pub(crate) fn new(
        core: Arc<Core>,
        inventory: Arc<Inventory>,
        hosts: Arc<Hosts>,
        expected: Arc<Expected>,
        address: Option<String>,
    ) -> Self {
        Self { core, inventory, hosts, expected, address }
    }
}
