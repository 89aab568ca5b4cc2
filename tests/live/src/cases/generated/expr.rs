//! Expressions made at random, as text of the language and evaluated here.

use std::collections::BTreeMap;

pub use rbtrace_differential::rng::Rng;

/// What a script is given: the edges of the types, small numbers and any others.
pub fn input(rng: &mut Rng) -> u64 {
    let sign = if rng.once_in(2) { 1 } else { u64::MAX };
    match rng.below(4) {
        0 => rng.pick(&[0, 1, u64::MAX, 1 << 63, i64::MAX as u64, 1 << 31, 0x80, 0xffff]),
        1 => rng.below(16).wrapping_mul(sign),
        2 => rng.sized(64).wrapping_mul(sign),
        _ => rng.bits(),
    }
}

/// Variables that every script starts with: half signed, half unsigned, all of 64 bits.
pub const INPUTS: usize = 6;
/// How many of them are signed: the first ones.
pub const SIGNED: usize = INPUTS / 2;

/// Texts that strings are made of: some differ in the last byte only, or in length.
pub const TEXTS: &[&str] = &[
    "",
    "a",
    "ab",
    "abc",
    "abd",
    "abcdefg",
    "abcdefgh",
    "abcdefgi",
    "abcdefghijklmnop",
    "abcdefghijklmnoq",
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "abcdefghijklmnopqrstuvwxyz012345678",
];

/// A string.
#[derive(Clone)]
pub enum Text {
    Literal(&'static str),
    Choice(Box<Expr>, Box<Text>, Box<Text>),
}

/// A number or, where a condition is wanted, a truth value. Numbers are 64 bits, how they are
/// read follows from [`Expr::signed`].
#[derive(Clone)]
pub enum Expr {
    /// Of the signedness of the operand beside it.
    Literal {
        value: u64,
        signed: bool,
    },
    Var(usize),
    Cast {
        bytes: u32,
        signed: bool,
        of: Box<Expr>,
    },
    Unary(char, Box<Expr>),
    Binary(&'static str, Box<Expr>, Box<Expr>),
    Compare(&'static str, Box<Expr>, Box<Expr>),
    Logic {
        and: bool,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Not(Box<Expr>),
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `$x++` and the like.
    Step {
        var: usize,
        up: bool,
        prefix: bool,
    },
    Same {
        negated: bool,
        left: Text,
        right: Text,
    },
    /// `strncmp(left, right, length) == 0`
    SameStart {
        length: usize,
        left: Text,
        right: Text,
    },
    Entry(Entry),
    EntryStep {
        entry: Entry,
        up: bool,
        prefix: bool,
    },
}

/// An entry of a map of signed numbers.
#[derive(Clone)]
pub struct Entry {
    pub map: usize,
    pub numbers: Vec<Expr>,
    pub text: Option<Text>,
}

/// What a script's variables and maps hold. Maps outlive a run of the block.
#[derive(Default)]
pub struct State {
    pub vars: Vec<u64>,
    pub maps: BTreeMap<(usize, String), u64>,
}

fn step(old: u64, up: bool, prefix: bool) -> (u64, u64) {
    let new = if up { old.wrapping_add(1) } else { old.wrapping_sub(1) };
    (new, if prefix { new } else { old })
}

fn step_text(target: &str, up: bool, prefix: bool) -> String {
    let op = if up { "++" } else { "--" };
    if prefix { format!("{op}{target}") } else { format!("{target}{op}") }
}

/// The name of a variable.
pub fn name(var: usize) -> String {
    match var {
        ..SIGNED => format!("$s{var}"),
        SIGNED..INPUTS => format!("$u{var}"),
        _ => format!("$i{var}"),
    }
}

/// `left op right` in 64 bits; the divisor is not 0.
pub fn apply(op: &str, signed: bool, left: u64, right: u64) -> u64 {
    let (a, b) = (left as i64, right as i64);
    match op {
        "+" => left.wrapping_add(right),
        "-" => left.wrapping_sub(right),
        "*" => left.wrapping_mul(right),
        "/" if signed => a.wrapping_div(b) as u64,
        "%" if signed => a.wrapping_rem(b) as u64,
        "/" => left / right,
        "%" => left % right,
        "&" => left & right,
        "|" => left | right,
        "^" => left ^ right,
        "<<" => left << (right & 63),
        // Without the sign, whatever the type.
        _ => left >> (right & 63),
    }
}

impl Text {
    /// As the language writes it.
    pub fn text(&self) -> String {
        match self {
            Text::Literal(text) => format!("{text:?}"),
            Text::Choice(cond, a, b) => {
                format!("({} ? {} : {})", cond.text(), a.text(), b.text())
            }
        }
    }

    /// What it is.
    pub fn eval(&self, state: &mut State) -> &'static str {
        match self {
            Text::Literal(text) => text,
            Text::Choice(cond, a, b) => {
                if cond.eval(state) != 0 {
                    a.eval(state)
                } else {
                    b.eval(state)
                }
            }
        }
    }
}

impl Entry {
    fn keys(&self) -> Vec<String> {
        self.numbers.iter().map(Expr::text).chain(self.text.iter().map(Text::text)).collect()
    }

    /// `@m[...]`
    pub fn text(&self) -> String {
        let keys = self.keys();
        if keys.is_empty() {
            format!("@m{}", self.map)
        } else {
            format!("@m{}[{}]", self.map, keys.join(", "))
        }
    }

    /// `delete(@m, ...)`
    pub fn delete_text(&self) -> String {
        match &self.keys()[..] {
            [] => format!("delete(@m{});", self.map),
            [key] => format!("delete(@m{}, {key});", self.map),
            keys => format!("delete(@m{}, ({}));", self.map, keys.join(", ")),
        }
    }

    /// Where it is in [`State::maps`]: the key as JSON output has it.
    pub fn place(&self, state: &mut State) -> (usize, String) {
        let mut keys: Vec<String> =
            self.numbers.iter().map(|key| (key.eval(state) as i64).to_string()).collect();
        keys.extend(self.text.as_ref().map(|text| text.eval(state).to_owned()));
        (self.map, keys.join(","))
    }
}

impl Expr {
    /// Whether it is of a signed type.
    pub fn signed(&self) -> bool {
        match self {
            Expr::Literal { signed, .. } | Expr::Cast { signed, .. } => *signed,
            Expr::Var(var) | Expr::Step { var, .. } => *var < SIGNED || *var >= INPUTS,
            Expr::Unary(_, of) => of.signed(),
            Expr::Binary(op, a, b) => *op == "-" || a.signed() || b.signed(),
            Expr::Ternary(_, a, b) => a.signed() || b.signed(),
            _ => true,
        }
    }

    /// Whether its type has less than 64 bits.
    pub fn narrow(&self) -> bool {
        !matches!(
            self,
            Expr::Var(_)
                | Expr::Cast { bytes: 8, .. }
                | Expr::Unary(..)
                | Expr::Binary(..)
                | Expr::Ternary(..)
                | Expr::Step { .. }
                | Expr::Entry(_)
                | Expr::EntryStep { .. }
        )
    }

    /// As the language writes it.
    pub fn text(&self) -> String {
        match self {
            Expr::Literal { value, signed: true } if (*value as i64) < 0 => {
                format!("({})", *value as i64)
            }
            Expr::Literal { value, .. } => value.to_string(),
            // The variable of a loop is as wide as its bounds.
            Expr::Var(var) if *var >= INPUTS => format!("(int64){}", name(*var)),
            Expr::Var(var) => name(*var),
            Expr::Cast { bytes, signed, of } => {
                let sign = if *signed { "" } else { "u" };
                format!("({sign}int{})({})", bytes * 8, of.text())
            }
            Expr::Unary(op, of) => format!("({op}{})", of.text()),
            Expr::Binary(op, a, b) | Expr::Compare(op, a, b) => {
                format!("({} {op} {})", a.text(), b.text())
            }
            Expr::Logic { and, left, right } => {
                format!("({} {} {})", left.text(), if *and { "&&" } else { "||" }, right.text())
            }
            Expr::Not(of) => format!("!({})", of.text()),
            Expr::Ternary(cond, a, b) => {
                format!("({} ? {} : {})", cond.text(), a.text(), b.text())
            }
            Expr::Step { var, up, prefix } => step_text(&name(*var), *up, *prefix),
            Expr::Same { negated, left, right } => {
                format!("({} {} {})", left.text(), if *negated { "!=" } else { "==" }, right.text())
            }
            Expr::SameStart { length, left, right } => {
                format!("(strncmp({}, {}, {length}) == 0)", left.text(), right.text())
            }
            Expr::Entry(entry) => entry.text(),
            Expr::EntryStep { entry, up, prefix } => step_text(&entry.text(), *up, *prefix),
        }
    }

    /// Its 64 bits, operands evaluated from left to right; 0 or 1 of a truth value.
    pub fn eval(&self, state: &mut State) -> u64 {
        match self {
            Expr::Literal { value, .. } => *value,
            Expr::Var(var) => state.vars[*var],
            Expr::Cast { bytes, signed, of } => {
                let shift = 64 - bytes * 8;
                let bits = of.eval(state) << shift;
                if *signed { ((bits as i64) >> shift) as u64 } else { bits >> shift }
            }
            Expr::Unary('-', of) => of.eval(state).wrapping_neg(),
            Expr::Unary(_, of) => !of.eval(state),
            Expr::Binary(op, a, b) => {
                let (left, right) = (a.eval(state), b.eval(state));
                apply(op, self.signed(), left, right)
            }
            Expr::Compare(op, a, b) => {
                let (left, right) = (a.eval(state), b.eval(state));
                let order = if a.signed() || b.signed() {
                    (left as i64).cmp(&(right as i64))
                } else {
                    left.cmp(&right)
                };
                u64::from(match *op {
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    ">" => order.is_gt(),
                    ">=" => order.is_ge(),
                    "==" => order.is_eq(),
                    _ => order.is_ne(),
                })
            }
            Expr::Logic { and, left, right } => {
                let first = left.eval(state) != 0;
                u64::from(if first == *and { right.eval(state) != 0 } else { first })
            }
            Expr::Not(of) => u64::from(of.eval(state) == 0),
            Expr::Ternary(cond, a, b) => {
                if cond.eval(state) != 0 {
                    a.eval(state)
                } else {
                    b.eval(state)
                }
            }
            Expr::Step { var, up, prefix } => {
                let (new, result) = step(state.vars[*var], *up, *prefix);
                state.vars[*var] = new;
                result
            }
            Expr::Same { negated, left, right } => {
                let (left, right) = (left.eval(state), right.eval(state));
                u64::from((left == right) != *negated)
            }
            Expr::SameStart { length, left, right } => {
                let (left, right) = (left.eval(state), right.eval(state));
                u64::from(starts_alike(left, right, *length))
            }
            Expr::Entry(entry) => {
                let place = entry.place(state);
                state.maps.get(&place).copied().unwrap_or(0)
            }
            Expr::EntryStep { entry, up, prefix } => {
                let place = entry.place(state);
                let old = state.maps.get(&place).copied().unwrap_or(0);
                let (new, result) = step(old, *up, *prefix);
                state.maps.insert(place, new);
                result
            }
        }
    }
}

/// Whether `strncmp` of C finds the two equal.
pub fn starts_alike(left: &str, right: &str, length: usize) -> bool {
    let cut = |text: &str| text.as_bytes()[..length.min(text.len())].to_vec();
    cut(left) == cut(right)
}
