//! The syntax tree as text: one statement a line, blocks indented, expressions with all their
//! parentheses, so that precedence is visible.

use std::fmt::Write as _;

use crate::ast::{
    AttachPiece, AttachPoint, Block, ConfigValue, Expr, ExprKind, Ident, Item, MacroParam, Param,
    Script, Stmt, StmtKind, Type, TypeKind, TypeOrExpr, UnaryOp,
};

/// A whole script.
pub fn script(script: &Script) -> String {
    let mut dump = Dump::default();
    for definition in &script.definitions {
        for (i, line) in definition.text.lines().enumerate() {
            dump.line(if i == 0 { format!("c {line}") } else { format!("  {line}") });
        }
    }
    for entry in script.settings() {
        let value = match &entry.value {
            ConfigValue::Int(n) => n.to_string(),
            ConfigValue::Str(s) => format!("{s:?}"),
            ConfigValue::Word(w) => w.clone(),
        };
        dump.line(format!("config {} = {value}", entry.name.name));
    }
    for import in &script.imports {
        dump.line(format!("import {:?}", import.name));
    }
    for item in &script.items {
        dump.item(item);
    }
    dump.text
}

/// An expression, on one line unless there are blocks in it.
pub fn expr(expr: &Expr) -> String {
    let mut dump = Dump::default();
    dump.expr(expr);
    dump.text
}

/// A type.
pub fn ty(ty: &Type) -> String {
    let mut dump = Dump::default();
    dump.ty(ty);
    dump.text
}

/// An attach point as it was written; quotes where they were.
pub fn attach_point(point: &AttachPoint) -> String {
    let parts: Vec<String> = point
        .parts
        .iter()
        .map(|part| {
            let pieces = part.pieces.iter().map(|piece| match piece {
                AttachPiece::Text(text) => text.clone(),
                AttachPiece::Quoted(text) => format!("{text:?}"),
                AttachPiece::Param(param) => self::param(param),
            });
            pieces.collect()
        })
        .collect();
    parts.join(":")
}

fn param(param: &Param) -> String {
    match &param.default {
        Some(default) => format!("${{{}:-{default}}}", param.number),
        None => format!("${}", param.number),
    }
}

/// A string in quotes, with what is not printable escaped.
fn quoted(bytes: &[u8]) -> String {
    let mut result = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' | '\n' | '\t' | '\r' => result.extend(c.escape_default()),
                c if c.is_control() => {
                    let _ = write!(result, "\\x{:02x}", u32::from(c));
                }
                c => result.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(result, "\\x{byte:02x}");
        }
    }
    result.push('"');
    result
}

#[derive(Default)]
struct Dump {
    text: String,
    indent: usize,
}

impl Dump {
    fn begin(&mut self) {
        for _ in 0..self.indent {
            self.text.push_str("  ");
        }
    }

    fn end(&mut self) {
        self.text.push('\n');
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn line(&mut self, text: impl AsRef<str>) {
        self.begin();
        self.put(text.as_ref());
        self.end();
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Probe(probe) => {
                let points: Vec<String> = probe.attach_points.iter().map(attach_point).collect();
                let name = probe.name.as_ref().map_or(String::new(), |n| format!("{} = ", n.name));
                self.line(format!("probe {name}{}", points.join(", ")));
                self.indent += 1;
                if let Some(predicate) = &probe.predicate {
                    self.begin();
                    self.put("predicate ");
                    self.expr(predicate);
                    self.end();
                }
                self.block_body(&probe.body);
                self.indent -= 1;
            }
            Item::Macro(m) => {
                let params: Vec<String> = m
                    .params
                    .iter()
                    .map(|p| match p {
                        MacroParam::Var(id) => format!("${}", id.name),
                        MacroParam::Map(id) => format!("@{}", id.name),
                        MacroParam::Expr(id) => id.name.clone(),
                    })
                    .collect();
                self.line(format!("macro {}({})", m.name.name, params.join(", ")));
                self.nested(&m.body);
            }
            Item::MapDecl(decl) => {
                self.begin();
                let _ = write!(self.text, "map @{} = {}(", decl.name.name, decl.kind.name);
                self.expr(&decl.max_entries);
                self.put(")");
                self.end();
            }
            Item::Function(function) => {
                self.begin();
                let _ = write!(self.text, "fn {}(", function.name.name);
                for (i, (name, of)) in function.params.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    let _ = write!(self.text, "{comma}${}: {}", name.name, ty(of));
                }
                self.put(")");
                if let Some(result) = &function.result {
                    self.put(": ");
                    self.ty(result);
                }
                self.end();
                self.nested(&function.body);
            }
        }
    }

    fn nested(&mut self, block: &Block) {
        self.indent += 1;
        self.block_body(block);
        self.indent -= 1;
    }

    fn block_body(&mut self, block: &Block) {
        for stmt in &block.stmts {
            self.stmt(stmt);
        }
        if let Some(value) = &block.value {
            self.begin();
            self.put("value ");
            self.expr(value);
            self.end();
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        self.begin();
        match &stmt.kind {
            StmtKind::Expr(e) => self.expr(e),
            StmtKind::Discard(e) => {
                self.put("_ = ");
                self.expr(e);
            }
            StmtKind::Assign { target, op, value } => {
                self.expr(target);
                let _ = write!(self.text, " {}= ", op.map_or("", |op| op.symbol()));
                self.expr(value);
            }
            StmtKind::Let { name, ty, value } => {
                let _ = write!(self.text, "let ${}", name.name);
                if let Some(ty) = ty {
                    self.put(": ");
                    self.ty(ty);
                }
                if let Some(value) = value {
                    self.put(" = ");
                    self.expr(value);
                }
            }
            StmtKind::If { cond, then, otherwise } => {
                self.put("if ");
                self.expr(cond);
                self.end();
                self.nested(then);
                if let Some(otherwise) = otherwise {
                    self.line("else");
                    self.nested(otherwise);
                }
                return;
            }
            StmtKind::Unroll { count, body } => return self.loop_of("unroll ", count, body),
            StmtKind::While { cond, body } => return self.loop_of("while ", cond, body),
            StmtKind::ForMap { var, map, body } => {
                let _ = write!(self.text, "for ${} : @{}", var.name, map.name);
                self.end();
                return self.nested(body);
            }
            StmtKind::ForRange { var, start, end, body } => {
                let _ = write!(self.text, "for ${} : ", var.name);
                self.expr(start);
                self.put("..");
                self.expr(end);
                self.end();
                return self.nested(body);
            }
            StmtKind::Break => self.put("break"),
            StmtKind::Continue => self.put("continue"),
            StmtKind::Return(value) => {
                self.put("return");
                if let Some(value) = value {
                    self.put(" ");
                    self.expr(value);
                }
            }
            StmtKind::Block(block) => {
                self.put("block");
                self.end();
                return self.nested(block);
            }
            StmtKind::Import(import) => {
                let _ = write!(self.text, "import {:?}", import.name);
            }
        }
        self.end();
    }

    fn loop_of(&mut self, word: &str, head: &Expr, body: &Block) {
        self.put(word);
        self.expr(head);
        self.end();
        self.nested(body);
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Int(n) => self.put(&n.to_string()),
            ExprKind::Str(bytes) => self.put(&quoted(bytes)),
            ExprKind::Bool(b) => self.put(if *b { "true" } else { "false" }),
            ExprKind::Ident(name) => self.put(name),
            ExprKind::Var(name) => {
                let _ = write!(self.text, "${name}");
            }
            ExprKind::Map { name, key } => {
                let _ = write!(self.text, "@{name}");
                if let Some(key) = key {
                    self.put("[");
                    self.expr(key);
                    self.put("]");
                }
            }
            ExprKind::Param(p) => self.put(&param(p)),
            ExprKind::ParamCount => self.put("$#"),
            ExprKind::Call { name, args } => {
                self.put(&name.name);
                self.list(args);
            }
            ExprKind::Unary { op, operand } => {
                self.put(match op {
                    UnaryOp::Neg => "(-",
                    UnaryOp::Not => "(!",
                    UnaryOp::BitNot => "(~",
                    UnaryOp::Deref => "(*",
                    UnaryOp::AddressOf => "(&",
                });
                self.expr(operand);
                self.put(")");
            }
            ExprKind::Binary { op, left, right } => {
                self.put("(");
                self.expr(left);
                let _ = write!(self.text, " {} ", op.symbol());
                self.expr(right);
                self.put(")");
            }
            ExprKind::Ternary { cond, then, otherwise } => {
                self.put("(");
                self.expr(cond);
                self.put(" ? ");
                self.expr(then);
                self.put(" : ");
                self.expr(otherwise);
                self.put(")");
            }
            ExprKind::IncDec { target, increment, prefix } => {
                let symbol = if *increment { "++" } else { "--" };
                self.put(if *prefix { symbol } else { "" });
                self.expr(target);
                self.put(if *prefix { "" } else { symbol });
            }
            ExprKind::Member { base, field, arrow } => {
                self.expr(base);
                self.put(if *arrow { "->" } else { "." });
                self.put(&field.name);
            }
            ExprKind::Index { base, index } => {
                self.expr(base);
                self.put("[");
                self.expr(index);
                self.put("]");
            }
            ExprKind::Tuple(values) => {
                self.put("tuple");
                self.list(values);
            }
            ExprKind::Record(fields) => self.record(fields),
            ExprKind::Cast { ty, operand } => {
                self.put("((");
                self.ty(ty);
                self.put(")");
                self.expr(operand);
                self.put(")");
            }
            ExprKind::SizeOf(of) => self.of("sizeof(", of),
            ExprKind::TypeInfo(of) => self.of("typeinfo(", of),
            ExprKind::OffsetOf { of, path } => {
                self.of("offsetof(", of);
                self.text.pop();
                let path: Vec<&str> = path.iter().map(|f| f.name.as_str()).collect();
                let _ = write!(self.text, ", {})", path.join("."));
            }
            ExprKind::Block(block) => self.block_value(block),
            ExprKind::TypeArg(ty) => self.ty(ty),
            ExprKind::Comptime(operand) => {
                self.put("(comptime ");
                self.expr(operand);
                self.put(")");
            }
        }
    }

    fn record(&mut self, fields: &[(Ident, Expr)]) {
        self.put("record(");
        for (i, (name, value)) in fields.iter().enumerate() {
            self.put(if i == 0 { "" } else { ", " });
            self.put(&name.name);
            self.put(" = ");
            self.expr(value);
        }
        self.put(")");
    }

    fn block_value(&mut self, block: &Block) {
        self.put("{");
        if let (true, Some(value)) = (block.stmts.is_empty(), &block.value) {
            self.put(" ");
            self.expr(value);
            self.put(" }");
            return;
        }
        self.end();
        self.nested(block);
        self.begin();
        self.put("}");
    }

    fn list(&mut self, values: &[Expr]) {
        self.put("(");
        for (i, value) in values.iter().enumerate() {
            self.put(if i == 0 { "" } else { ", " });
            self.expr(value);
        }
        self.put(")");
    }

    fn of(&mut self, word: &str, of: &TypeOrExpr) {
        self.put(word);
        match of {
            TypeOrExpr::Type(ty) => {
                self.put("type ");
                self.ty(ty);
            }
            TypeOrExpr::Expr(e) => self.expr(e),
        }
        self.put(")");
    }

    fn ty(&mut self, ty: &Type) {
        match &ty.kind {
            TypeKind::Name(name) => self.put(name),
            TypeKind::Struct(name) => {
                let _ = write!(self.text, "struct {name}");
            }
            TypeKind::Union(name) => {
                let _ = write!(self.text, "union {name}");
            }
            TypeKind::Enum(name) => {
                let _ = write!(self.text, "enum {name}");
            }
            TypeKind::Pointer(to) => {
                self.ty(to);
                self.put(if matches!(to.kind, TypeKind::Pointer(_)) { "*" } else { " *" });
            }
            TypeKind::Array(of, size) => {
                self.ty(of);
                self.put("[");
                if let Some(size) = size {
                    self.expr(size);
                }
                self.put("]");
            }
            TypeKind::TypeOf(of) => self.of("typeof(", of),
        }
    }
}
