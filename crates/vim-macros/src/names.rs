//! Macros that turn a name, or an owner and a member, into a number.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Ident, LitStr, Token};
use vim_schema::{DataType, EnumType, Kind, ManagedType, Member, Method, Record, TypeRef};

use crate::SCHEMA;

pub(crate) fn field(input: ParseStream) -> syn::Result<TokenStream> {
    let (owner, member) = owner_and_member(input)?;
    number_of_member(find_data(&owner)?, &member)
}

pub(crate) fn prop(input: ParseStream) -> syn::Result<TokenStream> {
    let (owner, member) = owner_and_member(input)?;
    number_of_member(find_managed(&owner)?, &member)
}

pub(crate) fn arg(input: ParseStream) -> syn::Result<TokenStream> {
    let (owner, member) = owner_and_member(input)?;
    number_of_member(find_method(&owner)?, &member)
}

pub(crate) fn data_id(input: ParseStream) -> syn::Result<TokenStream> {
    let id = find_data(&Ident::parse_any(input)?)?.id.0;
    Ok(quote!(::vim::DataId(#id)))
}

pub(crate) fn managed_id(input: ParseStream) -> syn::Result<TokenStream> {
    let id = find_managed(&Ident::parse_any(input)?)?.id.0;
    Ok(quote!(::vim::ManagedId(#id)))
}

pub(crate) fn method(input: ParseStream) -> syn::Result<TokenStream> {
    let id = find_method(&Ident::parse_any(input)?)?.id.0;
    Ok(quote!(::vim::MethodId(#id)))
}

pub(crate) fn ty(input: ParseStream) -> syn::Result<TokenStream> {
    let name = Ident::parse_any(input)?;
    match SCHEMA.find(&name.to_string()) {
        Some(TypeRef::Data(id)) => {
            let id = id.0;
            Ok(quote!(::vim::Data<#id>))
        }
        Some(TypeRef::Enum(id)) => {
            let id = id.0;
            Ok(quote!(::vim::EnumOf<#id>))
        }
        Some(TypeRef::Managed(_)) => {
            Err(syn::Error::new(name.span(), "a managed type; its values are vim::MoRef"))
        }
        None => Err(unknown(&name, "data type or enum")),
    }
}

pub(crate) fn enum_value(input: ParseStream) -> syn::Result<TokenStream> {
    let owner = Ident::parse_any(input)?;
    input.parse::<Token![.]>()?;
    let Some(TypeRef::Enum(id)) = SCHEMA.find(&owner.to_string()) else {
        return Err(unknown(&owner, "enum"));
    };
    let (value, span) = if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        (literal.value(), literal.span())
    } else {
        let ident = Ident::parse_any(input)?;
        (ident.unraw().to_string(), ident.span())
    };
    number_of_value(SCHEMA.enumeration(id), id.0, &value, span)
}

pub(crate) fn number_of_value(ty: &EnumType, id: u16, value: &str, span: Span) -> syn::Result<TokenStream> {
    match ty.values.iter().position(|known| *known == value).and_then(|at| u16::try_from(at).ok()) {
        Some(at) => Ok(quote!(::vim::EnumOf::<#id>::new(#at))),
        None => {
            let message =
                format!("enum {} has no value {value:?}; it has: {}", ty.name, ty.values.join(", "));
            Err(syn::Error::new(span, message))
        }
    }
}

fn owner_and_member(input: ParseStream) -> syn::Result<(Ident, Ident)> {
    let owner = Ident::parse_any(input)?;
    input.parse::<Token![.]>()?;
    Ok((owner, Ident::parse_any(input)?))
}

fn number_of_member(record: &dyn Record, name: &Ident) -> syn::Result<TokenStream> {
    let (number, member) = find_member(record, name)?;
    let marker = marker(member);
    Ok(quote!(::vim::Field::<#marker>::new(#number)))
}

pub(crate) fn find_data(name: &Ident) -> syn::Result<&'static DataType> {
    match SCHEMA.find(&name.unraw().to_string()) {
        Some(TypeRef::Data(id)) => Ok(SCHEMA.data(id)),
        _ => Err(unknown(name, "data type")),
    }
}

pub(crate) fn find_managed(name: &Ident) -> syn::Result<&'static ManagedType> {
    match SCHEMA.find(&name.unraw().to_string()) {
        Some(TypeRef::Managed(id)) => Ok(SCHEMA.managed(id)),
        _ => Err(unknown(name, "managed type")),
    }
}

pub(crate) fn find_method(name: &Ident) -> syn::Result<&'static Method> {
    match SCHEMA.find_method(&name.unraw().to_string()) {
        Some(id) => Ok(SCHEMA.method(id)),
        None => Err(unknown(name, "method")),
    }
}

pub(crate) fn find_member<'r>(record: &'r dyn Record, name: &Ident) -> syn::Result<(u16, &'r Member)> {
    let text = name.unraw().to_string();
    match record.member(&text) {
        Some(number) => Ok((number, &record.members()[usize::from(number)])),
        None => {
            let known: Vec<_> = record.members().iter().map(|member| member.name).collect();
            let message = format!("{} has no member {text}; it has: {}", record.name(), known.join(", "));
            Err(syn::Error::new(name.span(), message))
        }
    }
}

fn unknown(name: &Ident, sort: &str) -> syn::Error {
    syn::Error::new(name.span(), format!("the vSphere API has no {sort} {name}"))
}

/// The marker type for a member, list or not.
pub(crate) fn marker(member: &Member) -> TokenStream {
    let element = element_marker(member.kind);
    if member.list { quote!(::vim::kind::ListOf<#element>) } else { element }
}

pub(crate) fn element_marker(kind: Kind) -> TokenStream {
    match kind {
        Kind::Any => quote!(::vim::kind::Any),
        Kind::Boolean => quote!(::vim::kind::Boolean),
        Kind::Byte => quote!(::vim::kind::Byte),
        Kind::Short => quote!(::vim::kind::Short),
        Kind::Int => quote!(::vim::kind::Int),
        Kind::Long => quote!(::vim::kind::Long),
        Kind::Float => quote!(::vim::kind::Float),
        Kind::Double => quote!(::vim::kind::Double),
        Kind::DateTime => quote!(::vim::kind::Date),
        Kind::Binary => quote!(::vim::kind::Binary),
        Kind::String | Kind::Uri | Kind::TypeName | Kind::MethodName | Kind::PropertyPath => {
            quote!(::vim::kind::Text)
        }
        Kind::Enum(id) => {
            let id = id.0;
            quote!(::vim::kind::Enum<#id>)
        }
        Kind::Data(id) => {
            let (first, end) = (id.0, SCHEMA.data(id).subtypes.end);
            quote!(::vim::kind::Obj<#first, #end>)
        }
        Kind::Ref(id) => {
            let (first, end) = (id.0, SCHEMA.managed(id).subtypes.end);
            quote!(::vim::kind::Ref<#first, #end>)
        }
    }
}
