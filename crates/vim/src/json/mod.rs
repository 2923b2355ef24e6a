//! VI-JSON: the same values as JSON.
//!
//! An object names its type in `_typeName`, first. Where no type is declared, a scalar or list is wrapped as
//! `{"_typeName": "int", "_value": 7}`. Numbers without a decimal form are the strings `NaN`, `INF` and `-INF`.

mod read;
mod text;
mod write;

pub use read::{read_args, read_fault, read_value};
pub use write::{write_args, write_fault, write_value};

const TYPE: &str = "_typeName";
const VALUE: &str = "_value";
/// The sentence for people, beside the fields of a fault.
const FAULT_STRING: &str = "faultstring";
