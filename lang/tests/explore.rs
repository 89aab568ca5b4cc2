//! Scratch.
mod machine;
use machine::Machine;
use rbtrace_lang::catalog::*;
use rbtrace_lang::check::check;
use rbtrace_lang::expand::{Params, expand};
use rbtrace_lang::parse::parse;
use rbtrace_lang::resolve::{Context, Options, resolve};
use rbtrace_lang::span::Sources;
use rbtrace_lang::{dump, render};
use rbtrace_probes_ebpf::profile::TargetProfile;
struct Open(Machine);
impl Catalog for Open {
    fn kernel_functions(&self, _: Option<&str>, p: &str) -> Option<Vec<String>> { Some(vec![p.replace('*', "x")]) }
    fn tracepoints(&self, c: &str, p: &str) -> Option<Vec<(String, String)>> { Some(vec![(c.replace('*', "x"), p.replace('*', "x"))]) }
    fn binaries(&self, p: &str) -> Vec<String> { vec![p.into()] }
    fn user_functions(&self, _: &str, p: &str) -> Option<Vec<String>> { Some(vec![p.replace('*', "x")]) }
    fn interfaces(&self, p: &str) -> Option<Vec<String>> { Some(vec![p.into()]) }
    fn kernel_symbol(&self, _: &str) -> Option<u64> { Some(1) }
    fn pid(&self) -> Option<u32> { None }
    fn cpid(&self) -> Option<u32> { None }
}
impl TypeSource for Open {
    fn tracepoint(&self, a: &str, name: &str) -> Option<TracepointFormat> { self.0.tracepoint(a, name).or_else(|| self.0.tracepoint(a, "sys_enter_openat")) }
}
#[test]
fn explore() {
    let Ok(path) = std::env::var("SCRIPTS") else { return };
    let verbose = std::env::var("V").is_ok();
    let text = std::fs::read_to_string(path).unwrap();
    for (i, script) in text.split("\u{1}").enumerate() {
        let (u, script) = match script.strip_prefix("U:") { Some(s) => (true, s), None => (false, script) };
        let mut sources = Sources::default();
        let file = sources.add("test", script);
        let m = Open(Machine::default());
        let options = Options { allow_unsafe: u, ..Options::default() };
        let cx = Context { catalog: &m, types: &m, profile: &TargetProfile::REFERENCE, options: &options, known_maps: &[] };
        let t = std::time::Instant::now();
        let r = parse(&sources, file).and_then(|s| expand(s, &Params { positional: Vec::new() }));
        let t1 = t.elapsed();
        let r = r.and_then(|s| resolve(s, &cx)).and_then(|r| check(r, &cx));
        let t2 = t.elapsed() - t1;
        match r {
            Ok(c) => { println!("{i}\tok\t{}\t{t1:?}\t{t2:?}", c.warnings.iter().map(|d| d.code).collect::<Vec<_>>().join(","));
                if verbose { println!("{}", dump::hir::program(&c.program)); } }
            Err(e) => { println!("{i}\t{}\t{}", e[0].code, e[0].message);
                if verbose { println!("{}", render::text(&e, &sources, false)); } }
        }
    }
}
