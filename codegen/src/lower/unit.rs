//! The unit under construction: maps, actions, data and line spans that functions refer to.

use std::collections::HashMap;

use rbtrace_lang::hir::visit::any_stmt;
use rbtrace_lang::hir::{self, ProbeBlock, Stmt, StmtKind};
use rbtrace_lang::span::{LineColumn, Sources, Span};
use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{
    self, Action, Global, GlobalValue, Map, MapRole, Plan, Program, Target,
};
use rbtrace_probes_ebpf::profile::TargetProfile;
use rbtrace_probes_ebpf::record::Loss;
use rbtrace_probes_ebpf::types::{StackMode, Type};

use super::func::FnBuilder;
use super::mem::StackUse;
use super::own_maps::{OWN_PREFIX, OwnMap};
use super::scratch;
use super::types::{StackMaps, layout};
use crate::clif::{CoreReloc, DataVar, Function, LineSpan, Role, Unit};
use crate::error::Error;

/// Characters kept of a script's line, for listings and the kernel's log.
const LINE_CHARS: usize = 120;
/// Longest line that is quoted when a helper fails, in characters.
const LONG_EXCERPT: usize = 400;
/// Longest line, in bytes, whose instructions are told apart by column.
const LONG_LINE: usize = 4096;
/// Most bytes of the ring buffer.
const RING_MAX: u32 = 1 << 24;
/// Records of the largest kind that the ring buffer has room for, if that is not above its most.
const RING_RECORDS: u32 = 1 << 12;
/// Most bytes of a value in a per-CPU map (`PCPU_MIN_UNIT_SIZE` of linux/percpu.h).
const PER_CPU_VALUE: u32 = 32 << 10;

/// See the module.
pub(super) struct UnitBuilder<'a> {
    pub(super) program: &'a hir::Program,
    pub(super) profile: &'a TargetProfile,
    pub(super) stack: StackUse,
    sources: &'a Sources,
    unit: Unit,
    own_maps: HashMap<OwnMap, u32>,
    /// Which map the program at hand has its scratch memory in.
    pub(super) scratch: OwnMap,
    /// Number of callbacks named in the program at hand.
    callbacks: u32,
    strings: HashMap<Vec<u8>, u32>,
    /// Index of a line's span by file, line and column.
    spans: HashMap<(u32, u32, u32), u32>,
    globals: HashMap<&'static str, u32>,
    /// For each block whether it may call `exit()` and run again before user space has ended.
    heeding_exit: Vec<bool>,
    /// For each block whether another one may have to decide where it does not.
    passing_on: Vec<bool>,
}

/// How far a unit has grown, to go back to.
pub(super) struct Mark {
    actions: usize,
    functions: usize,
}

impl<'a> UnitBuilder<'a> {
    pub(super) fn new(
        program: &'a hir::Program,
        sources: &'a Sources,
        profile: &'a TargetProfile,
        stack: StackUse,
    ) -> Self {
        let plan = Plan {
            version: plan::VERSION,
            compiler: env!("CARGO_PKG_VERSION").into(),
            target: profile.clone(),
            maps: Vec::new(),
            programs: Vec::new(),
            probes: program.probes.clone(),
            actions: Vec::new(),
            config: program.config.clone(),
            globals: Vec::new(),
            losses: None,
        };
        let mut this = Self {
            program,
            profile,
            stack,
            sources,
            unit: Unit {
                functions: Vec::new(),
                plan,
                rodata: Vec::new(),
                bss_size: 0,
                data: Vec::new(),
                core_relocs: Vec::new(),
                kfuncs: Vec::new(),
                spans: Vec::new(),
            },
            own_maps: HashMap::new(),
            scratch: OwnMap::Scratch,
            callbacks: 0,
            strings: HashMap::new(),
            spans: HashMap::new(),
            globals: HashMap::new(),
            heeding_exit: program.blocks.iter().map(may_exit_again).collect(),
            passing_on: passing_on(program),
        };
        for map in &program.maps {
            this.script_map(map);
        }
        // Layouts may add maps, and those of the script come first.
        for (index, map) in program.maps.iter().enumerate() {
            let (key, value) = (this.layout(&map.key), this.layout(&map.value));
            if let Some(known) = this.unit.plan.maps.get_mut(index) {
                (known.key, known.value) = (key, value);
            }
        }
        this
    }

    fn script_map(&mut self, map: &hir::Map) {
        let symbol = self.map_symbol(map.name.trim_start_matches('@'));
        self.unit.plan.maps.push(Map {
            name: map.name.clone(),
            symbol,
            role: MapRole::Script,
            kind: map.kind,
            key: Type::Void,
            value: Type::Void,
            max_entries: map.max_entries,
        });
    }

    /// A map of the script, as the plan has it.
    pub(super) fn map(&self, id: hir::MapId) -> &Map {
        // Maps of the script come first, in the program's order.
        &self.unit.plan.maps[id.index()]
    }

    /// A symbol for a map: its name, altered where that is empty, rbtrace's own or taken.
    fn map_symbol(&self, name: &str) -> String {
        let mut symbol = match name {
            "" => "anonymous".to_owned(),
            name if name.starts_with(OWN_PREFIX) => format!("script_{name}"),
            name => name.to_owned(),
        };
        while self.unit.plan.maps.iter().any(|m| m.symbol == symbol) {
            symbol.push('_');
        }
        symbol
    }

    /// Compiles one block; functions that it needs besides are appended after all programs.
    pub(super) fn program(&mut self, index: u32, block: &'a ProbeBlock) -> Result<(), Error> {
        let symbol = self.program_symbol(index, block);
        let line = self.sources.line_column(block.span).line;
        self.unit.plan.programs.push(Program {
            section: section(block, &self.unit.plan.probes),
            symbol: symbol.clone(),
            kind: block.kind,
            probes: block.probes.clone(),
            uses_cookie: false,
            passes_on: self.passes_on(index),
            line,
        });
        let mark =
            Mark { actions: self.unit.plan.actions.len(), functions: self.unit.functions.len() };
        self.callbacks = 0;
        self.scratch = OwnMap::Scratch;
        let mut done = FnBuilder::build(self, index, &symbol, block, false)?;
        if done.wants_scratch {
            if done.scratch_bytes > PER_CPU_VALUE {
                self.scratch = OwnMap::LargeScratch;
            }
            self.unit.plan.actions.truncate(mark.actions);
            self.unit.functions.truncate(mark.functions);
            self.callbacks = 0;
            done = FnBuilder::build(self, index, &symbol, block, true)?;
        }
        if let Some(program) = self.unit.plan.programs.last_mut() {
            program.uses_cookie = done.uses_cookie;
        }
        if done.scratch_bytes > 0 {
            self.grow_scratch(done.scratch_bytes);
        }
        self.unit.functions.push(Function {
            name: symbol,
            role: Role::Program(index),
            ir: done.ir,
        });
        Ok(())
    }

    fn program_symbol(&self, index: u32, block: &ProbeBlock) -> String {
        let name = block
            .probes
            .first()
            .and_then(|&p| self.unit.plan.probes.get(p as usize))
            .map_or(block.kind.spec().name, |p| p.name.as_str());
        let mut symbol: String = name
            .chars()
            .take(100)
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        symbol.push_str(&format!("_{}", index + 1));
        symbol
    }

    /// The unit; programs come first, so that a program's function has the program's index.
    pub(super) fn finish(mut self) -> Unit {
        let entries = scratch::entries_of(&self.program.blocks);
        for own in [OwnMap::Scratch, OwnMap::LargeScratch] {
            if let Some(&map) = self.own_maps.get(&own) {
                self.unit.plan.maps[map as usize].max_entries = entries.max(1);
            }
        }
        if let Some(&map) = self.own_maps.get(&OwnMap::Next) {
            self.unit.plan.maps[map as usize].max_entries = self.program.blocks.len() as u32;
        }
        self.unit.functions.sort_by_key(|f| match f.role {
            Role::Program(index) => index,
            Role::Subprogram => u32::MAX,
        });
        self.unit
    }

    pub(super) fn layout(&mut self, ty: &hir::Type) -> Type {
        let mut modes = Vec::new();
        stack_modes(ty, &mut modes);
        let mut stacks = StackMaps::default();
        for mode in modes {
            let map = self.own_map(OwnMap::stacks(mode));
            *stacks.of(mode) = map;
        }
        layout(self.program, stacks, ty)
    }

    /// Index in the plan of a map of rbtrace's own, made when first asked for.
    pub(super) fn own_map(&mut self, own: OwnMap) -> u32 {
        if let Some(&index) = self.own_maps.get(&own) {
            return index;
        }
        let index = self.unit.plan.maps.len() as u32;
        self.unit.plan.maps.push(own.define(self.profile));
        self.own_maps.insert(own, index);
        index
    }

    fn grow_scratch(&mut self, bytes: u32) {
        let map = self.own_map(self.scratch) as usize;
        let words = bytes.div_ceil(8);
        if let Type::Array { len, .. } = &mut self.unit.plan.maps[map].value {
            *len = words.max(*len);
        }
    }

    /// Makes the ring buffer large enough for many records of this size.
    pub(super) fn grow_ring(&mut self, record: u32) {
        let ring = self.own_map(OwnMap::Ring) as usize;
        let wanted = record.saturating_mul(RING_RECORDS).min(RING_MAX).next_power_of_two();
        let entries = &mut self.unit.plan.maps[ring].max_entries;
        *entries = wanted.max(*entries);
    }

    /// Adds an action and returns its index, which records carry.
    pub(super) fn action(&mut self, action: Action) -> u32 {
        self.unit.plan.actions.push(action);
        self.unit.plan.actions.len() as u32 - 1
    }

    /// Appends a function that programs refer to by the returned index.
    pub(super) fn add_function(&mut self, function: Function) -> u32 {
        let index = self.subprograms().count() as u32;
        self.unit.functions.push(function);
        // Programs of this unit are moved to the front at the end.
        self.program.blocks.len() as u32 + index
    }

    /// Index of the function of this name, made if there is none yet.
    pub(super) fn shared_function(
        &mut self,
        name: &str,
        make: impl FnOnce(&str) -> Function,
    ) -> u32 {
        match self.function_named(name) {
            Some(index) => index,
            None => self.add_function(make(name)),
        }
    }

    /// Index of the function of this name.
    pub(super) fn function_named(&self, name: &str) -> Option<u32> {
        let index = self.subprograms().position(|f| f.name == name)?;
        Some(self.program.blocks.len() as u32 + index as u32)
    }

    /// A name for a callback of a program that no other has.
    pub(super) fn callback_name(&mut self, program: u32) -> String {
        self.callbacks += 1;
        format!("loop_{}_{}", program + 1, self.callbacks)
    }

    fn subprograms(&self) -> impl Iterator<Item = &Function> {
        self.unit.functions.iter().filter(|f| f.role == Role::Subprogram)
    }

    /// Place in `.rodata` of these bytes, on an eight-byte boundary and padded with zeros to one.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> u32 {
        if let Some(&offset) = self.strings.get(bytes) {
            return offset;
        }
        let offset = self.unit.rodata.len() as u32;
        self.unit.rodata.extend_from_slice(bytes);
        let padded = self.unit.rodata.len().next_multiple_of(8);
        self.unit.rodata.resize(padded, 0);
        self.strings.insert(bytes.to_vec(), offset);
        offset
    }

    /// Place in `.bss` of the variable that user space sets to `value`.
    pub(super) fn global(&mut self, value: GlobalValue) -> u32 {
        let name = match value {
            GlobalValue::StartTime => "start_time",
            GlobalValue::TaiOffset => "tai_offset",
            GlobalValue::PossibleCpus => "possible_cpus",
        };
        let (offset, new) = self.bss(name, 8);
        if new {
            self.unit.plan.globals.push(Global { value, offset });
        }
        offset
    }

    /// Whether a block's program calls the next one of its hook where it decides nothing.
    pub(super) fn passes_on(&self, index: u32) -> bool {
        self.passing_on.get(index as usize) == Some(&true)
    }

    /// Whether a block stops running once user space has been told to end.
    pub(super) fn heeds_exit(&self, index: u32) -> bool {
        self.heeding_exit.get(index as usize) == Some(&true)
    }

    /// Whether any block does.
    pub(super) fn exit_is_heeded(&self) -> bool {
        self.heeding_exit.contains(&true)
    }

    /// Place in `.bss` of a program's counter of losses of this kind.
    pub(super) fn loss_counter(&mut self, program: u32, loss: Loss) -> u32 {
        let programs = self.program.blocks.len() as u32;
        let (offset, _) = self.bss("losses", programs * Loss::ENTRY_SIZE);
        self.unit.plan.losses = Some(offset);
        offset + program * Loss::ENTRY_SIZE + loss.offset()
    }

    /// Place in `.bss` of a word that is not 0 once user space has been told of something.
    pub(super) fn told(&mut self, name: &'static str) -> u32 {
        self.bss(name, 8).0
    }

    /// Index of a CO-RE relocation.
    pub(super) fn core_reloc(&mut self, reloc: CoreReloc) -> u32 {
        let all = &mut self.unit.core_relocs;
        let index = all.iter().position(|known| *known == reloc).unwrap_or_else(|| {
            all.push(reloc);
            all.len() - 1
        });
        index as u32
    }

    /// Place in `.bss` of `size` zero bytes that nobody writes.
    pub(super) fn zeros(&mut self, size: u32) -> u32 {
        // One name for each size class keeps earlier offsets valid.
        let name = match size {
            0..=1024 => "zeros",
            1025..=16384 => "zeros_16k",
            _ => "zeros_large",
        };
        let bytes = match size {
            0..=1024 => 1024,
            1025..=16384 => 16384,
            _ => 1 << 17,
        };
        self.bss(name, bytes).0
    }

    fn bss(&mut self, name: &'static str, size: u32) -> (u32, bool) {
        if let Some(&offset) = self.globals.get(name) {
            return (offset, false);
        }
        let offset = self.unit.bss_size;
        self.unit.bss_size += size;
        self.unit.data.push(DataVar { name: name.into(), offset, size });
        self.globals.insert(name, offset);
        (offset, true)
    }

    /// Index of the line on which a span begins.
    pub(super) fn line(&mut self, span: Span) -> u32 {
        // What a macro became is on the line of its call.
        let span = self.sources.calls(span).last().map_or(span, |expansion| expansion.call);
        // Looking for the column in a very long line, once a statement, would take too long.
        let text = self.sources.line_text(span);
        let at = match text.len() {
            0..=LONG_LINE => self.sources.line_column(span),
            _ => LineColumn { line: self.sources.line(span), column: 1 },
        };
        let place = (span.file, at.line, at.column);
        if let Some(&index) = self.spans.get(&place) {
            return index;
        }
        let index = self.unit.spans.len() as u32;
        self.unit.spans.push(LineSpan {
            line: at.line,
            column: at.column,
            text: text.trim_start().chars().take(LINE_CHARS).collect::<String>().trim().to_owned(),
        });
        self.spans.insert(place, index);
        index
    }

    /// The line that a span begins on, and the columns of the span in it, the last exclusive. Long
    /// lines are left out.
    pub(super) fn excerpt(&self, span: Span) -> (String, (u32, u32)) {
        let text = self.sources.line_text(span);
        let start = self.sources.line_column(span);
        let end = self.sources.line_column(Span { start: span.end, end: span.end, ..span });
        let behind = if end.line == start.line { end.column } else { start.column + 1 };
        let text = if text.chars().count() > LONG_EXCERPT { "" } else { text };
        (text.to_owned(), (start.column, behind))
    }

    /// `file:line:first-last` of a span, as bpftrace writes places.
    pub(super) fn location(&self, span: Span) -> String {
        let start = self.sources.line_column(span);
        let end = self.sources.line_column(Span { start: span.end, end: span.end, ..span });
        let name = self.sources.get(span.file).map_or("", |s| &*s.name);
        if start.line == end.line {
            format!("{name}:{}:{}-{}", start.line, start.column, end.column)
        } else {
            format!("{name}:{}-{}", start.line, end.line)
        }
    }
}

/// The modes of the stacks in a type.
fn stack_modes(ty: &hir::Type, modes: &mut Vec<StackMode>) {
    match ty {
        hir::Type::KStack(stack) | hir::Type::UStack(stack) => modes.push(stack.mode),
        hir::Type::Tuple(members) => members.iter().for_each(|(_, t)| stack_modes(t, modes)),
        hir::Type::Array { elem, .. } => stack_modes(elem, modes),
        _ => {}
    }
}

/// Whether a block may call `exit()` and run again before user space has ended, which it does once
/// iterators have come to their end.
fn may_exit_again(block: &ProbeBlock) -> bool {
    let ends_by_itself = block.kind.is_run() || block.kind == ProbeKind::Iter;
    let mut is_exit = |stmt: &Stmt| matches!(stmt.kind, StmtKind::Action(hir::Action::Exit(_)));
    !ends_by_itself && any_stmt(&block.body, &mut is_exit)
}

/// For each block whether a later one may be on one of its hooks, where programs have to call each other.
fn passing_on(program: &hir::Program) -> Vec<bool> {
    let target = |probe: &u32| program.probes.get(*probe as usize).map(|probe| &probe.target);
    let meets = |block: &ProbeBlock, later: &ProbeBlock| {
        block.probes.iter().filter_map(target).any(|one| {
            later.probes.iter().filter_map(target).any(|other| one.may_share_hook(other))
        })
    };
    let passes_on = |(index, block): (usize, &ProbeBlock)| {
        let later = program.blocks.get(index + 1..).unwrap_or_default();
        let mut later = later.iter().filter(|later| later.kind == block.kind);
        block.kind.calls_next() && later.any(|later| meets(block, later))
    };
    program.blocks.iter().enumerate().map(passes_on).collect()
}

/// The ELF section of a program, by libbpf's conventions.
fn section(block: &ProbeBlock, probes: &[plan::Probe]) -> String {
    let prefix = block.kind.spec().section;
    let target = block.probes.first().and_then(|&p| probes.get(p as usize)).map(|p| &p.target);
    match (block.kind, target) {
        (_, Some(Target::Kprobe(f) | Target::Kretprobe(f))) if !f.function.is_empty() => {
            if f.offset == 0 {
                format!("{prefix}/{}", f.function)
            } else {
                format!("{prefix}/{}+{:#x}", f.function, f.offset)
            }
        }
        (_, Some(Target::Fentry(f) | Target::Fexit(f))) => format!("{prefix}/{}", f.function),
        (_, Some(Target::ProgramEntry(f) | Target::ProgramExit(f))) => {
            format!("{prefix}/{}", f.function)
        }
        (
            _,
            Some(
                Target::Iter { object: name, .. }
                | Target::Lsm { hook: name }
                | Target::RawTracepoint { name, .. },
            ),
        ) => format!("{prefix}/{name}"),
        (_, Some(Target::Usdt(p))) => format!("{prefix}/{}:{}:{}", p.binary, p.provider, p.name),
        (_, Some(Target::Tracepoint { category, name })) => format!("{prefix}/{category}/{name}"),
        (_, Some(Target::Uprobe(f) | Target::Uretprobe(f))) => match &f.symbol {
            Some(symbol) if f.offset == 0 => format!("{prefix}/{}:{symbol}", f.binary),
            Some(symbol) => format!("{prefix}/{}:{symbol}+{:#x}", f.binary, f.offset),
            None => format!("{prefix}/{}:{:#x}", f.binary, f.offset),
        },
        (ProbeKind::Begin | ProbeKind::End, _) => prefix.to_owned(),
        _ => prefix.to_owned(),
    }
}
