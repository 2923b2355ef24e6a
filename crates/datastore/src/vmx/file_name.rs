//! File names in `.vmx` and `.vmsd` files: each refers to a file of the VM's own directory, or to one on any
//! datastore by its path under `/vmfs/volumes`.

use crate::path::{DatastorePath, FilePath, PathError, PathFault};

/// Where hosts mount datastores.
const VOLUMES: &str = "/vmfs/volumes/";

/// A file that a configuration refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileName {
    /// On the machine's own datastore.
    Here(FilePath),
    /// On a datastore given by its identity or name: `/vmfs/volumes/<volume>/dir/file`.
    Volume {
        /// UUID of the datastore, or its name.
        volume: String,
        /// Path on it.
        path: FilePath,
    },
    /// On a datastore given by its name: `[datastore] dir/file`.
    Datastore(DatastorePath),
}

impl FileName {
    /// Reads a file name; one that is relative is in `directory`, the machine's.
    ///
    /// # Errors
    /// [`PathError`] for any other absolute path, for `..` and for what no path can have.
    pub fn parse(text: &str, directory: &FilePath) -> Result<Self, PathError> {
        if text.starts_with('[') {
            return DatastorePath::parse(text).map(Self::Datastore);
        }
        let Some(rest) = text.strip_prefix(VOLUMES) else { return directory.join(text).map(Self::Here) };
        let (volume, path) = rest.split_once('/').unwrap_or((rest, ""));
        // The same rules as for the name in a datastore path.
        let checked = DatastorePath::new(volume, FilePath::parse(path)?)?;
        if checked.path().is_root() || volume == ".." || volume == "." {
            return Err(PathError {
                path: text.chars().take(120).collect(),
                fault: PathFault::EmptyComponent,
            });
        }
        Ok(Self::Volume { volume: volume.to_owned(), path: checked.into_path() })
    }

    /// How a file is written in the configuration of a machine in `directory`: by its name alone if it is there, else
    /// under the volume with this identity.
    pub fn write(path: &FilePath, volume: &str, same_datastore: bool, directory: &FilePath) -> String {
        if same_datastore && path.parent().as_ref() == Some(directory) {
            path.name().to_owned()
        } else {
            format!("{VOLUMES}{volume}/{}", path.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refer_to_the_directory_a_volume_or_a_datastore() {
        let at = |text: &str| FilePath::parse(text).unwrap();
        let directory = at("web01");
        let parse = |text: &str| FileName::parse(text, &directory);
        assert_eq!(parse("web01.vmdk"), Ok(FileName::Here(at("web01/web01.vmdk"))));
        assert_eq!(parse("sub/a.vmdk"), Ok(FileName::Here(at("web01/sub/a.vmdk"))));
        let volume = FileName::Volume { volume: "5f1c-77".into(), path: at("db/data.vmdk") };
        assert_eq!(parse("/vmfs/volumes/5f1c-77/db/data.vmdk"), Ok(volume));
        let datastore = DatastorePath::parse("[iso] debian.iso").unwrap();
        assert_eq!(parse("[iso] debian.iso"), Ok(FileName::Datastore(datastore)));
        for bad in [
            "../other/disk.vmdk",
            "/etc/passwd",
            "/vmfs/volumes/",
            "/vmfs/volumes/ds",
            "/vmfs/volumes/../etc",
            "/vmfs/volumes/ds/../../etc",
            "/vmfs/volumes/ds//x",
            "[ds] ../x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(FileName::write(&at("web01/a.vmdk"), "u", true, &directory), "a.vmdk");
        assert_eq!(
            FileName::write(&at("web01/a.vmdk"), "u", false, &directory),
            "/vmfs/volumes/u/web01/a.vmdk"
        );
        assert_eq!(FileName::write(&at("iso/a.iso"), "u", true, &directory), "/vmfs/volumes/u/iso/a.iso");
    }
}
