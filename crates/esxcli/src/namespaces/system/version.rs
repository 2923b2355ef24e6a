//! `esxcli system version`

use host::Host;
use vim::{Object, field};

use crate::table::{Answer, Arguments, Namespace, Outcome, Output, READ, Row, Structure, text};

static VERSION: Structure = Structure {
    name: "VersionGet",
    table: false,
    fields: &[text("Product"), text("Version"), text("Build"), text("Update"), text("Patch")],
};

pub(crate) static NAMESPACE: Namespace = Namespace {
    name: "system.version",
    help: "The product",
    commands: &[reads!("get", "Show product and version", READ, [], Output::One(&VERSION), get)],
};

fn get(host: &Host, _: &Arguments) -> Outcome {
    let about = Object::from(host.system().about());
    Ok(Answer::One(
        Row::new()
            .put("Product", about.get(field!(AboutInfo.name)))
            .put("Version", about.get(field!(AboutInfo.version)))
            .put("Build", about.get(field!(AboutInfo.build))),
    ))
}
