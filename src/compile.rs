//! From a script's text to an object, and what each stage made on the way.

use std::collections::HashMap;

use rbtrace_codegen::{self as codegen, StackUse};
use rbtrace_lang::diag::Diagnostic;
use rbtrace_lang::expand::{Expanded, Params, ScriptOption, expand};
use rbtrace_lang::resolve::{self, Options, Resolved};
use rbtrace_lang::span::{Sources, Span};
use rbtrace_lang::{check, dump, hir, parse};
use rbtrace_probes_ebpf::plan::Object;
use rbtrace_probes_ebpf::profile::TargetProfile;

use crate::catalog::Machine;
use crate::cli::Stage;
use crate::panic;

/// What a script is compiled with.
pub struct Setting<'a> {
    /// Probes and types.
    pub machine: &'a Machine,
    /// The kernel that will run it.
    pub profile: &'a TargetProfile,
    /// What the user allows and sets.
    pub options: &'a Options,
    /// `$1` and so on.
    pub params: &'a Params,
    /// Maps that exist already, at a prompt.
    pub known_maps: &'a [hir::Map],
}

/// A compiled script.
pub struct Compiled {
    /// The object.
    pub object: Object,
    /// The script's maps.
    pub maps: Vec<hir::Map>,
    /// What is worth saying though the script runs.
    pub warnings: Vec<Diagnostic>,
    /// Where in the script each probe comes from.
    pub points: Points,
}

/// Full names of probes, and the attach points of the script that they come from.
#[derive(Clone, Debug, Default)]
pub struct Points(HashMap<String, Span>);

impl Points {
    fn of(resolved: &Resolved) -> Self {
        let points = resolved.blocks.iter().flat_map(|block| &block.points);
        let mut all = HashMap::new();
        for point in points {
            // Of several blocks on one probe the first stands.
            all.entry(point.probe.name.clone()).or_insert(point.span);
        }
        Self(all)
    }

    /// The attach point that a probe comes from.
    pub fn get(&self, probe: &str) -> Option<Span> {
        self.0.get(probe).copied()
    }
}

/// Why there is no object.
#[derive(Debug)]
pub enum Failure {
    /// The script is wrong.
    Script(Vec<Diagnostic>),
    /// It exceeds a limit of eBPF, or rbtrace is wrong.
    Codegen(codegen::Error),
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Failure::Script(diagnostics)
    }
}

impl From<codegen::Error> for Failure {
    fn from(error: codegen::Error) -> Self {
        Failure::Codegen(error)
    }
}

/// Takes what a stage made, as text; it is made only if asked for.
pub type Observer<'a> = &'a mut dyn FnMut(Stage, &dyn Fn() -> String);

/// Watches nothing.
pub fn unobserved(_: Stage, _: &dyn Fn() -> String) {}

/// Finds what the attach points of a script name.
pub fn resolve(
    sources: &mut Sources,
    file: u32,
    setting: &Setting<'_>,
    observe: Observer<'_>,
) -> Result<Resolved, Failure> {
    panic::stage("parsing the script");
    let mut script = parse::parse(sources, file)?;
    observe(Stage::Ast, &|| dump::ast::script(&script));
    script.definitions.splice(0..0, setting.machine.headers().first(file));
    panic::stage("expanding parameters and macros");
    let Expanded { script, .. } = expand(script, sources, setting.machine, setting.params)?;
    observe(Stage::Expand, &|| dump::ast::script(&script));
    panic::stage("finding probes");
    Ok(resolve::resolve(script, &setting.context())?)
}

/// The named parameters that a script takes.
pub fn options(
    sources: &mut Sources,
    file: u32,
    machine: &Machine,
) -> Result<Vec<ScriptOption>, Failure> {
    let script = parse::parse(sources, file)?;
    Ok(expand(script, sources, machine, &Params::default())?.options)
}

/// Compiles a script.
pub fn compile(
    sources: &mut Sources,
    file: u32,
    setting: &Setting<'_>,
    observe: Observer<'_>,
) -> Result<Compiled, Failure> {
    let resolved = resolve(sources, file, setting, observe)?;
    let points = Points::of(&resolved);
    panic::stage("checking types");
    let check::Checked { program, warnings } = check::check(resolved, &setting.context())?;
    observe(Stage::Hir, &|| dump::hir::program(&program));
    let selected = codegen::with_enough_stack(|stack| {
        select(&program, sources, setting.profile, stack, observe)
    })?;
    observe(Stage::Bpf, &|| selected.dump());
    panic::stage("writing the object");
    let object = selected.write()?;
    observe(Stage::Elf, &|| {
        codegen::elf::dump::dump(&object.elf).unwrap_or_else(|error| error.to_string())
    });
    Ok(Compiled { object, maps: program.maps, warnings, points })
}

/// From the typed program to eBPF.
fn select(
    program: &hir::Program,
    sources: &Sources,
    profile: &TargetProfile,
    stack: StackUse,
    observe: Observer<'_>,
) -> Result<codegen::Selected, codegen::Error> {
    panic::stage("lowering to Cranelift IR");
    let lowered = codegen::lower(program, sources, profile, stack)?;
    observe(Stage::Clif, &|| lowered.dump());
    panic::stage("optimizing");
    let optimized = lowered.optimize()?;
    observe(Stage::ClifOpt, &|| optimized.dump());
    panic::stage("selecting eBPF instructions");
    optimized.select()
}

impl Setting<'_> {
    fn context(&self) -> resolve::Context<'_> {
        resolve::Context {
            catalog: self.machine,
            types: self.machine,
            profile: self.profile,
            options: self.options,
            known_maps: self.known_maps,
        }
    }
}

/// The variables that settings may come from.
pub fn environment() -> Vec<(String, String)> {
    let is_ours = |name: &str| name.starts_with("BPFTRACE_") || name.starts_with("RBTRACE_");
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| is_ours(name))
        .collect()
}
