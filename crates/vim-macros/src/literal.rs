//! Macros that read a literal: a type and its members with their values.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Expr, Ident, LitStr, Token, braced, bracketed, token};
use vim_schema::{DataId, Kind, Member, Record};

use crate::SCHEMA;
use crate::names::{
    element_marker, find_data, find_managed, find_member, find_method, marker, number_of_value,
};

pub(crate) fn data(input: ParseStream) -> syn::Result<TokenStream> {
    let name = Ident::parse_any(input)?;
    let ty = find_data(&name)?;
    let id = ty.id.0;
    let fields = set_only(members(ty, input, false)?);
    Ok(quote!(::vim::Data::<#id>::from_fields(#fields)))
}

pub(crate) fn call(input: ParseStream) -> syn::Result<TokenStream> {
    let name = Ident::parse_any(input)?;
    let method = find_method(&name)?;
    let id = method.id.0;
    let values = set_only(members(method, input, false)?);
    Ok(quote!(::vim::Args::new(::vim::MethodId(#id), #values)))
}

pub(crate) fn props(input: ParseStream) -> syn::Result<TokenStream> {
    let name = Ident::parse_any(input)?;
    let ty = find_managed(&name)?;
    let id = ty.id.0;
    let members = members(ty, input, true)?.into_iter().map(|(number, value)| quote!((#number, #value)));
    Ok(quote!(::vim::Props { ty: ::vim::ManagedId(#id), values: ::std::vec![#(#members),*] }))
}

/// A vector of the members that are set.
fn set_only(members: Vec<(u16, TokenStream)>) -> TokenStream {
    let capacity = members.len();
    let pushes = members.into_iter().map(|(number, value)| {
        quote!(if let ::std::option::Option::Some(value) = #value { values.push((#number, value)); })
    });
    quote!({
        #[allow(unused_mut)]
        let mut values = ::std::vec::Vec::with_capacity(#capacity);
        #(#pushes)*
        values
    })
}

/// Reads `{ name: value, ... }`; gives each member's number and an expression for its optional value, in wire order.
fn members(
    record: &dyn Record,
    input: ParseStream,
    all_optional: bool,
) -> syn::Result<Vec<(u16, TokenStream)>> {
    let body;
    braced!(body in input);
    let mut members: Vec<(u16, TokenStream)> = Vec::new();
    while !body.is_empty() {
        let name = Ident::parse_any(&body)?;
        let (number, member) = find_member(record, &name)?;
        if members.iter().any(|(other, _)| *other == number) {
            return Err(syn::Error::new(name.span(), format!("{name} is given twice")));
        }
        let value = if body.peek(Token![:]) {
            body.parse::<Token![:]>()?;
            value(member, &body)?
        } else {
            let name = name.unraw();
            quote!(#name)
        };
        let kind = marker(member);
        let way = if member.optional || all_optional { quote!(optional) } else { quote!(required) };
        members.push((number, quote_spanned!(name.span()=> ::vim::kind::#way::<#kind>(#value))));
        if !body.is_empty() {
            body.parse::<Token![,]>()?;
        }
    }
    members.sort_by_key(|(number, _)| *number);
    Ok(members)
}

/// The value of one member: a list literal, or one element.
fn value(member: &Member, input: ParseStream) -> syn::Result<TokenStream> {
    if member.list && is_list_literal(input) {
        let body;
        bracketed!(body in input);
        let mut elements = Vec::new();
        while !body.is_empty() {
            elements.push(element(member.kind, &body)?);
            if !body.is_empty() {
                body.parse::<Token![,]>()?;
            }
        }
        let kind = element_marker(member.kind);
        let elements = elements.iter().map(|element| quote!(::vim::kind::element::<#kind>(#element)));
        return Ok(quote!(::vim::kind::list::<#kind>(::std::vec![#(#elements),*])));
    }
    element(member.kind, input)
}

/// Whether a bracketed group is the whole value rather than the beginning of an expression.
fn is_list_literal(input: ParseStream) -> bool {
    let ahead = input.fork();
    if !ahead.peek(token::Bracket) || ahead.parse::<proc_macro2::TokenTree>().is_err() {
        return false;
    }
    ahead.is_empty() || ahead.peek(Token![,])
}

/// Reports in place an error that the compiler would report far from it.
fn check_fit(kind: Kind, given: DataId, name: &Ident) -> syn::Result<()> {
    let problem = match kind {
        Kind::Any => return Ok(()),
        Kind::Data(declared) if SCHEMA.data(given).is_a(SCHEMA.data(declared)) => return Ok(()),
        Kind::Data(declared) => {
            let declared = SCHEMA.data(declared).name;
            format!("{name} does not fit here: it is not a {declared} and not derived from it")
        }
        _ => format!("{name} does not fit here: it is a data object, and the member is not"),
    };
    Err(syn::Error::new(name.span(), problem))
}

fn element(kind: Kind, input: ParseStream) -> syn::Result<TokenStream> {
    if input.peek(Ident) && input.peek2(token::Brace) {
        let name: Ident = input.fork().parse()?;
        if let Some(id) = SCHEMA.find_data(&name.to_string()) {
            check_fit(kind, id, &name)?;
            return data(input);
        }
    }
    if let (Kind::Enum(id), true) = (kind, input.peek(LitStr)) {
        let literal: LitStr = input.parse()?;
        return number_of_value(SCHEMA.enumeration(id), id.0, &literal.value(), literal.span());
    }
    let expression: Expr = input.parse()?;
    Ok(quote_spanned!(expression.span()=> #expression))
}
