//! Commands as clients call them: the methods of the executer and of the dynamic type manager, with their calls, help, types and
//! answers, all made from the rows.

mod answer;
mod execute;
mod help;
mod methods;
mod result;
mod types;

#[cfg(test)]
pub(crate) use answer::element;
pub use methods::register;

/// A name of the object model as the wire has it: `VimEsxCLInetworkvmlist`.
fn wire_name(model: &str) -> String {
    let mut name = model.replace('.', "");
    name.replace_range(..1, "V");
    name
}
