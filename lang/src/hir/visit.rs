//! Walks over the typed program.

use super::{Action, Call, Expr, ExprKind, LocalId, SeqPiece, Stmt, StmtKind};

/// Calls `f` for every variable that statements mention, loops' own variables among them.
pub fn each_local(stmts: &[Stmt], f: &mut dyn FnMut(LocalId)) {
    for stmt in stmts {
        if let StmtKind::Set { local, .. }
        | StmtKind::ForMap { local, .. }
        | StmtKind::ForRange { local, .. } = &stmt.kind
        {
            f(*local);
        }
        for block in blocks(stmt) {
            each_local(block, f);
        }
        for expr in operands(stmt) {
            locals_of(expr, f);
        }
    }
}

/// Calls `f` for every statement, those in others and in expressions among them.
pub fn each_stmt(stmts: &[Stmt], f: &mut dyn FnMut(&Stmt)) {
    any_stmt(stmts, &mut |stmt| {
        f(stmt);
        false
    });
}

/// The variable that an expression itself mentions, apart from those in its parts.
pub fn local_of(expr: &Expr) -> Option<LocalId> {
    match expr.kind {
        ExprKind::Local(local) | ExprKind::AddressOf(local) | ExprKind::LocalStep { local, .. } => {
            Some(local)
        }
        _ => None,
    }
}

/// Calls `f` for every variable that an expression mentions.
pub fn locals_of(expr: &Expr, f: &mut dyn FnMut(LocalId)) {
    local_of(expr).into_iter().for_each(&mut *f);
    if let ExprKind::Block { stmts, .. } = &expr.kind {
        each_local(stmts, f);
    }
    for part in parts(expr) {
        locals_of(part, f);
    }
}

/// Whether `holds` of any statement, those in others and in expressions among them.
pub fn any_stmt(stmts: &[Stmt], holds: &mut dyn FnMut(&Stmt) -> bool) -> bool {
    stmts.iter().any(|stmt| {
        holds(stmt)
            || blocks(stmt).into_iter().any(|block| any_stmt(block, holds))
            || operands(stmt).into_iter().any(|expr| any_stmt_within(expr, holds))
    })
}

/// The same of the statements in an expression.
pub fn any_stmt_within(expr: &Expr, holds: &mut dyn FnMut(&Stmt) -> bool) -> bool {
    matches!(&expr.kind, ExprKind::Block { stmts, .. } if any_stmt(stmts, holds))
        || parts(expr).into_iter().any(|part| any_stmt_within(part, holds))
}

/// Statements inside a statement.
pub fn blocks(stmt: &Stmt) -> Vec<&[Stmt]> {
    match &stmt.kind {
        StmtKind::If { then, otherwise, .. } => vec![then, otherwise],
        StmtKind::While { body, .. }
        | StmtKind::ForRange { body, .. }
        | StmtKind::ForMap { body, .. } => vec![body],
        StmtKind::Block(stmts) => vec![stmts],
        _ => Vec::new(),
    }
}

/// Expressions right under a statement.
pub fn operands(stmt: &Stmt) -> Vec<&Expr> {
    match &stmt.kind {
        StmtKind::Expr(e) => vec![e],
        StmtKind::Set { value, .. } => vec![value],
        StmtKind::MapSet { key, value, .. } | StmtKind::MapModify { key, value, .. } => {
            key.iter().chain([value]).collect()
        }
        StmtKind::Aggregate { key, value, time, .. } => {
            key.iter().chain(value).chain(time).collect()
        }
        StmtKind::If { cond, .. } | StmtKind::While { cond, .. } => vec![cond],
        StmtKind::ForRange { start, end, .. } => vec![start, end],
        StmtKind::Return(value) => value.iter().collect(),
        StmtKind::Action(action) => arguments(action),
        StmtKind::ForMap { .. } | StmtKind::Break | StmtKind::Continue | StmtKind::Block(_) => {
            Vec::new()
        }
    }
}

fn arguments(action: &Action) -> Vec<&Expr> {
    match action {
        Action::Printf { args, .. }
        | Action::Errorf { args, .. }
        | Action::Cat { args, .. }
        | Action::Debugf { args, .. }
        | Action::System { args, .. } => args.iter().collect(),
        Action::PrintValue(value) | Action::Unwatch(value) => vec![value],
        Action::PrintEntry { key, value, .. } => [key].into_iter().chain(value).collect(),
        Action::Exit(code) => code.iter().collect(),
        Action::Join { list, .. } => vec![list],
        Action::SeqPrintf(pieces) => pieces.iter().filter_map(SeqPiece::value).collect(),
        Action::PrintMap { .. } | Action::Clear(_) | Action::Zero(_) | Action::Time(_) => {
            Vec::new()
        }
    }
}

/// Expressions right under an expression; the statements of a block are not among them.
pub fn parts(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::MapGet { key, .. }
        | ExprKind::AggregateGet { key, .. }
        | ExprKind::MapAddress { key, .. }
        | ExprKind::MapStep { key, .. } => key.iter().map(|k| &**k).collect(),
        ExprKind::Unary { operand, .. } | ExprKind::Cast(operand) | ExprKind::Load(operand) => {
            vec![operand]
        }
        ExprKind::Binary { left, right, .. }
        | ExprKind::Same { left, right, .. }
        | ExprKind::Logic { left, right, .. } => vec![left, right],
        ExprKind::Ternary { cond, then, otherwise } => vec![cond, then, otherwise],
        ExprKind::Field { base, .. } => vec![base],
        ExprKind::Index { base, index } => vec![base, index],
        ExprKind::Tuple(values) => values.iter().collect(),
        ExprKind::Call(call) => call_arguments(call),
        ExprKind::Block { value, .. } => vec![value],
        ExprKind::Int(_)
        | ExprKind::Zero
        | ExprKind::Str(_)
        | ExprKind::Local(_)
        | ExprKind::AddressOf(_)
        | ExprKind::Builtin(_)
        | ExprKind::ProbeIs(_)
        | ExprKind::TracepointRecord
        | ExprKind::LocalStep { .. } => Vec::new(),
    }
}

fn call_arguments(call: &Call) -> Vec<&Expr> {
    match call {
        Call::Str { ptr, len } => [ptr].into_iter().chain(len).collect(),
        Call::Buf { ptr, len } => vec![ptr, len],
        Call::HasKey { key, .. } => vec![key],
        Call::Delete { key, .. } => key.iter().collect(),
        Call::StrLen(e)
        | Call::StackLen(e)
        | Call::Bswap(e)
        | Call::Strftime(e)
        | Call::Mark(e)
        | Call::Within { address: e, .. }
        | Call::MacAddr(e) => vec![e],
        Call::PayloadByte { payload, at } => vec![&payload.start, &payload.end, at],
        Call::PayloadBytes { payload, len } => vec![&payload.start, &payload.end, len],
        Call::PayloadLen(payload) => vec![&payload.start, &payload.end],
        Call::Strncmp { left, right, .. } => vec![left, right],
        Call::Memcmp { left, right, len } => vec![left, right, len],
        Call::StrStr { haystack, needle } => vec![haystack, needle],
        Call::StrConcat { left, right } => vec![left, right],
        Call::Cut { text, len } => vec![text, len],
        Call::BufOf { data, len } => vec![data, len],
        Call::TextOf { number, .. } => vec![number],
        Call::Helper { args, .. } => args.iter().collect(),
        Call::WriteUser { to, from, .. } => vec![to, from],
        Call::Path(of) => vec![of],
        Call::SkbOutput { skb, len, .. } => vec![skb, len],
        Call::PerCpuAddress { cpu, .. } => vec![cpu],
        Call::Ntop { family, addr } => family.iter().chain([addr]).collect(),
        Call::MapLen(_) | Call::Stack { .. } | Call::Register { .. } => Vec::new(),
    }
}
