//! Settings by key: those of `ServiceContent.setting`, which this module keeps, and those of a daemon's other OptionManagers, which the
//! daemon keeps ([`own_options`]).

use std::sync::Arc;

use vim::{
    DataId, Fault, Kind, List, ManagedId, MoRef, Object, Value, arg, data_id, fault, field, managed_id,
    method, prop, props, vim,
};

use crate::common::Common;
use crate::singletons::Singletons;
use crate::stored::{decode, encode, store_fault};
use crate::{Call, Core, Guard, Manager, Methods};

type Reply = Result<Option<Value>, Fault>;

const MANAGER: ManagedId = managed_id!(OptionManager);
const OPTION: DataId = data_id!(OptionValue);
/// Stored options, by the manager's id, a space and the option's key.
const COLLECTION: &str = "option";
/// Options of one manager.
const MAX_OPTIONS: usize = 2_000;
const MAX_KEY_BYTES: usize = 256;
/// Clients may add keys with this prefix.
const FREE_PREFIX: &str = "config.";

/// The privileges to change the settings of a daemon, and the advanced settings of a host.
const PRIVILEGES: [&str; 2] = ["Global.Settings", "Host.Config.AdvancedConfig"];

/// The OptionManager of `ServiceContent.setting`.
pub(super) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.setting.clone(),
    named: Some(field!(ServiceContent.setting).number()),
    properties: |common| {
        let options = stored(&common.core.store, &common.ids.setting, common.facts.settings.clone())?;
        common.core.retention.apply(&options);
        Ok(props!(OptionManager { setting: shown_options(&options) }))
    },
    register: |table| {
        table.methods.on(MANAGER, method!(QueryOptions), |call| async move { query(&call) });
        own_options(table.methods, |_| false, |_| async { Ok(None) });
    },
};

/// Sets how the settings of a daemon's own OptionManagers are changed: `own` names the managers, `change` answers `UpdateOptions` and
/// checks the privilege. The daemon shows the settings in the tree, where `QueryOptions` finds them.
pub fn own_options<R>(
    methods: &mut Methods,
    own: impl Fn(&MoRef) -> bool + Send + Sync + 'static,
    change: impl Fn(Call) -> R + Send + Sync + 'static,
) where
    R: Future<Output = Reply> + Send + 'static,
{
    let one_at_a_time = Arc::new(tokio::sync::Mutex::new(()));
    methods.guarded(MANAGER, method!(UpdateOptions), Guard::Asks(&PRIVILEGES), move |call| {
        let one_at_a_time = one_at_a_time.clone();
        let own = own(&call.this).then(|| change(call.clone()));
        async move {
            match own {
                Some(changed) => changed.await,
                None => {
                    let _guard = one_at_a_time.lock().await;
                    update(&call).await
                }
            }
        }
    });
}

/// The settings that a call of `UpdateOptions` changes, each in the type that the tree shows.
///
/// # Errors
/// `InvalidName` for an unknown setting, `InvalidArgument` for a value of another type.
pub fn changed_options(call: &Call) -> Result<Vec<(String, Value)>, Fault> {
    let options = current(call);
    let mut changes = Vec::new();
    for change in call.required(arg!(UpdateOptions.changedValue))? {
        let key = change.get(field!(OptionValue.key)).unwrap_or_default();
        let (_, old) = options.iter().find(|(known, _)| known == key).ok_or_else(|| invalid_name(key))?;
        changes.push((key.to_owned(), converted(key, given(key, change)?, old)?));
    }
    Ok(changes)
}

fn given<'a>(key: &str, change: &'a Object) -> Result<&'a Value, Fault> {
    change.get(field!(OptionValue.value)).ok_or_else(|| {
        crate::service::invalid_argument("changedValue", &format!("The setting {key} needs a value"))
    })
}

/// The settings of an OptionManager: these defaults, with the stored values of those that were changed.
fn stored(
    store: &store::Store,
    me: &MoRef,
    mut options: Vec<(String, Value)>,
) -> store::Result<Vec<(String, Value)>> {
    let prefix = stored_key(me, "");
    store.read(|view| {
        view.for_each(COLLECTION, |key, value| {
            if key.starts_with(&prefix)
                && let Some(option) = decode(OPTION, value)
            {
                let key = option.get(field!(OptionValue.key)).unwrap_or_default().to_owned();
                let value = option.get(field!(OptionValue.value)).cloned();
                put(&mut options, key, value.unwrap_or_else(|| Value::from("")));
            }
            Ok(())
        })
    })?;
    Ok(options)
}

fn stored_key(me: &MoRef, key: &str) -> String {
    format!("{} {key}", me.id())
}

fn put(options: &mut Vec<(String, Value)>, key: String, value: Value) {
    match options.iter_mut().find(|(known, _)| *known == key) {
        Some((_, old)) => *old = value,
        None => options.push((key, value)),
    }
}

/// Settings as an OptionManager shows them.
pub fn shown_options(options: &[(String, Value)]) -> List {
    let mut options: Vec<_> = options.iter().collect();
    options.sort_by(|a, b| a.0.cmp(&b.0));
    let items =
        options.into_iter().map(|(key, value)| vim!(OptionValue { key: key, value: value.clone() }).into());
    List::new(Kind::Data(OPTION), items.collect::<Vec<Value>>())
}

fn current(call: &Call) -> Vec<(String, Value)> {
    let state = call.state();
    let setting = state.find(&call.this).and_then(|node| node.get(prop!(OptionManager.setting)));
    let options = setting.into_iter().flatten().map(|option| {
        let key = option.get(field!(OptionValue.key)).unwrap_or_default();
        (key.to_owned(), option.get(field!(OptionValue.value)).cloned().unwrap_or_else(|| Value::from("")))
    });
    options.collect()
}

fn invalid_name(name: &str) -> Fault {
    fault!(InvalidName { name: name }, "The setting {name:?} does not exist")
}

/// All settings, one, or those under a prefix that ends with a dot.
fn query(call: &Call) -> Reply {
    let options = current(call);
    let found: Vec<_> = match call.arg(arg!(QueryOptions.name)).filter(|name| !name.is_empty()) {
        None => options,
        Some(name) => {
            let fits = |key: &str| key == name || (name.ends_with('.') && key.starts_with(name));
            let found: Vec<_> = options.into_iter().filter(|(key, _)| fits(key)).collect();
            if found.is_empty() {
                return Err(invalid_name(name));
            }
            found
        }
    };
    Ok(Some(Value::List(shown_options(&found))))
}

async fn update(call: &Call) -> Reply {
    call.service.check(call.session()?, &call.this, "Global.Settings", &call.state())?;
    let mut options = current(call);
    let mut batch = store::Batch::new();
    let (mut owned, owner) = (Vec::new(), call.service.core.owned_settings.get());
    let owner = owner.filter(|_| call.this.id() == Singletons::center().setting.id());
    let keys: Vec<String> = owner.iter().flat_map(|owner| owner.values()).map(|(key, _)| key).collect();
    for change in call.required(arg!(UpdateOptions.changedValue))? {
        let key = change.get(field!(OptionValue.key)).unwrap_or_default();
        let value = given(key, change)?;
        let value = match options.iter().find(|(known, _)| known == key) {
            Some((_, old)) => converted(key, value, old)?,
            None if key.starts_with(FREE_PREFIX) && key.len() <= MAX_KEY_BYTES && is_scalar(value) => {
                value.clone()
            }
            None => return Err(invalid_name(key)),
        };
        if keys.iter().any(|known| known == key) {
            owned.push((key.to_owned(), value.clone()));
            put(&mut options, key.to_owned(), value);
            continue;
        }
        crate::retention::check(key, &value)?;
        let option = Arc::new(Object::from(vim!(OptionValue { key: key, value: value.clone() })));
        batch.put(COLLECTION, stored_key(&call.this, key), encode(OPTION, &option));
        put(&mut options, key.to_owned(), value);
    }
    if options.len() > MAX_OPTIONS {
        return Err(fault!(
            OutOfBounds { argumentName: "changedValue" },
            "The limit of {MAX_OPTIONS} settings is reached"
        ));
    }
    let core = &call.service.core;
    if let Some(owner) = owner.filter(|_| !owned.is_empty()) {
        owner.set(&owned).await?;
    }
    core.store.commit(batch).await.map_err(|error| store_fault(&error))?;
    let setting = shown_options(&options);
    core.tree.write(|w| w.set(&call.this, props!(OptionManager { setting: setting })));
    if core.retention.apply(&options) {
        core.events.trim();
        core.tasks.trim();
    }
    Ok(None)
}

/// Shows the settings that a part of the daemon keeps by itself among those of this manager.
pub fn show_owned(core: &Core, manager: &MoRef) {
    let Some(owner) = core.owned_settings.get() else { return };
    core.tree.write(|w| {
        let node = w.find(manager);
        let mut options: Vec<(String, Value)> = node
            .and_then(|node| node.get(prop!(OptionManager.setting)))
            .into_iter()
            .flatten()
            .filter_map(|option| {
                let key = option.get(field!(OptionValue.key))?.to_owned();
                Some((key, option.get(field!(OptionValue.value))?.clone()))
            })
            .collect();
        owner.values().into_iter().for_each(|(key, value)| put(&mut options, key, value));
        let definitions: Vec<Value> = owner.definitions().into_iter().map(Value::from).collect();
        let definitions = List::new(Kind::Data(data_id!(OptionDef)), definitions);
        let (setting, supported) = (shown_options(&options), definitions);
        w.set(manager, props!(OptionManager { setting: setting, supportedOption: supported }));
    });
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Object(_) | Value::List(_) | Value::Ref(_))
}

/// The value in the setting's type: some clients send every value as text.
fn converted(key: &str, value: &Value, old: &Value) -> Result<Value, Fault> {
    let kind = match old {
        Value::Boolean(_) => Kind::Boolean,
        Value::Int(_) => Kind::Int,
        Value::Long(_) => Kind::Long,
        Value::Double(_) => Kind::Double,
        Value::Float(_) => Kind::Float,
        _ => Kind::String,
    };
    value.converted(kind).ok_or_else(|| {
        crate::service::invalid_argument(
            "changedValue",
            &format!("The value of the setting {key} has the wrong type"),
        )
    })
}
