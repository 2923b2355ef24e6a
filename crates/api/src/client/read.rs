//! Reading many properties at once, and waiting for changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vim::{DataId, Fault, ManagedId, MoRef, Object, Value, call, data_id, field, ty, vim};

use super::call::type_name;
use super::{CallError, Client};

/// How long one wait for a task lasts before the client asks again.
const TASK_WAIT: Duration = Duration::from_secs(30);
/// Objects in one batch: neither side holds more of a large state in one message.
const MAX_BATCH_OBJECTS: i32 = 250;

/// One report of a property collector.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The `UpdateSet`; `truncated` says that more follows at once.
    pub set: Arc<Object>,
    /// It is the whole state (or its beginning) instead of the changes: at first, and when the server has dropped the changes since the
    /// last batch.
    pub full: bool,
}

/// Follows the changes that a property collector reports.
pub struct Updates {
    client: Client,
    collector: MoRef,
    version: String,
}

impl Client {
    /// Reads properties of objects of one type (or derived from it), and leaves out objects that no longer exist.
    ///
    /// # Errors
    /// [`CallError`]; `InvalidProperty` for a path that the type does not have.
    pub async fn retrieve(
        &self,
        objects: &[MoRef],
        ty: ManagedId,
        paths: &[&str],
    ) -> Result<Vec<(MoRef, BTreeMap<String, Value>)>, CallError> {
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let starts: Vec<ty!(ObjectSpec)> =
            objects.iter().map(|object| vim!(ObjectSpec { obj: object })).collect();
        let spec = vim!(PropertyFilterSpec {
            propSet: [PropertySpec { type: type_name(ty), pathSet: paths }],
            objectSet: starts,
            reportMissingObjectsInResults: true,
        });
        self.retrieve_spec(spec).await
    }

    /// Reads the objects that a filter specification selects, all pages of them.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn retrieve_spec(
        &self,
        spec: ty!(PropertyFilterSpec),
    ) -> Result<Vec<(MoRef, BTreeMap<String, Value>)>, CallError> {
        let collector = self.property_collector().await?;
        let mut all = Vec::new();
        let read = call!(RetrievePropertiesEx { specSet: vec![spec], options: RetrieveOptions {} });
        let mut page = self.invoke(&collector, &read).await?;
        while let Some(result) = page.as_ref().and_then(Value::as_object) {
            for content in result.get(field!(RetrieveResult.objects)).into_iter().flatten() {
                let Some(object) = content.get(field!(ObjectContent.obj)) else { continue };
                let mut properties = BTreeMap::new();
                for property in content.get(field!(ObjectContent.propSet)).into_iter().flatten() {
                    let name = property.get(field!(DynamicProperty.name)).unwrap_or_default();
                    if let Some(value) = property.get(field!(DynamicProperty.val)) {
                        properties.insert(name.to_owned(), value.clone());
                    }
                }
                all.push((object.clone(), properties));
            }
            let Some(token) = result.get(field!(RetrieveResult.token)) else { break };
            page = self.invoke(&collector, &call!(ContinueRetrievePropertiesEx { token: token })).await?;
        }
        Ok(all)
    }

    /// The session's own property collector.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn property_collector(&self) -> Result<MoRef, CallError> {
        let content = self.service_content().await?;
        let collector = content.get(field!(ServiceContent.propertyCollector)).cloned();
        collector.ok_or_else(|| self.unreadable("a server without a PropertyCollector"))
    }

    /// Makes a property collector with one filter and follows it.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn follow(&self, spec: ty!(PropertyFilterSpec)) -> Result<Updates, CallError> {
        let parent = self.property_collector().await?;
        let made = self.invoke(&parent, &call!(CreatePropertyCollector {})).await?;
        let collector = made
            .as_ref()
            .and_then(Value::as_ref)
            .cloned()
            .ok_or_else(|| self.unreadable("no PropertyCollector was made"))?;
        let updates = Updates { client: self.clone(), collector, version: String::new() };
        updates
            .client
            .invoke(&updates.collector, &call!(CreateFilter { spec: spec, partialUpdates: false }))
            .await?;
        Ok(updates)
    }

    /// Waits until a task has ended and returns its result. `progress` is called with each new percentage.
    ///
    /// # Errors
    /// The task's error as [`CallError::Fault`], or another [`CallError`].
    pub async fn wait_for_task(
        &self,
        task: &MoRef,
        mut progress: impl FnMut(u8) + Send,
    ) -> Result<Option<Value>, CallError> {
        let spec = vim!(PropertyFilterSpec {
            propSet: [PropertySpec { type: "Task", pathSet: ["info"] }],
            objectSet: [ObjectSpec { obj: task }],
        });
        let mut updates = self.follow(spec).await?;
        let result = loop {
            match updates.next(Some(TASK_WAIT)).await {
                Ok(Some(batch)) => {
                    if let Some(end) = self.task_ended(&batch, &mut progress) {
                        break end;
                    }
                }
                Ok(None) => {}
                Err(error) => break Err(error),
            }
        };
        updates.end().await;
        result
    }

    fn task_ended(
        &self,
        batch: &Batch,
        progress: &mut (impl FnMut(u8) + Send),
    ) -> Option<Result<Option<Value>, CallError>> {
        let mut last = None;
        for update in object_updates(&batch.set) {
            if update.get(field!(ObjectUpdate.kind)).is_some_and(|kind| kind.name() == "leave") {
                return Some(Err(self.unreadable("the task has left the server's list before it ended")));
            }
            for change in update.get(field!(ObjectUpdate.changeSet)).into_iter().flatten() {
                last = change.get(field!(PropertyChange.val)).and_then(Value::as_object).cloned().or(last);
            }
        }
        let info = last.filter(|info| info.is_a(data_id!(TaskInfo)))?;
        if let Some(percent) = info.get(field!(TaskInfo.progress)) {
            progress(u8::try_from(percent.clamp(0, 100)).unwrap_or(100));
        }
        match info.get(field!(TaskInfo.state))?.name() {
            "success" => Some(Ok(info.get(field!(TaskInfo.result)).cloned())),
            "error" => {
                let fault = info.get(field!(TaskInfo.error)).and_then(|error| Fault::from_localized(error));
                Some(Err(fault.map_or_else(|| self.unreadable("a failed task without an error"), Into::into)))
            }
            _ => None,
        }
    }
}

/// All object updates of an `UpdateSet`.
pub(super) fn object_updates(set: &Object) -> impl Iterator<Item = &Arc<Object>> {
    let filters = set.get(field!(UpdateSet.filterSet)).into_iter().flatten();
    filters.flat_map(|filter| filter.get(field!(PropertyFilterUpdate.objectSet)).into_iter().flatten())
}

impl Updates {
    /// Continues from an earlier version, on a collector of the same session.
    pub fn resume(client: Client, collector: MoRef, version: String) -> Self {
        Self { client, collector, version }
    }

    pub fn collector(&self) -> &MoRef {
        &self.collector
    }

    /// The version of the last batch.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Waits for the next batch; none if nothing changed in time. When the server has dropped the changes since the last batch, the next
    /// batch is the whole state.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn next(&mut self, max_wait: Option<Duration>) -> Result<Option<Batch>, CallError> {
        loop {
            let seconds = max_wait.map(|wait| i32::try_from(wait.as_secs()).unwrap_or(i32::MAX));
            let wait = call!(WaitForUpdatesEx {
                version: self.version.as_str(),
                options: WaitOptions { maxWaitSeconds: seconds, maxObjectUpdates: MAX_BATCH_OBJECTS },
            });
            let full = self.version.is_empty();
            match self.client.invoke(&self.collector, &wait).await {
                Ok(value) => {
                    let Some(set) = value.as_ref().and_then(Value::as_object).cloned() else {
                        return Ok(None);
                    };
                    self.version = set.get(field!(UpdateSet.version)).unwrap_or_default().to_owned();
                    return Ok(Some(Batch { set, full }));
                }
                Err(CallError::Fault(fault)) if fault.is_a(COLLECTOR_VERSION) && !full => {
                    tracing::debug!(
                        version = self.version,
                        "the server has forgotten the version; reading all"
                    );
                    self.version.clear();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Destroys the collector. It does not fail when the server cannot be reached: the collector ends with the session.
    pub async fn end(self) {
        if let Err(error) = self.client.invoke(&self.collector, &call!(DestroyPropertyCollector {})).await {
            tracing::debug!(%error, collector = self.collector.id(), "cannot destroy a property collector");
        }
    }
}

const COLLECTOR_VERSION: DataId = data_id!(InvalidCollectorVersion);
