//! Functions on maps.

use crate::ast::{self, ExprKind as Ast};
use crate::diag::Diagnostic;
use crate::hir::{Action, Call, ExprKind, Stmt, StmtKind, Type};
use crate::span::Span;

use super::super::types::Ty;
use super::super::{Checker, Stop, Typed, Value};
use super::{CallSite, Function};

pub(super) const TABLE: &[Function] = &[
    Function::one("clear", "clear(@map)", |cx, call| on_whole_map(cx, call, Action::Clear)),
    Function::one("zero", "zero(@map)", |cx, call| on_whole_map(cx, call, Action::Zero)),
    Function::new("delete", 1, 2, "delete(@map, key), delete(@map)", delete),
    Function::new("has_key", 2, 2, "has_key(@map, key)", has_key),
    Function::new("find", 3, 3, "find(@map, key, $variable)", find),
    Function::one("len", "len(@map), len(stack), len(string)", len),
    Function::one("is_scalar", "is_scalar(@map)", is_scalar),
];

fn on_whole_map(
    checker: &mut Checker<'_>,
    call: &CallSite<'_>,
    action: fn(crate::hir::MapId) -> Action,
) -> Typed {
    let Some(arg) = call.args.first() else { return Err(Stop::Reported) };
    let name = checker.map_argument(&call.name.name, arg)?;
    let map = checker.whole_map(name, arg.span)?;
    Ok(Value::stmt(StmtKind::Action(action(map)), call.span))
}

/// `delete(@x, k)`, `delete(@x[k])`, `delete(@x)` of a map without keys.
fn delete(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(first) = call.args.first() else { return Err(Stop::Reported) };
    let (name, key) = match (&first.kind, call.args.get(1)) {
        (Ast::Map { name, key: None }, key) => (name, key),
        (Ast::Map { name, key: Some(key) }, None) => (name, Some(&**key)),
        _ => {
            let error = Diagnostic::error("argument-type", first.span, "delete() works on a map")
                .help("write delete(@map, key)");
            return Err(checker.error(error));
        }
    };
    let map = checker.map_use(name, key.is_some(), first.span)?;
    let key = key.map(|key| checker.map_key(map, key)).transpose()?;
    let kind = ExprKind::Call(Box::new(Call::Delete { map, key }));
    Ok(Value::new(kind, Type::Bool, call.span))
}

fn has_key(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let [map, key] = call.args else { return Err(Stop::Reported) };
    has_entry(checker, "has_key", map, key, call.span)
}

fn has_entry(
    checker: &mut Checker<'_>,
    function: &str,
    map: &ast::Expr,
    key: &ast::Expr,
    span: Span,
) -> Typed {
    let name = checker.map_argument(function, map)?;
    let id = checker.map_use(name, true, map.span)?;
    let key = checker.map_key(id, key)?;
    let kind = ExprKind::Call(Box::new(Call::HasKey { map: id, key }));
    Ok(Value::new(kind, Type::Bool, span))
}

/// `find(@x, k, $v)`: sets `$v` if there is such an entry, and says whether there is.
fn find(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let [map, key, variable] = call.args else { return Err(Stop::Reported) };
    let span = call.span;
    let Ast::Var(name) = &variable.kind else {
        return Err(checker.error(
            Diagnostic::error("argument-type", variable.span, "find() sets a variable")
                .label("expected a variable, such as $x"),
        ));
    };
    let local = checker.at.slots.get(name).copied().ok_or(Stop::Reported)?;
    let has = has_entry(checker, "find", map, key, span)?;
    let Ast::Map { name, .. } = &map.kind else { return Err(Stop::Reported) };
    let entry = ast::Expr {
        kind: Ast::Map { name: name.clone(), key: Some(Box::new(key.clone())) },
        span: map.span,
    };
    let found = checker.at.temporary(Type::Bool);
    let mut then = Vec::new();
    checker.assign_local(local, None, &entry, variable.span, span, &mut then)?;
    let kept = Value::new(ExprKind::Local(found), Type::Bool, span);
    let stmts = vec![
        Stmt { kind: StmtKind::Set { local: found, value: has.expr }, span },
        Stmt { kind: StmtKind::If { cond: kept.expr.clone(), then, otherwise: Vec::new() }, span },
    ];
    let kind = ExprKind::Block { stmts, value: Box::new(kept.expr) };
    Ok(Value::new(kind, Type::Bool, span))
}

/// Entries of a map, or bytes of a string.
fn len(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(arg) = call.args.first() else { return Err(Stop::Reported) };
    if let Some(payload) = checker.payload(arg) {
        return Ok(checker.payload_len(payload, call.span));
    }
    if let Ast::Map { name, key: None } = &arg.kind {
        let id = checker.maps.id(name, arg.span);
        let text = matches!(checker.maps.value(id), Some(Ty { ty: Type::Str { .. }, .. }));
        if !text {
            let map = checker.map_use(name, true, arg.span)?;
            let kind = ExprKind::Call(Box::new(Call::MapLen(map)));
            return Ok(Value::new(kind, Type::I64, call.span));
        }
    }
    super::text::string_length(checker, call)
}

fn is_scalar(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(arg) = call.args.first() else { return Err(Stop::Reported) };
    let name = checker.map_argument("is_scalar", arg)?;
    let map = checker.whole_map(name, arg.span)?;
    let scalar = checker.maps.get(map).is_some_and(|entry| entry.keyed == Some(false));
    Ok(super::super::convert::boolean(scalar, call.span))
}
