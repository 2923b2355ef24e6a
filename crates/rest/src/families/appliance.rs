//! `com.vmware.appliance`: the center's version and clock, and the health of its database. Esfera leaves out the parts that it does not measure.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use vapi::{Record, Value};
use vim::{DateTime, field, prop};

use crate::inventory::{self, state};
use crate::operation::{Ask, Family, Reply, Row};

pub(crate) const VERSION: Family = Family {
    service: "appliance.system.version",
    operations: &[Row { name: "get", handler: version, open: false }],
};

pub(crate) const TIME: Family = Family {
    service: "appliance.system.time",
    operations: &[Row { name: "get", handler: time, open: false }],
};

pub(crate) const DATABASE: Family = Family {
    service: "appliance.health.database",
    operations: &[Row { name: "get", handler: database, open: false }],
};

/// A user who asks about the center itself must be able to read its root folder.
fn may(ask: &Ask<'_>) -> Result<(), vapi::Error> {
    let root = &ask.ids.root_folder;
    inventory::read(ask, &state(ask), root.ty(), "center", root.id()).map(drop)
}

fn version(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let shown = |ask: &Ask<'_>| {
        may(ask)?;
        let state = state(ask);
        let node = state.find(&ask.ids.service_instance);
        let content = node.and_then(|node| node.get(prop!(ServiceInstance.content)));
        let about = content.and_then(|content| content.get(field!(ServiceContent.about)));
        let text = |text: Option<&str>| Value::from(text.unwrap_or_default());
        let full = about.and_then(|about| about.get(field!(AboutInfo.fullName)));
        Ok(Value::Record(Record::new(
            "appliance.system.version.version_struct",
            [
                ("version", text(about.and_then(|about| about.get(field!(AboutInfo.version))))),
                ("product", text(about.and_then(|about| about.get(field!(AboutInfo.name))))),
                ("build", text(about.and_then(|about| about.get(field!(AboutInfo.build))))),
                ("type", text(about.and_then(|about| about.get(field!(AboutInfo.name))))),
                ("summary", text(full)),
                // Esfera's releases have no date in the program, and the center does not note when it was installed.
                ("releasedate", "".into()),
                ("install_time", "".into()),
            ],
        )))
    };
    async move { shown(&ask) }.boxed()
}

fn time(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let shown = |ask: &Ask<'_>| {
        may(ask)?;
        let now = DateTime::now();
        let text = now.to_string();
        let (date, time) = text.split_once('T').unwrap_or((&text, ""));
        let time = time.split(['.', 'Z']).next().unwrap_or_default();
        #[allow(clippy::cast_precision_loss)]
        let seconds = now.as_micros() as f64 / 1e6;
        Ok(Value::Record(Record::new(
            "appliance.system.time.system_time_struct",
            [
                ("seconds_since_epoch", Value::Double(seconds)),
                ("date", date.into()),
                ("time", time.into()),
                ("timezone", "UTC".into()),
            ],
        )))
    };
    async move { shown(&ask) }.boxed()
}

/// The database is healthy if it can be read.
fn database(ask: Ask<'_>) -> BoxFuture<'_, Reply> {
    let shown = |ask: &Ask<'_>| {
        may(ask)?;
        let read = ask.door.service().core.store.read(|view| view.position());
        let (status, messages) = match read {
            Ok(_) => ("HEALTHY", Vec::new()),
            Err(error) => {
                let words = error.to_string();
                let fields = [
                    ("id", "esfera.database".into()),
                    ("default_message", words.into()),
                    ("args", Value::List(Vec::new())),
                ];
                let message = Record::new("vapi.std.localizable_message", fields);
                let fields = [("severity", "ERROR".into()), ("message", Value::Record(message))];
                ("UNHEALTHY", vec![Value::Record(Record::new("appliance.health.database.message", fields))])
            }
        };
        let fields = [("status", status.into()), ("messages", Value::List(messages))];
        Ok(Value::Record(Record::new("appliance.health.database.info", fields)))
    };
    async move { shown(&ask) }.boxed()
}
