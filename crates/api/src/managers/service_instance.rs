//! The ServiceInstance, with which every client begins.

use vim::{DateTime, Fault, ManagedId, Value, fault, field, managed_id, method, prop, vim};

use crate::{Call, Methods};

const INSTANCE: ManagedId = managed_id!(ServiceInstance);

pub(super) fn register(methods: &mut Methods) {
    methods.on(INSTANCE, method!(RetrieveServiceContent), |call| async move { content(&call).map(Some) });
    methods.on(INSTANCE, method!(CurrentTime), |_| async { Ok(Some(now())) });
    methods.on(INSTANCE, method!(RetrieveProductComponents), |call| async move { components(&call) });
    methods.compute(INSTANCE, prop!(ServiceInstance.serverClock).number(), |_, _, _, _| Some(now()));
}

fn now() -> Value {
    Value::DateTime(DateTime::now())
}

fn content(call: &Call) -> Result<Value, Fault> {
    let state = call.state();
    let content = state.find(&call.this).and_then(|node| node.get(prop!(ServiceInstance.content)).cloned());
    content
        .map(Value::Object)
        .ok_or_else(|| fault!(RuntimeFault {}, "The server is not ready yet; try again"))
}

fn components(call: &Call) -> Result<Option<Value>, Fault> {
    let content = content(call)?;
    let about = content.as_object().and_then(|content| content.get(field!(ServiceContent.about)));
    let component = about.map(|about| {
        let text = |field| about.get(field).unwrap_or_default();
        vim!(ProductComponentInfo {
            id: text(field!(AboutInfo.productLineId)),
            name: text(field!(AboutInfo.name)),
            version: text(field!(AboutInfo.version)),
            release: 0,
        })
    });
    let list = component.map(|component| vec![Value::from(component)]).unwrap_or_default();
    Ok(Some(Value::List(vim::List::new(vim::Kind::Data(vim::data_id!(ProductComponentInfo)), list))))
}
