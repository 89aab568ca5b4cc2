//! Expressions.

use rbtrace_probes_ebpf::names::Names;

use crate::hir::{Builtin, Call, Expr, ExprKind, LocalId, MapId, Space, Type, UnaryOp};

use super::Dump;

impl Dump<'_> {
    pub fn local(&self, id: LocalId) -> String {
        let local = self.block.and_then(|block| block.locals.get(id.index()));
        local.map_or_else(|| format!("$?{}", id.0), |local| local.name.clone())
    }

    pub fn entry(&self, map: MapId, key: Option<&Expr>) -> String {
        match key {
            Some(key) => format!("{}[{}]", self.map(map), self.expr(key)),
            None => self.map(map).to_owned(),
        }
    }

    pub fn expr(&self, expr: &Expr) -> String {
        match &expr.kind {
            ExprKind::Int(n) => self.int(*n, &expr.ty),
            ExprKind::Str(bytes) => format!("\"{}\"", bytes.escape_ascii()),
            ExprKind::Zero => "{0}".into(),
            ExprKind::Local(id) => self.local(*id),
            ExprKind::AddressOf(id) => format!("&{}", self.local(*id)),
            ExprKind::MapAddress { map, key } => format!("&{}", self.entry(*map, key.as_deref())),
            ExprKind::MapGet { map, key } | ExprKind::AggregateGet { map, key } => {
                self.entry(*map, key.as_deref())
            }
            ExprKind::Builtin(builtin) => builtin_name(*builtin),
            ExprKind::Unary { op, operand } => {
                let symbol = match op {
                    UnaryOp::Neg => "-",
                    UnaryOp::Not => "!",
                    UnaryOp::BitNot => "~",
                };
                format!("{symbol}{}", self.expr(operand))
            }
            ExprKind::Binary { op, left, right } => {
                // Operands of comparisons have a type that is not the expression's.
                let ty = if op.is_comparison() { &left.ty } else { &expr.ty };
                let sign = match ty {
                    Type::Int(int) if !int.signed => "u",
                    _ => "",
                };
                format!("({} {}{sign} {})", self.expr(left), op.symbol(), self.expr(right))
            }
            ExprKind::Same { negated, left, right } => {
                let symbol = if *negated { "!=" } else { "==" };
                format!("({} {symbol} {})", self.expr(left), self.expr(right))
            }
            ExprKind::ProbeIs(probes) => {
                let probes: Vec<_> = probes.iter().map(u32::to_string).collect();
                format!("probe is {}", probes.join(" or "))
            }
            ExprKind::Logic { and, left, right } => {
                let symbol = if *and { "&&" } else { "||" };
                format!("({} {symbol} {})", self.expr(left), self.expr(right))
            }
            ExprKind::Ternary { cond, then, otherwise } => {
                format!("({} ? {} : {})", self.expr(cond), self.expr(then), self.expr(otherwise))
            }
            ExprKind::Cast(operand) => format!("({}){}", self.ty(&expr.ty), self.expr(operand)),
            ExprKind::Load(pointer) => {
                format!("*{}{}", space(&pointer.ty), self.expr(pointer))
            }
            ExprKind::Field { base, field } => {
                format!("{}.{}", self.expr(base), self.field_name(&base.ty, *field))
            }
            ExprKind::Index { base, index } => format!("{}[{}]", self.expr(base), self.expr(index)),
            ExprKind::TracepointRecord => "args".into(),
            ExprKind::Tuple(members) => {
                let members: Vec<_> = members.iter().map(|m| self.expr(m)).collect();
                format!("({})", members.join(", "))
            }
            ExprKind::Call(call) => self.call(call, &expr.ty),
            ExprKind::Block { stmts, value } => {
                let mut inner = Dump {
                    program: self.program,
                    block: self.block,
                    text: String::new(),
                    indent: 0,
                };
                inner.stmts(stmts);
                let stmts = inner.text.trim_end().replace('\n', "; ");
                format!("{{ {stmts}; {} }}", self.expr(value))
            }
            ExprKind::LocalStep { local, delta, prefix } => {
                step(&self.local(*local), *delta, *prefix)
            }
            ExprKind::MapStep { map, key, delta, prefix } => {
                step(&self.entry(*map, key.as_deref()), *delta, *prefix)
            }
        }
    }

    fn int(&self, n: i64, ty: &Type) -> String {
        match ty {
            Type::Bool => (n != 0).to_string(),
            Type::Int(int) if !int.signed => (n as u64).to_string(),
            Type::Ptr { .. } => format!("{n:#x}"),
            Type::Inet4 => std::net::Ipv4Addr::from((n as u32).to_le_bytes()).to_string(),
            _ => n.to_string(),
        }
    }

    fn field_name(&self, base: &Type, field: u32) -> String {
        let name = match base {
            Type::Record(id) => {
                let record = self.program.records.get(id.index());
                record.and_then(|r| r.fields.get(field as usize)).map(|f| f.name.as_str())
            }
            Type::Tuple(members) => members.get(field as usize).map(|(name, _)| name.as_str()),
            _ => None,
        };
        match name {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => field.to_string(),
        }
    }

    fn call(&self, call: &Call, ty: &Type) -> String {
        let shown = self.ty(ty);
        match call {
            Call::Str { ptr, len } => {
                let len = len.as_ref().map(|len| format!(", {}", self.expr(len)));
                let len = len.unwrap_or_default();
                format!("str{}({}{len}) as {shown}", space(&ptr.ty), self.expr(ptr))
            }
            Call::Buf { ptr, len } => {
                format!("buf{}({}, {}) as {shown}", space(&ptr.ty), self.expr(ptr), self.expr(len))
            }
            Call::HasKey { map, key } => format!("has_key({})", self.entry(*map, Some(key))),
            Call::Delete { map, key } => format!("delete({})", self.entry(*map, key.as_ref())),
            Call::MapLen(map) => format!("len({})", self.map(*map)),
            Call::StrLen(text) => format!("strlen({})", self.expr(text)),
            Call::StackLen(stack) => format!("stacklen({})", self.expr(stack)),
            Call::Strncmp { left, right, len } => {
                format!("strncmp({}, {}, {len})", self.expr(left), self.expr(right))
            }
            Call::Memcmp { left, right, len } => {
                format!("memcmp({}, {}, {})", self.expr(left), self.expr(right), self.expr(len))
            }
            Call::StrStr { haystack, needle } => {
                format!("strstr({}, {})", self.expr(haystack), self.expr(needle))
            }
            Call::StrConcat { left, right } => {
                format!("str_concat({}, {}) as {shown}", self.expr(left), self.expr(right))
            }
            Call::Cut { text, len } => {
                format!("str({}, {}) as {shown}", self.expr(text), self.expr(len))
            }
            Call::BufOf { data, len } => {
                format!("buf({}, {}) as {shown}", self.expr(data), self.expr(len))
            }
            Call::Helper { helper, context, args } => {
                let context = context.then(|| "ctx".to_owned());
                let args: Vec<String> =
                    context.into_iter().chain(args.iter().map(|arg| self.expr(arg))).collect();
                format!("{}({})", helper.name, args.join(", "))
            }
            Call::WriteUser { to, from, len } => {
                format!("write_user({}, {}, {len})", self.expr(to), self.expr(from))
            }
            Call::Path(of) => format!("path({})", self.expr(of)),
            Call::SkbOutput { file, skb, len, offset } => {
                format!("skboutput({file:?}, {}, {}, {offset})", self.expr(skb), self.expr(len))
            }
            Call::PerCpuAddress { variable, cpu, .. } => {
                format!("percpu_kaddr({variable:#x}, {})", self.expr(cpu))
            }
            Call::TextOf { number, names } => {
                let function = match names {
                    Names::Errors => "strerror",
                    Names::Signals => "signal_name",
                    Names::Syscalls(_) => "syscall_name",
                };
                format!("{function}({})", self.expr(number))
            }
            Call::Bswap(operand) => format!("bswap({})", self.expr(operand)),
            Call::Strftime(operand) => match ty {
                Type::Timestamp { format, clock } => {
                    let clock = format!("{clock:?}").to_lowercase();
                    format!("strftime({format:?}, {clock}, {})", self.expr(operand))
                }
                _ => format!("strftime({})", self.expr(operand)),
            },
            Call::Mark(operand) => format!("{shown}({})", self.expr(operand)),
            Call::Ntop { family, addr } => {
                let family = family.as_ref().map(|f| format!("{}, ", self.expr(f)));
                format!("ntop({}{})", family.unwrap_or_default(), self.expr(addr))
            }
            Call::PayloadByte { at, .. } => format!("payload[{}]", self.expr(at)),
            Call::PayloadBytes { len, .. } => format!("payload({}) as {shown}", self.expr(len)),
            Call::PayloadLen(_) => "len(payload)".into(),
            Call::Within { address, network, prefix } => {
                format!("within({}, {network}/{prefix})", self.expr(address))
            }
            Call::MacAddr(addr) => format!("macaddr({})", self.expr(addr)),
            Call::Stack { unwind: false } => shown,
            Call::Stack { unwind: true } => format!("dw_{shown}"),
            Call::Register { offset } => format!("register at {offset}"),
        }
    }
}

fn step(target: &str, delta: i64, prefix: bool) -> String {
    let amount = match delta {
        1 => "++".to_owned(),
        -1 => "--".to_owned(),
        n => format!("+={n}"),
    };
    if prefix { format!("{amount}{target}") } else { format!("{target}{amount}") }
}

/// The space that a pointer points into, as a suffix.
fn space(ty: &Type) -> &'static str {
    match ty {
        Type::Ptr { space: Space::Kernel, .. } => ".kernel",
        Type::Ptr { space: Space::User, .. } => ".user",
        Type::Ptr { space: Space::Own, .. } => ".own",
        _ => "",
    }
}

fn builtin_name(builtin: Builtin) -> String {
    match builtin {
        Builtin::Nsecs(clock) => format!("nsecs({})", format!("{clock:?}").to_lowercase()),
        Builtin::Arg(n) => format!("arg{n}"),
        Builtin::StackArg(n) => format!("stack_arg{n}"),
        Builtin::InstructionPointer => "ip".into(),
        Builtin::Context => "ctx".into(),
        Builtin::Packet(property) => format!("pkt.{}", format!("{property:?}").to_lowercase()),
        other => format!("{other:?}").to_lowercase(),
    }
}
