//! Names, types and limits: from a resolved script to [`hir::Program`].
//!
//! Types are found by going over the whole script again and again: each pass types and builds
//! every expression with what is known of maps and variables so far, and what it learns (first
//! assignments, wider ones) counts for the next. When a pass learns nothing, what it built is
//! the program. What is not known yet in a pass is skipped (`Stop::Unknown`); if it is
//! still unknown when nothing more can be learnt, that is an error.
//!
//! | file        | part                                                            |
//! |-------------|-----------------------------------------------------------------|
//! | `scopes`    | variables: scopes, unique names                                 |
//! | `fold`      | arithmetic on literals                                          |
//! | `instance`  | copies of a block for attach points that differ in their types  |
//! | `types`     | how types join and fit                                          |
//! | `convert`   | implicit conversions                                            |
//! | `maps`      | the table of maps: keys, values, declarations                   |
//! | `expr`, `ops`, `cast`, `access`, `address` | expressions                      |
//! | `args`      | parameters of functions                                         |
//! | `records`   | structs, unions and enums, from where they are declared         |
//! | `stmt`, `assign`, `aggregate`   | statements                                  |
//! | `verdict`   | what a block returns                                            |
//! | `inet`      | addresses, which are written as text                            |
//! | `packet`    | headers and fields of packets, predicates on them               |
//! | `payload`   | what follows the last header                                    |
//! | `pinned`    | iterators that run without rbtrace                              |
//! | `comptime`  | what is known of types when the script is compiled              |
//! | `builtins`  | table of builtins                                               |
//! | `place`     | which kinds of probes have them                                 |
//! | `functions` | table of functions, a file a family                             |
//! | `constants` | macros of C, named integers                                     |

mod access;
mod address;
pub(crate) mod aggregate;
mod args;
mod assign;
pub(crate) mod builtins;
pub(crate) mod cast;
pub(crate) mod comptime;
mod constants;
mod convert;
mod expr;
mod fold;
pub(crate) mod functions;
mod inet;
mod instance;
pub(crate) mod maps;
mod ops;
mod packet;
mod payload;
mod pinned;
pub(crate) mod place;
mod records;
mod scopes;
mod series;
mod stmt;
mod types;
mod usdt;
mod value;
mod verdict;

use rbtrace_probes_ebpf::helpers::Helper;

use crate::c::{self, Declarations};
use crate::diag::{Diagnostic, Severity};
use crate::hir::{self, Program};
use crate::resolve::settings::{Settings, Stability};
use crate::resolve::{Context, Resolved};
use crate::span::Span;
use instance::Instance;
use maps::MapTable;
use records::CTypes;
use value::Value;

/// Passes after which types that still change are given up on. Each pass but the last widens
/// something, and nothing widens more than a few times.
const MOST_PASSES: u32 = 100;

/// A checked script.
#[derive(Debug)]
pub struct Checked {
    /// The typed program.
    pub program: Program,
    /// What is worth saying though the script runs.
    pub warnings: Vec<Diagnostic>,
}

/// Why an expression or statement gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Its type is not known yet.
    Unknown,
    /// It is wrong, which has been reported.
    Reported,
}

/// What an expression gave.
type Typed<T = Value> = Result<T, Stop>;

/// Types a script.
///
/// # Errors
///
/// All that is wrong with it; warnings come along.
pub fn check(resolved: Resolved, cx: &Context<'_>) -> Result<Checked, Vec<Diagnostic>> {
    let Resolved { definitions, mut declarations, mut blocks, settings, warnings: before } =
        resolved;
    let mut early = before;
    let c_declarations = c::parse(&definitions, cx.types, cx.profile, &mut early);
    let mut names = Vec::new();
    for declaration in &mut declarations {
        constants::replace_in_map(declaration, &c_declarations, cx.types, &mut early);
        constants::replace_names_in_map(declaration, &c_declarations, cx);
    }
    for block in &mut blocks {
        constants::replace(&mut block.probe, &c_declarations, cx.types, &mut early);
        fold::fold(&mut block.probe, &mut early);
        names.push(scopes::rename(&mut block.probe, &mut early));
    }
    let mut checker = Checker::new(cx, &settings, c_declarations);
    checker.maps.declare(declarations, &mut early);
    let mut instances = Vec::new();
    for (block, names) in blocks.iter_mut().zip(&names) {
        usdt::split(block, cx);
        instance::split(block, names, &mut checker, &mut instances);
    }
    checker.solve(&mut instances);

    let mut diagnostics = early;
    let error = |d: &Diagnostic| d.severity == Severity::Error;
    if !diagnostics.iter().chain(&checker.diagnostics).any(error) {
        checker.maps.report_unused(&mut checker.diagnostics);
    }
    for diagnostic in std::mem::take(&mut checker.diagnostics) {
        // A block that has copies says everything once a copy.
        if !diagnostics.contains(&diagnostic) {
            diagnostics.push(diagnostic);
        }
    }
    if diagnostics.iter().any(error) {
        diagnostics.sort_by_key(|d| !error(d));
        return Err(diagnostics);
    }
    let mut program = checker.program;
    program.maps = checker.maps.finish();
    program.blocks = instances.into_iter().filter_map(Instance::finish).collect();
    program.config = settings.run.clone();
    program.pid_namespace = cx.catalog.pid_namespace();
    program.helper_errors = cx.options.helper_errors;
    Ok(Checked { program, warnings: diagnostics })
}

pub(crate) use fold::int_literal;

/// Whether a name is that of a builtin or a function.
pub(crate) fn is_builtin(name: &str) -> bool {
    functions::exists(name) || builtins::exists(name)
}

/// An error about something that bpftrace has and rbtrace has not yet.
fn unsupported(span: Span, what: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error("unsupported", span, format!("{what}: not supported yet"))
}

/// What is known of the script, and where in it we are.
struct Checker<'a> {
    cx: &'a Context<'a>,
    settings: &'a Settings,
    /// C definitions.
    c: Declarations,
    /// Records, enums and probes; maps and blocks come at the end.
    program: Program,
    maps: MapTable,
    ctypes: CTypes,
    /// Of this pass.
    diagnostics: Vec<Diagnostic>,
    /// Something was learnt in this pass.
    changed: bool,
    /// Something was not known in this pass.
    unknown: bool,
    /// Nothing more can be learnt: what is unknown is an error.
    last: bool,
    /// The instance whose block is being checked.
    at: Instance,
    /// Loops around this place.
    loops: u32,
}

impl<'a> Checker<'a> {
    fn new(cx: &'a Context<'a>, settings: &'a Settings, c: Declarations) -> Self {
        Self {
            cx,
            settings,
            c,
            program: Program::default(),
            maps: MapTable::new(cx.known_maps, settings.max_map_keys),
            ctypes: CTypes::default(),
            diagnostics: Vec::new(),
            changed: false,
            unknown: false,
            last: false,
            at: Instance::default(),
            loops: 0,
        }
    }

    /// Goes over all blocks until nothing new is learnt.
    fn solve(&mut self, instances: &mut [Instance]) {
        for _ in 0..MOST_PASSES {
            self.pass(instances);
            if self.changed {
                continue;
            }
            if !self.unknown {
                return;
            }
            // Maps that nothing but `@x++` or a condition mentions hold numbers.
            if !self.maps.default_values() {
                break;
            }
        }
        self.last = true;
        self.pass(instances);
    }

    fn pass(&mut self, instances: &mut [Instance]) {
        self.diagnostics.clear();
        self.changed = false;
        self.unknown = false;
        for instance in instances {
            std::mem::swap(&mut self.at, instance);
            self.at.begin_pass();
            self.loops = 0;
            self.block_of_probe();
            std::mem::swap(&mut self.at, instance);
        }
    }

    /// Reports an error.
    fn error(&mut self, error: Diagnostic) -> Stop {
        self.diagnostics.push(error);
        Stop::Reported
    }

    /// Reports a warning.
    fn warn(&mut self, warning: Diagnostic) {
        self.diagnostics.push(warning);
    }

    /// Something is not known yet; `error` says what, if it stays so.
    fn unknown(&mut self, error: impl FnOnce() -> Diagnostic) -> Stop {
        self.unknown = true;
        if self.last {
            return self.error(error());
        }
        Stop::Unknown
    }

    /// An error, or a warning the first time, about a feature that may still change, as the settings
    /// say.
    fn unstable(&mut self, feature: &str, span: Span) -> Typed<()> {
        let setting = format!("unstable_{feature}");
        let message = format!("{feature} may still change");
        let diagnostic = match self.settings.stability(&setting) {
            Stability::Enable => return Ok(()),
            Stability::Warn => Diagnostic::warning("unstable-feature", span, message)
                .help(format!("write `{setting}=enable` in the config block if that is no matter")),
            Stability::Error => Diagnostic::error("unstable-feature", span, message)
                .note(format!("`{setting}` is set to `error`, so that it is not used")),
        };
        if diagnostic.severity == Severity::Error {
            return Err(self.error(diagnostic));
        }
        let told = |known: &Diagnostic| known.message == diagnostic.message;
        if !self.diagnostics.iter().any(told) {
            self.warn(diagnostic);
        }
        Ok(())
    }

    /// An error if the kernel is older than the helper that something needs.
    fn needs(&mut self, helper: &Helper, what: &str, span: Span) -> Typed<()> {
        let kernel = self.cx.profile.kernel;
        if kernel >= helper.since {
            return Ok(());
        }
        Err(self.error(
            Diagnostic::error("kernel-too-old", span, format!("Linux {kernel} cannot do {what}"))
                .note(format!("the first kernel that can is {}", helper.since)),
        ))
    }

    /// An error about something not built yet.
    fn unsupported(&mut self, span: Span, what: impl std::fmt::Display) -> Stop {
        self.error(unsupported(span, what))
    }

    /// Adds a record, or finds the same one.
    fn record(&mut self, record: hir::Record) -> hir::RecordId {
        let found = self.program.records.iter().position(|r| *r == record);
        let index = found.unwrap_or_else(|| {
            self.program.records.push(record);
            self.program.records.len() - 1
        });
        hir::RecordId(index as u32)
    }
}
