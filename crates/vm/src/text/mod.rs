//! The text of a `.vmx` below the devices: [`Source`] reads keys, [`Wanted`] collects those to write, and file names
//! become files.

mod error;
mod names;
mod source;
mod wanted;

pub use error::ReadError;
pub use names::{file_name, resolve};
pub(crate) use source::{Source, numbered};
pub(crate) use wanted::Wanted;
