//! The only way to the objects: finds the object, checks the session and the privilege, calls the method.

mod call;
mod gate;
mod guard;
mod manager;
mod methods;

pub use call::{Call, invalid_argument};
pub use gate::Gate;
pub use guard::{Ask, Guard, Rule};
pub use manager::{Manager, Table};
pub use methods::{Answer, Computed, Methods};

use std::sync::{Arc, OnceLock};

use vim::{Fault, ManagedId, MoRef, Value, fault, prop, schema, vim};

use crate::authority::Use;
use crate::locals::Locals;
use crate::retention::Retention;
use crate::session::SessionObject;
use crate::settings::OwnedSettings;
use crate::ticket::Tickets;
use crate::{
    Actor, Authority, Events, Node, Session, Sessions, Snapshot, TaskOptions, Tasks, Tree, not_found,
};

/// The state that a daemon's parts share: they write to it, and the service shows it.
pub struct Core {
    pub tree: Arc<Tree>,
    pub sessions: Sessions,
    pub store: store::Store,
    pub tasks: Tasks,
    pub events: Events,
    /// How long the history is kept.
    pub retention: Arc<Retention>,
    /// Secrets that stand for one HTTP request or one console.
    pub tickets: Tickets,
    /// The settings of `ServiceContent.setting` that a part of the daemon keeps by itself.
    pub owned_settings: OnceLock<Arc<dyn OwnedSettings>>,
}

impl Core {
    /// An empty tree over this durable state.
    pub fn new(store: store::Store) -> Self {
        let tree = Arc::new(Tree::new());
        let retention = Arc::new(Retention::default());
        Self {
            tasks: Tasks::new(tree.clone(), store.clone(), retention.clone()),
            events: Events::new(tree.clone(), store.clone(), retention.clone()),
            retention,
            tree,
            sessions: Sessions::default(),
            store,
            tickets: Tickets::default(),
            owned_settings: OnceLock::new(),
        }
    }
}

/// Serves the objects of [`Core`] with these methods.
pub struct Service {
    pub core: Arc<Core>,
    pub authority: Arc<dyn Authority>,
    methods: Methods,
    locals: Locals,
    gate: OnceLock<Arc<dyn Gate>>,
}

/// An object that a session can see: one of the tree, or one of its own.
pub enum Object {
    Shared(Arc<Node>),
    Own(Arc<dyn SessionObject>),
}

impl Object {
    pub fn me(&self) -> &MoRef {
        match self {
            Self::Shared(node) => node.me(),
            Self::Own(object) => object.me(),
        }
    }
}

impl Service {
    /// # Panics
    /// If neither the schema nor a guard says which privilege one of the methods takes, or a guard misspells it.
    pub fn new(core: Arc<Core>, authority: Arc<dyn Authority>, methods: Methods) -> Self {
        let unguarded = methods.unguarded();
        assert!(unguarded.is_empty(), "no guard says which privileges these methods take: {unguarded:?}");
        let misspelt = methods.misspelt();
        assert!(
            misspelt.is_empty(),
            "the guards of these methods ask for an unknown privilege: {misspelt:?}"
        );
        Self { core, authority, methods, locals: Locals::default(), gate: OnceLock::new() }
    }

    /// State that a part of this crate keeps for all sessions: made at first use, dropped with the service.
    pub(crate) fn local<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.locals.get()
    }

    /// Sets the gate that calls pass from now on, once.
    pub fn set_gate(&self, gate: Arc<dyn Gate>) {
        let _ = self.gate.set(gate);
    }

    /// Posts the events that came about without a call of a method.
    pub(crate) async fn post_unposted(&self) {
        for event in self.authority.unposted_events() {
            self.core.events.post(event).await;
        }
    }

    /// The computation of a property of this type, if it is a computed one.
    pub(crate) fn computed(&self, ty: ManagedId, number: u16) -> Option<Computed> {
        self.methods.computed(ty, number)
    }

    /// The object with this reference, as the session sees it.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`.
    pub fn find(
        &self,
        reference: &MoRef,
        session: Option<&Session>,
        state: &Snapshot,
    ) -> Result<Object, Fault> {
        if let Some(node) = state.find(reference) {
            return Ok(Object::Shared(node.clone()));
        }
        let own = session.and_then(|session| session.object(reference)).map(Object::Own);
        own.ok_or_else(|| not_found(reference))
    }

    /// The property with this number. Whether the session may read it is [`Service::may_read`].
    pub fn property(
        &self,
        object: &Object,
        number: u16,
        session: &Session,
        state: &Snapshot,
    ) -> Option<Value> {
        match object {
            Object::Own(object) => object.property(number, session, state),
            Object::Shared(node) => {
                if let Some(computed) = self.computed(node.me().ty(), number) {
                    return computed(self, session, node, state);
                }
                node.at(number).cloned()
            }
        }
    }

    /// Whether the session may read this property of the object.
    ///
    /// # Errors
    /// `NoPermission` that names the privilege.
    pub fn may_read(
        &self,
        object: &Object,
        number: u16,
        session: &Session,
        state: &Snapshot,
    ) -> Result<(), Fault> {
        let Object::Shared(node) = object else { return Ok(()) };
        let ty = schema().managed(node.me().ty());
        let privilege = ty.privileges[usize::from(number)].unwrap_or("System.View");
        self.check(session, node.me(), privilege, state)
    }

    /// Calls a method: the object must exist, and the session must have the privileges that the schema and the guard name.
    ///
    /// # Errors
    /// Those of the method, or `ManagedObjectNotFound`, `NotAuthenticated`, `NoPermission`, `NotSupported`.
    pub async fn invoke(&self, call: Call) -> Result<Option<Value>, Fault> {
        Ok(self.answer(call).await?.map(|answer| vim::encode::made(&*answer)))
    }

    /// The same for a caller that writes the answer.
    ///
    /// # Errors
    /// As for [`Service::invoke`].
    pub async fn answer(&self, call: Call) -> Result<Option<Answer>, Fault> {
        let method = schema().method(call.args.method);
        let state = call.state();
        let privilege = method.privilege.unwrap_or("System.View");
        let _active = match &call.session {
            Some(session) => Some(session.begin()),
            None if privilege == "System.Anonymous" => None,
            None => return Err(not_authenticated(&call.this, privilege)),
        };
        let object = self.find(&call.this, call.session.as_deref(), &state)?;
        if !object.me().is_a(method.owner) {
            return Err(fault!(
                MethodNotFound { receiver: &call.this, method: method.name },
                "{} has no method {}",
                object.me().type_name(),
                method.name
            ));
        }
        if let (Some(session), Object::Shared(node)) = (&call.session, &object) {
            self.check_method(session, node.me(), &call, privilege, &state)?;
        }
        let Some(handler) = self.methods.find(object.me().ty(), call.args.method) else {
            return Err(fault!(
                NotSupported {},
                "{} is not supported on {} here",
                method.name,
                object.me().type_name()
            ));
        };
        let call = Call { this: object.me().clone(), ..call };
        let actor = Actor::new(call.user(), None);
        match self.gate.get().and_then(|gate| gate.refuse(&call)) {
            Some(fault) => Self::refused(&object, &call, fault).await,
            None => actor.does(handler(call)).await,
        }
    }

    /// Ends a call with a fault: at once, or as the end of the task that the method begins.
    async fn refused(object: &Object, call: &Call, fault: Fault) -> Result<Option<Answer>, Fault> {
        if !schema().method(call.args.method).is_task {
            return Err(fault);
        }
        let entity_name = match object {
            Object::Shared(node) => node.get(prop!(ManagedEntity.name)).map(str::to_owned),
            Object::Own(_) => None,
        };
        let options = TaskOptions { entity: Some(call.this.clone()), entity_name, ..TaskOptions::default() };
        let task = call.task(options, |_| async { Err(fault) }).await?;
        Ok(task.map(|task| Box::new(task) as Answer))
    }

    /// Whether the session of a call may make it now, as far as that is known before the method is begun. Nothing is called.
    ///
    /// # Errors
    /// `ManagedObjectNotFound`, `NotAuthenticated`, `NoPermission`.
    pub fn may_call(&self, call: &Call) -> Result<(), Fault> {
        let state = call.state();
        let object = state.require(&call.this)?.me();
        let privilege = schema().method(call.args.method).privilege.unwrap_or("System.View");
        self.check_method(call.session()?, object, call, privilege, &state)
    }

    fn check_method(
        &self,
        session: &Session,
        object: &MoRef,
        call: &Call,
        privilege: &str,
        state: &Snapshot,
    ) -> Result<(), Fault> {
        self.check_call(call, session, object, privilege, state)?;
        let method = schema().method(call.args.method);
        for (number, value) in call.args.values() {
            let Some(privilege) = method.parameter_privileges[usize::from(*number)] else { continue };
            for reference in value.items().iter().filter_map(Value::as_ref) {
                self.check_call(call, session, reference, privilege, state)?;
            }
        }
        match self.methods.guard_of(object.ty(), call.args.method) {
            Some(guard) => guard.check(&Ask { session, object, call, state }),
            None => Ok(()),
        }
    }

    /// As [`Service::check`] for a call: the use of the privilege is noted, and the fault says which roles would grant it.
    ///
    /// # Errors
    /// `NoPermission` that names the object and the privilege.
    pub(crate) fn check_call(
        &self,
        call: &Call,
        session: &Session,
        object: &MoRef,
        privilege: &str,
        state: &Snapshot,
    ) -> Result<(), Fault> {
        if privilege == "System.Anonymous" {
            return Ok(());
        }
        if !self.authority.allows(&session.account, object, privilege, state) {
            return Err(self.refusal(&session.account.name, object, privilege));
        }
        // Every role can read, so these uses say nothing.
        if !privilege.starts_with("System.") {
            self.authority.note(&Use {
                account: &session.account,
                object,
                privilege,
                session: session.public_id(),
                operation: call.operation_id.as_deref(),
            });
        }
        Ok(())
    }

    fn refusal(&self, user: &str, object: &MoRef, privilege: &str) -> Fault {
        let roles = self.authority.granting(privilege);
        let hint = match roles.as_slice() {
            [] => String::new(),
            roles => format!(". Roles that have it: {}", roles.join(", ")),
        };
        let missing = vim!(NoPermissionEntityPrivileges { entity: object, privilegeIds: [privilege] });
        fault!(
            NoPermission { object: object, privilegeId: privilege, missingPrivileges: [missing] },
            "{user} does not have the privilege {privilege} on {object}{hint}"
        )
    }

    /// Whether the session has the privilege on the object.
    ///
    /// # Errors
    /// `NoPermission` that names both.
    pub fn check(
        &self,
        session: &Session,
        object: &MoRef,
        privilege: &str,
        state: &Snapshot,
    ) -> Result<(), Fault> {
        if privilege == "System.Anonymous"
            || self.authority.allows(&session.account, object, privilege, state)
        {
            return Ok(());
        }
        Err(no_permission(&session.account.name, object, privilege))
    }
}

pub(crate) fn no_permission(user: &str, object: &MoRef, privilege: &str) -> Fault {
    fault!(
        NoPermission { object: object, privilegeId: privilege },
        "{user} does not have the privilege {privilege} on {object}"
    )
}

/// The fault that makes every client log in again.
pub(crate) fn not_authenticated(object: &MoRef, privilege: &str) -> Fault {
    fault!(NotAuthenticated { object: object, privilegeId: privilege }, "The session is not authenticated.")
}
