//! Decisions with their memory agree with a naive model, for random permissions, moves, removals and creations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use store::Store;
use vim::{MoRef, managed_id, props};

use super::policy::Policy;
use super::records::{StoredAccount, StoredGroup, StoredPermission};
use super::roles::Role;
use super::{Accounts, Realm};
use crate::{Authority, Snapshot, Tree};

const ENTITIES: usize = 8;
const USERS: [&str; 3] = ["ann", "ben", "cid"];
const GROUPS: [&str; 2] = ["red", "blue"];
const PRIVILEGES: [&str; 2] = ["System.Read", "VirtualMachine.Interact.PowerOn"];

/// Entity 0 is the root; the parent of another has a lower number.
fn entity(n: usize) -> MoRef {
    MoRef::new(managed_id!(Folder), format!("group-{n}"))
}

#[derive(Clone, Debug)]
enum Step {
    Permit {
        at: usize,
        who: Who,
        role: usize,
        propagate: bool,
    },
    Revoke {
        at: usize,
        who: Who,
    },
    Move {
        what: usize,
        to: usize,
    },
    Remove {
        what: usize,
    },
    Make {
        what: usize,
        below: usize,
    },
    Join {
        user: usize,
        group: usize,
    },
    /// Keeps the state of now, to be asked about later.
    Keep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    User(usize),
    Group(usize),
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Self::User(user) => USERS[user],
            Self::Group(group) => GROUPS[group],
        }
    }
}

/// The permissions and groups, in their plainest form.
#[derive(Clone, Default)]
struct Model {
    /// The permissions on each entity: role, and whether it propagates.
    permissions: [BTreeMap<Who, (usize, bool)>; ENTITIES],
    groups: [BTreeSet<usize>; USERS.len()],
}

/// The parent of each entity that exists.
type Parents = [Option<Option<usize>>; ENTITIES];

impl Model {
    /// Role 0 has neither privilege, role 1 the first, role 2 the second, role 3 both.
    fn allows(&self, user: usize, at: usize, privilege: usize, parents: &Parents) -> bool {
        let mut entity = Some(at);
        while let Some(here) = entity {
            let holds = |who: &Who| self.permissions[here].get(who).filter(|(_, all)| *all || here == at);
            let own = holds(&Who::User(user)).into_iter();
            let through = self.groups[user].iter().filter_map(|group| holds(&Who::Group(*group)));
            let (own, through): (Vec<_>, Vec<_>) = (own.collect(), through.collect());
            let deciding = if own.is_empty() { through } else { own };
            if !deciding.is_empty() {
                return deciding.iter().any(|(role, _)| role & (1 << privilege) != 0);
            }
            entity = parents[here].flatten();
        }
        false
    }

    fn policy(&self, version: u64) -> Policy {
        let mut policy = Policy { version, ..Policy::default() };
        for role in 0..4_usize {
            let has = |(n, id): (usize, &&str)| (role & (1 << n) != 0).then(|| (*id).to_owned());
            let privileges = PRIVILEGES.iter().enumerate().filter_map(has).collect();
            let (id, name) = (number(role), format!("role {role}"));
            policy.roles.insert(id, Arc::new(Role { id, label: name.clone(), name, privileges }));
        }
        for (user, groups) in USERS.iter().zip(&self.groups) {
            let account = StoredAccount { name: user.to_uppercase(), ..StoredAccount::default() };
            policy.accounts.insert((*user).to_owned(), account);
            policy.edit_groups(|known| {
                for group in groups {
                    let name = GROUPS[*group].to_owned();
                    let fresh = StoredGroup { name: name.clone(), ..StoredGroup::default() };
                    known.entry(name).or_insert(fresh).users.insert((*user).to_owned());
                }
            });
        }
        for (at, here) in self.permissions.iter().enumerate() {
            for (who, (role, propagate)) in here {
                policy.put_permission(StoredPermission {
                    entity_type: "Folder".into(),
                    entity: entity(at).id().to_owned(),
                    principal: who.name().to_owned(),
                    group: matches!(who, Who::Group(_)),
                    role: number(*role),
                    propagate: *propagate,
                });
            }
        }
        policy
    }
}

fn number(role: usize) -> i32 {
    i32::try_from(role).expect("few roles") + 1
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = prop_oneof![(0..USERS.len()).prop_map(Who::User), (0..GROUPS.len()).prop_map(Who::Group)];
    let at = 0..ENTITIES;
    // Number and number of the parent.
    let pair = || (1..ENTITIES).prop_flat_map(|what| (Just(what), 0..what));
    let step = prop_oneof![
        6 => (at.clone(), who.clone(), 0..4_usize, any::<bool>())
            .prop_map(|(at, who, role, propagate)| Step::Permit { at, who, role, propagate }),
        1 => (at, who).prop_map(|(at, who)| Step::Revoke { at, who }),
        3 => pair().prop_map(|(what, to)| Step::Move { what, to }),
        1 => (1..ENTITIES).prop_map(|what| Step::Remove { what }),
        1 => pair().prop_map(|(what, below)| Step::Make { what, below }),
        1 => (0..USERS.len(), 0..GROUPS.len()).prop_map(|(user, group)| Step::Join { user, group }),
        1 => Just(Step::Keep),
    ];
    prop::collection::vec(step, 1..24)
}

/// Accounts whose policy the test sets.
struct Subject {
    accounts: Arc<Accounts>,
    version: u64,
}

impl Subject {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = Store::in_memory().unwrap();
        let opened = Accounts::open(store, Realm::vsphere_local(), entity(0), |_, _| None);
        Self { accounts: runtime.block_on(opened).unwrap(), version: 1 }
    }

    fn set(&mut self, model: &Model) {
        self.version += 1;
        self.accounts.policy.store(Arc::new(model.policy(self.version)));
    }

    fn compare(&self, model: &Model, parents: &Parents, state: &Snapshot) -> Result<(), TestCaseError> {
        for (user, name) in USERS.iter().enumerate() {
            let account = self.accounts.find(name).expect("it is in the policy");
            for at in (0..ENTITIES).filter(|at| parents[*at].is_some()) {
                for (privilege, id) in PRIVILEGES.iter().enumerate() {
                    let allowed = self.accounts.allows(&account, &entity(at), id, state);
                    let expected = model.allows(user, at, privilege, parents);
                    prop_assert_eq!(allowed, expected, "{} {} {}", name, at, id);
                }
            }
        }
        Ok(())
    }
}

fn make(tree: &Tree, parents: &mut Parents, what: usize, below: Option<usize>) {
    parents[what] = Some(below);
    tree.write(|w| w.create(&entity(what), props!(Folder { parent: below.map(entity) })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_memory_of_decisions_never_changes_an_answer(steps in steps(), below in prop::collection::vec(0..ENTITIES, ENTITIES)) {
        let mut subject = Subject::new();
        let (tree, mut model, mut parents) = (Tree::new(), Model::default(), Parents::default());
        for (what, parent) in below.iter().enumerate() {
            make(&tree, &mut parents, what, (what > 0).then(|| parent % what.max(1)));
        }
        let mut kept = Vec::new();
        subject.set(&model);
        for step in steps {
            match step {
                Step::Permit { at, who, role, propagate } => {
                    model.permissions[at].insert(who, (role, propagate));
                    subject.set(&model);
                }
                Step::Revoke { at, who } => {
                    model.permissions[at].remove(&who);
                    subject.set(&model);
                }
                Step::Join { user, group } => {
                    model.groups[user].insert(group);
                    subject.set(&model);
                }
                Step::Move { what, to } if parents[what].is_some() && parents[to].is_some() => {
                    parents[what] = Some(Some(to));
                    tree.write(|w| w.set(&entity(what), props!(Folder { parent: entity(to) })));
                }
                Step::Remove { what } if parents[what].is_some() => {
                    // With everything below it, as daemons do.
                    tree.write(|w| {
                        for gone in what..ENTITIES {
                            let below = matches!(parents[gone], Some(Some(parent)) if parents[parent].is_none());
                            if gone == what || below {
                                parents[gone] = None;
                                w.remove(&entity(gone));
                            }
                        }
                    });
                }
                Step::Make { what, below } if parents[what].is_none() && parents[below].is_some() => {
                    make(&tree, &mut parents, what, Some(below));
                }
                Step::Keep => kept.push((tree.snapshot(), parents)),
                Step::Move { .. } | Step::Remove { .. } | Step::Make { .. } => {}
            }
            subject.compare(&model, &parents, &tree.snapshot())?;
            if let Some((state, parents)) = kept.last() {
                subject.compare(&model, parents, state)?;
            }
        }
    }
}
