//! The names of interfaces and namespaces of adapters. Those of Esfera carry a mark, so that no other program's are
//! mistaken for them.

use crate::declare::StackName;
use crate::limits::{ADAPTERS, HOST_PREFIX, INTERFACE_NAME};

/// The number in `vmk<number>`.
pub(crate) fn device_number(device: &str) -> Option<u32> {
    let digits = device.strip_prefix("vmk")?;
    let number: u32 = digits.parse().ok()?;
    // No leading zeros or signs: a number has one name.
    (number.to_string() == digits && (number as usize) < ADAPTERS).then_some(number)
}

/// The switch's end of an adapter.
pub fn port_interface(device: &str) -> String {
    let name = format!("{device}-port");
    debug_assert!(name.len() <= INTERFACE_NAME, "a device has at most three digits");
    name
}

/// The host's prefix, which tells its interfaces and namespaces from those of other hosts on the same Linux system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prefix(String);

impl Prefix {
    /// `None` if the name cannot be part of a file's name or of an alias.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let good =
            (1..=HOST_PREFIX).contains(&name.len()) && name.bytes().all(is_fit) && !name.starts_with('.');
        good.then(|| Self(name.into()))
    }

    /// The network namespace of a stack.
    pub(crate) fn namespace(&self, stack: &StackName) -> String {
        format!("{}-{stack}", self.0)
    }

    /// The stack whose namespace has this name.
    pub(crate) fn stack(&self, namespace: &str) -> Option<StackName> {
        namespace.strip_prefix(&self.0)?.strip_prefix('-')?.to_owned().try_into().ok()
    }

    /// The alias of the switch's end of an adapter.
    pub(crate) fn port_mark(&self, device: &str) -> String {
        format!("esfera:{}:{device}", self.0)
    }

    /// Whether an alias marks the port of one of this host's adapters.
    pub(crate) fn is_port_mark(&self, alias: &str) -> bool {
        let device = alias.strip_prefix("esfera:").and_then(|rest| rest.strip_prefix(&self.0));
        device.and_then(|rest| rest.strip_prefix(':')).is_some_and(|device| device_number(device).is_some())
    }

    /// The alias of the loopback interface in a namespace that the engine made.
    pub(crate) fn stack_mark(&self) -> String {
        format!("esfera:{}:stack", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_strangers() {
        for (device, number) in [("vmk0", Some(0)), ("vmk255", Some(255)), ("vmk256", None), ("vmk01", None)]
        {
            assert_eq!(device_number(device), number, "{device}");
        }
        for device in ["vmk", "vmk+1", "eth0", "vmk0-port", "vmk-1", "vmk99999999999999"] {
            assert_eq!(device_number(device), None, "{device}");
        }
        let prefix = Prefix::new("esf-a").unwrap();
        let vmotion: StackName = StackName::VMOTION.to_owned().try_into().unwrap();
        assert_eq!(prefix.namespace(&vmotion), "esf-a-vmotion");
        assert_eq!(prefix.stack("esf-a-vmotion"), Some(vmotion));
        assert_eq!(prefix.stack("esf-ab-vmotion"), None);
        assert!(prefix.is_port_mark(&prefix.port_mark("vmk7")));
        for alias in ["esfera:esf-ab:vmk7", "esfera:esf:vmk7", "esfera:esf-a:stack", "uplink", ""] {
            assert!(!prefix.is_port_mark(alias), "{alias}");
        }
        for bad in ["", "a/b", "..", ".hidden", "a b"] {
            assert!(Prefix::new(bad).is_none(), "{bad}");
        }
    }
}
