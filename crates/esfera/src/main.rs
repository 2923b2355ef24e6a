//! The one binary. What it is told to be stands in `cli::args`.
#![forbid(unsafe_code)]

mod cli;
mod lab;

fn main() {}
