//! Methods of the ViewManager and of views.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use vim::{Fault, ManagedId, MoRef, Value, arg, fault, field, managed_id, method, prop, props};

use super::container::{Container, Containers};
use super::{Contents, MAX_LISTED, View, references};
use crate::common::Common;
use crate::property::OwnChanges;
use crate::tree::root_folder;
use crate::{Call, Guard, Manager, Methods, Session, Snapshot};

type Reply = Result<Option<Value>, Fault>;

const MANAGER: ManagedId = managed_id!(ViewManager);
const LIST: ManagedId = managed_id!(ListView);
const INVENTORY: ManagedId = managed_id!(InventoryView);

/// The ViewManager.
pub(crate) const ROW: Manager<Arc<Common>> = Manager {
    me: |common| common.ids.view_manager.clone(),
    named: Some(field!(ServiceContent.viewManager).number()),
    properties: |_| Ok(props!(ViewManager {})),
    register: |table| register(table.methods),
};

fn register(methods: &mut Methods) {
    methods.on(MANAGER, method!(CreateContainerView), |call| async move { create_container(&call) });
    methods.on(MANAGER, method!(CreateListView), |call| async move {
        let objects = call.arg(arg!(CreateListView.obj));
        create_list(&call, LIST, objects.into_iter().flatten().cloned().collect())
    });
    methods.on(MANAGER, method!(CreateListViewFromView), |call| async move {
        let objects = objects_of(&call, call.required(arg!(CreateListViewFromView.view))?)?;
        create_list(&call, LIST, objects)
    });
    methods.on(MANAGER, method!(CreateInventoryView), |call| async move {
        create_list(&call, INVENTORY, root(&call))
    });
    methods.on(managed_id!(View), method!(DestroyView), |call| async move {
        let session = call.session()?;
        session.remove(&call.this);
        OwnChanges::tell(session);
        Ok(None)
    });
    methods.guarded(LIST, method!(ModifyListView), Guard::Open, |call| async move { modify(&call) });
    methods.guarded(LIST, method!(ResetListView), Guard::Open, |call| async move {
        let objects = call.arg(arg!(ResetListView.obj));
        reset(&call, objects.into_iter().flatten().cloned().collect())
    });
    methods.guarded(LIST, method!(ResetListViewFromView), Guard::Open, |call| async move {
        reset(&call, objects_of(&call, call.required(arg!(ResetListViewFromView.view))?)?)?;
        Ok(None)
    });
    methods.guarded(INVENTORY, method!(OpenInventoryViewFolder), Guard::Open, |call| async move {
        let entities = call.required(arg!(OpenInventoryViewFolder.entity))?;
        turn_folders(&call, entities.iter(), true)
    });
    methods.guarded(INVENTORY, method!(CloseInventoryViewFolder), Guard::Open, |call| async move {
        let entities = call.required(arg!(CloseInventoryViewFolder.entity))?;
        turn_folders(&call, entities.iter(), false)
    });
    methods.compute(MANAGER, prop!(ViewManager.viewList).number(), |_, session, _, _| {
        let mut views: Vec<MoRef> = session.objects_as::<View>().iter().map(|view| view.me.clone()).collect();
        views.sort();
        references(views.into_iter().map(Value::Ref).collect())
    });
}

fn add(session: &Session, ty: ManagedId, contents: Contents) -> Reply {
    let me = MoRef::new(ty, session.new_object_id());
    session.add(Arc::new(View { me: me.clone(), contents }))?;
    Ok(Some(Value::Ref(me)))
}

fn create_container(call: &Call) -> Reply {
    let state = call.state();
    let container = state.require(call.required(arg!(CreateContainerView.container))?)?.me().clone();
    let types = call.arg(arg!(CreateContainerView.type)).into_iter().flatten().map(str::to_owned).collect();
    let recursive = call.required(arg!(CreateContainerView.recursive))?;
    let containers = call.service.local::<Containers>();
    let container = containers.get(container, types, recursive)?;
    add(call.session()?, managed_id!(ContainerView), Contents::Container(container))
}

fn create_list(call: &Call, ty: ManagedId, objects: Vec<MoRef>) -> Reply {
    let (there, _) = sort_out(call.session()?, &call.state(), objects);
    check_size(there.len())?;
    add(call.session()?, ty, Contents::List(Mutex::new(there)))
}

fn check_size(size: usize) -> Result<(), Fault> {
    if size > MAX_LISTED {
        return Err(fault!(OutOfBounds { argumentName: "obj" }, "A view lists at most {MAX_LISTED} objects"));
    }
    Ok(())
}

/// The objects that exist, each once and by its own type; and those that do not.
fn sort_out(session: &Session, state: &Snapshot, objects: Vec<MoRef>) -> (Vec<MoRef>, Vec<MoRef>) {
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    let mut met = HashSet::new();
    for object in objects {
        let own = || session.object(&object).map(|own| own.me().clone());
        match state.find(&object).map(|node| node.me().clone()).or_else(own) {
            Some(object) if met.insert(object.clone()) => there.push(object),
            Some(_) => {}
            None => missing.push(object),
        }
    }
    (there, missing)
}

fn root(call: &Call) -> Vec<MoRef> {
    root_folder(&call.state()).into_iter().collect()
}

fn own(call: &Call) -> Result<Arc<View>, Fault> {
    call.session()?.object_as(&call.this)
}

fn objects_of(call: &Call, view: &MoRef) -> Result<Vec<MoRef>, Fault> {
    let session = call.session()?;
    let view: Arc<View> = session.object_as(view)?;
    let objects = view.view(session, &call.state());
    Ok(objects.iter().flat_map(Value::items).filter_map(Value::as_ref).cloned().collect())
}

/// Adds and removes objects, and returns those that could not be added because they do not exist.
fn modify(call: &Call) -> Reply {
    let session = call.session()?;
    let view = own(call)?;
    let adding = call.arg(arg!(ModifyListView.add)).into_iter().flatten().cloned().collect();
    let removing: HashSet<&str> =
        call.arg(arg!(ModifyListView.remove)).into_iter().flatten().map(MoRef::id).collect();
    let (there, missing) = sort_out(session, &call.state(), adding);
    if let Some(mut list) = view.list() {
        let mut next: Vec<MoRef> =
            list.iter().filter(|object| !removing.contains(object.id())).cloned().collect();
        let known: HashSet<MoRef> = next.iter().cloned().collect();
        next.extend(there.into_iter().filter(|object| !known.contains(object)));
        check_size(next.len())?;
        *list = next;
    }
    OwnChanges::tell(session);
    Ok(references(missing.into_iter().map(Value::Ref).collect()))
}

fn reset(call: &Call, objects: Vec<MoRef>) -> Reply {
    let session = call.session()?;
    let view = own(call)?;
    let (there, missing) = sort_out(session, &call.state(), objects);
    check_size(there.len())?;
    if let Some(mut list) = view.list() {
        *list = there;
    }
    OwnChanges::tell(session);
    Ok(references(missing.into_iter().map(Value::Ref).collect()))
}

/// Opening a folder adds its children to the view, closing it removes everything below it.
fn turn_folders<'a>(call: &Call, folders: impl Iterator<Item = &'a MoRef>, open: bool) -> Reply {
    let session = call.session()?;
    let view = own(call)?;
    let state = call.state();
    let mut missing = Vec::new();
    for folder in folders {
        let Some(folder) = state.find(folder).map(|node| node.me().clone()) else {
            missing.push(Value::Ref(folder.clone()));
            continue;
        };
        let below = Container::new(folder, Vec::new(), !open)?.view(&state);
        let below: HashSet<MoRef> =
            below.iter().flat_map(Value::items).filter_map(Value::as_ref).cloned().collect();
        if let Some(mut list) = view.list() {
            list.retain(|object| !below.contains(object));
            if open {
                check_size(list.len() + below.len())?;
                let mut below: Vec<MoRef> = below.into_iter().collect();
                below.sort();
                list.extend(below);
            }
        }
    }
    OwnChanges::tell(session);
    Ok(references(missing))
}
