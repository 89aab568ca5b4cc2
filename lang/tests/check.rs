//! Scripts to typed programs: what `-d hir` shows of them, and the codes of their mistakes.

mod machine;

use machine::Machine;
use rbtrace_lang::check::{Checked, check};
use rbtrace_lang::diag::Diagnostic;
use rbtrace_lang::expand::{Params, expand};
use rbtrace_lang::parse::parse;
use rbtrace_lang::resolve::{Context, Options, resolve};
use rbtrace_lang::span::Sources;
use rbtrace_lang::{dump, render};
use rbtrace_probes_ebpf::profile::TargetProfile;

fn compile_with(
    script: &str,
    machine: &Machine,
    options: &Options,
) -> Result<Checked, (Vec<Diagnostic>, String)> {
    let mut sources = Sources::default();
    let file = sources.add("test", script);
    let cx = Context {
        catalog: machine,
        types: machine,
        profile: &TargetProfile::REFERENCE,
        options,
        known_maps: &[],
    };
    parse(&sources, file)
        .and_then(|script| expand(script, &Params { positional: Vec::new() }))
        .and_then(|script| resolve(script, &cx))
        .and_then(|resolved| check(resolved, &cx))
        .map_err(|errors| {
            let text = render::text(&errors, &sources, false);
            (errors, text)
        })
}

fn compile(script: &str) -> Result<Checked, (Vec<Diagnostic>, String)> {
    compile_with(script, &Machine::default(), &Options::default())
}

/// The dump of a script that must be right.
#[track_caller]
fn hir(script: &str) -> String {
    match compile(script) {
        Ok(checked) => dump::hir::program(&checked.program),
        Err((_, text)) => panic!("{script}\n{text}"),
    }
}

#[test]
fn show() {
    let Ok(script) = std::env::var("SCRIPT") else { return };
    match compile(&script) {
        Ok(checked) => {
            println!("{}", dump::hir::program(&checked.program));
            println!("{:?}", checked.warnings.iter().map(|d| &d.message).collect::<Vec<_>>());
        }
        Err((_, text)) => println!("{text}"),
    }
}
