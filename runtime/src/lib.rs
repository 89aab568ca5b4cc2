//! Loads rbtrace objects into the kernel, attaches them and prints what they report.
//!
//! A [`session::Session`] takes objects (`load`), attaches their programs (`attach`), hands what
//! they report to a [`sink::Sink`] (`run`) and ends in order (`finish`).

mod attach;
pub mod capture;
pub mod cgroups;
pub mod child;
#[cfg(test)]
mod damage;
pub mod decode;
pub mod error;
pub mod event;
pub mod features;
pub mod format;
pub mod guard;
mod limits;
pub mod load;
mod losses;
mod machine;
mod maps;
mod mounts;
mod netlink;
mod packets;
mod print;
mod privileges;
pub mod programs;
pub mod progress;
pub mod replay;
pub mod request;
pub mod resolve;
mod ring;
pub mod session;
pub mod signals;
pub mod sink;
pub mod snapshot;
pub mod symbols;
mod sys;
pub mod time;
pub mod tracefs;
mod trial;
mod unit;
mod unwind;
pub mod value;
mod watched;

pub use error::Error;
pub use rbtrace_probes_ebpf::object::read_object;
pub use session::{Options, Session, UnitId};
pub use signals::StopFlag;

/// A plan with nothing in it, for tests.
#[cfg(test)]
fn empty_plan() -> rbtrace_probes_ebpf::plan::Plan {
    use rbtrace_probes_ebpf::plan::{Config, Plan, VERSION};
    Plan {
        version: VERSION,
        compiler: String::new(),
        target: rbtrace_probes_ebpf::profile::TargetProfile::REFERENCE,
        maps: Vec::new(),
        programs: Vec::new(),
        probes: Vec::new(),
        actions: Vec::new(),
        config: Config::default(),
        globals: Vec::new(),
        losses: None,
    }
}
