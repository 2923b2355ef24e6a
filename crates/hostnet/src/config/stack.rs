//! TCP/IP stacks of a declared network.

use std::collections::BTreeSet;

use vswitch::declare::{Stack, StackName};

use super::NetworkConfig;

/// Stacks that are shown even while no adapter is in them, as on ESXi.
const SYSTEM_STACKS: [&str; 3] = [StackName::DEFAULT, StackName::VMOTION, StackName::PROVISIONING];

impl NetworkConfig {
    /// The default stack, which is added if it is not declared yet.
    pub fn default_stack(&mut self) -> &mut Stack {
        stack_of(&mut self.stacks, &StackName::default())
    }

    /// The system's stacks, those that adapters are in, and those that are declared.
    pub(crate) fn stack_names(&self) -> BTreeSet<StackName> {
        let system = SYSTEM_STACKS.into_iter().filter_map(|name| StackName::try_from(name.to_owned()).ok());
        let used = self.adapters.iter().map(|adapter| adapter.stack.clone());
        system.chain(used).chain(self.stacks.iter().map(|stack| stack.name.clone())).collect()
    }
}

/// A stack by its name, which is added if it is not declared yet.
pub(crate) fn stack_of<'a>(stacks: &'a mut Vec<Stack>, name: &StackName) -> &'a mut Stack {
    let at = match stacks.iter().position(|stack| stack.name == *name) {
        Some(at) => at,
        None => {
            stacks.push(Stack { name: name.clone(), ..Stack::default() });
            stacks.len() - 1
        }
    };
    &mut stacks[at]
}
