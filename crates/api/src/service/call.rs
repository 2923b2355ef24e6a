//! One call of a method: the object, the arguments, and the session that calls.

use std::future::Future;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use vim::kind::Marker;
use vim::{Args, Fault, Field, MoRef, Object, Release, Value, fault, schema};

use super::Service;
use crate::budget::Share;
use crate::session::Peer;
use crate::{Acting, Running, Session, Snapshot, TaskOptions};

/// A call, as the method receives it.
#[derive(Clone)]
pub struct Call {
    pub this: MoRef,
    pub args: Args,
    /// None before login; the service admits only methods for `System.Anonymous` then.
    pub session: Option<Arc<Session>>,
    /// The release that the client speaks.
    pub release: Release,
    /// The user on whose behalf a center calls.
    pub acting: Option<Arc<Acting>>,
    /// The client's name for the operation, for logs, tasks and events.
    pub operation_id: Option<Arc<str>>,
    /// XML that holds the SAML token of a login: the token itself, or the message in whose header it stands.
    pub token: Option<Arc<str>>,
    pub peer: Arc<Peer>,
    /// A login puts the session that it began here, and the server gives the client its key.
    pub new_session: Arc<OnceLock<Arc<Session>>>,
    /// The session's turn to put a large answer together, until the server has written the answer.
    pub(crate) turn: Arc<Mutex<Option<Share>>>,
    /// The `TaskReason` of the tasks that the call becomes, if it is not that the user called.
    pub reason: Option<Arc<Object>>,
    pub service: Arc<Service>,
}

impl Call {
    /// A call in our own release, without a client's name for it.
    pub fn new(
        service: Arc<Service>,
        peer: Arc<Peer>,
        session: Option<Arc<Session>>,
        this: MoRef,
        args: Args,
    ) -> Self {
        let release = vim::api_release();
        Self {
            this,
            args,
            session,
            release,
            acting: None,
            operation_id: None,
            token: None,
            peer,
            new_session: Arc::default(),
            turn: Arc::default(),
            reason: None,
            service,
        }
    }

    /// The session.
    ///
    /// # Errors
    /// `NotAuthenticated` without one.
    pub fn session(&self) -> Result<&Arc<Session>, Fault> {
        self.session.as_ref().ok_or_else(|| super::not_authenticated(&self.this, "System.View"))
    }

    /// The name of the calling user; for a center's account, with that of the center's user.
    pub fn user(&self) -> &str {
        match (&self.acting, &self.session) {
            (Some(acting), _) => acting.shown(),
            (None, Some(session)) => &session.account.name,
            (None, None) => "",
        }
    }

    /// Checks that the caller has the privilege on the object, and so has the center's user on whose behalf it calls, as far as the center
    /// has sent limits.
    ///
    /// # Errors
    /// `NoPermission` that names both.
    pub fn check(&self, object: &MoRef, privilege: &str) -> Result<(), Fault> {
        self.service.check_call(self, self.session()?, object, privilege, &self.state())?;
        match &self.acting {
            Some(acting) if !acting.may(object, privilege) => {
                Err(super::no_permission(acting.shown(), object, privilege))
            }
            _ => Ok(()),
        }
    }

    /// Checks that every object exists that a parameter itself names; those inside of data objects are not looked at.
    ///
    /// # Errors
    /// `ManagedObjectNotFound` for the first that does not.
    pub fn require_references(&self) -> Result<(), Fault> {
        let state = self.state();
        let named = self.args.values().iter().flat_map(|(_, value)| value.items()).filter_map(Value::as_ref);
        for reference in named {
            self.service.find(reference, self.session.as_deref(), &state)?;
        }
        Ok(())
    }

    /// The same of every reference that the parameters name, at any depth.
    ///
    /// # Errors
    /// `ManagedObjectNotFound` for the first that does not exist, or that the session may not see.
    pub fn require_all_references(&self) -> Result<(), Fault> {
        let state = self.state();
        let mut waiting: Vec<&Value> = self.args.values().iter().map(|(_, value)| value).collect();
        while let Some(value) = waiting.pop() {
            match value {
                Value::Ref(reference) => {
                    self.service.find(reference, self.session.as_deref(), &state)?;
                }
                Value::List(list) => waiting.extend(list.items()),
                Value::Object(object) => waiting.extend(object.fields().iter().map(|(_, value)| value)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits until the session puts no other large answer together. The turn lasts until the answer is written.
    pub(crate) async fn take_turn(&self) {
        if let Some(session) = &self.session {
            let turn = session.budget.turn().await;
            *self.turn.lock() = Some(turn);
        }
    }

    /// Gives the turn back: there is nothing to answer yet.
    pub(crate) fn give_turn(&self) {
        self.turn.lock().take();
    }

    /// The tree as it is now.
    pub fn state(&self) -> Arc<Snapshot> {
        self.service.core.tree.snapshot()
    }

    /// An optional parameter.
    pub fn arg<K: Marker>(&self, parameter: Field<K>) -> Option<K::Out<'_>> {
        self.args.get(parameter)
    }

    /// A parameter that must be set.
    ///
    /// # Errors
    /// `InvalidArgument` with its name if it is unset.
    pub fn required<K: Marker>(&self, parameter: Field<K>) -> Result<K::Out<'_>, Fault> {
        self.args.get(parameter).ok_or_else(|| {
            let name = schema().method(self.args.method).parameters[usize::from(parameter.number())].name;
            invalid_argument(name, &format!("{} needs the parameter {name}", self.args.method_name()))
        })
    }
}

impl Call {
    /// Does the rest of the call as a task, and returns the task's reference.
    ///
    /// # Errors
    /// `TaskInProgress` if `options.exclusive` and another exclusive task works on the same object.
    pub async fn task<F, R>(&self, options: TaskOptions, work: F) -> Result<Option<Value>, Fault>
    where
        F: FnOnce(Running) -> R + Send + 'static,
        R: Future<Output = Result<Option<Value>, Fault>> + Send + 'static,
    {
        let reason = options.reason.clone().or_else(|| self.reason.clone());
        let parent = self.acting.as_ref().and_then(|acting| acting.task()).map(str::to_owned);
        let options = TaskOptions { reason, parent, ..options };
        let task = self.service.core.tasks.start(self.args.method, self.user(), options, work).await?;
        Ok(Some(Value::Ref(task)))
    }
}

/// `InvalidArgument` for this property or parameter.
pub fn invalid_argument(property: &str, message: &str) -> Fault {
    fault!(InvalidArgument { invalidProperty: property }, "{message}")
}
