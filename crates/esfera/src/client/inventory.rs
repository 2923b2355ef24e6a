//! The inventory of a server: reading objects of a type with some of their properties, finding them by name, and running tasks on
//! them.

use api::client::Client;
use vim::{ManagedId, MoRef, Object, Value, call, field, managed_id, vim};

use super::failure::{Failure, Reason};

/// An object and the requested properties, in the order of the request.
pub struct Found {
    pub me: MoRef,
    values: Vec<Option<Value>>,
}

impl Found {
    /// The property at this place of the request, if it is set.
    pub fn at(&self, place: usize) -> Option<&Value> {
        self.values.get(place)?.as_ref()
    }

    /// A text; empty if it is unset.
    pub fn text(&self, place: usize) -> &str {
        self.at(place).and_then(Value::as_str).unwrap_or_default()
    }

    /// A data object.
    pub fn object(&self, place: usize) -> Option<&Object> {
        self.at(place).and_then(Value::as_object).map(|object| &**object)
    }

    /// A reference to a managed object.
    pub fn reference(&self, place: usize) -> Option<&MoRef> {
        self.at(place).and_then(Value::as_ref)
    }

    /// A whole number of any width.
    pub fn number(&self, place: usize) -> Option<i64> {
        match self.at(place)? {
            Value::Short(number) => Some((*number).into()),
            Value::Int(number) => Some((*number).into()),
            Value::Long(number) => Some(*number),
            _ => None,
        }
    }
}

/// The inventory of one server.
pub struct Inventory<'c> {
    pub client: &'c Client,
    content: std::sync::Arc<Object>,
}

impl<'c> Inventory<'c> {
    /// Reads the server's content.
    pub async fn of(client: &'c Client) -> Result<Self, Failure> {
        Ok(Self { client, content: client.service_content().await? })
    }

    /// A manager that the server names in its content.
    pub fn manager<K>(&self, manager: vim::Field<K>) -> Result<MoRef, Failure>
    where
        K: vim::kind::Marker,
    {
        let value = self.content.at(manager.number()).and_then(Value::as_ref);
        value
            .cloned()
            .ok_or_else(|| Failure::new(Reason::Failed, "the server does not have the manager for this"))
    }

    /// The root folder.
    pub fn root(&self) -> Result<MoRef, Failure> {
        self.manager(field!(ServiceContent.rootFolder))
    }

    /// All objects of a type with these properties, sorted by the first of them.
    pub async fn all(&self, ty: ManagedId, paths: &[&str]) -> Result<Vec<Found>, Failure> {
        let views = self.manager(field!(ServiceContent.viewManager))?;
        let type_name = vim::schema().managed(ty).name;
        let make =
            call!(CreateContainerView { container: self.root()?, type: vec![type_name], recursive: true });
        let view = self.client.invoke(&views, &make).await?;
        let Some(view) = view.as_ref().and_then(Value::as_ref).cloned() else {
            return Err(Failure::new(Reason::Failed, "the server made no view"));
        };
        let through = vim!(TraversalSpec { type: "ContainerView", path: "view", skip: false });
        let objects = vim!(ObjectSpec { obj: view.clone(), skip: true, selectSet: [through] });
        let found = self.retrieve(objects.into(), type_name, paths).await;
        self.client.invoke(&view, &call!(DestroyView {})).await?;
        let mut found = found?;
        found.sort_by(|a, b| a.text(0).cmp(b.text(0)));
        Ok(found)
    }

    /// Properties of one object.
    pub async fn read(&self, object: &MoRef, paths: &[&str]) -> Result<Found, Failure> {
        let objects = vim!(ObjectSpec { obj: object });
        let mut found = self.retrieve(objects.into(), object.type_name(), paths).await?;
        found.pop().ok_or_else(|| Failure::not_found(object.type_name(), object.id()))
    }

    async fn retrieve(
        &self,
        objects: Object,
        type_name: &str,
        paths: &[&str],
    ) -> Result<Vec<Found>, Failure> {
        let properties = vim!(PropertySpec { type: type_name, pathSet: paths.to_vec() });
        let filter = vim!(PropertyFilterSpec { propSet: [properties], objectSet: [objects] });
        let all = self.client.retrieve_spec(filter).await?;
        let found = all.into_iter().map(|(me, mut properties)| Found {
            me,
            values: paths.iter().map(|path| properties.remove(*path)).collect(),
        });
        Ok(found.collect())
    }

    /// The one object of a type with this name or id.
    pub async fn named(&self, ty: ManagedId, what: &str, name: &str) -> Result<MoRef, Failure> {
        let all = self.all(ty, &["name"]).await?;
        let mut matching = all.into_iter().filter(|found| found.text(0) == name || found.me.id() == name);
        match (matching.next(), matching.next()) {
            (Some(one), None) => Ok(one.me),
            (None, _) => Err(Failure::not_found(what, name)),
            (Some(one), Some(other)) => {
                let message = format!("several objects of the kind {what} are named {name:?}");
                let hint = format!("give the id instead, for example {} or {}", one.me.id(), other.me.id());
                Err(Failure::new(Reason::NotFound, message).hint(hint))
            }
        }
    }

    /// The datacenter with this name or id, or else the only one, with its name and these properties. `option` names it on the
    /// command line.
    pub async fn datacenter(
        &self,
        name: Option<&str>,
        option: &str,
        paths: &[&str],
    ) -> Result<Found, Failure> {
        let paths: Vec<&str> = ["name"].into_iter().chain(paths.iter().copied()).collect();
        let mut all = self.all(managed_id!(Datacenter), &paths).await?;
        let Some(name) = name else {
            return match (all.pop(), all.len()) {
                (Some(only), 0) => Ok(only),
                (None, _) => Err(Failure::new(Reason::NotFound, "the inventory has no datacenter")
                    .hint("create one first: esfera datacenter add NAME")),
                (Some(_), others) => {
                    Err(Failure::new(Reason::Usage, format!("there are {} datacenters", others + 1))
                        .hint(format!("name one with {option}")))
                }
            };
        };
        let found = all.into_iter().find(|found| found.text(0) == name || found.me.id() == name);
        found.ok_or_else(|| Failure::not_found("datacenter", name))
    }

    /// The VM with this name or id.
    pub async fn vm(&self, name: &str) -> Result<MoRef, Failure> {
        self.named(managed_id!(VirtualMachine), "virtual machine", name).await
    }

    /// The host with this name or id.
    pub async fn host(&self, name: &str) -> Result<MoRef, Failure> {
        self.named(managed_id!(HostSystem), "host", name).await
    }

    /// Starts a task, shows its progress, and returns its result.
    pub async fn task(&self, object: &MoRef, call: vim::Args) -> Result<Option<Value>, Failure> {
        let task = self.client.invoke(object, &call).await?;
        let Some(task) = task.as_ref().and_then(Value::as_ref) else { return Ok(task) };
        let progress = super::progress::Progress::new(call.method_name());
        let result = self.client.wait_for_task(task, |percent| progress.show(percent)).await;
        progress.end();
        Ok(result?)
    }
}
