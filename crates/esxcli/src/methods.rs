//! ReflectManagedMethodExecuter and InternalDynamicTypeManager: the way of esxcli. What there is to execute is in the table.

use std::sync::Arc;

use api::{Guard, Methods};
use host::{Host, ids};
use vim::{Kind, List, Object, Value, arg, data_id, managed_id, method};

use crate::execute::{execute, fetch};
use crate::reflect::{instances, types};

/// Adds the methods of the objects by which clients call esxcli: a [`host::Subsystem`].
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
    methods.guarded(executer, method!(FetchSoap), Guard::Open, |call| async move {
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
