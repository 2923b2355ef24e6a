//! Identity sources that are real servers, and servers that lie.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lies;
mod slapd;
mod support;
