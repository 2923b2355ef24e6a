//! Follows a mentioned path to the module that defines the name, through imports, re-exports and globs. A name that
//! leads out of the crate, or that only the compiler could find, is left out.

use std::collections::BTreeMap;

use super::modules::{ModulePath, Tree};

/// Longer chains of re-exports are not followed.
const MOST_STEPS: usize = 16;

/// Which module uses which: the names that make it so.
pub type References = BTreeMap<(ModulePath, ModulePath), Vec<String>>;

pub fn references(tree: &Tree) -> References {
    let mut references = References::new();
    for (from, module) in tree {
        for path in &module.mentioned {
            let Some(to) = definer(tree, from, path, MOST_STEPS).map(Found::module) else { continue };
            if to != *from {
                let names = references.entry((from.clone(), to)).or_default();
                names.extend(path.last().cloned());
            }
        }
    }
    references
}

/// Where a path ends.
enum Found {
    Module(ModulePath),
    /// An item of this module.
    Item(ModulePath),
}

impl Found {
    fn module(self) -> ModulePath {
        match self {
            Self::Module(path) | Self::Item(path) => path,
        }
    }
}

fn definer(tree: &Tree, from: &ModulePath, path: &[String], steps: usize) -> Option<Found> {
    let steps = steps.checked_sub(1)?;
    let (first, rest) = path.split_first()?;
    let (start, rest) = match first.as_str() {
        "crate" => (Vec::new(), rest),
        "self" => (from.clone(), rest),
        "super" => {
            let mut module = from.clone();
            module.pop()?;
            let more = rest.iter().take_while(|name| *name == "super").count();
            module.truncate(module.len().checked_sub(more)?);
            (module, &rest[more..])
        }
        _ => match member(tree, from, first, steps)? {
            Found::Module(module) => (module, rest),
            item => return Some(item),
        },
    };
    let mut module = start;
    for name in rest {
        match member(tree, &module, name, steps) {
            Some(Found::Module(next)) => module = next,
            Some(item) => return Some(item),
            // Made by a macro, or a name of another crate: the path at least leads here.
            None => return Some(Found::Item(module)),
        }
    }
    Some(Found::Module(module))
}

/// A name of a module: its own, a child's, or one that it imports.
fn member(tree: &Tree, of: &ModulePath, name: &str, steps: usize) -> Option<Found> {
    let module = tree.get(of)?;
    if module.items.contains(name) {
        return Some(Found::Item(of.clone()));
    }
    if module.children.contains(name) {
        return Some(Found::Module([of.as_slice(), &[name.to_owned()]].concat()));
    }
    let named = module.imports.iter().filter(|import| import.name.as_deref() == Some(name));
    for import in named {
        // `use name::…` brings in its own first name only from outside of the crate.
        if import.path.first().map(String::as_str) != Some(name) {
            return definer(tree, of, &import.path, steps);
        }
    }
    let globs = module.imports.iter().filter(|import| import.name.is_none());
    for import in globs {
        if let Some(Found::Module(module)) = definer(tree, of, &import.path, steps)
            && module != *of
            && let Some(found) = member(tree, &module, name, steps.checked_sub(1)?)
        {
            return Some(found);
        }
    }
    None
}
