//! The names, identities, MACs and files that the VMs of the host use. The register finds with it the VMs that may use something
//! without asking all of them. The step that changes a VM keeps it up to date.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;
use uuid::Uuid;
use vim::MoRef;
use vm::FileRef;

use super::own_files::all_named_files;
use super::state::State;

/// Something that a VM uses.
#[derive(Hash)]
pub(super) enum Used<'a> {
    Name(&'a str),
    InstanceUuid(Uuid),
    Mac(&'a str),
    File(&'a FileRef),
    /// A directory, by datastore and path, in which a file of the VM lies at any depth. The root directory is left out.
    Within(Uuid, &'a str),
}

/// The hashes of everything that a VM uses, each once, in order.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Keys(Box<[u64]>);

#[derive(Default)]
pub(super) struct Index {
    hasher: RandomState,
    users: Mutex<Users>,
}

/// The VMs by the hashes of what they use.
#[derive(Default)]
struct Users {
    first: HashMap<u64, MoRef>,
    /// The other users of what the first one uses too.
    more: HashMap<u64, Vec<MoRef>>,
}

impl Users {
    fn add(&mut self, key: u64, me: &MoRef) {
        match self.first.get(&key) {
            None => drop(self.first.insert(key, me.clone())),
            Some(first) if first == me => {}
            Some(_) => self.more.entry(key).or_default().push(me.clone()),
        }
    }

    fn remove(&mut self, key: u64, me: &MoRef) {
        let others = self.more.get_mut(&key);
        if self.first.get(&key) == Some(me) {
            match others.and_then(Vec::pop) {
                Some(next) => drop(self.first.insert(key, next)),
                None => drop(self.first.remove(&key)),
            }
        } else if let Some(others) = others {
            others.retain(|other| other != me);
        }
        if self.more.get(&key).is_some_and(Vec::is_empty) {
            self.more.remove(&key);
        }
    }
}

impl Index {
    /// The VMs that may use this: the caller looks whether they do.
    pub(super) fn find(&self, used: &Used<'_>) -> Vec<MoRef> {
        let key = self.hasher.hash_one(used);
        let users = self.users.lock();
        users.first.get(&key).into_iter().chain(users.more.get(&key).into_iter().flatten()).cloned().collect()
    }

    /// Notes that a VM, which used `before`, now uses what its state says.
    pub(super) fn renew(&self, me: &MoRef, before: &mut Keys, state: &State) {
        self.set(me, before, self.keys(state));
    }

    /// Forgets a VM.
    pub(super) fn forget(&self, me: &MoRef, before: &mut Keys) {
        self.set(me, before, Keys::default());
    }

    fn set(&self, me: &MoRef, before: &mut Keys, now: Keys) {
        if *before == now {
            return;
        }
        let mut users = self.users.lock();
        for key in before.0.iter().filter(|key| now.0.binary_search(key).is_err()) {
            users.remove(*key, me);
        }
        for key in now.0.iter().filter(|key| before.0.binary_search(key).is_err()) {
            users.add(*key, me);
        }
        *before = now;
    }

    fn keys(&self, state: &State) -> Keys {
        let config = &state.config;
        let mut keys = Vec::with_capacity(16);
        let mut add = |used: Used<'_>| keys.push(self.hasher.hash_one(used));
        add(Used::Name(&config.name));
        add(Used::InstanceUuid(config.instance_uuid));
        config.nics().for_each(|(_, nic)| add(Used::Mac(&nic.mac)));
        let named = all_named_files(state);
        for file in named.iter().chain(state.files.iter().map(|own| &own.file)).chain(&state.bases) {
            add(Used::File(file));
            let mut path = file.path.as_str();
            while let Some((directory, _)) = path.rsplit_once('/') {
                add(Used::Within(file.datastore, directory));
                path = directory;
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Keys(keys.into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datastore::{Dictionary, FilePath};
    use vim::DateTime;
    use vm::config::VmConfig;

    use super::*;
    use crate::ids;

    fn file(path: &str) -> FileRef {
        FileRef { datastore: Uuid::nil(), path: FilePath::parse(path).unwrap() }
    }

    fn state(name: &str) -> State {
        let home = file(&format!("a/{name}/{name}.vmx"));
        State::new(home, VmConfig::new(name, DateTime::now()), &Dictionary::new(), ids::root_pool())
    }

    #[test]
    fn a_vm_is_found_by_what_it_uses_now() {
        let index = Index::default();
        let (one, two) = (ids::vm(1), ids::vm(2));
        let (mut web, mut db) = (state("web"), state("db"));
        let (mut of_web, mut of_db) = (Keys::default(), Keys::default());
        index.renew(&one, &mut of_web, &web);
        index.renew(&two, &mut of_db, &db);
        let within = |path| index.find(&Used::Within(Uuid::nil(), path)).len();
        assert_eq!(index.find(&Used::Name("web")), std::slice::from_ref(&one));
        assert_eq!(index.find(&Used::File(&db.home)), std::slice::from_ref(&two));
        assert_eq!((within("a"), within("a/web"), within("b")), (2, 1, 0));
        Arc::make_mut(&mut db.config).name = "web".into();
        index.renew(&two, &mut of_db, &db);
        assert_eq!(index.find(&Used::Name("web")).len(), 2);
        assert!(index.find(&Used::Name("db")).is_empty());
        index.forget(&one, &mut of_web);
        assert_eq!(index.find(&Used::Name("web")), std::slice::from_ref(&two), "the second one stays");
        Arc::make_mut(&mut web.config).name = "mail".into();
        index.renew(&one, &mut of_web, &web);
        assert_eq!(index.find(&Used::Name("mail")), std::slice::from_ref(&one));
        index.forget(&one, &mut of_web);
        index.forget(&two, &mut of_db);
        let users = index.users.lock();
        assert!(users.first.is_empty() && users.more.is_empty());
    }
}
