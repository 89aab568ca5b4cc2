//! Attach points: what the script names to what the machine has.
//!
//! One file a family of probe kinds turns the parts of an attach point into targets; wildcards
//! are expanded by asking the [`Catalog`].

mod begin_end;
mod cgroup_skb;
mod counter;
mod fentry;
mod interface;
mod iter;
mod kprobe;
mod lsm;
mod own;
mod point;
mod rawtracepoint;
pub mod settings;
mod socket;
mod source_line;
mod tc;
mod timer;
mod tracepoint;
mod uprobe;
mod usdt;
mod watchpoint;
mod xdp;

use std::collections::HashSet;

use rbtrace_probes_ebpf::glob;
use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{self, MissingProbes};
use rbtrace_probes_ebpf::profile::TargetProfile;

use crate::ast;
use crate::catalog::{Catalog, TypeSource};
use crate::diag::{Diagnostic, Severity};
use crate::hir;
use crate::span::Span;
use point::Point;
pub(crate) use point::number;
use settings::Settings;

/// Everything outside the script that `resolve` and `check` need.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What can be probed.
    pub catalog: &'a dyn Catalog,
    /// Types outside the script.
    pub types: &'a dyn TypeSource,
    /// The kernel that the script is compiled for.
    pub profile: &'a TargetProfile,
    /// What the user allows and sets.
    pub options: &'a Options,
    /// Maps that exist already, with their types: those of a session.
    pub known_maps: &'a [hir::Map],
}

/// What the user allows and sets outside the script.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--unsafe`: `system`, probes by address.
    pub allow_unsafe: bool,
    /// `BPFTRACE_*` and `RBTRACE_*` variables of the environment; they override the config block.
    pub environment: Vec<(String, String)>,
    /// Integers in maps take 8 bytes and texts at least [`SESSION_TEXT`], so that what comes later
    /// in a session can be stored as well.
    pub roomy_maps: bool,
    /// `-k`: failures of the kernel's helpers are reported.
    pub helper_errors: bool,
}

/// Bytes of a text in a map of a session.
pub const SESSION_TEXT: u32 = 64;

/// A script whose attach points are known.
#[derive(Debug)]
pub struct Resolved {
    /// C definitions and preprocessor lines.
    pub definitions: Vec<ast::CDefinition>,
    /// Map declarations.
    pub declarations: Vec<ast::MapDecl>,
    /// Probe blocks in order, those without any attach point left out.
    pub blocks: Vec<Block>,
    /// Settings, environment included.
    pub settings: Settings,
    /// What is worth saying though the script runs.
    pub warnings: Vec<Diagnostic>,
}

/// A probe block with its attach points.
#[derive(Debug)]
pub struct Block {
    /// The block.
    pub probe: ast::Probe,
    /// At least one.
    pub points: Vec<Attachment>,
}

/// A place to attach to.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    /// Its kind.
    pub kind: ProbeKind,
    /// Name and target.
    pub probe: plan::Probe,
    /// The attach point in the script that it comes from.
    pub span: Span,
}

/// What an attach point expands to, or what is wrong with it.
type Expansion = Result<Vec<plan::Probe>, Failure>;

/// Why an attach point cannot be used.
#[derive(Debug)]
enum Failure {
    /// The script is wrong.
    Malformed(Diagnostic),
    /// The machine has no such thing; the setting `missing_probes` decides.
    Missing(Diagnostic),
}

/// Finds what every attach point of a script names.
///
/// # Errors
///
/// All that is wrong with the config block and the attach points.
pub fn resolve(script: ast::Script, cx: &Context<'_>) -> Result<Resolved, Vec<Diagnostic>> {
    let mut resolver = Resolver { cx, errors: Vec::new(), warnings: Vec::new() };
    let Resolver { errors, warnings, .. } = &mut resolver;
    let settings = settings::read(script.settings(), &cx.options.environment, errors, warnings);
    let mut resolved = Resolved {
        definitions: script.definitions,
        declarations: Vec::new(),
        blocks: Vec::new(),
        settings,
        warnings: Vec::new(),
    };
    for item in script.items {
        match item {
            ast::Item::Probe(probe) => {
                if let Some(block) = resolver.block(probe, &resolved.settings) {
                    resolved.blocks.push(block);
                }
            }
            ast::Item::MapDecl(declaration) => resolved.declarations.push(declaration),
            ast::Item::Function(function) => resolver.errors.push(Diagnostic::error(
                "unsupported",
                function.span,
                "functions: not supported yet",
            )),
            // Expanded where they are used.
            ast::Item::Macro(_) => {}
        }
    }
    resolver.check_count(&resolved);
    resolver.errors.extend(own::duplicates(&resolved.blocks));
    if !resolver.errors.is_empty() {
        return Err(resolver.errors);
    }
    resolved.warnings = resolver.warnings;
    resolved.warnings.extend(kprobe::bypassed(&resolved.blocks, cx));
    Ok(resolved)
}

struct Resolver<'a> {
    cx: &'a Context<'a>,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl Resolver<'_> {
    /// A block with its attach points; `None` if it has none left.
    fn block(&mut self, probe: ast::Probe, settings: &Settings) -> Option<Block> {
        let mut points = Vec::new();
        let mut unmatched = Vec::new();
        let before = self.errors.len();
        for written in &probe.attach_points {
            let Some(point) = Point::new(written) else { continue };
            self.attach_point(&point, settings, &mut points, &mut unmatched);
        }
        leave_out_repeated(&mut points);
        // One of several wildcards may match nothing; the block as a whole may not.
        let bearable = match settings.run.missing_probes {
            MissingProbes::Error if !points.is_empty() => MissingProbes::Warn,
            missing_probes => missing_probes,
        };
        unmatched.into_iter().for_each(|error| self.missing(error, bearable));
        if let (Some(name), [only]) = (&probe.name, points.as_mut_slice()) {
            only.probe.name.clone_from(&name.name);
        }
        if points.is_empty() {
            if self.errors.len() == before && settings.run.missing_probes == MissingProbes::Error {
                self.errors.push(Diagnostic::error(
                    "no-attach-points",
                    probe.span,
                    "this block has no attach point",
                ));
            }
            return None;
        }
        Some(Block { probe, points })
    }

    /// Adds what an attach point expands to; wildcards that match nothing go to `unmatched`.
    fn attach_point(
        &mut self,
        point: &Point,
        settings: &Settings,
        into: &mut Vec<Attachment>,
        unmatched: &mut Vec<Diagnostic>,
    ) {
        let told = !point.kind_is_pattern() && settings.run.missing_probes != MissingProbes::Ignore;
        for kind in self.kinds(point) {
            let spelled = Point { kind: kind.spec().name.to_owned(), told, ..point.clone() };
            match self.expand(kind, &spelled) {
                Ok(probes) => into.extend(probes.into_iter().map(|probe| Attachment {
                    kind,
                    probe,
                    span: point.span,
                })),
                // `k*:f`: the kinds that have no such thing do not count.
                Err(_) if point.kind_is_pattern() => {}
                Err(Failure::Malformed(error)) => self.errors.push(error),
                Err(Failure::Missing(error)) if error.code == "no-match" => unmatched.push(error),
                Err(Failure::Missing(error)) => self.missing(error, settings.run.missing_probes),
            }
        }
    }

    /// Reports what the machine has not got as `missing_probes` says.
    fn missing(&mut self, error: Diagnostic, missing_probes: MissingProbes) {
        match missing_probes {
            MissingProbes::Error => self.errors.push(error.help_or(
                "to go on without it, set `missing_probes` to `warn` in the config block, \
                 or BPFTRACE_MISSING_PROBES in the environment",
            )),
            MissingProbes::Warn => {
                self.warnings.push(Diagnostic { severity: Severity::Warning, ..error });
            }
            MissingProbes::Ignore => {}
        }
    }

    /// The kinds that the first part of an attach point names.
    fn kinds(&mut self, point: &Point) -> Vec<ProbeKind> {
        if point.kind_is_pattern() {
            let kinds: Vec<_> = ProbeKind::ALL
                .into_iter()
                .filter(|kind| glob::matches(&point.kind, kind.spec().name))
                .collect();
            if kinds.is_empty() {
                self.errors.push(Diagnostic::error(
                    "unknown-probe-kind",
                    point.kind_span,
                    format!("no probe kind matches `{}`", point.kind),
                ));
            }
            return kinds;
        }
        if let Some(kind) = ProbeKind::from_name(&point.kind) {
            return vec![kind];
        }
        if let Some(name) = point::unsupported_kind(&point.kind) {
            self.errors.push(
                Diagnostic::error(
                    "unsupported-probe-kind",
                    point.kind_span,
                    format!("`{name}` probes are not supported yet"),
                )
                .help(format!("the kinds are {}", kind_list())),
            );
            return Vec::new();
        }
        let error = Diagnostic::error(
            "unknown-probe-kind",
            point.kind_span,
            format!("there is no probe kind `{}`", point.kind),
        )
        .note(format!("the kinds are {}", kind_list()));
        let names = ProbeKind::ALL.into_iter().map(|kind| kind.spec().name);
        self.errors.push(did_you_mean(error, &point.kind, names));
        Vec::new()
    }

    fn expand(&mut self, kind: ProbeKind, point: &Point) -> Expansion {
        match kind {
            ProbeKind::Begin | ProbeKind::End => begin_end::expand(kind, point),
            ProbeKind::Signal | ProbeKind::Test | ProbeKind::Bench => own::expand(kind, point),
            ProbeKind::Software | ProbeKind::Hardware => counter::expand(kind, point),
            ProbeKind::Watchpoint => watchpoint::expand(point, self.cx),
            ProbeKind::Interval | ProbeKind::Profile => timer::expand(kind, point),
            ProbeKind::Kprobe | ProbeKind::Kretprobe => kprobe::expand(kind, point, self.cx),
            ProbeKind::Tracepoint => tracepoint::expand(point, self.cx),
            ProbeKind::RawTracepoint => rawtracepoint::expand(point, self.cx),
            ProbeKind::Fentry | ProbeKind::Fexit => fentry::expand(kind, point, self.cx),
            ProbeKind::Iter => iter::expand(point, self.cx),
            ProbeKind::Lsm => lsm::expand(point, self.cx),
            ProbeKind::Usdt => usdt::expand(point, self.cx),
            ProbeKind::Uprobe | ProbeKind::Uretprobe => uprobe::expand(kind, point, self.cx),
            ProbeKind::Xdp => xdp::expand(point, self.cx),
            ProbeKind::Tc => tc::expand(point, self.cx),
            ProbeKind::Socket => socket::expand(point, self.cx),
            ProbeKind::CgroupSkb => cgroup_skb::expand(point),
        }
    }

    fn check_count(&mut self, resolved: &Resolved) {
        let count: usize = resolved.blocks.iter().map(|block| block.points.len()).sum();
        let limit = resolved.settings.max_probes;
        if count as u64 <= limit {
            return;
        }
        let largest = resolved.blocks.iter().max_by_key(|block| block.points.len());
        let span =
            largest.and_then(|block| block.points.first()).map_or(Span::default(), |p| p.span);
        self.errors.push(
            Diagnostic::error(
                "too-many-probes",
                span,
                format!("the script attaches to {count} places, more than the limit of {limit}"),
            )
            .help(
                "narrow the wildcards, or raise `max_probes` in the config block \
                 or BPFTRACE_MAX_PROBES in the environment",
            ),
        );
    }
}

/// A block sees a packet once on an interface, however often that is named.
fn leave_out_repeated(points: &mut Vec<Attachment>) {
    let mut seen = HashSet::new();
    points.retain(|at| !at.kind.is_about_packets() || seen.insert(at.probe.target.clone()));
}

fn kind_list() -> String {
    let names: Vec<_> = ProbeKind::ALL.into_iter().map(|kind| kind.spec().name).collect();
    names.join(", ")
}

impl Diagnostic {
    /// Says what to do, unless that is said already.
    fn help_or(mut self, help: &str) -> Self {
        self.help.get_or_insert_with(|| help.to_owned());
        self
    }
}

/// Adds the nearest of `candidates` to an error about an unknown `name`.
pub(crate) fn did_you_mean<'a>(
    error: Diagnostic,
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    match crate::diag::suggest::did_you_mean(name, candidates) {
        Some(help) => error.help(help),
        None => error,
    }
}
