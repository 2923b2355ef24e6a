//! A crate may use only crates on floors below its own (ARCHITECTURE.md): the table here is the plan of the building.
//! Development dependencies count, since a test that looks upward ties the floors together just as well.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process;

const FLOORS: &[(&str, u8)] = &[
    ("vim-schema", 0),
    ("vim-macros", 0),
    ("vim", 0),
    ("vapi-schema", 0),
    ("vapi-macros", 0),
    ("vapi", 0),
    ("qemu", 1),
    ("vswitch", 1),
    ("datastore", 1),
    ("ovf", 1),
    ("fdm", 1),
    ("placement", 1),
    ("alarm", 1),
    ("store", 1),
    ("directory", 1),
    ("stats", 1),
    ("notify", 1),
    ("hardening", 1),
    ("backup", 1),
    ("api", 2),
    ("tags", 2),
    ("vm", 3),
    ("hostnet", 3),
    ("pools", 3),
    ("rest", 3),
    ("sts", 3),
    ("host", 4),
    ("center", 4),
    ("esxcli", 5),
    ("esfera", 6),
    ("tests", 7),
    ("bench", 7),
    ("fuzz", 7),
    ("xtask", 7),
];

/// The one floor whose crates may use each other, without circles: they are one model in three crates.
const FAMILY_FLOOR: u8 = 0;

/// A crate of this workspace and the crates of this workspace that it uses.
struct Member {
    name: String,
    uses: Vec<String>,
}

pub fn check() -> Result<()> {
    let text = process::read(process::cargo()?.args([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
        "--offline",
    ]))?;
    let members = members(&serde_json::from_str(&text).context("cargo metadata is not JSON")?)?;
    let violations = violations(&members);
    if !violations.is_empty() {
        bail!("{}", violations.join("\n"));
    }
    eprintln!("{} crates are on their floors", members.len());
    Ok(())
}

fn members(metadata: &Value) -> Result<Vec<Member>> {
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let name = |value: &Value| value["name"].as_str().map(str::to_owned).context("a package without a name");
    packages
        .iter()
        .map(|package| {
            let dependencies =
                package["dependencies"].as_array().context("a package without dependencies")?;
            // Only dependencies of the workspace have a path.
            let own = dependencies.iter().filter(|dependency| dependency["path"].is_string());
            Ok(Member { name: name(package)?, uses: own.map(name).collect::<Result<_>>()? })
        })
        .collect()
}

fn violations(members: &[Member]) -> Vec<String> {
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let mut found = Vec::new();
    for member in members {
        let Some(&floor) = floors.get(member.name.as_str()) else {
            found.push(format!(
                "the crate {} has no floor: choose one and add it to FLOORS in xtask/src/lint/floors.rs and to \
                 ARCHITECTURE.md",
                member.name
            ));
            continue;
        };
        for used in &member.uses {
            match floors.get(used.as_str()) {
                Some(&below) if below < floor => {}
                Some(&FAMILY_FLOOR) if floor == FAMILY_FLOOR => {}
                Some(&other) => found.push(format!(
                    "{} (floor {floor}) uses {used} (floor {other}): a crate may only use floors below its own",
                    member.name
                )),
                None => found.push(format!("{} uses {used}, which has no floor", member.name)),
            }
        }
    }
    let uses: BTreeMap<&str, &[String]> =
        members.iter().map(|member| (member.name.as_str(), member.uses.as_slice())).collect();
    found.extend(members.iter().filter(|member| reaches(&uses, &member.name)).map(|member| {
        format!("{} uses itself through others: a circle, perhaps by a development dependency", member.name)
    }));
    found
}

/// Whether a crate can be reached from itself.
fn reaches(uses: &BTreeMap<&str, &[String]>, start: &str) -> bool {
    let mut seen: Vec<&str> = Vec::new();
    let mut waiting: Vec<&str> = vec![start];
    while let Some(name) = waiting.pop() {
        for used in uses.get(name).copied().unwrap_or_default() {
            if used == start {
                return true;
            }
            if !seen.contains(&used.as_str()) {
                seen.push(used);
                waiting.push(used);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, uses: &[&str]) -> Member {
        Member { name: name.to_owned(), uses: uses.iter().map(|name| (*name).to_owned()).collect() }
    }

    #[test]
    fn a_crate_may_use_the_floors_below_it() {
        let members = [
            member("esfera", &["host", "center", "vim"]),
            member("host", &["api", "qemu"]),
            member("vim", &["vim-schema"]),
        ];
        assert_eq!(violations(&members), Vec::<String>::new());
    }

    #[test]
    fn a_crate_may_use_neither_its_own_floor_nor_one_above() {
        let upward = violations(&[member("qemu", &["api"])]);
        assert!(upward.len() == 1 && upward[0].contains("qemu (floor 1) uses api (floor 2)"), "{upward:?}");
        assert_eq!(violations(&[member("store", &["datastore"])]).len(), 1);
    }

    #[test]
    fn the_family_of_vim_may_not_go_in_circles() {
        let members = [member("vim", &["vim-macros"]), member("vim-macros", &["vim"])];
        assert_eq!(violations(&members).len(), 2);
    }

    #[test]
    fn a_crate_that_is_on_no_floor_is_told_where_to_go() {
        let found = violations(&[member("newcomer", &[])]);
        assert!(found.len() == 1 && found[0].contains("xtask/src/lint/floors.rs"), "{found:?}");
    }

    #[test]
    fn development_dependencies_count() {
        let metadata = serde_json::json!({ "packages": [{
            "name": "qemu",
            "dependencies": [
                { "name": "api", "kind": "dev", "path": "/somewhere/crates/api" },
                { "name": "serde", "kind": null },
            ],
        }]});
        let members = members(&metadata).expect("the metadata is complete");
        assert_eq!(violations(&members).len(), 1);
    }
}
