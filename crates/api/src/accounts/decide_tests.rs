//! Decisions with their memory agree with a naive model, for random trees, roles, permissions, groups, moves, removals and creations.
//!
//! A usual run has few cases; `ESFERA_PERMISSION_CASES=100000` asks for more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use store::Store;
use vim::{MoRef, managed_id, props};

use super::policy::{GLOBAL, Policy};
use super::records::{StoredAccount, StoredGroup, StoredPermission};
use super::roles::Role;
use super::{Accounts, Realm};
use crate::{Authority, Snapshot, Tree};

const ENTITIES: usize = 10;
/// From this entity on they are pools. The last of them is a vApp, which may have a folder as a second parent.
const POOLS: usize = 4;
/// From this entity on they are VMs, which have nothing below them and may have a pool as a second parent.
const VMS: usize = 8;
/// The place of global permissions, behind those of the entities.
const GLOBAL_PLACE: usize = ENTITIES;
const USERS: [&str; 3] = ["ann", "ben", "cid"];
const GROUPS: [&str; 2] = ["red", "blue"];
const PRIVILEGES: [&str; 2] = ["System.Read", "VirtualMachine.Interact.PowerOn"];

/// Entity 0 is the root; the parents of another have lower numbers.
fn entity(n: usize) -> MoRef {
    let ty = match n {
        VMS.. => managed_id!(VirtualMachine),
        _ if n == VMS - 1 => managed_id!(VirtualApp),
        POOLS.. => managed_id!(ResourcePool),
        _ => managed_id!(Folder),
    };
    MoRef::new(ty, format!("entity-{n}"))
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
    /// Gives a VM or vApp another second parent.
    Assign {
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
    /// Takes the first group into the second, or out of it.
    Nest(bool),
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
    permissions: [BTreeMap<Who, (usize, bool)>; ENTITIES + 1],
    groups: [BTreeSet<usize>; USERS.len()],
    /// Whether the first group belongs to the second.
    nested: bool,
}

/// The first and second parent of each entity that exists.
type Parents = [Option<[Option<usize>; 2]>; ENTITIES];

impl Model {
    /// Role 0 has neither privilege, role 1 the first, role 2 the second, role 3 both.
    fn allows(&self, user: usize, at: usize, privilege: usize, parents: &Parents) -> bool {
        self.inherits(user, at, privilege, parents, false)
    }

    fn inherits(&self, user: usize, at: usize, privilege: usize, parents: &Parents, inherited: bool) -> bool {
        let holds = |who: &Who| self.permissions[at].get(who).filter(|(_, all)| *all || !inherited);
        let own = holds(&Who::User(user)).into_iter();
        let his = &self.groups[user];
        let belongs = |group: &usize| his.contains(group) || (self.nested && *group == 1 && his.contains(&0));
        let through = (0..GROUPS.len()).filter(belongs).filter_map(|group| holds(&Who::Group(group)));
        let (own, through): (Vec<_>, Vec<_>) = (own.collect(), through.collect());
        let deciding = if own.is_empty() { through } else { own };
        if !deciding.is_empty() {
            return deciding.iter().any(|(role, _)| role & (1 << privilege) != 0);
        }
        match at {
            GLOBAL_PLACE => false,
            0 => self.inherits(user, GLOBAL_PLACE, privilege, parents, true),
            _ => {
                let above = parents[at].into_iter().flatten().flatten();
                above.into_iter().any(|parent| self.inherits(user, parent, privilege, parents, true))
            }
        }
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
        if self.nested {
            policy.edit_groups(|known| {
                let outer = StoredGroup { name: GROUPS[1].to_owned(), ..StoredGroup::default() };
                known.entry(GROUPS[1].to_owned()).or_insert(outer).groups.insert(GROUPS[0].to_owned());
            });
        }
        for (at, here) in self.permissions.iter().enumerate() {
            for (who, (role, propagate)) in here {
                let place = if at == GLOBAL_PLACE { GLOBAL.to_owned() } else { entity(at).id().to_owned() };
                policy.put_permission(StoredPermission {
                    entity_type: "Folder".into(),
                    entity: place,
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
    let at = 0..=GLOBAL_PLACE;
    // Number and number of the parent.
    let pair = || (1..ENTITIES).prop_flat_map(|what| (Just(what), 0..what.min(VMS)));
    let second = prop_oneof![(Just(VMS - 1), 0..POOLS), (VMS..ENTITIES, POOLS..VMS)];
    let step = prop_oneof![
        6 => (at.clone(), who.clone(), 0..4_usize, any::<bool>())
            .prop_map(|(at, who, role, propagate)| Step::Permit { at, who, role, propagate }),
        1 => (at, who).prop_map(|(at, who)| Step::Revoke { at, who }),
        3 => pair().prop_map(|(what, to)| Step::Move { what, to }),
        3 => second.prop_map(|(what, to)| Step::Assign { what, to }),
        1 => (1..ENTITIES).prop_map(|what| Step::Remove { what }),
        1 => pair().prop_map(|(what, below)| Step::Make { what, below }),
        1 => (0..USERS.len(), 0..GROUPS.len()).prop_map(|(user, group)| Step::Join { user, group }),
        1 => any::<bool>().prop_map(Step::Nest),
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
        let opened = Accounts::open(store, Realm::Host, entity(0), |_, _| None);
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
    parents[what] = Some([below, None]);
    let below = below.map(entity);
    tree.write(|w| match what {
        VMS.. => w.create(&entity(what), props!(VirtualMachine { parent: below })),
        _ if what == VMS - 1 => w.create(&entity(what), props!(VirtualApp { parent: below })),
        POOLS.. => w.create(&entity(what), props!(ResourcePool { parent: below })),
        _ => w.create(&entity(what), props!(Folder { parent: below })),
    });
}

fn assign(tree: &Tree, parents: &mut Parents, what: usize, to: usize) {
    let Some(known) = &mut parents[what] else { return };
    known[1] = Some(to);
    tree.write(|w| match what {
        VMS.. => w.set(&entity(what), props!(VirtualMachine { resourcePool: entity(to) })),
        _ => w.set(&entity(what), props!(VirtualApp { parentFolder: entity(to) })),
    });
}

/// Removes an entity and everything below it, as daemons do.
fn remove(tree: &Tree, parents: &mut Parents, what: usize) {
    tree.write(|w| {
        for gone in what..ENTITIES {
            let below = |parent: &usize| parents[*parent].is_none();
            if gone == what || parents[gone].is_some_and(|of| of.iter().flatten().any(below)) {
                parents[gone] = None;
                w.remove(&entity(gone));
            }
        }
    });
}

fn cases() -> u32 {
    std::env::var("ESFERA_PERMISSION_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn the_memory_of_decisions_never_changes_an_answer(steps in steps(), below in prop::collection::vec(0..ENTITIES, ENTITIES)) {
        let mut subject = Subject::new();
        let (tree, mut model, mut parents) = (Tree::new(), Model::default(), Parents::default());
        for (what, parent) in below.iter().enumerate() {
            make(&tree, &mut parents, what, (what > 0).then(|| parent % what.clamp(1, VMS)));
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
                Step::Nest(nested) => {
                    model.nested = nested;
                    subject.set(&model);
                }
                Step::Move { what, to } if parents[to].is_some() => {
                    if let Some(known) = &mut parents[what] {
                        known[0] = Some(to);
                        tree.write(|w| w.set(&entity(what), props!(ManagedEntity { parent: entity(to) })));
                    }
                }
                Step::Assign { what, to } if parents[to].is_some() => assign(&tree, &mut parents, what, to),
                Step::Remove { what } if parents[what].is_some() => remove(&tree, &mut parents, what),
                Step::Make { what, below } if parents[what].is_none() && parents[below].is_some() => {
                    make(&tree, &mut parents, what, Some(below));
                }
                Step::Keep => kept.push((tree.snapshot(), parents)),
                Step::Move { .. } | Step::Assign { .. } | Step::Remove { .. } | Step::Make { .. } => {}
            }
            subject.compare(&model, &parents, &tree.snapshot())?;
            if let Some((state, parents)) = kept.last() {
                subject.compare(&model, parents, state)?;
            }
        }
    }
}
