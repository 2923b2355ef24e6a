//! Which privileges a method takes where the schema names none, because they depend on the kind of the object or on what is asked:
//! destroying a folder takes another privilege than destroying a resource pool. The names are those of the vSphere security guide.

use vim::{Args, Fault, MoRef};

use super::Call;
use crate::{Session, Snapshot};

/// The privileges that a method takes beside the one that the schema names; [`crate::Methods::guarded`] sets them for one method of one
/// type.
#[derive(Clone, Copy)]
pub enum Guard {
    /// This privilege on the object, whatever is asked.
    Privilege(&'static str),
    /// Nothing: everybody who is logged in may call it. For methods of objects that belong to one session.
    Open,
    /// The method itself asks ([`Call::check`]) for these privileges, because only it finds out on which objects.
    Asks(&'static [&'static str]),
    /// The privileges on the object that this function names for the arguments of the call.
    Arguments(fn(&Args) -> Vec<&'static str>),
    /// The rule decides by what is asked, and of whom.
    Rule(Rule),
}

/// Decides whether a call is permitted, by its arguments.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Every privilege that `check` may ask for.
    pub privileges: &'static [&'static str],
    /// # Errors
    /// `NoPermission` of [`Ask::needs`].
    pub check: fn(&Ask<'_>) -> Result<(), Fault>,
}

/// A call of which a [`Rule`] decides whether it is permitted.
pub struct Ask<'a> {
    pub session: &'a Session,
    /// The object whose method is called.
    pub object: &'a MoRef,
    pub call: &'a Call,
    pub state: &'a Snapshot,
}

impl Ask<'_> {
    /// # Errors
    /// `NoPermission` if the session lacks the privilege on the object `at`.
    pub fn needs(&self, at: &MoRef, privilege: &str) -> Result<(), Fault> {
        self.call.service.check_call(self.call, self.session, at, privilege, self.state)
    }
}

impl Guard {
    /// The privileges that it may ask for, as far as they are known before a call.
    pub(crate) fn privileges(&self) -> &[&'static str] {
        match self {
            Self::Privilege(privilege) => std::slice::from_ref(privilege),
            Self::Open | Self::Arguments(_) => &[],
            Self::Asks(privileges) => privileges,
            Self::Rule(rule) => rule.privileges,
        }
    }

    /// # Errors
    /// `NoPermission` if the call lacks a privilege that the guard asks for before the method is begun.
    pub(crate) fn check(&self, ask: &Ask<'_>) -> Result<(), Fault> {
        match self {
            Self::Privilege(privilege) => ask.needs(ask.object, privilege),
            Self::Open | Self::Asks(_) => Ok(()),
            Self::Arguments(privileges) => privileges(&ask.call.args)
                .into_iter()
                .try_for_each(|privilege| ask.needs(ask.object, privilege)),
            Self::Rule(rule) => (rule.check)(ask),
        }
    }
}
