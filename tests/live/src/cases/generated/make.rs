//! Makes expressions and blocks at random.

use super::expr::{Entry, Expr, INPUTS, Rng, SIGNED, State, TEXTS, Text, apply, name};

/// A statement.
pub enum Stmt {
    Set(usize, Expr),
    Modify(usize, &'static str, Expr),
    Do(Expr),
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    Unroll(u64, Vec<Stmt>),
    /// `for ($i : from..to)`
    Range(usize, Expr, Expr, Vec<Stmt>),
    /// A loop of at most so many rounds, counted by the variable.
    While(usize, u64, Expr, Vec<Stmt>),
    /// `if (...) { break; }`, or `continue`.
    Jump(bool, Expr),
    EntrySet(Entry, Expr),
    EntryModify(Entry, &'static str, Expr),
    Delete(Entry),
}

/// How a statement ended.
#[derive(Clone, Copy, PartialEq)]
pub enum Flow {
    On,
    Break,
    Continue,
}

const OPS: &[&str] = &["+", "-", "*", "&", "|", "^", "<<", ">>", "/", "%"];
const COMPARISONS: &[&str] = &["<", "<=", ">", ">=", "==", "!="];

/// The maps of generated blocks: how many numbers and whether a string are in the key.
pub const MAPS: &[(usize, bool)] = &[(0, false), (1, false), (1, true), (2, true), (0, true)];

/// Makes things at random.
pub struct Maker {
    pub rng: Rng,
    /// Whether expressions may change variables and maps.
    pub effects: bool,
    /// Whether they read maps.
    pub maps: bool,
    /// Variables of loops around this place.
    pub loops: Vec<usize>,
    /// Variables so far.
    pub vars: usize,
}

impl Maker {
    pub fn new(seed: u64) -> Self {
        Maker { rng: Rng::new(seed), effects: false, maps: false, loops: Vec::new(), vars: INPUTS }
    }

    fn var(&mut self) -> Expr {
        if !self.loops.is_empty() && self.rng.once_in(3) {
            return Expr::Var(self.rng.pick(&self.loops));
        }
        Expr::Var(self.rng.below(INPUTS as u64) as usize)
    }

    fn cast(&mut self, of: Expr) -> Expr {
        let (bytes, signed) = (self.rng.pick(&[1, 2, 4, 8]), self.rng.once_in(2));
        Expr::Cast { bytes, signed, of: Box::new(of) }
    }

    /// A number of any type.
    pub fn int(&mut self, depth: u32) -> Expr {
        if depth == 0 {
            let var = self.var();
            return if self.rng.once_in(4) { self.cast(var) } else { var };
        }
        match self.rng.below(16) {
            0..=7 => self.binary(depth),
            8 => {
                let of = self.wide(depth - 1);
                Expr::Unary(self.rng.pick(&['-', '~']), Box::new(of))
            }
            9 | 10 => {
                let of = self.int(depth - 1);
                self.cast(of)
            }
            11 | 12 => {
                let signed = self.rng.once_in(2);
                let cond = self.cond(depth - 1);
                let (a, b) = (self.typed(signed, depth - 1), self.typed(signed, depth - 1));
                Expr::Ternary(Box::new(cond), Box::new(a), Box::new(b))
            }
            13 => {
                let of = Box::new(self.cond(depth - 1));
                Expr::Cast { bytes: 8, signed: self.rng.once_in(2), of }
            }
            14 if self.effects => self.step(),
            15 if self.maps => Expr::Entry(self.entry()),
            _ => self.var(),
        }
    }

    fn step(&mut self) -> Expr {
        let prefix = self.rng.once_in(2);
        if self.maps && self.rng.once_in(3) {
            return Expr::EntryStep { entry: self.entry(), up: self.rng.once_in(2), prefix };
        }
        let var = self.rng.below(INPUTS as u64) as usize;
        // `--` would make an unsigned variable signed.
        Expr::Step { var, up: var >= SIGNED || self.rng.once_in(2), prefix }
    }

    /// A number of 64 bits.
    fn wide(&mut self, depth: u32) -> Expr {
        let of = self.int(depth);
        if !of.narrow() {
            return of;
        }
        Expr::Cast { bytes: 8, signed: of.signed(), of: Box::new(of) }
    }

    /// A number of 64 bits, signed or not.
    pub fn typed(&mut self, signed: bool, depth: u32) -> Expr {
        let of = self.int(depth);
        if of.signed() == signed && !of.narrow() {
            return of;
        }
        Expr::Cast { bytes: 8, signed, of: Box::new(of) }
    }

    fn literal(&mut self, beside: &Expr) -> Expr {
        let signed = beside.signed();
        let size = self.rng.sized(if signed { 62 } else { 64 });
        let negative = signed && self.rng.once_in(2);
        Expr::Literal { value: if negative { size.wrapping_neg() } else { size }, signed }
    }

    fn binary(&mut self, depth: u32) -> Expr {
        let op = self.rng.pick(OPS);
        let left = self.int(depth - 1);
        let right = self.right(op, &left, depth - 1);
        if !matches!(op, "/" | "%" | "<<" | ">>") && self.rng.once_in(8) {
            let literal = self.literal(&right);
            return Expr::Binary(op, Box::new(literal), Box::new(not_literal(right)));
        }
        Expr::Binary(op, Box::new(left), Box::new(right))
    }

    /// An operand that `left op` is defined for.
    fn right(&mut self, op: &str, left: &Expr, depth: u32) -> Expr {
        let number = |value, signed| Box::new(Expr::Literal { value, signed });
        match op {
            "/" | "%" => match self.rng.below(4) {
                0 => Expr::Literal { value: 1 + self.rng.sized(40), signed: left.signed() },
                1 if !left.signed() => {
                    let any = self.typed(false, depth);
                    Expr::Binary("|", Box::new(any), number(1, false))
                }
                2 => {
                    let low =
                        Expr::Binary("&", Box::new(self.typed(true, depth)), number(1023, true));
                    let low = Expr::Binary("+", Box::new(low), number(2, true));
                    Expr::Unary('-', Box::new(low))
                }
                _ => {
                    let (mask, signed) = (self.rng.pick(&[1, 7, 255, 0xffff]), self.rng.once_in(2));
                    let low = Expr::Binary(
                        "&",
                        Box::new(self.typed(signed, depth)),
                        number(mask, signed),
                    );
                    Expr::Binary("+", Box::new(low), number(1, signed))
                }
            },
            "<<" | ">>" if self.rng.once_in(2) => {
                Expr::Literal { value: self.rng.below(64), signed: left.signed() }
            }
            "<<" | ">>" => Expr::Binary("&", Box::new(self.typed(false, depth)), number(63, false)),
            _ if self.rng.once_in(3) => self.literal(left),
            _ => self.int(depth),
        }
    }

    /// A condition.
    pub fn cond(&mut self, depth: u32) -> Expr {
        if depth > 0 {
            match self.rng.below(8) {
                0 | 1 => {
                    let (left, right) = (self.cond(depth - 1), self.cond(depth - 1));
                    let and = self.rng.once_in(2);
                    return Expr::Logic { and, left: Box::new(left), right: Box::new(right) };
                }
                2 => return Expr::Not(Box::new(self.cond(depth - 1))),
                3 => return self.texts(depth - 1),
                _ => {}
            }
        }
        let left = self.int(depth.saturating_sub(1));
        let right = if self.rng.once_in(3) {
            self.literal(&left)
        } else {
            self.int(depth.saturating_sub(1))
        };
        Expr::Compare(self.rng.pick(COMPARISONS), Box::new(left), Box::new(right))
    }

    fn texts(&mut self, depth: u32) -> Expr {
        let (left, right) = (self.text(depth.max(1)), self.text(depth));
        if self.rng.once_in(2) {
            return Expr::Same { negated: self.rng.once_in(2), left, right };
        }
        Expr::SameStart { length: 1 + self.rng.below(20) as usize, left, right }
    }

    /// A string.
    pub fn text(&mut self, depth: u32) -> Text {
        if depth == 0 || self.rng.once_in(4) {
            return Text::Literal(self.rng.pick(TEXTS));
        }
        let cond = Box::new(self.cond(depth - 1));
        let (a, b) = (self.text(depth - 1), self.text(depth - 1));
        Text::Choice(cond, Box::new(a), Box::new(b))
    }

    /// An entry of one of the maps. Nothing in its key changes anything.
    pub fn entry(&mut self) -> Entry {
        let (effects, maps) = (self.effects, self.maps);
        (self.effects, self.maps) = (false, false);
        let map = self.rng.below(MAPS.len() as u64) as usize;
        let (numbers, text) = MAPS[map];
        let numbers = (0..numbers).map(|_| {
            let mask = Box::new(Expr::Literal { value: 3, signed: true });
            Expr::Binary("&", Box::new(self.typed(true, 1)), mask)
        });
        let numbers = numbers.collect();
        let text = text.then(|| self.text(1));
        (self.effects, self.maps) = (effects, maps);
        Entry { map, numbers, text }
    }

    /// So many statements; `depth` is how deep ifs and loops nest.
    pub fn block(&mut self, count: u64, depth: u32) -> Vec<Stmt> {
        (0..count).map(|_| self.stmt(depth)).collect()
    }

    fn stmt(&mut self, depth: u32) -> Stmt {
        match self.rng.below(if depth == 0 { 10 } else { 16 }) {
            0 | 1 => {
                let var = self.rng.below(INPUTS as u64) as usize;
                Stmt::Set(var, self.typed(var < SIGNED, 2))
            }
            2 | 3 => {
                let var = self.rng.below(INPUTS as u64) as usize;
                let (op, value) = self.change(var < SIGNED);
                Stmt::Modify(var, op, value)
            }
            4 => Stmt::Do(self.step()),
            5 if !self.loops.is_empty() => Stmt::Jump(self.rng.once_in(2), self.cond(1)),
            // Whether the key or the value comes first is nobody's business: neither has effects.
            5..=8 => {
                let effects = std::mem::replace(&mut self.effects, false);
                let entry = self.entry();
                let stmt = if self.rng.once_in(2) {
                    Stmt::EntrySet(entry, self.typed(true, 2))
                } else {
                    let (op, value) = self.change(true);
                    Stmt::EntryModify(entry, op, value)
                };
                self.effects = effects;
                stmt
            }
            9 => Stmt::Delete(self.entry()),
            10..=12 => {
                let cond = self.cond(2);
                let (then, more) = (1 + self.rng.below(3), self.rng.below(3));
                let then = self.block(then, depth - 1);
                let otherwise = match more {
                    0 => Vec::new(),
                    more => self.block(more, depth - 1),
                };
                Stmt::If(cond, then, otherwise)
            }
            13 => {
                // `break` would belong to the loop around.
                let loops = std::mem::take(&mut self.loops);
                let body = self.block(2, 0);
                self.loops = loops;
                Stmt::Unroll(1 + self.rng.below(4), body)
            }
            _ => self.looped(depth),
        }
    }

    /// `op= value`
    fn change(&mut self, signed: bool) -> (&'static str, Expr) {
        let op = self.rng.pick(OPS);
        if op == "-" && !signed {
            return ("+", self.typed(false, 2));
        }
        let beside = Expr::Var(if signed { 0 } else { SIGNED });
        let right = self.right(op, &beside, 2);
        if signed || !right.signed() {
            return (op, right);
        }
        if matches!(op, "/" | "%") {
            return (op, Expr::Literal { value: 3, signed: false });
        }
        (op, Expr::Cast { bytes: 8, signed: false, of: Box::new(right) })
    }

    fn looped(&mut self, depth: u32) -> Stmt {
        let var = self.vars;
        self.vars += 1;
        let kind = self.rng.below(3);
        let number = |value| Expr::Literal { value, signed: true };
        let bound = self.typed(true, 1);
        let cond = self.cond(1);
        self.loops.push(var);
        let body = self.block(2, depth - 1);
        self.loops.pop();
        match kind {
            0 => Stmt::While(var, 1 + self.rng.below(5), cond, body),
            1 => {
                let from = self.rng.below(3);
                Stmt::Range(var, number(from), number(from + self.rng.below(6)), body)
            }
            _ => {
                let to = Expr::Binary("&", Box::new(bound), Box::new(number(7)));
                let from = Expr::Cast { bytes: 8, signed: true, of: Box::new(number(1)) };
                Stmt::Range(var, from, to, body)
            }
        }
    }
}

/// Beside a literal must be something else, or the two are one literal.
fn not_literal(expr: Expr) -> Expr {
    match expr {
        Expr::Literal { signed, .. } => Expr::Cast {
            bytes: 8,
            signed,
            of: Box::new(Expr::Var(if signed { 0 } else { SIGNED })),
        },
        other => other,
    }
}

/// Statements as the language writes them.
pub fn text(stmts: &[Stmt]) -> String {
    stmts.iter().map(|stmt| stmt.text() + "\n").collect()
}

/// Runs statements.
pub fn run(stmts: &[Stmt], state: &mut State) -> Flow {
    for stmt in stmts {
        match stmt.run(state) {
            Flow::On => {}
            jump => return jump,
        }
    }
    Flow::On
}

impl Stmt {
    fn text(&self) -> String {
        match self {
            Stmt::Set(var, value) => format!("{} = {};", name(*var), value.text()),
            Stmt::Modify(var, op, value) => format!("{} {op}= {};", name(*var), value.text()),
            Stmt::Do(expr) => format!("{};", expr.text()),
            Stmt::If(cond, then, otherwise) => {
                let first = format!("if ({}) {{ {} }}", cond.text(), text(then));
                match &otherwise[..] {
                    [] => first,
                    [one @ Stmt::If(..)] => format!("{first} else {}", one.text()),
                    more => format!("{first} else {{ {} }}", text(more)),
                }
            }
            Stmt::Unroll(count, body) => format!("unroll({count}) {{ {} }}", text(body)),
            Stmt::Range(var, from, to, body) => {
                let (var, from, to) = (name(*var), from.text(), to.text());
                format!("for ({var} : {from}..{to}) {{ {} }}", text(body))
            }
            Stmt::While(var, most, cond, body) => {
                let (var, body) = (name(*var), text(body));
                let head = format!("{var} = (int64)0; while ({var} < {most} && {})", cond.text());
                format!("{head} {{ {var}++; {body} }}")
            }
            Stmt::Jump(breaks, cond) => {
                let word = if *breaks { "break" } else { "continue" };
                format!("if ({}) {{ {word}; }}", cond.text())
            }
            Stmt::EntrySet(entry, value) => format!("{} = {};", entry.text(), value.text()),
            Stmt::EntryModify(entry, op, value) => {
                format!("{} {op}= {};", entry.text(), value.text())
            }
            Stmt::Delete(entry) => entry.delete_text(),
        }
    }

    fn run(&self, state: &mut State) -> Flow {
        match self {
            Stmt::Set(var, value) => state.vars[*var] = value.eval(state),
            Stmt::Modify(var, op, value) => {
                let old = state.vars[*var];
                state.vars[*var] = apply(op, *var < SIGNED, old, value.eval(state));
            }
            Stmt::Do(expr) => _ = expr.eval(state),
            Stmt::If(cond, then, otherwise) => {
                let chosen = if cond.eval(state) != 0 { then } else { otherwise };
                return run(chosen, state);
            }
            Stmt::Unroll(count, body) => (0..*count).for_each(|_| _ = run(body, state)),
            Stmt::Range(var, from, to, body) => {
                let (from, to) = (from.eval(state) as i64, to.eval(state) as i64);
                for round in from..to {
                    state.vars[*var] = round as u64;
                    if run(body, state) == Flow::Break {
                        break;
                    }
                }
            }
            Stmt::While(var, most, cond, body) => {
                state.vars[*var] = 0;
                while state.vars[*var] < *most && cond.eval(state) != 0 {
                    state.vars[*var] += 1;
                    if run(body, state) == Flow::Break {
                        break;
                    }
                }
            }
            Stmt::Jump(breaks, cond) => {
                if cond.eval(state) != 0 {
                    return if *breaks { Flow::Break } else { Flow::Continue };
                }
            }
            Stmt::EntrySet(entry, value) => {
                let place = entry.place(state);
                let value = value.eval(state);
                state.maps.insert(place, value);
            }
            Stmt::EntryModify(entry, op, value) => {
                let place = entry.place(state);
                let value = value.eval(state);
                let old = state.maps.get(&place).copied().unwrap_or(0);
                state.maps.insert(place, apply(op, true, old, value));
            }
            Stmt::Delete(entry) => {
                let place = entry.place(state);
                state.maps.remove(&place);
            }
        }
        Flow::On
    }
}
