//! One call of a method, and the table of what the methods do.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use vim::kind::Marker;
use vim::{Args, Encode, Fault, Field, ManagedId, MethodId, MoRef, Release, Value, fault, schema};

use crate::session::Peer;
use crate::{Acting, Running, Service, Session, Snapshot, TaskOptions};

/// What a method gets.
#[derive(Clone)]
pub struct Call {
    pub this: MoRef,
    pub args: Args,
    /// None before login; the service lets only methods for `System.Anonymous` through then.
    pub session: Option<Arc<Session>>,
    /// What the client speaks.
    pub release: Release,
    /// The center's user for whom a center calls.
    pub acting: Option<Arc<Acting>>,
    /// The client's name for the operation, for logs, tasks and events.
    pub operation_id: Option<Arc<str>>,
    pub peer: Arc<Peer>,
    /// Where a login puts the session that it began: whoever serves the call then gives the client its key.
    pub new_session: Arc<OnceLock<Arc<Session>>>,
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
            peer,
            new_session: Arc::default(),
            service,
        }
    }

    /// The session.
    ///
    /// # Errors
    /// `NotAuthenticated` without one.
    pub fn session(&self) -> Result<&Arc<Session>, Fault> {
        self.session.as_ref().ok_or_else(|| crate::service::not_authenticated(&self.this, "System.View"))
    }

    /// The name of the user who calls; behind a center's account stands the center's user.
    pub fn user(&self) -> &str {
        match (&self.acting, &self.session) {
            (Some(acting), _) => acting.shown(),
            (None, Some(session)) => &session.account.name,
            (None, None) => "",
        }
    }

    /// Whether the caller has the privilege on the object, and so has the center's user for whom he calls as far as the
    /// center has said.
    ///
    /// # Errors
    /// `NoPermission` that names both.
    pub fn check(&self, object: &MoRef, privilege: &str) -> Result<(), Fault> {
        self.service.check(self.session()?, object, privilege, &self.state())?;
        match &self.acting {
            Some(acting) if !acting.may(object, privilege) => {
                Err(crate::service::no_permission(acting.shown(), object, privilege))
            }
            _ => Ok(()),
        }
    }

    /// The tree as it is now.
    pub fn state(&self) -> Arc<Snapshot> {
        self.service.core.tree.snapshot()
    }

    /// A parameter that may be unset.
    pub fn arg<K: Marker>(&self, parameter: Field<K>) -> Option<K::Out<'_>> {
        self.args.get(parameter)
    }

    /// A parameter that must be there.
    ///
    /// # Errors
    /// `InvalidArgument` with its name if it is not.
    pub fn required<K: Marker>(&self, parameter: Field<K>) -> Result<K::Out<'_>, Fault> {
        self.args.get(parameter).ok_or_else(|| {
            let name = schema().method(self.args.method).parameters[usize::from(parameter.number())].name;
            invalid_argument(name, &format!("{} needs the parameter {name}", self.args.method_name()))
        })
    }
}

impl Call {
    /// Does the rest of the call as a task, and answers with its reference.
    ///
    /// # Errors
    /// `TaskInProgress` if `options.exclusive` and another exclusive task works on the same object.
    pub async fn task<F, R>(&self, options: TaskOptions, work: F) -> Result<Option<Value>, Fault>
    where
        F: FnOnce(Running) -> R + Send + 'static,
        R: Future<Output = Result<Option<Value>, Fault>> + Send + 'static,
    {
        let task = self.service.core.tasks.start(self.args.method, self.user(), options, work).await?;
        Ok(Some(Value::Ref(task)))
    }
}

/// `InvalidArgument` for this property or parameter.
pub fn invalid_argument(property: &str, message: &str) -> Fault {
    fault!(InvalidArgument { invalidProperty: property }, "{message}")
}

/// What a method answers: a value, or what is written from the state of the tree without being made a value first.
pub type Answer = Box<dyn Encode + Send>;

type Handler = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<Option<Answer>, Fault>> + Send + Sync>;

/// What the methods do, by managed type and method. A type has its base types' methods too.
#[derive(Default)]
pub struct Methods {
    table: HashMap<(ManagedId, MethodId), Handler>,
}

impl Methods {
    /// Says what a method does on objects of the type and those derived from it.
    pub fn on<F, R>(&mut self, ty: ManagedId, method: MethodId, handler: F)
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<Value>, Fault>> + Send + 'static,
    {
        self.answer(ty, method, move |call| {
            let answered = handler(call);
            async { Ok(answered.await?.map(|value| Box::new(value) as Answer)) }
        });
    }

    /// The same for a method whose answer may be too large to be made a value.
    pub fn answer<F, R>(&mut self, ty: ManagedId, method: MethodId, handler: F)
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<Answer>, Fault>> + Send + 'static,
    {
        debug_assert!(
            schema().managed(ty).is_a(schema().managed(schema().method(method).owner)),
            "{} has no method {}",
            schema().managed(ty).name,
            schema().method(method).name
        );
        self.table.insert((ty, method), Arc::new(move |call| Box::pin(handler(call))));
    }

    /// The methods for which neither the schema nor `needed` says what privilege they take.
    pub(crate) fn unguarded(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .table
            .keys()
            .filter(|(_, method)| !crate::needed::is_said(*method))
            .map(|(ty, method)| format!("{}.{}", schema().managed(*ty).name, schema().method(*method).name))
            .collect();
        all.sort_unstable();
        all
    }

    /// What the method does on an object of this type: the nearest base type decides.
    pub(crate) fn find(&self, ty: ManagedId, method: MethodId) -> Option<&Handler> {
        let mut at = Some(ty);
        while let Some(ty) = at {
            if let Some(handler) = self.table.get(&(ty, method)) {
                return Some(handler);
            }
            at = schema().managed(ty).base;
        }
        None
    }
}
