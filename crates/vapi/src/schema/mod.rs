//! The table of services, operations, structures and enumerations, read from the text `vapi.schema`, which is generated.

mod parse;
mod types;

use std::collections::HashMap;
use std::sync::LazyLock;

pub use parse::SchemaError;
pub use types::{
    EnumId, EnumType, Operation, OperationId, Parameter, Query, Segment, Service, Structure, StructureId,
    TaskUse, Type, Verb,
};

/// The beginning that all names have on the wire and none in the table.
pub(crate) const PREFIX: &str = "com.vmware.";

/// The whole table. Ids index its lists.
#[derive(Debug)]
pub struct Schema {
    pub services: Vec<Service>,
    pub operations: Vec<Operation>,
    pub structures: Vec<Structure>,
    pub enums: Vec<EnumType>,
    services_by_name: HashMap<&'static str, usize>,
    structures_by_name: HashMap<&'static str, StructureId>,
}

impl Schema {
    /// Reads the table that is built in.
    ///
    /// # Errors
    /// [`SchemaError`] names the line that is wrong; a test makes sure that none is.
    pub fn built_in() -> Result<Self, SchemaError> {
        parse::parse(include_str!("../../vapi.schema"))
    }

    /// The service with this name, as the wire writes it (`com.vmware.cis.session`) or without its beginning.
    pub fn service(&self, name: &str) -> Option<&Service> {
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        self.services_by_name.get(name).map(|at| &self.services[*at])
    }

    /// The operation with this name of a service.
    pub fn operation(&self, service: &str, name: &str) -> Option<OperationId> {
        let service = self.service(service)?;
        service.operations.clone().map(OperationId).find(|id| self.at(*id).name == name)
    }

    /// The row of an operation.
    pub fn at(&self, id: OperationId) -> &Operation {
        &self.operations[usize::from(id.0)]
    }

    /// The structure or error with this name, as the wire writes it or without its beginning.
    pub fn structure(&self, name: &str) -> Option<StructureId> {
        self.structures_by_name.get(name.strip_prefix(PREFIX).unwrap_or(name)).copied()
    }
}

/// The built-in table, read at first use.
pub fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> =
        LazyLock::new(|| Schema::built_in().expect("a test reads the built-in table"));
    &SCHEMA
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_is_whole() {
        let schema = Schema::built_in().unwrap();
        assert!(schema.services.len() >= 500, "{}", schema.services.len());
        assert!(schema.operations.len() >= 1_300, "{}", schema.operations.len());
        let create = schema.at(schema.operation("com.vmware.cis.session", "create").unwrap());
        assert_eq!(create.verb, Some(Verb::Post));
        assert_eq!(create.path, [Segment::Fixed("session")]);
        assert_eq!(create.output, Type::Secret);
        assert!(create.errors.iter().all(|error| schema.structures[error.index()].is_error));
    }

    #[test]
    fn a_path_names_its_parameters_and_its_action() {
        let schema = schema();
        let attach = schema.at(schema.operation("cis.tagging.tag_association", "attach").unwrap());
        assert_eq!(
            attach.path,
            [
                Segment::Fixed("cis"),
                Segment::Fixed("tagging"),
                Segment::Fixed("tag-association"),
                Segment::Parameter(0)
            ]
        );
        assert_eq!(attach.query, [Query::Fixed("action", "attach")]);
        let list = schema.at(schema.operation("content.library.item.update_session", "list").unwrap());
        assert_eq!(list.query, [Query::Parameter("library_item_id", 0)]);
    }
}
