//! Events as text and as JSON, byte for byte as bpftrace prints them.

pub mod json;
mod key;
mod label;
mod series;
pub mod text;
mod trial;

#[cfg(test)]
mod tests;
