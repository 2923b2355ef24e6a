//! The names of physical network cards: `vmnic0` onwards, as clients expect them ([`Cards`]), and the fabric that turns them into
//! interfaces and back ([`Named`]).

mod known;
mod named;

pub(crate) use known::Cards;
pub(crate) use named::Named;
