//! Reads the modules of a crate: which there are, where they lie, the names that each declares or imports, and the
//! paths that its code mentions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use quote::ToTokens;
use syn::{Attribute, Item, ItemMod, UseTree};

use super::names;

/// Names from the crate's root down; empty for the root itself.
pub type ModulePath = Vec<String>;

/// A crate's modules by their paths.
pub type Tree = BTreeMap<ModulePath, Module>;

#[derive(Default)]
pub struct Module {
    pub file: PathBuf,
    /// Child modules, tests left out.
    pub children: BTreeSet<String>,
    /// Names of items that the module defines itself.
    pub items: BTreeSet<String>,
    /// `use` items at the module's top.
    pub imports: Vec<Import>,
    /// Every path that the code mentions, the imports among them.
    pub mentioned: BTreeSet<Vec<String>>,
}

pub struct Import {
    pub path: Vec<String>,
    /// The name that it has here; a glob has none.
    pub name: Option<String>,
}

/// Reads a file's text.
pub type Read<'a> = &'a dyn Fn(&Path) -> Result<String>;

/// Reads the tree that begins with the file `root`.
pub fn read(root: &Path, read: Read) -> Result<Tree> {
    let mut tree = Tree::new();
    let source = root.parent().context("a crate's root lies in a directory")?;
    let text = read(root)?;
    let items = parse(root, &text)?;
    let place = Place { file: root.to_owned(), directory: source.to_owned() };
    Reader { read, tree: &mut tree }.module(Vec::new(), &place, items)?;
    Ok(tree)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Item>> {
    let file = syn::parse_file(text).with_context(|| format!("{} is not Rust", path.display()))?;
    Ok(file.items)
}

/// Where a module's text stands, and where the files of its children lie.
struct Place {
    file: PathBuf,
    directory: PathBuf,
}

struct Reader<'a> {
    read: Read<'a>,
    tree: &'a mut Tree,
}

impl Reader<'_> {
    fn module(&mut self, path: ModulePath, place: &Place, items: Vec<Item>) -> Result<()> {
        let mut module = Module { file: place.file.clone(), ..Module::default() };
        let mut children = Vec::new();
        for item in items {
            if attributes(&item).iter().any(is_for_tests) {
                continue;
            }
            match item {
                Item::Mod(child) => {
                    module.children.insert(child.ident.to_string());
                    children.push(child);
                }
                // `::name` belongs to another crate.
                Item::Use(item) if item.leading_colon.is_some() => {}
                Item::Use(item) => import(&mut module, &mut Vec::new(), &item.tree),
                item => {
                    module.items.extend(declared(&item));
                    names::collect(item.to_token_stream(), &mut module.mentioned);
                }
            }
        }
        self.tree.insert(path.clone(), module);
        for child in children {
            self.child(&path, place, child)?;
        }
        Ok(())
    }

    fn child(&mut self, parent: &ModulePath, place: &Place, child: ItemMod) -> Result<()> {
        let name = child.ident.to_string();
        let directory = place.directory.join(&name);
        let path = [parent.as_slice(), std::slice::from_ref(&name)].concat();
        if let Some((_, items)) = child.content {
            return self.module(path, &Place { file: place.file.clone(), directory }, items);
        }
        let candidates = [place.directory.join(format!("{name}.rs")), directory.join("mod.rs")];
        for file in candidates {
            if let Ok(text) = (self.read)(&file) {
                let items = parse(&file, &text)?;
                return self.module(path, &Place { file, directory }, items);
            }
        }
        bail!("{} declares the module {name}, which has no file", place.file.display())
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether an attribute is `#[cfg(test)]` or one that needs `test` among others.
fn is_for_tests(attribute: &Attribute) -> bool {
    let text = attribute.to_token_stream().to_string().replace(' ', "");
    text == "#[cfg(test)]" || text.starts_with("#[cfg(all(test,")
}

/// The name that an item introduces.
fn declared(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// Adds the paths of a `use` item, each with the name that it gets.
fn import(module: &mut Module, prefix: &mut Vec<String>, tree: &UseTree) {
    let mut add = |mut path: Vec<String>, name: Option<String>| {
        // `use a::{self}` means `a`.
        path.pop_if(|last| last == "self");
        module.mentioned.insert(path.clone());
        let name = if name.as_deref() == Some("self") { path.last().cloned() } else { name };
        module.imports.push(Import { path, name });
    };
    match tree {
        UseTree::Path(tree) => {
            prefix.push(tree.ident.to_string());
            import(module, prefix, &tree.tree);
            prefix.pop();
        }
        UseTree::Name(tree) => {
            let name = tree.ident.to_string();
            add([prefix.as_slice(), std::slice::from_ref(&name)].concat(), Some(name));
        }
        UseTree::Rename(tree) => {
            let path = [prefix.as_slice(), &[tree.ident.to_string()]].concat();
            add(path, Some(tree.rename.to_string()));
        }
        UseTree::Glob(_) => add(prefix.clone(), None),
        UseTree::Group(tree) => {
            for item in &tree.items {
                import(module, prefix, item);
            }
        }
    }
}
