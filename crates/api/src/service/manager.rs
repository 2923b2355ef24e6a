//! Managed objects of which a daemon has one each, as rows: the managers that `ServiceContent` names, and the parts of a host that
//! `HostConfigManager` names. A new one is a file with its [`Manager`], and that manager's line in the daemon's table.

use std::future::Future;

use vim::{Fault, ManagedId, MethodId, MoRef, Object, Props, Value};

use super::{Call, Guard, Methods};
use crate::Writer;

/// One managed object of a daemon `D`: its reference, its properties, its methods with their privileges.
///
/// ```
/// use api::{Manager, Methods, Table};
/// use vim::{DateTime, MoRef, Value, field, managed_id, method, props};
///
/// /// The daemon, which the methods get; clones share it.
/// #[derive(Clone)]
/// struct Host;
///
/// const CLOCK: Manager<Host> = Manager {
///     me: |_| MoRef::new(managed_id!(HostDateTimeSystem), "dateTimeSystem"),
///     named: Some(field!(HostConfigManager.dateTimeSystem).number()),
///     properties: |_| Ok(props!(HostDateTimeSystem {})),
///     register: |table| {
///         let system = managed_id!(HostDateTimeSystem);
///         table.on(system, method!(QueryDateTime), |_host, _call| async { Ok(Some(Value::DateTime(DateTime::now()))) });
///     },
/// };
///
/// let mut methods = Methods::default();
/// Table { methods: &mut methods, daemon: &Host }.register(&[CLOCK]);
/// ```
pub struct Manager<D> {
    /// The object's reference.
    pub me: fn(&D) -> MoRef,
    /// The number of the member of `ServiceContent`, or of `HostConfigManager`, that names the object to clients.
    pub named: Option<u16>,
    /// The object's properties when the daemon starts.
    pub properties: fn(&D) -> store::Result<Props>,
    /// Enters the object's methods and computed properties.
    pub register: fn(&mut Table<'_, D>),
}

/// A table of methods together with the daemon that they work on: each method gets a clone of it.
pub struct Table<'a, D> {
    pub methods: &'a mut Methods,
    pub daemon: &'a D,
}

impl<D: Clone + Send + Sync + 'static> Table<'_, D> {
    /// As [`Methods::on`].
    pub fn on<F, R>(&mut self, ty: ManagedId, method: MethodId, handler: F)
    where
        F: Fn(D, Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<Value>, Fault>> + Send + 'static,
    {
        let daemon = self.daemon.clone();
        self.methods.on(ty, method, move |call| handler(daemon.clone(), call));
    }

    /// As [`Methods::guarded`].
    pub fn guarded<F, R>(&mut self, ty: ManagedId, method: MethodId, guard: Guard, handler: F)
    where
        F: Fn(D, Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<Value>, Fault>> + Send + 'static,
    {
        self.methods.guard(ty, method, guard);
        self.on(ty, method, handler);
    }

    /// Enters the methods of these managers.
    pub fn register(&mut self, managers: &[Manager<D>]) {
        for manager in managers {
            (manager.register)(self);
        }
    }
}

impl<D> Manager<D> {
    /// Makes the objects of these managers, and names them in `content`: the daemon's `ServiceContent` or `HostConfigManager`.
    ///
    /// # Errors
    /// The store's, if a manager cannot read what it has kept there.
    pub fn create_all(
        managers: &[Self],
        daemon: &D,
        w: &mut Writer<'_>,
        content: &mut Object,
    ) -> store::Result<()> {
        for manager in managers {
            let me = (manager.me)(daemon);
            let properties = (manager.properties)(daemon)?;
            w.create(&me, properties);
            if let Some(field) = manager.named {
                content.put(field, Some(Value::Ref(me)));
            }
        }
        Ok(())
    }
}
