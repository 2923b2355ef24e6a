//! Inventory paths: `DC/vm/folder/name`. A name holds `%`, `/` and `\` as `%25`, `%2f` and `%5c`, in paths as in `name`.

use vim::{Field, ManagedId, MoRef, Value, managed_id, prop};

use crate::Snapshot;
use crate::tree::root_folder;

/// Names in one path.
const MAX_STEPS: usize = 256;

/// The entity at the path below the root folder; none for an empty path.
pub(super) fn find(state: &Snapshot, path: &str) -> Option<MoRef> {
    let mut at = root_folder(state)?;
    let mut names = path.split('/').filter(|name| !name.is_empty()).take(MAX_STEPS).peekable();
    names.peek()?;
    for name in names {
        at = child(state, &at, name)?;
    }
    Some(at)
}

/// The properties that list the children of each type.
fn ways() -> [(ManagedId, &'static [u16]); 5] {
    const fn number<K>(property: Field<K>) -> u16 {
        property.number()
    }
    const FOLDER: &[u16] = &[number(prop!(Folder.childEntity))];
    const DATACENTER: &[u16] = &[
        number(prop!(Datacenter.vmFolder)),
        number(prop!(Datacenter.hostFolder)),
        number(prop!(Datacenter.datastoreFolder)),
        number(prop!(Datacenter.networkFolder)),
    ];
    const COMPUTE: &[u16] =
        &[number(prop!(ComputeResource.host)), number(prop!(ComputeResource.resourcePool))];
    const POOL: &[u16] = &[number(prop!(ResourcePool.resourcePool))];
    const APP: &[u16] = &[number(prop!(ResourcePool.resourcePool)), number(prop!(ResourcePool.vm))];
    [
        (managed_id!(Folder), FOLDER),
        (managed_id!(Datacenter), DATACENTER),
        (managed_id!(ComputeResource), COMPUTE),
        (managed_id!(VirtualApp), APP),
        (managed_id!(ResourcePool), POOL),
    ]
}

/// The child with this name, escaped or not.
pub(super) fn child(state: &Snapshot, parent: &MoRef, name: &str) -> Option<MoRef> {
    let node = state.find(parent)?;
    let ways = ways();
    let (_, ways) = ways.iter().find(|(ty, _)| parent.is_a(*ty))?;
    let children = ways.iter().filter_map(|number| node.at(*number)).flat_map(Value::items);
    children.filter_map(Value::as_ref).find_map(|child| {
        let child = state.find(child)?;
        let known = child.get(prop!(ManagedEntity.name))?;
        (known == name || plain(known) == plain(name)).then(|| child.me().clone())
    })
}

/// The name without its escapes.
fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('%') {
        plain.push_str(before);
        let escape = after.get(..2).map(str::to_ascii_lowercase);
        let character = match escape.as_deref() {
            Some("25") => Some('%'),
            Some("2f") => Some('/'),
            Some("5c") => Some('\\'),
            _ => None,
        };
        plain.push(character.unwrap_or('%'));
        rest = if character.is_some() { &after[2..] } else { after };
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_three_escapes_are_undone() {
        for (name, expected) in
            [("a%2fb", "a/b"), ("a%2Fb%5c", "a/b\\"), ("50%25", "50%"), ("50%", "50%"), ("%2é", "%2é")]
        {
            assert_eq!(plain(name), expected);
        }
    }
}
