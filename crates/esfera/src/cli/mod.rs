pub mod args;
pub mod failure;
pub mod output;
