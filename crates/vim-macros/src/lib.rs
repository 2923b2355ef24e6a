//! The macros of the crate `vim`, which re-exports them: names of the schema in Rust source, checked at compile time.
//!
//! They read the same schema text as the running program, so their output is numbers: of types, fields, properties,
//! parameters and enum values. The traits in `vim::kind`, which the expansion names, check the kinds.
#![forbid(unsafe_code)]

mod literal;
mod names;

use proc_macro::TokenStream;
use std::sync::LazyLock;
use vim_schema::Schema;

pub(crate) static SCHEMA: LazyLock<Schema> =
    LazyLock::new(|| Schema::built_in().expect("vim.schema is well formed"));

/// A data object: `vim!(VirtualMachineConfigSummary { name: name, numCpu: 2 })` is a `Data` of that type.
///
/// A field's value is an expression of a fitting Rust type (an `Option` too, where the field is optional), a nested
/// `Type { ... }`, a list `[a, b]`, or for an enum the name of a value in quotes.
#[proc_macro]
pub fn vim(input: TokenStream) -> TokenStream {
    finish(syn::parse::Parser::parse(literal::data, input))
}

/// New values of properties: `props!(VirtualMachine { name: name, guest: None::<ty!(GuestInfo)> })` is a `Props`.
/// Any property may be unset with `None`.
#[proc_macro]
pub fn props(input: TokenStream) -> TokenStream {
    finish(syn::parse::Parser::parse(literal::props, input))
}

/// A call: `call!(PowerOnVM_Task { host: host })` is an `Args`.
#[proc_macro]
pub fn call(input: TokenStream) -> TokenStream {
    finish(syn::parse::Parser::parse(literal::call, input))
}

/// The field of a data type: `field!(VirtualMachineConfigSpec.numCPUs)`.
#[proc_macro]
pub fn field(input: TokenStream) -> TokenStream {
    finish(syn::parse::Parser::parse(names::field, input))
}

/// The property of a managed type: `prop!(VirtualMachine.runtime)`.
#[proc_macro]
pub fn prop(input: TokenStream) -> TokenStream {
    finish(syn::parse::Parser::parse(names::prop, input))
}

/// The parameter of a method: `arg!(PowerOnVM_Task.host)`.
#[proc_macro]
pub fn arg(input: TokenStream) -> TokenStream {
    finish(syn::parse::Parser::parse(names::arg, input))
}

/// The number of a data type, a constant: `data_id!(VirtualDisk)`.
#[proc_macro]
pub fn data_id(input: TokenStream) -> TokenStream {
    finish(syn::parse::Parser::parse(names::data_id, input))
}

/// The number of a managed type, a constant: `managed_id!(VirtualMachine)`.
#[proc_macro]
pub fn managed_id(input: TokenStream) -> TokenStream {
    finish(syn::parse::Parser::parse(names::managed_id, input))
}

/// The number of a method, a constant: `method!(PowerOnVM_Task)`.
#[proc_macro]
pub fn method(input: TokenStream) -> TokenStream {
    finish(syn::parse::Parser::parse(names::method, input))
}

/// The Rust type of a data type or enum of the schema: `ty!(VirtualMachinePowerState)`.
#[proc_macro]
pub fn ty(input: TokenStream) -> TokenStream {
    finish(syn::parse::Parser::parse(names::ty, input))
}

/// A value of an enum: `vim_enum!(VirtualMachinePowerState.poweredOn)`; in quotes if it is not a Rust name.
#[proc_macro]
pub fn vim_enum(input: TokenStream) -> TokenStream {
    finish(syn::parse::Parser::parse(names::enum_value, input))
}

fn finish(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(|error| error.to_compile_error()).into()
}
