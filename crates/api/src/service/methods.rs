//! The table of methods: what each does, which privileges it takes, and which properties are computed when they are read.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use vim::{Encode, Fault, ManagedId, Method, MethodId, MoRef, Value, schema};

use super::{Call, Guard, Service};
use crate::privilege::all_privileges;
use crate::{Node, Session, Snapshot};

/// The answer of a method: a value, or something that writes itself from the state of the tree without becoming a value first.
pub type Answer = Box<dyn Encode + Send>;

type Handler = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<Option<Answer>, Fault>> + Send + Sync>;

/// A property that is computed when it is read, because it depends on the session that reads it.
pub type Computed = fn(&Service, &Session, &Node, &Snapshot) -> Option<Value>;

/// Methods with their guards, and computed properties, by managed type. A type has those of its base types too; the nearest type
/// decides.
#[derive(Default)]
pub struct Methods {
    handlers: HashMap<(ManagedId, MethodId), Handler>,
    guards: HashMap<(ManagedId, MethodId), Guard>,
    computed: HashMap<(ManagedId, u16), Computed>,
}

impl Methods {
    /// Sets the handler of a method on objects of the type and those derived from it. The schema or a guard must name its privilege.
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

    /// The same with a guard, for a method whose privileges the schema does not name, or not completely.
    pub fn guarded<F, R>(&mut self, ty: ManagedId, method: MethodId, guard: Guard, handler: F)
    where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<Value>, Fault>> + Send + 'static,
    {
        self.guard(ty, method, guard);
        self.on(ty, method, handler);
    }

    /// Lets another handler do a method on the objects of the type that are not `own`; the present handler stays for those.
    ///
    /// # Panics
    /// If the method has no handler.
    pub fn elsewhere<F, R>(
        &mut self,
        ty: ManagedId,
        method: MethodId,
        own: impl Fn(&MoRef) -> bool + Send + Sync + 'static,
        handler: F,
    ) where
        F: Fn(Call) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Option<Value>, Fault>> + Send + 'static,
    {
        let present =
            self.find(ty, method).cloned().expect("the method of the daemon's own object is entered first");
        self.on(ty, method, handler);
        let other = self.find(ty, method).cloned().expect("it was just entered");
        let chosen: Handler = Arc::new(move |call| if own(&call.this) { present(call) } else { other(call) });
        self.handlers.insert((ty, method), chosen);
    }

    /// Sets the guard of a method on objects of the type and those derived from it.
    ///
    /// # Panics
    /// If the schema names a privilege already, and the guard does not look at what is asked.
    pub fn guard(&mut self, ty: ManagedId, method: MethodId, guard: Guard) {
        let known = schema().method(method);
        assert!(
            known.privilege.is_none() || matches!(guard, Guard::Rule(_) | Guard::Arguments(_)),
            "the schema names the privilege of {}",
            known.name
        );
        self.guards.insert((ty, method), guard);
    }

    /// As [`Methods::on`], for a method whose answer may be too large to become a value.
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
        self.handlers.insert((ty, method), Arc::new(move |call| Box::pin(handler(call))));
    }

    /// Makes a property, by its number, of the type and those derived from it a computed one.
    pub fn compute(&mut self, ty: ManagedId, number: u16, computed: Computed) {
        self.computed.insert((ty, number), computed);
    }

    /// The methods for which neither the schema nor a guard names the privilege, as `Type.Method`.
    pub(crate) fn unguarded(&self) -> Vec<String> {
        let open = self.handlers.keys().filter(|(ty, method)| {
            !names_privilege(schema().method(*method)) && self.guard_of(*ty, *method).is_none()
        });
        named(open.copied())
    }

    /// The guards that ask for a privilege that vSphere does not know, as `Type.Method`.
    pub(crate) fn misspelt(&self) -> Vec<String> {
        let known = all_privileges();
        let misspelt = |guard: &Guard| guard.privileges().iter().any(|privilege| !known.contains(privilege));
        named(self.guards.iter().filter(|(_, guard)| misspelt(guard)).map(|(at, _)| *at))
    }

    /// The handler of the method on an object of this type.
    pub(crate) fn find(&self, ty: ManagedId, method: MethodId) -> Option<&Handler> {
        nearest(&self.handlers, ty, method)
    }

    /// The guard of the method on an object of this type.
    pub(crate) fn guard_of(&self, ty: ManagedId, method: MethodId) -> Option<&Guard> {
        nearest(&self.guards, ty, method)
    }

    /// The computation of a property of this type, if it is a computed one.
    pub(crate) fn computed(&self, ty: ManagedId, number: u16) -> Option<Computed> {
        nearest(&self.computed, ty, number).copied()
    }
}

/// Whether the schema names a privilege that every call of the method takes: not only one for a parameter that may be left out.
fn names_privilege(method: &Method) -> bool {
    let mut parameters = method.parameters.iter().zip(&method.parameter_privileges);
    method.privilege.is_some()
        || parameters.any(|(parameter, privilege)| privilege.is_some() && !parameter.optional)
}

fn named(methods: impl Iterator<Item = (ManagedId, MethodId)>) -> Vec<String> {
    let name = |(ty, method)| format!("{}.{}", schema().managed(ty).name, schema().method(method).name);
    let mut all: Vec<String> = methods.map(name).collect();
    all.sort_unstable();
    all
}

/// The entry of the type, or of the nearest of its bases that has one.
fn nearest<K: Copy + Eq + std::hash::Hash, V>(
    table: &HashMap<(ManagedId, K), V>,
    ty: ManagedId,
    key: K,
) -> Option<&V> {
    let mut at = Some(ty);
    while let Some(ty) = at {
        if let Some(entry) = table.get(&(ty, key)) {
            return Some(entry);
        }
        at = schema().managed(ty).base;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vim::{managed_id, method};

    use super::*;
    use crate::testing::Permissive;
    use crate::{Core, Service};

    fn serve(methods: Methods) {
        let core = Arc::new(Core::new(store::Store::in_memory().unwrap()));
        Service::new(core, Arc::new(Permissive::default()), methods);
    }

    #[test]
    #[should_panic(expected = "IpPoolManager.AllocateIpv4Address")]
    fn a_method_of_which_nothing_is_said_is_not_served() {
        let mut methods = Methods::default();
        methods.on(managed_id!(IpPoolManager), method!(AllocateIpv4Address), |_| async { Ok(None) });
        serve(methods);
    }

    #[test]
    #[should_panic(expected = "IpPoolManager.AllocateIpv4Address")]
    fn a_guard_with_a_misspelt_privilege_is_not_served() {
        let (manager, method) = (managed_id!(IpPoolManager), method!(AllocateIpv4Address));
        let mut methods = Methods::default();
        methods.guarded(manager, method, Guard::Privilege("Network.Assing"), |_| async { Ok(None) });
        serve(methods);
    }

    #[test]
    #[should_panic(expected = "the schema names the privilege of PowerOnVM_Task")]
    fn a_guard_does_not_say_again_what_the_schema_says() {
        Methods::default().guard(managed_id!(VirtualMachine), method!(PowerOnVM_Task), Guard::Open);
    }

    #[test]
    fn the_guard_of_the_nearest_type_counts() {
        let destroy = method!(Destroy_Task);
        let mut methods = Methods::default();
        methods.guard(managed_id!(ComputeResource), destroy, Guard::Privilege("a"));
        methods.guard(managed_id!(ClusterComputeResource), destroy, Guard::Privilege("b"));
        let of = |ty| methods.guard_of(ty, destroy).map(|guard| guard.privileges()[0]);
        assert_eq!(of(managed_id!(ComputeResource)), Some("a"));
        assert_eq!(of(managed_id!(ClusterComputeResource)), Some("b"));
        assert_eq!(of(managed_id!(Folder)), None);
    }
}
