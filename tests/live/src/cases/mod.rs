//! The tests, a file for each part of rbtrace.

mod badinput;
mod captures;
mod cgroup;
mod cgroup_skb;
mod core;
pub mod differential;
mod docs;
mod elf;
mod fentry;
mod functions;
mod generated;
mod go;
mod headers;
mod interfaces;
mod iter;
mod kinds;
mod kprobe;
mod lifecycle;
mod losses;
mod lsm;
mod maps;
mod numbers;
mod packets;
mod privileges;
mod repl;
mod scripts;
mod socket;
mod stack;
mod stress;
mod symbols;
mod tc;
mod tools;
mod tracepoint;
mod unwind;
mod uprobe;
mod xdp;

use crate::runner::Test;

/// All tests, in the order in which they run.
pub fn all() -> impl Iterator<Item = &'static Test> {
    [
        core::TESTS,
        maps::TESTS,
        numbers::TESTS,
        functions::TESTS,
        generated::TESTS,
        differential::TESTS,
        docs::TESTS,
        uprobe::TESTS,
        go::TESTS,
        tracepoint::TESTS,
        kprobe::TESTS,
        fentry::TESTS,
        iter::TESTS,
        lsm::TESTS,
        kinds::TESTS,
        cgroup::TESTS,
        privileges::TESTS,
        xdp::TESTS,
        tc::TESTS,
        socket::TESTS,
        cgroup_skb::TESTS,
        interfaces::TESTS,
        packets::TESTS,
        captures::TESTS,
        headers::TESTS,
        lifecycle::TESTS,
        losses::TESTS,
        stress::TESTS,
        badinput::TESTS,
        elf::TESTS,
        scripts::TESTS,
        stack::TESTS,
        symbols::TESTS,
        unwind::TESTS,
        tools::TESTS,
        repl::TESTS,
    ]
    .into_iter()
    .flatten()
}
