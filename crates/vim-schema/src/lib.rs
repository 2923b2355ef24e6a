//! The table of the vSphere data model, read from the generated text `vim.schema`, its hand-written supplement
//! `reflect.schema`, and `pbm.schema`, the types of storage policies.
//!
//! The run-time crate `vim` and the compile-time macros in `vim-macros` read the same text with the same code, so the
//! numbers that the macros write into a program (type, field and method ids) are the ones that it finds at run time.
//! Start reading at [`Schema`].
#![forbid(unsafe_code)]

mod parse;
mod types;

pub use parse::SchemaError;
pub use types::{
    DataId, DataType, EnumId, EnumType, Kind, ManagedId, ManagedType, Member, Method, MethodId, Record,
    Release, TypeRef,
};

use std::collections::HashMap;

/// The schema's texts by file name, as they are in the repository. Later ones may extend earlier ones.
pub const TEXTS: [(&str, &str); 3] = [
    ("vim.schema", include_str!("../vim.schema")),
    ("reflect.schema", include_str!("../reflect.schema")),
    ("pbm.schema", include_str!("../pbm.schema")),
];

/// All types of the API. Ids index the vectors.
///
/// Data types and managed types are numbered in depth-first order of inheritance, so "is a" is a comparison of two
/// numbers with a range ([`DataType::subtypes`]).
#[derive(Debug)]
pub struct Schema {
    /// Every release, oldest first. A [`Release`] indexes this list.
    pub releases: Vec<&'static str>,
    pub enums: Vec<EnumType>,
    pub data: Vec<DataType>,
    pub managed: Vec<ManagedType>,
    pub methods: Vec<Method>,
    names: HashMap<&'static str, TypeRef>,
    method_names: HashMap<&'static str, MethodId>,
}

impl Schema {
    /// Reads the built-in schema.
    ///
    /// # Errors
    /// [`SchemaError`] names the faulty line; a test ensures that the built-in schema has none.
    pub fn built_in() -> Result<Self, SchemaError> {
        parse::parse(&TEXTS)
    }

    /// The data, enum or managed type with this wire name.
    pub fn find(&self, name: &str) -> Option<TypeRef> {
        self.names.get(name).copied()
    }

    pub fn find_data(&self, name: &str) -> Option<DataId> {
        match self.find(name) {
            Some(TypeRef::Data(id)) => Some(id),
            _ => None,
        }
    }

    pub fn find_enum(&self, name: &str) -> Option<EnumId> {
        match self.find(name) {
            Some(TypeRef::Enum(id)) => Some(id),
            _ => None,
        }
    }

    pub fn find_managed(&self, name: &str) -> Option<ManagedId> {
        match self.find(name) {
            Some(TypeRef::Managed(id)) => Some(id),
            _ => None,
        }
    }

    /// The method with this wire name (`PowerOnVM_Task`); method names are unique over all managed types.
    pub fn find_method(&self, name: &str) -> Option<MethodId> {
        self.method_names.get(name).copied()
    }

    pub fn data(&self, id: DataId) -> &DataType {
        &self.data[usize::from(id.0)]
    }

    pub fn enumeration(&self, id: EnumId) -> &EnumType {
        &self.enums[usize::from(id.0)]
    }

    pub fn managed(&self, id: ManagedId) -> &ManagedType {
        &self.managed[usize::from(id.0)]
    }

    pub fn method(&self, id: MethodId) -> &Method {
        &self.methods[usize::from(id.0)]
    }

    /// The release with this wire id (`8.0.3.0`).
    pub fn release(&self, id: &str) -> Option<Release> {
        self.releases.iter().position(|known| *known == id).and_then(|at| u8::try_from(at).ok()).map(Release)
    }
}
