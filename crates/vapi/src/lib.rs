//! The data model of the vSphere automation API: its table of services, values, and the three encodings that carry them
//! (`/api`, `/rest` and JSON-RPC).
//!
//! Start with [`Schema`], then [`Value`]; [`Form`] names the encodings, [`read`] and [`write`] apply them.
#![forbid(unsafe_code)]

mod error;
mod form;
mod schema;
mod value;

pub use error::{Error, ErrorKind, Message};
pub use form::{Form, Problem, read, read_text, write, write_error};
pub use schema::{
    EnumId, EnumType, Operation, OperationId, Parameter, Query, Schema, SchemaError, Segment, Service,
    Structure, StructureId, TaskUse, Type, Verb, schema,
};
pub use value::{Record, Value};
