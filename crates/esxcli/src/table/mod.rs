//! The parts of a command: its row ([`Command`]), its parameters and arguments, the structure of its answer, and the answer.

mod answer;
mod arguments;
#[macro_use]
mod command;
mod fault;
mod parameter;
mod structure;

pub(crate) use answer::{Answer, Datum, Row};
pub(crate) use arguments::Arguments;
pub(crate) use command::{ALL_VMS, Command, NETWORK, Namespace, Outcome, PREFIX, READ};
pub(crate) use fault::CliFault;
pub(crate) use parameter::{Kind, Parameter};
pub(crate) use structure::{Field, FieldKind, Output, Structure, boolean, number, text, texts};
