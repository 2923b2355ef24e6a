//! The commands in use, one struct each, under the names of QEMU's QMP reference. Replies keep the fields that are
//! needed and ignore the rest; enumerations stay text where QEMU may grow new values.

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A command with its arguments; serializes to the `arguments` object.
pub trait Command: Serialize {
    /// Its name in QMP.
    const NAME: &'static str;
    /// The type of its result.
    type Reply: DeserializeOwned;
}

/// An empty answer.
pub type Nothing = IgnoredAny;

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $wire:literal -> $reply:ty { $($(#[$attr:meta])* $field:ident: $kind:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Serialize)]
            #[serde(rename_all = "kebab-case")]
            #[allow(missing_docs)]
            pub struct $name { $($(#[$attr])* pub $field: $kind),* }
            impl Command for $name {
                const NAME: &'static str = $wire;
                type Reply = $reply;
            }
        )*
    };
}

commands! {
    /// Run state.
    QueryStatus = "query-status" -> Status {}
    /// Run the guest.
    Cont = "cont" -> Nothing {}
    /// Stop its processors.
    Stop = "stop" -> Nothing {}
    /// Press the reset button.
    SystemReset = "system_reset" -> Nothing {}
    /// Press the power button.
    SystemPowerdown = "system_powerdown" -> Nothing {}
    /// End the process.
    Quit = "quit" -> Nothing {}
    /// Drives with their media.
    QueryBlock = "query-block" -> Vec<BlockDevice> {}
    /// Every node of the block graph, without its image details.
    QueryNamedBlockNodes = "query-named-block-nodes" -> Vec<BlockNode> { flat: bool }
    /// Opens an image under a node name.
    BlockdevAdd = "blockdev-add" -> Nothing { #[serde(flatten)] options: Value }
    /// Closes a node.
    BlockdevDel = "blockdev-del" -> Nothing { node_name: String }
    /// Opens a tray.
    OpenTray = "blockdev-open-tray" -> Nothing { id: String, force: bool }
    /// Shuts a tray.
    CloseTray = "blockdev-close-tray" -> Nothing { id: String }
    /// Takes the medium out of an open tray.
    RemoveMedium = "blockdev-remove-medium" -> Nothing { id: String }
    /// Puts a node into an open tray.
    InsertMedium = "blockdev-insert-medium" -> Nothing { id: String, node_name: String }
    /// Plugs a device in.
    DeviceAdd = "device_add" -> Nothing { #[serde(flatten)] options: Value }
    /// Asks the guest to release a device.
    DeviceDel = "device_del" -> Nothing { id: String }
    /// Makes a network backend.
    NetdevAdd = "netdev_add" -> Nothing { #[serde(flatten)] options: Value }
    /// Removes a network backend.
    NetdevDel = "netdev_del" -> Nothing { id: String }
    /// Plugs or unplugs the cable of a NIC.
    SetLink = "set_link" -> Nothing { name: String, up: bool }
    /// Grows a disk that is in use.
    BlockResize = "block_resize" -> Nothing { node_name: String, size: u64 }
    /// Several actions, all or none.
    Transaction = "transaction" -> Nothing { actions: Vec<Value> }
    /// Merges a chain downwards.
    BlockCommit = "block-commit" -> Nothing {
        job_id: String,
        device: String,
        #[serde(skip_serializing_if = "Option::is_none")] top_node: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")] base_node: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")] backing_file: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")] speed: Option<u64>,
        auto_dismiss: bool,
    }
    /// Copies a chain upwards into its top.
    BlockStream = "block-stream" -> Nothing {
        job_id: String,
        device: String,
        #[serde(skip_serializing_if = "Option::is_none")] base_node: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")] backing_file: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")] speed: Option<u64>,
        auto_dismiss: bool,
    }
    /// Every block job and other job.
    QueryJobs = "query-jobs" -> Vec<Job> {}
    /// Lets a ready job finish by switching over.
    JobComplete = "job-complete" -> Nothing { id: String }
    /// Ends a job early.
    JobCancel = "job-cancel" -> Nothing { id: String }
    /// Forgets a concluded job.
    JobDismiss = "job-dismiss" -> Nothing { id: String }
    /// Sends the state of the VM away.
    Migrate = "migrate" -> Nothing { channels: Vec<Value> }
    /// Receives the state of a VM.
    MigrateIncoming = "migrate-incoming" -> Nothing { channels: Vec<Value> }
    /// Gives an outgoing migration up.
    MigrateCancel = "migrate_cancel" -> Nothing {}
    /// The progress of a migration.
    QueryMigrate = "query-migrate" -> Migration {}
    /// Writes the screen to a file.
    Screendump = "screendump" -> Nothing { filename: String, format: &'static str }
    /// Sets the memory that the balloon leaves the guest, in bytes.
    Balloon = "balloon" -> Nothing { value: u64 }
    /// The memory that the balloon leaves the guest.
    QueryBalloon = "query-balloon" -> BalloonSize {}
    /// Creates a QOM object.
    ObjectAdd = "object-add" -> Nothing { #[serde(flatten)] options: Value }
    /// Removes a QOM object.
    ObjectDel = "object-del" -> Nothing { id: String }
    /// Lists the properties of a QOM object.
    QomList = "qom-list" -> Vec<QomProperty> { path: String }
    /// Places of processors, taken and free.
    QueryHotpluggableCpus = "query-hotpluggable-cpus" -> Vec<CpuPlace> {}
    /// A command of the human monitor; its output.
    HumanMonitor = "human-monitor-command" -> String { command_line: String }
    /// Character devices.
    QueryChardev = "query-chardev" -> Vec<Chardev> {}
}

/// A place for a processor.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CpuPlace {
    /// Driver of a processor for this place.
    #[serde(rename = "type")]
    pub driver: String,
    /// Where it is, as `device_add` wants it.
    pub props: serde_json::Map<String, Value>,
    /// The processor in this place.
    #[serde(default)]
    pub qom_path: Option<String>,
}

/// Answer of `query-status`.
#[derive(Debug, Clone, Deserialize)]
pub struct Status {
    /// Whether the processors run.
    pub running: bool,
    /// QEMU's run state, such as `running`, `paused`, `prelaunch` or `io-error`.
    pub status: String,
}

/// A drive as `query-block` reports it.
#[derive(Debug, Clone, Deserialize)]
pub struct BlockDevice {
    /// QOM path or id of the device.
    #[serde(default)]
    pub qdev: Option<String>,
    /// Whether the guest has locked the tray.
    #[serde(default)]
    pub locked: bool,
    /// Whether the tray is open; absent for drives without one.
    #[serde(default)]
    pub tray_open: Option<bool>,
    /// The medium, if any.
    #[serde(default)]
    pub inserted: Option<BlockNode>,
    /// `ok`, `failed` or `nospace`.
    #[serde(rename = "io-status", default)]
    pub io_status: Option<String>,
}

/// A node of the block graph.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BlockNode {
    /// Its name in the graph.
    #[serde(default)]
    pub node_name: String,
    /// File name, or a description if it has none.
    #[serde(default)]
    pub file: String,
    /// Block driver.
    #[serde(default)]
    pub drv: String,
    /// Whether it is open for reading only.
    #[serde(default)]
    pub ro: bool,
    /// Image details; with `flat`, without those of its backing chain.
    #[serde(default)]
    pub image: Option<NodeImage>,
}

impl BlockNode {
    /// The image file itself. QEMU gives its path or, where options matter, a `json:` description that holds it.
    #[must_use]
    pub fn path(&self) -> Option<String> {
        match self.description() {
            Some(description) => path_in(&description),
            None => Some(self.file.clone()).filter(|file| !file.is_empty()),
        }
    }

    /// The image file right under this one.
    #[must_use]
    pub fn backing_path(&self) -> Option<String> {
        let described = self.description().and_then(|d| d.get("backing").cloned());
        match described {
            Some(backing) => path_in(&backing),
            None => self.image.as_ref()?.full_backing_filename.clone(),
        }
    }

    fn description(&self) -> Option<Value> {
        serde_json::from_str(self.file.strip_prefix("json:")?).ok()
    }
}

fn path_in(description: &Value) -> Option<String> {
    let path = description.pointer("/file/filename").or_else(|| description.get("filename"))?;
    path.as_str().map(ToOwned::to_owned)
}

/// Image part of a block node.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NodeImage {
    /// Size that the guest sees, in bytes.
    #[serde(default)]
    pub virtual_size: u64,
    /// Backing file with its directory resolved.
    #[serde(default)]
    pub full_backing_filename: Option<String>,
}

/// A job as `query-jobs` reports it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Job {
    /// Its id.
    pub id: String,
    /// `running`, `ready`, `concluded` and others.
    pub status: String,
    /// Done so far, in the job's own unit.
    #[serde(default)]
    pub current_progress: u64,
    /// Estimate of the whole.
    #[serde(default)]
    pub total_progress: u64,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
}

/// Answer of `query-migrate`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Migration {
    /// `active`, `completed`, `failed` and others; absent if there was none.
    #[serde(default)]
    pub status: Option<String>,
    /// Why it failed.
    #[serde(default)]
    pub error_desc: Option<String>,
    /// Progress of guest memory.
    #[serde(default)]
    pub ram: Option<MigrationRam>,
}

/// Memory part of `query-migrate`.
#[derive(Debug, Clone, Deserialize)]
pub struct MigrationRam {
    /// Bytes sent.
    #[serde(default)]
    pub transferred: u64,
    /// Bytes still to send.
    #[serde(default)]
    pub remaining: u64,
    /// All guest memory.
    #[serde(default)]
    pub total: u64,
}

/// Answer of `query-balloon`.
#[derive(Debug, Clone, Deserialize)]
pub struct BalloonSize {
    /// Bytes that the guest has.
    pub actual: u64,
}

/// A property of a QOM object.
#[derive(Debug, Clone, Deserialize)]
pub struct QomProperty {
    /// Its name.
    pub name: String,
    /// Its type, such as `child<e1000>`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A character device.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Chardev {
    /// Its id.
    pub label: String,
    /// Whether the guest has its end open.
    #[serde(default)]
    pub frontend_open: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_spelled_as_qmp_wants_them() {
        let commit = BlockCommit {
            job_id: "j".into(),
            device: "d".into(),
            top_node: None,
            base_node: Some("b".into()),
            backing_file: None,
            speed: None,
            auto_dismiss: false,
        };
        assert_eq!(
            serde_json::to_value(&commit).unwrap(),
            json!({"job-id": "j", "device": "d", "base-node": "b", "auto-dismiss": false})
        );
        let add = DeviceAdd { options: json!({"driver": "e1000", "id": "n"}) };
        assert_eq!(serde_json::to_value(&add).unwrap(), json!({"driver": "e1000", "id": "n"}));
        assert_eq!(serde_json::to_value(&Cont {}).unwrap(), json!({}));
    }

    #[test]
    fn answers_with_fields_of_the_future_are_understood() {
        let status: Status =
            serde_json::from_value(json!({"running": false, "status": "quantum", "x": 1})).unwrap();
        assert_eq!(status.status, "quantum");
        let none: Migration = serde_json::from_value(json!({})).unwrap();
        assert!(none.status.is_none());
    }

    #[test]
    fn files_are_found_in_either_way_that_qemu_describes_them() {
        let node = |value| serde_json::from_value::<BlockNode>(value).unwrap();
        let plain = node(json!({"file": "/ds/b", "image": {"full-backing-filename": "/ds/a"}}));
        assert_eq!((plain.path(), plain.backing_path()), (Some("/ds/b".into()), Some("/ds/a".into())));
        let file = json!({"driver": "qcow2", "file": {"driver": "file", "filename": "/ds/b"},
            "backing": {"driver": "qcow2", "file": {"filename": "/ds/other"}}});
        let described =
            node(json!({"file": format!("json:{file}"), "image": {"full-backing-filename": "/ds/a"}}));
        assert_eq!(described.path().as_deref(), Some("/ds/b"));
        assert_eq!(described.backing_path().as_deref(), Some("/ds/other"));
        assert_eq!(node(json!({"file": "json:{rubbish"})).path(), Some("json:{rubbish".into()));
        assert_eq!(node(json!({})).path(), None);
    }
}
