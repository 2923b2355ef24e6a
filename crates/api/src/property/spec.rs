//! A filter specification, checked and compiled.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use vim::path::PropertyPath;
use vim::{Fault, ManagedId, MoRef, Object, data_id, fault, field, schema};

use super::{MAX_SPECS, MAX_TRAVERSALS};
use crate::Service;
use crate::service::Computed;
use crate::service::invalid_argument;

/// A `PropertyFilterSpec`.
pub(super) struct Spec {
    sets: Vec<PropertySet>,
    pub starts: Vec<Start>,
    pub traversals: Vec<Traversal>,
    pub report_missing: bool,
    /// The same for all filters that may share a walk.
    pub text: Option<Arc<str>>,
    plans: Mutex<HashMap<ManagedId, Option<Arc<Plan>>>>,
}

struct PropertySet {
    ty: ManagedId,
    all: bool,
    paths: Vec<Arc<Path>>,
}

/// A requested path, with its name as it is sent.
pub(super) struct Path {
    pub compiled: PropertyPath,
    pub name: vim::Str,
}

/// An `ObjectSpec`.
pub(super) struct Start {
    pub object: MoRef,
    pub skip: bool,
    /// Numbers of traversals.
    pub next: Box<[usize]>,
}

/// A `TraversalSpec`.
pub(super) struct Traversal {
    pub ty: ManagedId,
    pub path: PropertyPath,
    pub skip: bool,
    pub next: Box<[usize]>,
    pub privilege: &'static str,
}

/// The properties to read of objects of one type.
pub(super) struct Plan {
    pub paths: Vec<Planned>,
    /// The privileges that the paths need, each once; never more than the bits of a [`Denied`].
    pub privileges: Vec<&'static str>,
    pub has_computed: bool,
}

pub(super) struct Planned {
    pub path: Arc<Path>,
    /// The number of the property that the path begins with.
    pub property: u16,
    /// Index in `privileges`.
    pub privilege: usize,
    pub computed: Option<Computed>,
}

/// An element of a `selectSet`: a traversal, or the name of one.
enum Next {
    Numbered(usize),
    Named(String),
}

#[derive(Default)]
struct Collected {
    traversals: Vec<(Traversal, Vec<Next>)>,
    names: HashMap<String, usize>,
}

impl Spec {
    /// # Errors
    /// `InvalidProperty` for a path that no object of its type has, `InvalidType` for a type that does not exist,
    /// `InvalidArgument` for a selection without a name.
    pub fn compile(spec: &Object) -> Result<Self, Fault> {
        let mut sets = Vec::new();
        for set in spec.get(field!(PropertyFilterSpec.propSet)).into_iter().flatten() {
            sets.push(property_set(set)?);
        }
        let mut collected = Collected::default();
        let mut starts = Vec::new();
        for start in spec.get(field!(PropertyFilterSpec.objectSet)).into_iter().flatten() {
            let object = start.get(field!(ObjectSpec.obj));
            let object =
                object.ok_or_else(|| invalid_argument("objectSet.obj", "An ObjectSpec needs an object"))?;
            let select = start.get(field!(ObjectSpec.selectSet));
            let next = collected.add_all(select.into_iter().flatten())?;
            starts.push((object.clone(), start.get(field!(ObjectSpec.skip)).unwrap_or_default(), next));
        }
        if starts.len() > MAX_SPECS || sets.len() > MAX_SPECS {
            return Err(invalid_argument(
                "specSet",
                &format!("A specification names at most {MAX_SPECS} objects"),
            ));
        }
        let names = collected.names;
        let resolve = |next: Vec<Next>| -> Result<Box<[usize]>, Fault> {
            let number = |next| match next {
                Next::Numbered(number) => Ok(number),
                Next::Named(name) => names.get(&name).copied().ok_or_else(|| {
                    invalid_argument(
                        "selectSet.name",
                        &format!("The specification has no TraversalSpec with the name {name:?}"),
                    )
                }),
            };
            next.into_iter().map(number).collect()
        };
        let starts = starts
            .into_iter()
            .map(|(object, skip, next)| Ok(Start { object, skip, next: resolve(next)? }))
            .collect::<Result<_, Fault>>()?;
        let traversals = collected
            .traversals
            .into_iter()
            .map(|(traversal, next)| Ok(Traversal { next: resolve(next)?, ..traversal }))
            .collect::<Result<_, Fault>>()?;
        let report_missing =
            spec.get(field!(PropertyFilterSpec.reportMissingObjectsInResults)).unwrap_or_default();
        Ok(Self { sets, starts, traversals, report_missing, text: None, plans: Mutex::default() })
    }

    /// The properties to read of objects of this type; none if the specification does not name it.
    pub fn plan(&self, ty: ManagedId, service: &Service) -> Option<Arc<Plan>> {
        let mut plans = self.plans.lock();
        plans.entry(ty).or_insert_with(|| self.make_plan(ty, service).map(Arc::new)).clone()
    }

    fn make_plan(&self, ty: ManagedId, service: &Service) -> Option<Plan> {
        let managed = schema().managed(ty);
        let mut paths: Vec<Arc<Path>> = Vec::new();
        let mut about = false;
        for set in self.sets.iter().filter(|set| managed.is_a(schema().managed(set.ty))) {
            about = true;
            if set.all {
                for property in &managed.properties {
                    add(&mut paths, Arc::new(path(ty, property.name).ok()?));
                }
            }
            for path in &set.paths {
                add(&mut paths, path.clone());
            }
        }
        if !about {
            return None;
        }
        let mut privileges: Vec<&'static str> = Vec::new();
        let mut planned = Vec::with_capacity(paths.len());
        for path in paths {
            let property = path.compiled.property();
            let needed = managed.privileges[usize::from(property)].unwrap_or("System.View");
            let privilege = privileges.iter().position(|known| *known == needed).unwrap_or_else(|| {
                privileges.push(needed);
                privileges.len() - 1
            });
            let computed = service.computed(ty, property);
            planned.push(Planned { path, property, privilege, computed });
        }
        debug_assert!(
            privileges.len() <= u64::BITS as usize,
            "properties of a type need few different privileges"
        );
        Some(Plan { has_computed: planned.iter().any(|p| p.computed.is_some()), paths: planned, privileges })
    }
}

/// Adds a path, unless it is in the plan already.
fn add(paths: &mut Vec<Arc<Path>>, path: Arc<Path>) {
    if !paths.iter().any(|known| known.compiled.text() == path.compiled.text()) {
        paths.push(path);
    }
}

fn path(ty: ManagedId, text: &str) -> Result<Path, Fault> {
    let compiled = PropertyPath::compile(ty, text).map_err(|error| error.to_fault())?;
    Ok(Path { compiled, name: text.into() })
}

fn managed_type(name: Option<&str>, argument: &str) -> Result<ManagedId, Fault> {
    let name = name.unwrap_or_default();
    schema()
        .find_managed(name)
        .ok_or_else(|| fault!(InvalidType { argument: argument }, "The managed type {name:?} does not exist"))
}

fn property_set(set: &Object) -> Result<PropertySet, Fault> {
    let ty = managed_type(set.get(field!(PropertySpec.type)), "propSet.type")?;
    let all = set.get(field!(PropertySpec.all)).unwrap_or_default();
    let mut paths: Vec<Arc<Path>> = Vec::new();
    // With `all`, the paths are ignored, as the reference of `PropertySpec.all` says.
    for text in set.get(field!(PropertySpec.pathSet)).into_iter().flatten().filter(|_| !all) {
        if !paths.iter().any(|known| known.compiled.text() == text) {
            paths.push(Arc::new(path(ty, text)?));
        }
    }
    Ok(PropertySet { ty, all, paths })
}

impl Collected {
    fn add_all<'a>(&mut self, selections: impl Iterator<Item = &'a Arc<Object>>) -> Result<Vec<Next>, Fault> {
        selections.map(|selection| self.add(selection)).collect()
    }

    /// It recurses as deep as the message that held the specification, which is bounded.
    fn add(&mut self, selection: &Object) -> Result<Next, Fault> {
        let name = selection.get(field!(SelectionSpec.name)).filter(|name| !name.is_empty());
        if !selection.is_a(data_id!(TraversalSpec)) {
            let name = name.ok_or_else(|| {
                invalid_argument("selectSet.name", "A SelectionSpec needs the name of a TraversalSpec")
            })?;
            return Ok(Next::Named(name.to_owned()));
        }
        if self.traversals.len() >= MAX_TRAVERSALS {
            return Err(invalid_argument(
                "selectSet",
                &format!("A specification may have at most {MAX_TRAVERSALS} traversals"),
            ));
        }
        let ty = managed_type(selection.get(field!(TraversalSpec.type)), "selectSet.type")?;
        let text = selection.get(field!(TraversalSpec.path)).unwrap_or_default();
        let path = PropertyPath::compile(ty, text).map_err(|error| error.to_fault())?;
        let property = usize::from(path.property());
        let privilege = schema().managed(ty).privileges[property].unwrap_or("System.View");
        let skip = selection.get(field!(TraversalSpec.skip)).unwrap_or_default();
        let number = self.traversals.len();
        self.traversals.push((Traversal { ty, path, skip, next: Box::default(), privilege }, Vec::new()));
        if let Some(name) = name {
            self.names.entry(name.to_owned()).or_insert(number);
        }
        let select = selection.get(field!(TraversalSpec.selectSet));
        self.traversals[number].1 = self.add_all(select.into_iter().flatten())?;
        Ok(Next::Numbered(number))
    }
}
