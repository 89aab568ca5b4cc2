//! The expected texts are what bpftrace 0.27.1 printed for the same values.

mod fixture;
mod hist;
mod maps;
mod records;
mod values;
