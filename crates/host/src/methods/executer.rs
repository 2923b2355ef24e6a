//! ReflectManagedMethodExecuter and InternalDynamicTypeManager: the way of esxcli. What there is to execute is in `esxcli`.

use api::Guard;
use vim::{Kind, List, Object, Value, arg, data_id, managed_id, method};

use super::Table;
use crate::{esxcli, ids};

/// The row of a command names the privilege that it takes.
const ASKS: Guard = Guard::Asks(&[]);

pub(super) fn register(table: &mut Table<'_>) {
    let (host, executer) = (managed_id!(HostSystem), managed_id!(ReflectManagedMethodExecuter));
    let types = managed_id!(InternalDynamicTypeManager);
    table.on(host, method!(RetrieveManagedMethodExecuter), |_, _| async move {
        Ok(Some(Value::Ref(ids::method_executer())))
    });
    table.on(host, method!(RetrieveDynamicTypeManager), |_, _| async move {
        Ok(Some(Value::Ref(ids::dynamic_type_manager())))
    });
    table.guarded(executer, method!(ExecuteSoap), ASKS, |host, call| async move {
        Ok(Some(Object::from(esxcli::execute(host, &call).await?).into()))
    });
    table.guarded(executer, method!(FetchSoap), ASKS, |_, call| async move {
        Ok(Some(Object::from(esxcli::fetch(&call)?).into()))
    });
    table.on(types, method!(DynamicTypeMgrQueryMoInstances), |_, call| async move {
        let filter = call.arg(arg!(DynamicTypeMgrQueryMoInstances.filterSpec));
        let known = esxcli::instances(filter.map(|filter| &**filter)).into_iter();
        let known: Vec<Value> = known.map(|instance| Object::from(instance).into()).collect();
        Ok(Some(Value::List(List::new(Kind::Data(data_id!(DynamicTypeMgrMoInstance)), known))))
    });
    table.on(types, method!(DynamicTypeMgrQueryTypeInfo), |_, call| async move {
        let filter = call.arg(arg!(DynamicTypeMgrQueryTypeInfo.filterSpec));
        Ok(Some(Object::from(esxcli::types(filter.map(|filter| &**filter))).into()))
    });
}
