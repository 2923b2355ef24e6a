//! Finds circles among modules that lie beside each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

use super::modules::{ModulePath, Tree};
use super::resolve::References;

/// Modules of one level that reach each other, a folder at least among them.
pub struct Circle {
    /// The module whose children they are; empty for the crate's root.
    pub level: ModulePath,
    pub nodes: Vec<String>,
    arrows: Vec<Arrow>,
}

/// One neighbour uses another.
struct Arrow {
    from: String,
    to: String,
    /// How many pairs of files do so.
    pairs: usize,
    /// One of them: `a/x.rs -> b/y.rs: names`.
    example: String,
}

/// Per pair of neighbours: how many pairs of files, and an example.
type Arrows = BTreeMap<(String, String), (usize, String)>;

pub fn circles(tree: &Tree, references: &References) -> Vec<Circle> {
    let mut levels: BTreeMap<ModulePath, Arrows> = BTreeMap::new();
    for ((from, to), names) in references {
        let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        // A module that uses its own parent, or a parent its child, stays within one node.
        let (Some(a), Some(b)) = (from.get(common), to.get(common)) else { continue };
        let arrows = levels.entry(from[..common].to_vec()).or_default();
        let (pairs, _) = arrows.entry((a.clone(), b.clone())).or_insert_with(|| {
            (0, format!("{} -> {}: {}", file(tree, from), file(tree, to), names.join(", ")))
        });
        *pairs += 1;
    }
    levels.iter().flat_map(|(level, arrows)| of_level(tree, level, arrows)).collect()
}

/// A module's file from the crate's `src` on.
fn file(tree: &Tree, module: &ModulePath) -> String {
    let root = tree.get(&Vec::new()).and_then(|root| root.file.parent());
    let file = &tree[module].file;
    root.and_then(|root| file.strip_prefix(root).ok()).unwrap_or(file).display().to_string()
}

fn of_level(tree: &Tree, level: &ModulePath, arrows: &Arrows) -> Vec<Circle> {
    let names: BTreeSet<&String> = arrows.keys().flat_map(|(from, to)| [from, to]).collect();
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        names.iter().map(|name| (*name, reach(arrows, name))).collect();
    let mut circles: Vec<Circle> = Vec::new();
    for name in names {
        let nodes: Vec<String> = reached[name]
            .iter()
            .filter(|other| reached[**other].contains(name))
            .map(|other| (*other).clone())
            .collect();
        let is_folder = |node: &String| {
            let path = [level.as_slice(), std::slice::from_ref(node)].concat();
            tree.get(&path).is_some_and(|module| !module.children.is_empty())
        };
        let known = circles.iter().any(|circle| circle.nodes == nodes);
        if nodes.len() < 2 || known || !nodes.iter().any(is_folder) {
            continue;
        }
        let inside = arrows.iter().filter(|((from, to), _)| nodes.contains(from) && nodes.contains(to));
        let arrows = inside
            .map(|((from, to), (pairs, example))| Arrow {
                from: from.clone(),
                to: to.clone(),
                pairs: *pairs,
                example: example.clone(),
            })
            .collect();
        circles.push(Circle { level: level.clone(), nodes, arrows });
    }
    circles
}

/// Every node that can be reached from `start`, itself only through a circle.
fn reach<'a>(arrows: &'a Arrows, start: &str) -> BTreeSet<&'a String> {
    let mut seen = BTreeSet::new();
    let mut waiting: Vec<&str> = vec![start];
    while let Some(node) = waiting.pop() {
        for (_, to) in arrows.keys().filter(|(from, _)| from == node) {
            if seen.insert(to) {
                waiting.push(to);
            }
        }
    }
    seen
}

impl Display for Circle {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let level = if self.level.is_empty() { "the root".to_owned() } else { self.level.join("::") };
        write!(f, "  below {level}: {}", self.nodes.join(", "))?;
        for arrow in &self.arrows {
            write!(f, "\n    {} -> {} ({} pairs of files), as ", arrow.from, arrow.to, arrow.pairs)?;
            f.write_str(&arrow.example)?;
        }
        Ok(())
    }
}
