//! The OptionManager of the host: its advanced settings, each of which does something, and facts that no client can set.
//!
//! A service that owns settings has a row for each and is an [`Owner`]. It shows them with [`System::show_settings`].

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use api::{Call, Core, Manager, OwnedSettings, Writer, managers};
use async_trait::async_trait;
use vim::{
    DataId, Fault, Kind, List, MoRef, Object, Props, Value, data_id, fault, field, managed_id, props, ty, vim,
};

use super::System;

/// The privilege to change settings.
const PRIVILEGE: &str = "Host.Config.AdvancedConfig";
const DEFINITION: DataId = data_id!(OptionDef);

/// A number that can be set.
pub(crate) struct Setting {
    pub(crate) key: &'static str,
    pub(crate) label: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) default: u32,
}

/// A service that advanced settings belong to.
#[async_trait]
pub(crate) trait Owner: Send + Sync {
    /// Its setting of this key.
    fn setting(&self, key: &str) -> Option<&'static Setting>;

    /// Changes all of these settings of its own or none, and shows them.
    async fn change_settings(&self, wanted: &[(&'static Setting, u32)]) -> Result<(), Fault>;
}

/// The advanced settings of all services.
pub(crate) struct Settings {
    system: Arc<System>,
    owners: Vec<Arc<dyn Owner>>,
    /// The settings of accounts and sessions, on a host that has accounts of its own.
    accounts: OnceLock<Arc<dyn OwnedSettings>>,
}

/// The host's OptionManager.
pub fn me() -> MoRef {
    MoRef::new(managed_id!(OptionManager), "ha-adv-options")
}

pub(crate) const ROW: Manager<Arc<Settings>> = Manager {
    me: |_| me(),
    named: Some(field!(HostConfigManager.advancedOption).number()),
    properties: |settings| Ok(settings.system.settings()),
    register: |table| {
        let settings = table.daemon.clone();
        managers::own_options(
            table.methods,
            |manager| *manager == me(),
            move |call| {
                let settings = settings.clone();
                async move { settings.change(&call).await }
            },
        );
    },
};

impl Settings {
    pub(crate) fn new(system: Arc<System>, owners: Vec<Arc<dyn Owner>>) -> Arc<Self> {
        Arc::new(Self { system, owners, accounts: OnceLock::new() })
    }

    /// Takes up the settings of accounts and sessions.
    pub(crate) fn take(&self, core: &Core, accounts: Arc<dyn OwnedSettings>) {
        if self.accounts.set(accounts).is_ok() {
            self.show_owned(core);
        }
    }

    fn show_owned(&self, core: &Core) {
        let Some(accounts) = self.accounts.get() else { return };
        core.tree.write(|w| {
            let mut shown = self.system.shown.lock();
            shown.settings.owned = (accounts.values(), accounts.definitions());
            drop(shown);
            self.system.show_settings(w, &[]);
        });
    }

    async fn change(&self, call: &Call) -> Result<Option<Value>, Fault> {
        call.service.check(call.session()?, &call.this, PRIVILEGE, &call.state())?;
        let mut wanted: Vec<Vec<(&'static Setting, u32)>> = self.owners.iter().map(|_| Vec::new()).collect();
        let (mut owned, owner) = (Vec::new(), self.accounts.get());
        let keys: Vec<String> = owner.iter().flat_map(|owner| owner.values()).map(|(key, _)| key).collect();
        for (key, value) in managers::changed_options(call)? {
            if keys.contains(&key) {
                owned.push((key, value));
                continue;
            }
            let mut owned = self.owners.iter().map(|owner| owner.setting(&key)).enumerate();
            let owned = owned.find_map(|(owner, setting)| Some((owner, setting?)));
            let (owner, setting) = owned.ok_or_else(|| invalid(&key, "it is a fact, which cannot be set"))?;
            wanted[owner].push((setting, checked(setting, &value)?));
        }
        if let Some(accounts) = owner.filter(|_| !owned.is_empty()) {
            accounts.set(&owned).await?;
            self.show_owned(&call.service.core);
        }
        for (owner, wanted) in self.owners.iter().zip(&wanted).filter(|(_, wanted)| !wanted.is_empty()) {
            owner.change_settings(wanted).await?;
        }
        Ok(None)
    }
}

fn checked(setting: &Setting, value: &Value) -> Result<u32, Fault> {
    let (min, max) = (setting.min, setting.max);
    let number = match value {
        Value::Long(value) => u32::try_from(*value).ok().filter(|value| (min..=max).contains(value)),
        _ => None,
    };
    number.ok_or_else(|| invalid(setting.key, &format!("the value is out of range ({min}–{max})")))
}

fn invalid(key: &str, message: &str) -> Fault {
    fault!(InvalidArgument { invalidProperty: "changedValue" }, "{key}: {message}")
}

/// The settings that are shown, with their values, and the facts.
#[derive(Default)]
pub(super) struct ShownSettings {
    settings: BTreeMap<&'static str, (&'static Setting, u32)>,
    facts: Vec<(&'static str, String)>,
    /// Those of accounts and sessions, with their definitions.
    owned: (Vec<(String, Value)>, Vec<ty!(OptionDef)>),
}

impl ShownSettings {
    pub(super) fn of_facts(facts: Vec<(&'static str, String)>) -> Self {
        Self { facts, ..Self::default() }
    }

    fn values(&self) -> Vec<(String, Value)> {
        let set = self.settings.values();
        let set = set.map(|(setting, value)| (setting.key.to_owned(), Value::Long((*value).into())));
        let facts = self.facts.iter().map(|(key, text)| ((*key).to_owned(), Value::from(&**text)));
        set.chain(facts).chain(self.owned.0.iter().cloned()).collect()
    }

    /// The present values.
    pub(super) fn shown(&self) -> List {
        managers::shown_options(&self.values())
    }

    /// The definition of each setting and fact.
    pub(super) fn definitions(&self) -> List {
        let set = self.settings.values().map(|(setting, _)| {
            let number = Object::from(number(setting));
            vim!(OptionDef {
                key: setting.key,
                label: setting.label,
                summary: setting.summary,
                optionType: number,
            })
        });
        let facts = self.facts.iter().map(|(key, text)| {
            let text = vim!(StringOption { valueIsReadonly: true, defaultValue: &**text });
            vim!(OptionDef { key: *key, label: *key, summary: "", optionType: Object::from(text) })
        });
        List::new(
            Kind::Data(DEFINITION),
            set.chain(facts).chain(self.owned.1.iter().cloned()).map(Value::from).collect::<Vec<_>>(),
        )
    }

    fn props(&self) -> Props {
        props!(OptionManager { setting: self.shown(), supportedOption: self.definitions() })
    }
}

fn number(setting: &Setting) -> ty!(LongOption) {
    vim!(LongOption {
        valueIsReadonly: false,
        min: i64::from(setting.min),
        max: i64::from(setting.max),
        defaultValue: i64::from(setting.default),
    })
}

impl System {
    fn settings(&self) -> Props {
        self.shown.lock().settings.props()
    }

    /// Shows settings with their present values.
    pub(crate) fn show_settings(&self, w: &mut Writer<'_>, settings: &[(&'static Setting, u32)]) {
        let mut shown = self.shown.lock();
        for (setting, value) in settings {
            shown.settings.settings.insert(setting.key, (setting, *value));
        }
        w.set(&me(), shown.settings.props());
        let shown = &mut *shown;
        shown.config.set(field!(HostConfigInfo.option), shown.settings.shown());
        shown.config.set(field!(HostConfigInfo.optionDef), shown.settings.definitions());
        w.set(&crate::ids::host(), props!(HostSystem { config: shown.config.clone() }));
    }
}
