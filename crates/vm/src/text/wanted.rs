//! Writing keys of a `.vmx`. A file that existed keeps its order and comments: keys that are still wanted change in
//! their place, the others go, and new ones come at the end.

use std::collections::{HashMap, HashSet};

use datastore::{Dictionary, DictionaryError};

/// Keys of the VM itself that fields of the model stand for, so that extra configuration may not set them.
const MACHINE_KEYS: [&str; 18] = [
    ".encoding",
    "config.version",
    "virtualHW.version",
    "displayName",
    "guestOS",
    "annotation",
    "firmware",
    "uefi.secureBoot.enabled",
    "nvram",
    "memsize",
    "mem.hotadd",
    "numvcpus",
    "vcpu.hotadd",
    "cpuid.coresPerSocket",
    "uuid.bios",
    "vc.uuid",
    "bios.bootOrder",
    "checkpoint.vmState",
];

/// Keys to write, in their order.
#[derive(Default)]
pub(crate) struct Wanted {
    entries: Vec<(String, String)>,
    /// Keys in lower case, and whether extra configuration that sets them is an error.
    names: HashMap<String, bool>,
}

impl Wanted {
    fn push(&mut self, key: String, value: String, guarded: bool) {
        self.names.insert(key.to_ascii_lowercase(), guarded);
        self.entries.push((key, value));
    }

    /// A key that extra configuration may not set.
    pub(crate) fn put(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.push(key.into(), value.into(), true);
    }

    /// A flag that extra configuration may not set.
    pub(crate) fn flag(&mut self, key: impl Into<String>, value: bool) {
        self.put(key, if value { "TRUE" } else { "FALSE" });
    }

    /// A key that wins over extra configuration.
    pub(crate) fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.push(key.into(), value.into(), false);
    }

    /// A flag that wins over extra configuration, unless it has its default.
    pub(crate) fn set_flag(&mut self, key: &str, value: bool, default: bool) {
        if value != default {
            self.set(key, if value { "TRUE" } else { "FALSE" });
        }
    }

    /// A key of extra configuration. One that a field of the VM stands for is left out.
    ///
    /// # Errors
    /// [`DictionaryError::Value`] for a key that a field of a device stands for.
    pub(crate) fn extra(&mut self, vm: &str, key: &str, value: &str) -> Result<(), DictionaryError> {
        if MACHINE_KEYS.iter().any(|known| known.eq_ignore_ascii_case(key)) {
            tracing::warn!(
                vm,
                key,
                "an extra key is left out, since a field of the configuration stands for it"
            );
            return Ok(());
        }
        match self.names.get(&key.to_ascii_lowercase()) {
            None if value.is_empty() => {}
            None => self.set(key, value),
            Some(false) => {}
            Some(true) => {
                return Err(DictionaryError::Value {
                    key: key.to_owned(),
                    value: value.chars().take(80).collect(),
                    expected: "a key that no device has already",
                });
            }
        }
        Ok(())
    }

    /// The file `before` with these keys instead of its own.
    ///
    /// # Errors
    /// [`DictionaryError`] for a text that the format cannot hold.
    pub(crate) fn over(self, before: &Dictionary) -> Result<Dictionary, DictionaryError> {
        let mut file = before.clone();
        let mut names: HashSet<String> = self.names.into_keys().collect();
        // Written first, and as it is, whatever the file had.
        names.insert(".encoding".to_owned());
        file.retain(|key, _| names.contains(&key.to_ascii_lowercase()));
        for (key, value) in self.entries {
            file.set(&key, value)?;
        }
        Ok(file)
    }
}
