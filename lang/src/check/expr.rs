//! Expressions.

use rbtrace_probes_ebpf::helpers;

use crate::ast::{self, ExprKind as Ast, UnaryOp};
use crate::diag::Diagnostic;
use crate::expand::macros::written_name;
use crate::expand::stdlib;
use crate::hir::{self, ExprKind, Type};
use crate::resolve::did_you_mean;
use crate::span::Span;

use super::convert::{boolean, cast, constant, literal, negative, number, text};
use super::types::{Flex, promote};
use super::{Checker, Stop, Typed, Value, builtins, constants, functions};

/// Whether a value can be kept: what lives nowhere but in the context cannot.
pub(super) fn is_storable(expr: &hir::Expr) -> bool {
    !matches!(expr.kind, ExprKind::TracepointRecord)
        && !matches!(expr.ty, Type::Ptr { space: hir::Space::Own, .. } | Type::Void)
}

/// Most bytes of a tuple: what a per-CPU array holds in one element.
const MOST_TUPLE: u32 = 32 * 1024;

impl Checker<'_> {
    /// Types an expression.
    pub fn expr(&mut self, expr: &ast::Expr) -> Typed {
        let span = expr.span;
        match &expr.kind {
            Ast::Int(n) => Ok(number(*n, span)),
            Ast::Str(bytes) => self.string(bytes, span),
            Ast::Bool(b) => Ok(boolean(*b, span)),
            Ast::Ident(name) => self.ident(name, span),
            Ast::Var(name) => self.variable(name, span),
            Ast::Map { name, key } => self.map_read(name, key.as_deref(), span),
            Ast::Param(_) | Ast::ParamCount => {
                Err(self.unsupported(span, "a parameter of the command line here"))
            }
            Ast::Call { name, args } => functions::call(self, name, args, span),
            Ast::Unary { op: UnaryOp::Neg, operand } if matches!(operand.kind, Ast::Int(_)) => {
                // Folded: it fits.
                let n = super::fold::int_literal(expr).and_then(|n| i64::try_from(n).ok());
                n.map(|n| negative(n, span)).ok_or(Stop::Reported)
            }
            Ast::Unary { op, operand } => self.unary(*op, operand, span),
            Ast::Binary { op, left, right } => self.binary(*op, left, right, span),
            Ast::Ternary { cond, then, otherwise } => self.ternary(cond, then, otherwise, span),
            Ast::IncDec { target, increment, prefix } => {
                self.step(target, *increment, *prefix, span)
            }
            Ast::Member { base, field, .. } => self.member(base, field, span),
            Ast::Index { base, index } => self.index(base, index, span),
            Ast::Tuple(members) => {
                let named = members.iter().map(|e| (String::new(), e));
                self.tuple(named.collect(), span)
            }
            Ast::Record(members) => {
                let named = members.iter().map(|(name, e)| (name.name.clone(), e));
                self.tuple(named.collect(), span)
            }
            Ast::Cast { ty, operand } => self.cast_expr(ty, operand, span),
            Ast::SizeOf(of) => self.size_of(of, span),
            Ast::OffsetOf { of, path } => self.offset_of(of, path, span),
            Ast::Block(block) => self.block_expr(block, span),
            Ast::TypeArg(_) => Err(self.error(
                Diagnostic::error("type-as-value", span, "a type is no value")
                    .help("typeof() as an argument is for macros that use it as a type"),
            )),
            Ast::TypeInfo(of) => self.type_info_record(of, span),
            Ast::Comptime(inner) => self.comptime(inner),
        }
    }

    /// Types an expression that must have a value.
    pub fn value(&mut self, expr: &ast::Expr) -> Typed {
        let value = self.expr(expr)?;
        if value.is_void() {
            return Err(self.error(Diagnostic::error("no-value", expr.span, "this has no value")));
        }
        Ok(value)
    }

    fn string(&mut self, bytes: &[u8], span: Span) -> Typed {
        let limit = self.settings.max_strlen as usize;
        if bytes.len() + 1 > limit {
            return Err(self.error(
                Diagnostic::error(
                    "string-too-long",
                    span,
                    format!("this text has {} bytes, more than the limit of {}", bytes.len(), limit - 1),
                )
                .help(
                    "raise `max_strlen` in the config block or BPFTRACE_MAX_STRLEN in the environment",
                ),
            ));
        }
        Ok(text(bytes.to_vec(), span))
    }

    /// A name: a builtin, a constant.
    fn ident(&mut self, name: &str, span: Span) -> Typed {
        if let Some(value) = builtins::find(self, name, span) {
            return value;
        }
        if let Some(value) = self.header(name, span) {
            return value;
        }
        match constants::find(name, self) {
            Some(constants::Constant::Value(value)) => return Ok(literal(value, span)),
            Some(constants::Constant::Variant { of, value }) => {
                return Ok(match self.enum_of_constants(of) {
                    Some(ty) => Value::new(ExprKind::Int(value), ty, span),
                    None => literal(value.into(), span),
                });
            }
            Some(constants::Constant::VerdictOf(kind)) => {
                let here = self.at.spec().name;
                return Err(self.error(
                    Diagnostic::error(
                        "unknown-identifier",
                        span,
                        format!("`{name}` means nothing in `{here}` probes"),
                    )
                    .note(format!("it is a verdict of `{kind}` probes")),
                ));
            }
            None => {}
        }
        if let Some(value) = functions::call_without_brackets(self, name, span) {
            return value;
        }
        let mut error = Diagnostic::error(
            "unknown-identifier",
            span,
            format!("there is nothing called `{name}`"),
        );
        if functions::exists(name) {
            error = error.help(format!("`{name}` is a function: write `{name}(...)`"));
        } else {
            let mut known: Vec<&str> = builtins::names().chain(stdlib::names()).collect();
            known.extend(constants::names(self, name));
            error = did_you_mean(error, name, known);
            self.c.note_missing_headers(&mut error);
        }
        Err(self.error(error))
    }

    fn variable(&mut self, name: &str, span: Span) -> Typed {
        let Some(id) = self.at.slots.get(name).copied() else { return Err(Stop::Reported) };
        let slot = self.at.locals.get(id.index());
        if slot.is_some_and(|slot| slot.wrong && slot.ty.is_none()) {
            return Err(Stop::Reported);
        }
        match slot.and_then(|slot| slot.ty.clone()) {
            Some(ty) => Ok(Value { flex: ty.flex, ..Value::new(ExprKind::Local(id), ty.ty, span) }),
            None => Err(self.unknown(|| {
                Diagnostic::error(
                    "unresolved-type",
                    span,
                    format!("nothing says what the type of ${} is", written_name(name)),
                )
                .help("assign it a value, or declare its type: `let $x: uint64;`")
            })),
        }
    }

    fn map_read(&mut self, name: &str, key: Option<&ast::Expr>, span: Span) -> Typed {
        let map = self.map_use(name, key.is_some(), span)?;
        let key = key.map(|key| self.map_key(map, key)).transpose()?;
        let Some(ty) = self.maps.value(map).cloned() else {
            return Err(self.unknown_map(map, span));
        };
        let key = key.map(Box::new);
        let Type::Aggregate(aggregate) = &ty.ty else {
            let kind = ExprKind::MapGet { map, key };
            return Ok(Value { flex: ty.flex, ..Value::new(kind, ty.ty, span) });
        };
        match super::aggregate::as_integer(aggregate) {
            Some(int) => {
                let what = "reading an aggregate while it is collected";
                self.needs(&helpers::MAP_LOOKUP_PERCPU_ELEM, what, span)?;
                Ok(Value::new(ExprKind::AggregateGet { map, key }, int, span))
            }
            None => {
                let shown = self.show(&ty.ty);
                Err(self.error(
                    Diagnostic::error(
                        "aggregate-as-value",
                        span,
                        format!("@{name} is a {shown}, which is more than one number"),
                    )
                    .help(format!("print(@{name}) prints it")),
                ))
            }
        }
    }

    fn ternary(
        &mut self,
        cond: &ast::Expr,
        then: &ast::Expr,
        otherwise: &ast::Expr,
        span: Span,
    ) -> Typed {
        if let Ast::Comptime(_) = cond.kind {
            // The branch not taken may be ill-typed: it does not exist.
            let known = self.value(cond)?;
            return self.expr(if known.is_zero() { otherwise } else { then });
        }
        // `c ?: b` evaluates `c` once.
        if cond.span == then.span && cond == then {
            return self.elvis(cond, otherwise, span);
        }
        let cond = self.value(cond).and_then(|value| self.truth(value));
        let (a, b) = (self.expr(then), self.expr(otherwise));
        let (cond, a, b) = (cond?, a?, b?);
        if a.is_void() || b.is_void() {
            let (then, otherwise) = (a.into_stmts(), b.into_stmts());
            return Ok(Value::stmt(hir::StmtKind::If { cond, then, otherwise }, span));
        }
        self.choose(cond, a, b, span)
    }

    /// `cond ? a : b` of two values.
    fn choose(&mut self, cond: hir::Expr, a: Value, b: Value, span: Span) -> Typed {
        let Some(ty) = promote(&a.ty(), &b.ty()) else {
            let (x, y) = (self.show(&a.expr.ty), self.show(&b.expr.ty));
            return Err(self.error(
                Diagnostic::error("type-mismatch", b.expr.span, "both values must be of one type")
                    .label(format!("found {y}"))
                    .also(a.expr.span, format!("found {x}")),
            ));
        };
        let (Some(then), Some(otherwise)) = (self.convert(a, &ty.ty), self.convert(b, &ty.ty))
        else {
            return Err(Stop::Reported);
        };
        let kind = ExprKind::Ternary {
            cond: Box::new(cond),
            then: Box::new(then),
            otherwise: Box::new(otherwise),
        };
        Ok(Value { flex: ty.flex, ..Value::new(kind, ty.ty, span) })
    }

    fn elvis(&mut self, cond: &ast::Expr, otherwise: &ast::Expr, span: Span) -> Typed {
        let value = self.value(cond)?;
        let other = self.value(otherwise)?;
        let flex = value.flex.clone();
        let id = self.at.temporary(value.expr.ty.clone());
        let ty = value.expr.ty.clone();
        let kept = |flex| Value { flex, ..Value::new(ExprKind::Local(id), ty.clone(), cond.span) };
        let set = hir::StmtKind::Set { local: id, value: value.expr };
        let truth = self.truth(kept(Flex::Fixed))?;
        let chosen = self.choose(truth, kept(flex), other, span)?;
        let stmts = vec![hir::Stmt { kind: set, span: cond.span }];
        let result = chosen.expr.ty.clone();
        let kind = ExprKind::Block { stmts, value: Box::new(chosen.expr) };
        Ok(Value { flex: chosen.flex, ..Value::new(kind, result, span) })
    }

    fn tuple(&mut self, members: Vec<(String, &ast::Expr)>, span: Span) -> Typed {
        let mut values = Vec::with_capacity(members.len());
        for (name, member) in &members {
            values.push(self.value(member).map(|value| (name.clone(), value)));
        }
        let mut exprs = Vec::with_capacity(values.len());
        let mut types = Vec::with_capacity(values.len());
        let mut flex = Vec::with_capacity(values.len());
        for value in values {
            let (name, value) = value?;
            if !is_storable(&value.expr) {
                let shown = self.show(&value.expr.ty);
                return Err(self.error(Diagnostic::error(
                    "type-mismatch",
                    value.expr.span,
                    format!("a tuple cannot hold a value of type {shown}"),
                )));
            }
            types.push((name, value.expr.ty.clone()));
            flex.push(value.flex);
            exprs.push(value.expr);
        }
        let size = super::types::size_of(&Type::Tuple(types.clone()), &self.program);
        if size > MOST_TUPLE {
            return Err(self.error(
                Diagnostic::error(
                    "value-too-large",
                    span,
                    format!("this tuple takes {size} bytes, more than the limit of {MOST_TUPLE}"),
                )
                .help("give str() a length, or lower `max_strlen` in the config block"),
            ));
        }
        let flex = Flex::of_members(flex);
        Ok(Value { flex, ..Value::new(ExprKind::Tuple(exprs), Type::Tuple(types), span) })
    }

    fn block_expr(&mut self, block: &ast::Block, span: Span) -> Typed {
        let mut stmts = Vec::new();
        self.stmts(&block.stmts, &mut stmts);
        let Some(value) = &block.value else { return Ok(Value::void(stmts, span)) };
        let value = self.expr(value)?;
        if value.is_void() {
            stmts.extend(value.into_stmts());
            return Ok(Value::void(stmts, span));
        }
        if stmts.is_empty() {
            return Ok(value);
        }
        let Value { expr, flex, literal } = value;
        let ty = expr.ty.clone();
        let kind = ExprKind::Block { stmts, value: Box::new(expr) };
        Ok(Value { flex, literal, ..Value::new(kind, ty, span) })
    }

    /// `x++`, `--x`.
    fn step(&mut self, target: &ast::Expr, increment: bool, prefix: bool, span: Span) -> Typed {
        match &target.kind {
            Ast::Var(name) => self.local_step(name, increment, prefix, target.span, span),
            Ast::Map { name, key } => {
                self.map_step(name, key.as_deref(), increment, prefix, target.span, span)
            }
            _ => Err(self.error(Diagnostic::error(
                "invalid-increment",
                target.span,
                format!("{} works on variables and maps only", if increment { "++" } else { "--" }),
            ))),
        }
    }

    fn local_step(
        &mut self,
        name: &str,
        increment: bool,
        prefix: bool,
        place: Span,
        span: Span,
    ) -> Typed {
        let value = self.variable(name, place)?;
        let ExprKind::Local(local) = value.expr.kind else { return Err(Stop::Reported) };
        let (result, delta) = self.step_type(&value.expr.ty, increment, place)?;
        let ty = self.learn_local(local, &super::types::Ty::fixed(result), span)?;
        let kind = ExprKind::LocalStep { local, delta, prefix };
        Ok(Value::new(kind, ty, span))
    }

    fn map_step(
        &mut self,
        name: &str,
        key: Option<&ast::Expr>,
        increment: bool,
        prefix: bool,
        place: Span,
        span: Span,
    ) -> Typed {
        let map = self.map_use(name, key.is_some(), place)?;
        let key = key.map(|key| self.map_key(map, key)).transpose()?;
        let Some(now) = self.maps.value(map).cloned() else {
            self.maps.mark_stepped(map);
            return Err(self.unknown_map(map, span));
        };
        if let Type::Aggregate(_) = now.ty {
            return Err(self.value_mismatch(map, &Type::I64, span));
        }
        let (result, delta) = self.step_type(&now.ty, increment, place)?;
        let ty = self.learn_value(map, &super::types::Ty::fixed(result), span)?;
        let kind = ExprKind::MapStep { map, key: key.map(Box::new), delta, prefix };
        Ok(Value::new(kind, ty, span))
    }

    /// What `++` makes of a type, and how far it steps. Numbers become 64 bits wide; `--` makes
    /// them signed.
    fn step_type(&mut self, ty: &Type, increment: bool, place: Span) -> Typed<(Type, i64)> {
        let sign = if increment { 1 } else { -1 };
        match ty {
            Type::Int(int) if int.signed || !increment => Ok((Type::I64, sign)),
            Type::Int(_) => Ok((Type::U64, sign)),
            Type::Ptr { to, .. } => {
                let size = i64::from(super::types::size_of(to, &self.program).max(1));
                Ok((ty.clone(), sign * size))
            }
            _ => {
                let shown = self.show(ty);
                Err(self.error(
                    Diagnostic::error(
                        "bad-operand",
                        place,
                        format!(
                            "{} works on numbers and pointers",
                            if increment { "++" } else { "--" }
                        ),
                    )
                    .label(format!("found {shown}")),
                ))
            }
        }
    }

    /// The value of an integer expression as `uint64`, for functions that take a number.
    pub fn uint64(&mut self, arg: &ast::Expr, function: &str) -> Typed<hir::Expr> {
        let value = self.value(arg)?;
        match value.expr.ty {
            Type::Int(_) | Type::Bool | Type::Enum(_) => Ok(cast(value.expr, &Type::U64)),
            ref ty => {
                let found = self.show(ty);
                Err(self.error(
                    Diagnostic::error(
                        "argument-type",
                        arg.span,
                        format!("{function}() takes a number here"),
                    )
                    .label(format!("found {found}")),
                ))
            }
        }
    }

    /// An integer constant of type `uint64`.
    pub fn uint64_constant(n: u64, span: Span) -> hir::Expr {
        constant(n as i64, Type::U64, span)
    }
}
