//! Walks over the syntax tree.

use crate::ast::{Block, Expr, ExprKind, Probe, Stmt, StmtKind};

/// Calls `f` for the operands of an expression that has no scope of its own.
pub(super) fn for_each_child(expr: &mut Expr, f: &mut dyn FnMut(&mut Expr)) {
    match &mut expr.kind {
        ExprKind::Map { key, .. } => {
            if let Some(key) = key {
                f(key);
            }
        }
        ExprKind::Call { args: list, .. } | ExprKind::Tuple(list) => list.iter_mut().for_each(f),
        ExprKind::Record(members) => members.iter_mut().for_each(|(_, e)| f(e)),
        ExprKind::Unary { operand: e, .. }
        | ExprKind::IncDec { target: e, .. }
        | ExprKind::Member { base: e, .. }
        | ExprKind::Cast { operand: e, .. }
        | ExprKind::Comptime(e) => f(e),
        ExprKind::Binary { left: a, right: b, .. } | ExprKind::Index { base: a, index: b } => {
            f(a);
            f(b);
        }
        ExprKind::Ternary { cond, then, otherwise } => {
            f(cond);
            f(then);
            f(otherwise);
        }
        _ => {}
    }
}

/// Calls `f` for every expression of a probe block, the outer ones first.
pub(super) fn every_expr(probe: &mut Probe, f: &mut dyn FnMut(&Expr)) {
    if let Some(predicate) = &mut probe.predicate {
        in_expr(predicate, f);
    }
    in_block(&mut probe.body, f);
}

fn in_expr(expr: &mut Expr, f: &mut dyn FnMut(&Expr)) {
    f(expr);
    match &mut expr.kind {
        ExprKind::Block(block) => in_block(block, f),
        _ => for_each_child(expr, &mut |child| in_expr(child, f)),
    }
}

fn in_block(block: &mut Block, f: &mut dyn FnMut(&Expr)) {
    for stmt in &mut block.stmts {
        in_stmt(stmt, f);
    }
    if let Some(value) = &mut block.value {
        in_expr(value, f);
    }
}

fn in_stmt(stmt: &mut Stmt, f: &mut dyn FnMut(&Expr)) {
    match &mut stmt.kind {
        StmtKind::Expr(e) | StmtKind::Discard(e) | StmtKind::Return(Some(e)) => in_expr(e, f),
        StmtKind::Assign { target, value, .. } => {
            in_expr(target, f);
            in_expr(value, f);
        }
        StmtKind::Let { value: Some(value), .. } => in_expr(value, f),
        StmtKind::If { cond, then, otherwise } => {
            in_expr(cond, f);
            in_block(then, f);
            if let Some(otherwise) = otherwise {
                in_block(otherwise, f);
            }
        }
        StmtKind::Unroll { count: e, body } | StmtKind::While { cond: e, body } => {
            in_expr(e, f);
            in_block(body, f);
        }
        StmtKind::ForRange { start, end, body, .. } => {
            in_expr(start, f);
            in_expr(end, f);
            in_block(body, f);
        }
        StmtKind::ForMap { body, .. } | StmtKind::Block(body) => in_block(body, f),
        StmtKind::Let { .. } | StmtKind::Return(None)
        | StmtKind::Break
        | StmtKind::Continue
        | StmtKind::Import(_) => {}
    }
}
