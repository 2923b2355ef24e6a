//! The vSphere data model: values over the schema table, and their encodings. Does no I/O.
//!
//! Start with [`Value`] and [`Object`]; [`vim!`], [`props!`] and [`call!`] write them with names and kinds checked at
//! compile time, [`field!`], [`prop!`] and [`arg!`] read them. [`soap`] and [`json`] are the two encodings, both driven
//! by the table, for any [`encode`] source; [`path`] follows property paths, [`version`] finds the release that a client
//! speaks.
#![forbid(unsafe_code)]

extern crate self as vim;

mod date;
pub mod encode;
mod error;
mod fault;
pub mod json;
pub mod kind;
pub mod limits;
mod names;
pub mod path;
mod reference;
mod scalar;
pub mod soap;
mod tags;
mod typed;
mod value;
pub mod version;
pub mod wsdl;

pub use date::DateTime;
pub use encode::Encode;
pub use error::ReadError;
pub use fault::Fault;
pub use names::is_of_pbm;
pub use reference::MoRef;
pub use typed::{Args, Data, EnumOf, Field, ListRef, PropertyValue, Props};
pub use value::{EnumValue, List, Object, Str, Value};
pub use vim_macros::{arg, call, data_id, field, managed_id, method, prop, props, ty, vim, vim_enum};
pub use vim_schema::{
    DataId, DataType, EnumId, EnumType, Kind, ManagedId, ManagedType, Member, Method, MethodId, Record,
    Release, Schema, TypeRef,
};

use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::built_in().expect("vim.schema is well formed"));

/// The schema, read once (some milliseconds at first use).
pub fn schema() -> &'static Schema {
    &SCHEMA
}

/// The release of this product: the value of `about.apiVersion`, and the newest that is ever sent.
pub const API_RELEASE: &str = "8.0.3.0";

/// [`API_RELEASE`] as a number of the schema.
pub fn api_release() -> Release {
    static RELEASE: LazyLock<Release> =
        LazyLock::new(|| SCHEMA.release(API_RELEASE).expect("our release is in the schema"));
    *RELEASE
}
