//! Block nodes as JSON, for the command line and for `blockdev-add` alike.

use super::text;
use crate::Result;
use crate::spec::{Disk, ImageFormat};
use serde_json::{Value, json};
use std::path::Path;

/// The node of a disk and, nested, of its file. Discarded blocks are given back to the datastore.
pub fn disk(node_name: &str, disk: &Disk) -> Result<Value> {
    image(node_name, &disk.path, disk.format, disk.read_only)
}

/// The node of an image file. A node name has at most 31 characters.
pub fn image(node_name: &str, path: &Path, format: ImageFormat, read_only: bool) -> Result<Value> {
    let mut node = json!({
        "driver": format.driver(),
        "node-name": node_name,
        "read-only": read_only,
        "discard": "unmap",
        "file": file(path, read_only)?,
    });
    if !read_only {
        node["detect-zeroes"] = "unmap".into();
    }
    Ok(node)
}

/// The node of a disc image. Other VMs may have the same disc.
pub fn iso(node_name: &str, path: &Path) -> Result<Value> {
    image(node_name, path, ImageFormat::Raw, true)
}

/// The node of a firmware image.
pub(super) fn firmware(node_name: &str, path: &Path, read_only: bool) -> Result<Value> {
    Ok(json!({
        "driver": "raw",
        "node-name": node_name,
        "read-only": read_only,
        "file": file(path, read_only)?,
    }))
}

fn file(path: &Path, read_only: bool) -> Result<Value> {
    // The format probe and `file:` prefixes never apply: the driver is named, and the name is taken as it is.
    let mut node = json!({"driver": "file", "filename": text(path)?, "aio": "threads"});
    if !read_only {
        node["discard"] = "unmap".into();
    }
    Ok(node)
}
