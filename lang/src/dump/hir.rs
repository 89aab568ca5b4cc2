//! The typed program as text: maps and probes first, then each block with its variables, one
//! statement a line. Every conversion is visible as `(type)value`.

mod expr;

use std::fmt::Write as _;

use crate::hir::{Action, Aggregate, MapId, ProbeBlock, Program, SeqPiece, Stmt, StmtKind, Type};

/// A whole program.
pub fn program(program: &Program) -> String {
    let mut dump = Dump { program, block: None, text: String::new(), indent: 0 };
    for map in &program.maps {
        let key = match &map.key {
            Type::Void => String::new(),
            key => format!("[{}]", type_name(key, program)),
        };
        let value = type_name(&map.value, program);
        let kind = format!("{:?}", map.kind).to_lowercase();
        dump.line(format!("map {}{key}: {value} ({kind}, {})", map.name, map.max_entries));
    }
    for (i, record) in program.records.iter().enumerate() {
        let name = type_name(&Type::Record(crate::hir::RecordId(i as u32)), program);
        dump.line(format!("{name} ({} bytes)", record.size));
    }
    for (i, probe) in program.probes.iter().enumerate() {
        dump.line(format!("probe {i} {}", probe.name));
    }
    for block in &program.blocks {
        dump.block(block);
    }
    dump.text
}

/// A type as scripts write it.
pub fn type_name(ty: &Type, program: &Program) -> String {
    match ty {
        Type::Int(int) => int.to_string(),
        Type::Bool => "bool".into(),
        Type::Str { size: 0 } => "string".into(),
        Type::Str { size } => format!("string[{size}]"),
        Type::Buf { size: 0 } => "buffer".into(),
        Type::Buf { size } => format!("buffer[{size}]"),
        Type::Ptr { to, .. } => format!("{} *", type_name(to, program)),
        Type::Array { elem, len } => format!("{}[{len}]", type_name(elem, program)),
        Type::Record(id) => {
            let Some(record) = program.records.get(id.index()) else { return "record ?".into() };
            let keyword = match (record.origin, record.union) {
                (None, _) => "record",
                (_, true) => "union",
                (_, false) => "struct",
            };
            let name = if record.name.is_empty() { "{...}" } else { &record.name };
            format!("{keyword} {name}")
        }
        Type::Tuple(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(name, ty)| match name.as_str() {
                    "" => type_name(ty, program),
                    name => format!("{name}={}", type_name(ty, program)),
                })
                .collect();
            format!("({})", members.join(", "))
        }
        Type::Enum(id) => {
            let name = program.enums.get(id.index()).map_or("?", |e| e.name.as_str());
            format!("enum {}", if name.is_empty() { "{...}" } else { name })
        }
        Type::Inet | Type::Inet4 | Type::Inet6 => "inet".into(),
        Type::Mac => "mac_address".into(),
        Type::KSym => "ksym".into(),
        Type::USym => "usym".into(),
        Type::KStack(stack) => format!("kstack({}, {})", mode_name(stack.mode), stack.limit),
        Type::UStack(stack) => format!("ustack({}, {})", mode_name(stack.mode), stack.limit),
        Type::Username => "username_t".into(),
        Type::Timestamp { .. } => "timestamp".into(),
        Type::CgroupPath { .. } => "cgroup_path".into(),
        Type::Probe => "probe".into(),
        Type::Func => "func".into(),
        Type::Aggregate(aggregate) => aggregate_name(aggregate),
        Type::Void => "void".into(),
    }
}

fn mode_name(mode: rbtrace_probes_ebpf::types::StackMode) -> &'static str {
    use rbtrace_probes_ebpf::types::StackMode;
    match mode {
        StackMode::Bpftrace => "bpftrace",
        StackMode::Perf => "perf",
        StackMode::Raw => "raw",
        StackMode::BuildId => "build_id",
    }
}

fn aggregate_name(aggregate: &Aggregate) -> String {
    let of = |name: &str, signed: &bool| format!("{name}({}int64)", if *signed { "" } else { "u" });
    match aggregate {
        Aggregate::Count => "count()".into(),
        Aggregate::Sum { signed } => of("sum", signed),
        Aggregate::Min { signed } => of("min", signed),
        Aggregate::Max { signed } => of("max", signed),
        Aggregate::Avg { signed } => of("avg", signed),
        Aggregate::Stats { signed } => of("stats", signed),
        Aggregate::Hist { bits: 0 } => "hist()".into(),
        Aggregate::Hist { bits } => format!("hist({bits})"),
        Aggregate::Tseries { interval, intervals, how, signed } => {
            let how = format!("{how:?}").to_lowercase();
            of(&format!("tseries {interval}ns x {intervals} {how}"), signed)
        }
        Aggregate::Lhist { min, max, step } => format!("lhist({min}, {max}, {step})"),
    }
}

struct Dump<'a> {
    program: &'a Program,
    block: Option<&'a ProbeBlock>,
    text: String,
    indent: usize,
}

impl<'a> Dump<'a> {
    fn line(&mut self, line: impl AsRef<str>) {
        // A string cannot fail to be written to.
        let _ = writeln!(self.text, "{:indent$}{}", "", line.as_ref(), indent = self.indent * 2);
    }

    fn ty(&self, ty: &Type) -> String {
        type_name(ty, self.program)
    }

    fn map(&self, id: MapId) -> &'a str {
        self.program.maps.get(id.index()).map_or("@?", |map| &map.name)
    }

    fn block(&mut self, block: &'a ProbeBlock) {
        self.block = Some(block);
        let probes: Vec<_> = block.probes.iter().map(u32::to_string).collect();
        self.line(format!("\nblock {} {}", block.kind.spec().name, probes.join(" ")));
        self.indent += 1;
        for local in &block.locals {
            let ty = self.ty(&local.ty);
            self.line(format!("let {}: {ty}", local.name));
        }
        if !block.packet.is_empty() {
            let facts: Vec<_> = block.packet.iter().map(|(_, local)| self.local(*local)).collect();
            self.line(format!("parse {}", facts.join(", ")));
        }
        if !block.required.is_empty() {
            let names: Vec<_> = block.required.iter().map(|h| h.spec().name).collect();
            self.line(format!("if without {}: return", names.join(" or ")));
        }
        for object in &block.objects {
            self.line(format!("if not arg{object}: return"));
        }
        if let Some(predicate) = &block.predicate {
            let predicate = self.expr(predicate);
            self.line(format!("if not {predicate}: return"));
        }
        self.stmts(&block.body);
        self.indent -= 1;
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            self.stmt(stmt);
        }
    }

    fn nested(&mut self, head: String, body: &[Stmt]) {
        self.line(head);
        self.indent += 1;
        self.stmts(body);
        self.indent -= 1;
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Expr(expr) => {
                let line = self.expr(expr);
                self.line(line);
            }
            StmtKind::Set { local, value } => {
                let line = format!("{} = {}", self.local(*local), self.expr(value));
                self.line(line);
            }
            StmtKind::MapSet { map, key, value } => {
                let line = format!("{} = {}", self.entry(*map, key.as_ref()), self.expr(value));
                self.line(line);
            }
            StmtKind::MapModify { map, key, op, value } => {
                let entry = self.entry(*map, key.as_ref());
                let line = format!("{entry} {}= {}", op.symbol(), self.expr(value));
                self.line(line);
            }
            StmtKind::Aggregate { map, key, value, .. } => {
                let entry = self.entry(*map, key.as_ref());
                let value = value.as_ref().map(|v| self.expr(v)).unwrap_or_default();
                self.line(format!("{entry} <- {value}").trim_end());
            }
            StmtKind::If { cond, then, otherwise } => {
                let head = format!("if {}", self.expr(cond));
                self.nested(head, then);
                if !otherwise.is_empty() {
                    self.nested("else".into(), otherwise);
                }
            }
            StmtKind::While { cond, body } => {
                let head = format!("while {}", self.expr(cond));
                self.nested(head, body);
            }
            StmtKind::ForRange { local, start, end, body } => {
                let (start, end) = (self.expr(start), self.expr(end));
                self.nested(format!("for {} in {start} .. {end}", self.local(*local)), body);
            }
            StmtKind::ForMap { local, map, body } => {
                self.nested(format!("for {} in {}", self.local(*local), self.map(*map)), body);
            }
            StmtKind::Break => self.line("break"),
            StmtKind::Continue => self.line("continue"),
            StmtKind::Return(None) => self.line("return"),
            StmtKind::Return(Some(value)) => {
                let line = format!("return {}", self.expr(value));
                self.line(line);
            }
            StmtKind::Block(stmts) => self.nested("do".into(), stmts),
            StmtKind::Action(action) => self.action(action),
        }
    }

    fn action(&mut self, action: &Action) {
        let line = match action {
            Action::Printf { format, args } => self.formatted("printf", format, args),
            Action::Errorf { format, args, warning } => {
                self.formatted(if *warning { "warnf" } else { "errorf" }, format, args)
            }
            Action::SeqPrintf(pieces) => self.seq_printf(pieces),
            Action::Debugf { format, args } => self.formatted("debugf", format, args),
            Action::Cat { format, args } => self.formatted("cat", format, args),
            Action::System { format, args } => self.formatted("system", format, args),
            Action::PrintValue(value) => {
                format!("print {}: {}", self.expr(value), self.ty(&value.ty))
            }
            Action::PrintMap { map, top, div } => {
                format!("print {}{}", self.map(*map), limits(*top, *div))
            }
            Action::PrintEntry { map, key, value, div } => {
                let entry = self.entry(*map, Some(key));
                let value = value.as_ref().map(|v| format!(" = {}", self.expr(v)));
                format!("print {entry}{}{}", value.unwrap_or_default(), limits(0, *div))
            }
            Action::Clear(map) => format!("clear {}", self.map(*map)),
            Action::Zero(map) => format!("zero {}", self.map(*map)),
            Action::Exit(None) => "exit".into(),
            Action::Exit(Some(code)) => format!("exit {}", self.expr(code)),
            Action::Unwatch(address) => format!("unwatch {}", self.expr(address)),
            Action::Time(format) => format!("time {format:?}"),
            Action::Join { list, separator } => format!("join {}, {separator:?}", self.expr(list)),
        };
        self.line(line);
    }

    fn seq_printf(&mut self, pieces: &[SeqPiece]) -> String {
        let piece = |piece: &SeqPiece| match piece {
            SeqPiece::Text(text) => format!("{text:?}"),
            SeqPiece::Value { format, value } => format!("{format:?} of {}", self.expr(value)),
        };
        let pieces: Vec<_> = pieces.iter().map(piece).collect();
        format!("seq_printf {}", pieces.join(", "))
    }

    fn formatted(&mut self, name: &str, format: &str, args: &[crate::hir::Expr]) -> String {
        let mut line = format!("{name} {format:?}");
        for arg in args {
            let _ = write!(line, ", {}", self.expr(arg));
        }
        line
    }
}

fn limits(top: u32, div: u32) -> String {
    let mut text = String::new();
    if top != 0 {
        let _ = write!(text, ", top {top}");
    }
    if div != 0 {
        let _ = write!(text, ", div {div}");
    }
    text
}
