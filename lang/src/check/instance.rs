//! Copies of a probe block: attach points share an eBPF program only if they are of one kind and
//! what the block reads of their records has the same types.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use rbtrace_probes_ebpf::kinds::{KindSpec, ProbeKind};
use rbtrace_probes_ebpf::packet::{Fact, Header};
use rbtrace_probes_ebpf::plan::{self, Target};

use crate::ast;
use crate::catalog::ctypes::Signature;
use crate::catalog::{Convention, TracepointFormat};
use crate::expand::visit::{self, VisitMut};
use crate::hir::{Local, LocalId, ProbeBlock, RecordId, Stmt, Type};
use crate::resolve::{Attachment, Block};
use crate::span::Span;

use super::builtins::argument_number;
use super::scopes::Variable;
use super::types::Ty;
use super::{Checker, args, usdt};

/// A probe block, or a copy of it for some of its attach points.
#[derive(Debug)]
pub(super) struct Instance {
    /// The block in the script.
    pub probe: Rc<ast::Probe>,
    /// Kind of all its attach points.
    pub kind: ProbeKind,
    /// Its attach points: index into the program's probes, and what is there.
    pub probes: Vec<(u32, plan::Probe)>,
    /// Record of the tracepoint, if it is one and the block asks for it.
    pub args: Option<RecordId>,
    /// Parameters of the function that it is on, if they are wanted and known.
    pub signature: Option<Rc<Signature>>,
    /// How that function gets them, if the block asks for any.
    pub convention: Convention,
    /// Variables by their unique names.
    pub slots: HashMap<String, LocalId>,
    /// Variables, those of the script first.
    pub locals: Vec<Slot>,
    /// How many of `locals` are the script's.
    pub named: usize,
    /// What it wants to know of the packet, and the variables for it.
    pub packet: Vec<(Fact, LocalId)>,
    /// Headers of which fields were read since this was last emptied.
    pub headers_read: BTreeSet<Header>,
    /// What the last pass built.
    pub built: Option<Built>,
}

/// A variable.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// Unique, without `$`.
    pub name: String,
    /// Its type as far as known.
    pub ty: Option<Ty>,
    /// The script declares the type, which cannot change.
    pub declared: bool,
    /// The script declares what kind of value it is, and not its size: `string`.
    pub unsized_kind: Option<Type>,
    /// What is assigned to it is wrong, which has been reported: its type is of no interest.
    pub wrong: bool,
    /// Where it got its type.
    pub span: Span,
    /// Its address is taken.
    pub addressed: bool,
}

/// What a pass built of a block.
#[derive(Debug)]
pub(super) struct Built {
    /// Headers of the packet without which the predicate does not hold.
    pub required: BTreeSet<Header>,
    /// The predicate, as a truth value.
    pub predicate: Option<crate::hir::Expr>,
    /// The action.
    pub body: Vec<Stmt>,
}

impl Default for Instance {
    /// One that stands for nothing, between blocks.
    fn default() -> Self {
        let body = ast::Block { stmts: Vec::new(), value: None, span: Span::default() };
        let probe = ast::Probe {
            name: None,
            attach_points: Vec::new(),
            predicate: None,
            body,
            span: Span::default(),
        };
        Self::new(Rc::new(probe), ProbeKind::Begin, &[])
    }
}

impl Instance {
    fn new(probe: Rc<ast::Probe>, kind: ProbeKind, names: &[Variable]) -> Self {
        let mut locals = Vec::new();
        let mut slots = HashMap::new();
        for variable in names {
            let name = variable.unique.clone();
            slots.insert(name.clone(), LocalId(locals.len() as u32));
            let (span, wrong) = (variable.span, variable.undefined);
            locals.push(Slot {
                name,
                ty: None,
                declared: false,
                unsized_kind: None,
                wrong,
                span,
                addressed: false,
            });
        }
        let named = locals.len();
        let probes = Vec::new();
        let (args, signature, convention) = (None, None, Convention::default());
        Self {
            probe,
            kind,
            probes,
            args,
            signature,
            convention,
            slots,
            locals,
            named,
            packet: Vec::new(),
            headers_read: BTreeSet::new(),
            built: None,
        }
    }

    /// What its kind is like.
    pub fn spec(&self) -> &'static KindSpec {
        self.kind.spec()
    }

    /// Forgets what the last pass made.
    pub fn begin_pass(&mut self) {
        self.locals.truncate(self.named);
        self.packet.clear();
        self.headers_read.clear();
        self.built = None;
    }

    /// Whether what it reads is at the same places for another probe of its kind.
    fn agrees(&self, probe: &plan::Probe) -> bool {
        self.probes.first().is_none_or(|(_, p)| usdt::agree(&p.target, &probe.target))
    }

    /// A new variable that the script does not know of.
    pub fn temporary(&mut self, ty: Type) -> LocalId {
        let id = LocalId(self.locals.len() as u32);
        let name = format!("tmp{}", self.locals.len() - self.named);
        let slot = Slot {
            name,
            ty: Some(Ty::fixed(ty)),
            declared: true,
            unsized_kind: None,
            wrong: false,
            span: Span::default(),
            addressed: false,
        };
        self.locals.push(slot);
        id
    }

    /// The block as the program has it.
    pub fn finish(self) -> Option<ProbeBlock> {
        let built = self.built?;
        let objects = match (self.kind, &self.signature) {
            (ProbeKind::Iter, Some(signature)) => args::objects(signature),
            _ => Vec::new(),
        };
        let locals = self.locals.into_iter().map(|slot| Local {
            name: format!("${}", slot.name),
            addressed: slot.addressed,
            // Without a type it is never read.
            ty: slot.ty.map_or(Type::I64, |t| t.ty),
        });
        Some(ProbeBlock {
            kind: self.kind,
            probes: self.probes.iter().map(|(index, _)| *index).collect(),
            objects,
            packet: self.packet,
            required: built.required.into_iter().collect(),
            locals: locals.collect(),
            predicate: built.predicate,
            body: built.body,
            span: self.probe.span,
        })
    }
}

/// Adds the copies that a block needs.
pub(super) fn split(
    block: &mut Block,
    names: &[Variable],
    checker: &mut Checker<'_>,
    into: &mut Vec<Instance>,
) {
    let wants_args = mentions(&mut block.probe, |name| name == "args");
    let wants_numbered = mentions(&mut block.probe, |name| argument_number(name).is_some());
    let wants_number = mentions(&mut block.probe, |name| matches!(name, "probe" | "func"));
    let probe = Rc::new(block.probe.clone());
    let first = into.len();
    // The format that the copies from `first` on have.
    let mut formats: Vec<Option<(TracepointFormat, bool)>> = Vec::new();
    for Attachment { kind, probe: point, .. } in &block.points {
        let index = checker.program.probes.len() as u32;
        checker.program.probes.push(point.clone());
        let format = if wants_args { format_of(&point.target, checker) } else { None };
        // What a block may do on these depends on it.
        let wants_signature = wants_args || matches!(kind, ProbeKind::Iter | ProbeKind::Lsm);
        let signature = wants_signature.then(|| args::signature_of(&point.target, checker));
        let signature = signature.flatten();
        let convention = match &point.target {
            Target::Uprobe(at) if wants_args || wants_numbered => checker.cx.catalog.convention(at),
            _ => Convention::default(),
        };
        // Without a cookie a program cannot tell which of its probes it runs for.
        let can_share = !kind.binds_at_load() && (!wants_number || kind.spec().has_cookie);
        let mut same = into.iter_mut().skip(first).zip(&formats);
        if let Some((instance, _)) = same.find(|(i, f)| {
            can_share
                && i.kind == *kind
                && **f == format
                && i.signature == signature
                && i.convention == convention
                && i.agrees(point)
        }) {
            instance.probes.push((index, point.clone()));
            continue;
        }
        let mut instance = Instance::new(probe.clone(), *kind, names);
        instance.probes.push((index, point.clone()));
        instance.signature = signature;
        instance.convention = convention;
        if let Some((format, syscall)) = &format {
            let record = checker.tracepoint_record(&point.name, format, *syscall);
            instance.args = Some(checker.record(record));
        }
        into.push(instance);
        formats.push(format);
    }
}

/// The record of a tracepoint, and whether it is one of a system call, whose pointers are of
/// user space.
fn format_of(target: &Target, checker: &Checker<'_>) -> Option<(TracepointFormat, bool)> {
    let Target::Tracepoint { category, name } = target else { return None };
    Some((checker.cx.types.tracepoint(category, name)?, category == "syscalls"))
}

/// Whether a block mentions a name of this kind.
pub(super) fn mentions(probe: &mut ast::Probe, wanted: impl Fn(&str) -> bool) -> bool {
    /// Looks for them.
    struct Search<'a> {
        wanted: &'a dyn Fn(&str) -> bool,
        found: bool,
    }
    impl VisitMut for Search<'_> {
        fn expr(&mut self, expr: &mut ast::Expr) {
            let name = match &expr.kind {
                ast::ExprKind::Ident(name) => name.as_str(),
                ast::ExprKind::Call { name, .. } => &name.name,
                _ => "",
            };
            self.found |= (self.wanted)(name);
            visit::expr(self, expr);
        }
    }
    let mut search = Search { wanted: &wanted, found: false };
    if let Some(predicate) = &mut probe.predicate {
        search.expr(predicate);
    }
    search.block(&mut probe.body);
    search.found
}
