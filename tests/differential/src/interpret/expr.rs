//! Expressions.

use rbtrace_lang::hir::{BinaryOp, Call, Expr, ExprKind, Int, LocalId, MapId, Type, UnaryOp};

use super::value::fit;
use super::{Machine, Result, Stop, Value};

impl Machine<'_> {
    /// The value of an expression. Operands are evaluated from left to right.
    pub(super) fn eval(&mut self, e: &Expr) -> Result<Value> {
        let truth = |is: bool| Ok(Value::Int(i64::from(is)));
        match &e.kind {
            ExprKind::Int(n) => Ok(Value::Int(*n)),
            ExprKind::Str(text) => Ok(Value::Text(until_nul(text))),
            ExprKind::Local(id) => self.local(*id).cloned(),
            ExprKind::MapGet { map, key } => {
                let key = self.key(key.as_deref())?;
                self.entry(*map, &key)
            }
            ExprKind::AggregateGet { map, key } => self.total(*map, key.as_deref()),
            ExprKind::Unary { op, operand } => self.unary(*op, operand, &e.ty),
            ExprKind::Binary { op, left, right } => {
                let (l, r) = (self.eval(left)?, self.eval(right)?);
                self.arithmetic(*op, l.int(), r.int(), &left.ty, &e.ty).map(Value::Int)
            }
            ExprKind::Same { negated, left, right } => {
                let same = self.eval(left)? == self.eval(right)?;
                truth(same != *negated)
            }
            ExprKind::Logic { and, left, right } => {
                let left = self.eval(left)?.int() != 0;
                if left == *and { truth(self.eval(right)?.int() != 0) } else { truth(left) }
            }
            ExprKind::Ternary { cond, then, otherwise } => {
                let chosen = if self.eval(cond)?.int() != 0 { then } else { otherwise };
                self.eval(chosen)
            }
            ExprKind::Cast(of) => {
                let value = self.eval(of)?;
                cast(value, &e.ty)
            }
            ExprKind::Field { base, field } => {
                let base = self.eval(base)?;
                base.many().get(*field as usize).cloned().ok_or_else(|| unknown(e))
            }
            ExprKind::Index { base, index } => {
                let (base, index) = (self.eval(base)?, self.eval(index)?.int() as u64);
                let found = base.many().get(usize::try_from(index).unwrap_or(usize::MAX));
                Ok(found.cloned().unwrap_or_else(|| Value::zero(&e.ty)))
            }
            ExprKind::Tuple(members) => {
                members.iter().map(|m| self.eval(m)).collect::<Result<_>>().map(Value::Many)
            }
            ExprKind::Call(call) => self.call(call, e),
            ExprKind::Block { stmts, value } => {
                self.stmts(stmts)?;
                self.eval(value)
            }
            ExprKind::LocalStep { local, delta, prefix } => {
                let old = self.local(*local)?.int();
                let new = self.stepped(old, *delta, &e.ty)?;
                self.set(*local, Value::Int(new));
                Ok(Value::Int(if *prefix { new } else { old }))
            }
            ExprKind::MapStep { map, key, delta, prefix } => {
                let key = self.key(key.as_deref())?;
                let ty = self.map(*map)?.value.clone();
                let old = self.entry(*map, &key)?.int();
                let new = self.stepped(old, *delta, &ty)?;
                self.entries(*map).insert(key, Value::Int(new));
                Ok(Value::Int(if *prefix { new } else { old }))
            }
            _ => Err(unknown(e)),
        }
    }

    fn local(&self, id: LocalId) -> Result<&Value> {
        self.locals.get(id.index()).ok_or_else(|| Stop::Unknown(format!("{id:?}")))
    }

    pub(super) fn set(&mut self, id: LocalId, value: Value) {
        if let Some(local) = self.locals.get_mut(id.index()) {
            *local = value;
        }
    }

    /// The key of an entry; that of a scalar map's only one is an empty tuple.
    pub(super) fn key(&mut self, key: Option<&Expr>) -> Result<Value> {
        key.map_or(Ok(Value::Many(Vec::new())), |key| self.eval(key))
    }

    /// An entry; zero if there is none.
    pub(super) fn entry(&mut self, map: MapId, key: &Value) -> Result<Value> {
        let zero = Value::zero(&self.map(map)?.value);
        Ok(self.entries(map).get(key).cloned().unwrap_or(zero))
    }

    fn total(&mut self, map: MapId, key: Option<&Expr>) -> Result<Value> {
        let key = self.key(key)?;
        let Type::Aggregate(aggregate) = self.map(map)?.value.clone() else {
            return Err(Stop::Unknown("an aggregation of none".into()));
        };
        let totals = self.totals[map.index()].get(&key);
        Ok(Value::Int(totals.map_or(0, |totals| totals.value(&aggregate))))
    }

    fn stepped(&self, old: i64, delta: i64, ty: &Type) -> Result<i64> {
        Ok(fit(old.wrapping_add(delta), int_of(ty)?))
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr, ty: &Type) -> Result<Value> {
        let n = self.eval(operand)?.int();
        let result = match op {
            UnaryOp::Not => return Ok(Value::Int(i64::from(n == 0))),
            UnaryOp::Neg => n.wrapping_neg(),
            UnaryOp::BitNot => !n,
        };
        Ok(Value::Int(fit(result, int_of(ty)?)))
    }

    /// An operator on two numbers of type `from`.
    pub(super) fn arithmetic(
        &self,
        op: BinaryOp,
        l: i64,
        r: i64,
        from: &Type,
        to: &Type,
    ) -> Result<i64> {
        let from = int_of(from)?;
        let order = if from.signed { l.cmp(&r) } else { (l as u64).cmp(&(r as u64)) };
        let n = match op {
            BinaryOp::Eq => i64::from(order.is_eq()),
            BinaryOp::Ne => i64::from(order.is_ne()),
            BinaryOp::Lt => i64::from(order.is_lt()),
            BinaryOp::Le => i64::from(order.is_le()),
            BinaryOp::Gt => i64::from(order.is_gt()),
            BinaryOp::Ge => i64::from(order.is_ge()),
            BinaryOp::Add => l.wrapping_add(r),
            BinaryOp::Sub => l.wrapping_sub(r),
            BinaryOp::Mul => l.wrapping_mul(r),
            // As bpftrace has it.
            BinaryOp::Div | BinaryOp::Rem if r == 0 => 1,
            BinaryOp::Div if from.signed => l.wrapping_div(r),
            BinaryOp::Div => (l as u64 / r as u64) as i64,
            BinaryOp::Rem if from.signed => l.wrapping_rem(r),
            BinaryOp::Rem => (l as u64 % r as u64) as i64,
            BinaryOp::BitAnd => l & r,
            BinaryOp::BitOr => l | r,
            BinaryOp::BitXor => l ^ r,
            BinaryOp::Shl => l.wrapping_shl(r as u32),
            // Zeros come in whatever the sign.
            BinaryOp::Shr => (l as u64).wrapping_shr(r as u32) as i64,
            BinaryOp::And | BinaryOp::Or => return Err(Stop::Unknown("a logical operator".into())),
        };
        if op.is_comparison() { Ok(n) } else { Ok(fit(n, int_of(to)?)) }
    }

    fn call(&mut self, call: &Call, e: &Expr) -> Result<Value> {
        match call {
            Call::HasKey { map, key } => {
                let key = self.eval(key)?;
                let plain = self.maps[map.index()].contains_key(&key);
                let is = plain || self.totals[map.index()].contains_key(&key);
                Ok(Value::Int(i64::from(is)))
            }
            Call::Delete { map, key } => {
                let key = self.key(key.as_ref())?;
                let plain = self.maps[map.index()].remove(&key).is_some();
                let total = self.totals[map.index()].remove(&key).is_some();
                Ok(Value::Int(i64::from(plain || total)))
            }
            Call::MapLen(map) => {
                let len = self.maps[map.index()].len() + self.totals[map.index()].len();
                Ok(Value::Int(len as i64))
            }
            Call::StrLen(text) => Ok(Value::Int(self.eval(text)?.text().len() as i64)),
            Call::Strncmp { left, right, len } => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                let differ = start(left.text(), *len) != start(right.text(), *len);
                Ok(Value::Int(i64::from(differ)))
            }
            Call::StrStr { haystack, needle } => {
                let (haystack, needle) = (self.eval(haystack)?, self.eval(needle)?);
                let (text, part) = (haystack.text(), needle.text());
                let mut starts = 0..=text.len().saturating_sub(part.len());
                let found = starts.find(|at| text.get(*at..*at + part.len()) == Some(part));
                Ok(Value::Int(found.map_or(-1, |at| at as i64)))
            }
            Call::Bswap(of) => {
                let int = int_of(&of.ty)?;
                let n = self.eval(of)?.int() as u64;
                let swapped = n.swap_bytes() >> (64 - 8 * u32::from(int.size.clamp(1, 8)));
                Ok(Value::Int(fit(swapped as i64, int_of(&e.ty)?)))
            }
            _ => Err(unknown(e)),
        }
    }
}

fn cast(value: Value, to: &Type) -> Result<Value> {
    match (value, to) {
        (Value::Int(n), Type::Bool) => Ok(Value::Int(i64::from(n != 0))),
        (Value::Int(n), ty) => Ok(Value::Int(fit(n, int_of(ty)?))),
        (Value::Text(mut text), Type::Str { size }) => {
            text.truncate(*size as usize);
            Ok(Value::Text(text))
        }
        (_, ty) => Err(Stop::Unknown(format!("a cast to {ty:?}"))),
    }
}

fn start(text: &[u8], len: u64) -> &[u8] {
    &text[..text.len().min(usize::try_from(len).unwrap_or(usize::MAX))]
}

fn until_nul(text: &[u8]) -> Vec<u8> {
    text.iter().copied().take_while(|byte| *byte != 0).collect()
}

fn int_of(ty: &Type) -> Result<Int> {
    ty.as_int().ok_or_else(|| Stop::Unknown(format!("{ty:?} as a number")))
}

fn unknown(e: &Expr) -> Stop {
    Stop::Unknown(format!("{:?}", e.kind))
}
