//! Typed program to eBPF ELF object. Pure: the same program and profile give the same bytes.
//!
//! | stage      | from                   | to                                        |
//! |------------|------------------------|-------------------------------------------|
//! | `lower`    | [`hir::Program`]       | [`clif::Unit`]: Cranelift IR and plan     |
//! | `optimize` | `ir::Function`         | the same, by Cranelift's mid-end          |
//! | `legalize` | `ir::Function`         | the same, in what eBPF has                |
//! | `select`   | `ir::Function`         | eBPF on virtual registers                 |
//! | `allocate` | virtual registers      | registers and stack slots, by regalloc2   |
//! | `emit`     | allocated code         | [`bpf::Code`]                             |
//! | `write`    | code and plan          | [`plan::Object`](rbtrace_probes_ebpf::plan::Object) |

mod allocate;
pub mod backend;
pub mod bpf;
mod btf;
pub mod carrier;
pub mod clif;
mod coalesce;
mod dump;
pub mod elf;
mod emit;
pub mod error;
mod frames;
pub mod legalize;
pub mod lower;
pub mod optimize;
mod select;
mod vcode;

pub use lower::StackUse;
use rbtrace_lang::hir;
use rbtrace_lang::span::Sources;
use rbtrace_probes_ebpf::plan::Object;
use rbtrace_probes_ebpf::profile::TargetProfile;

pub use error::Error;

/// A script on its way from IR to object: each step consumes the one before.
pub struct Lowered {
    unit: clif::Unit,
    source_name: String,
}

/// IR after the mid-end and legalization.
pub struct Optimized(Lowered);

/// Code for every function.
pub struct Selected {
    lowered: Lowered,
    code: bpf::Code,
}

/// Compiles a checked program.
///
/// # Errors
///
/// A stated limit of eBPF that the program exceeds, or an internal error.
pub fn compile(
    program: &hir::Program,
    sources: &Sources,
    profile: &TargetProfile,
) -> Result<Object, Error> {
    with_enough_stack(|stack| lower(program, sources, profile, stack)?.optimize()?.select())?
        .write()
}

/// What `compile` makes: again with hardly anything of its own on the stack, if the usual leaves too
/// little for what is spilled.
///
/// # Errors
///
/// Those of `compile`.
pub fn with_enough_stack<T>(
    mut compile: impl FnMut(StackUse) -> Result<T, Error>,
) -> Result<T, Error> {
    match compile(StackUse::Usual) {
        Err(Error::StackLimit { .. }) => compile(StackUse::Least),
        done => done,
    }
}

/// The first stage of [`compile`], for those who want to see the stages.
///
/// # Errors
///
/// As [`compile`].
pub fn lower(
    program: &hir::Program,
    sources: &Sources,
    profile: &TargetProfile,
    stack: StackUse,
) -> Result<Lowered, Error> {
    let unit = lower::lower(program, sources, profile, stack)?;
    let source_name = sources.get(0).map(|s| s.name.to_string()).unwrap_or_default();
    Ok(Lowered { unit, source_name })
}

impl Lowered {
    /// The IR as text, with the script's lines and names.
    pub fn dump(&self) -> String {
        dump::unit(&self.unit)
    }

    /// Runs Cranelift's mid-end and legalizes the result.
    ///
    /// # Errors
    ///
    /// An internal error.
    pub fn optimize(mut self) -> Result<Optimized, Error> {
        for function in &mut self.unit.functions {
            optimize::optimize(&mut function.ir)?;
            legalize::legalize(&mut function.ir)?;
        }
        Ok(Optimized(self))
    }
}

impl Optimized {
    /// The IR as text, with the script's lines and names.
    pub fn dump(&self) -> String {
        self.0.dump()
    }

    /// Selects instructions and allocates registers.
    ///
    /// # Errors
    ///
    /// A limit of eBPF: stack or program length; or an internal error.
    pub fn select(self) -> Result<Selected, Error> {
        let functions = self
            .0
            .unit
            .functions
            .iter()
            .map(|f| backend::compile_function(&f.ir, &f.name))
            .collect::<Result<_, _>>()?;
        let code = bpf::Code { functions };
        frames::check(&code)?;
        Ok(Selected { lowered: self.0, code })
    }
}

impl Selected {
    /// The code, by function.
    pub fn code(&self) -> &bpf::Code {
        &self.code
    }

    /// The code as a listing, with labels, names and the script's lines.
    pub fn dump(&self) -> String {
        dump::listing(&self.lowered.unit, &self.code)
    }

    /// Writes the object.
    ///
    /// # Errors
    ///
    /// See [`elf::Error`].
    pub fn write(self) -> Result<Object, Error> {
        let unit = self.lowered.unit;
        let functions: Vec<_> = unit
            .functions
            .iter()
            .zip(&self.code.functions)
            .map(|(function, code)| elf::FunctionInput {
                name: &function.name,
                role: role(function, &unit),
                code,
            })
            .collect();
        let elf = elf::write(&elf::Input {
            plan: &unit.plan,
            functions: &functions,
            rodata: &unit.rodata,
            bss_size: unit.bss_size,
            data: &unit.data,
            core_relocs: &unit.core_relocs,
            kfuncs: &unit.kfuncs,
            spans: &unit.spans,
            source_name: &self.lowered.source_name,
        })?;
        Ok(Object { elf, plan: unit.plan })
    }
}

fn role<'a>(function: &clif::Function, unit: &'a clif::Unit) -> elf::FunctionRole<'a> {
    let program = match function.role {
        clif::Role::Program(index) => unit.plan.programs.get(index as usize),
        clif::Role::Subprogram => None,
    };
    match program {
        Some(program) => {
            elf::FunctionRole::Program { section: &program.section, kind: program.kind }
        }
        None => elf::FunctionRole::Subprogram { params: function.ir.signature.params.len() as u8 },
    }
}
