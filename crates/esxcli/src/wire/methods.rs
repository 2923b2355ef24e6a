//! ReflectManagedMethodExecuter and InternalDynamicTypeManager: the managed objects by which clients call esxcli.

use std::sync::Arc;

use api::{Guard, Methods};
use host::{Host, ids};
use vim::{Kind, List, Object, Value, arg, data_id, managed_id, method};

use super::execute::{execute, fetch};
use super::types::{instances, types};

/// Adds the methods of these objects to a host's: a [`host::Subsystem`].
pub fn register(host: &Arc<Host>, methods: &mut Methods) {
    let (system, executer) = (managed_id!(HostSystem), managed_id!(ReflectManagedMethodExecuter));
    let manager = managed_id!(InternalDynamicTypeManager);
    methods.on(system, method!(RetrieveManagedMethodExecuter), |_| async move {
        Ok(Some(Value::Ref(ids::method_executer())))
    });
    methods.on(system, method!(RetrieveDynamicTypeManager), |_| async move {
        Ok(Some(Value::Ref(ids::dynamic_type_manager())))
    });
    let host = host.clone();
    // The row of a command names the privilege that it takes.
    methods.guarded(executer, method!(ExecuteSoap), Guard::Asks(&[]), move |call| {
        let host = host.clone();
        async move { Ok(Some(Object::from(execute(host, &call).await?).into())) }
    });
    methods.guarded(executer, method!(FetchSoap), Guard::Privilege("System.Read"), |call| async move {
        Ok(Some(Object::from(fetch(&call)?).into()))
    });
    methods.on(manager, method!(DynamicTypeMgrQueryMoInstances), |call| async move {
        let filter = call.arg(arg!(DynamicTypeMgrQueryMoInstances.filterSpec));
        let known = instances(filter.map(|filter| &**filter)).into_iter();
        let known: Vec<Value> = known.map(|instance| Object::from(instance).into()).collect();
        Ok(Some(Value::List(List::new(Kind::Data(data_id!(DynamicTypeMgrMoInstance)), known))))
    });
    methods.on(manager, method!(DynamicTypeMgrQueryTypeInfo), |call| async move {
        let filter = call.arg(arg!(DynamicTypeMgrQueryTypeInfo.filterSpec));
        Ok(Some(Object::from(types(filter.map(|filter| &**filter))).into()))
    });
}
