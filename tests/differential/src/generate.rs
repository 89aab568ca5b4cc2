//! Makes scripts at random.
//!
//! All that a script computes with comes out of a map, so that nothing is known when it is
//! compiled. Variables: eight integers of all widths and signs, two strings, a tuple of each
//! shape. Maps are mentioned at the start, so that every script has the same.

use crate::node::{Kind, Node};
use crate::rng::Rng;

/// Values in [`Script::inputs`].
pub const INPUTS: usize = 10;

/// Variables with their types, in the order of the inputs.
const VARIABLES: &[(&str, &str)] = &[
    ("$a", "int64"),
    ("$b", "uint64"),
    ("$c", "int32"),
    ("$d", "uint32"),
    ("$e", "int16"),
    ("$f", "uint16"),
    ("$g", "int8"),
    ("$h", "uint8"),
];

/// Texts that strings are made of: some differ in the last byte only, or in length.
const TEXTS: &[&str] =
    &["", "a", "ab", "abc", "abd", "abcdefg", "abcdefgh", "abcdefgi", "abcdefghijklmnopqrstuvwxyz"];

/// Members of the tuples that there are.
const SHAPES: &[&[Member]] = &[
    &[Member::Int("int64"), Member::Text, Member::Bool],
    &[Member::Text, Member::Text],
    &[Member::Int("uint8"), Member::Int("int32"), Member::Tuple(0)],
    &[Member::Int("int16"), Member::Bool, Member::Int("uint64"), Member::Text],
];

#[derive(Clone, Copy)]
enum Member {
    Int(&'static str),
    Bool,
    Text,
    Tuple(usize),
}

/// A generated script.
#[derive(Clone, Debug)]
pub struct Script {
    /// Numbers that it starts with.
    pub inputs: Vec<i64>,
    /// What it does.
    pub body: Node,
}

impl Script {
    /// One that follows from `seed`, with so many values printed.
    pub fn generate(seed: u64, cases: usize, dialect: Dialect) -> Script {
        let mut maker = Maker { rng: Rng::new(seed), loops: 0, variables: 0, dialect };
        let inputs = (0..INPUTS).map(|_| maker.rng.number()).collect();
        let mut stmts = Vec::new();
        for case in 0..cases {
            if case % 3 == 2 {
                stmts.push(maker.stmt(2));
            }
            stmts.push(maker.print());
        }
        Script { inputs, body: Node::block(stmts) }
    }

    /// As the language writes it.
    pub fn text(&self) -> String {
        // Making large maps takes longer than all the rest.
        let mut out = String::from("config = { max_map_keys = 64 }\nBEGIN {\n");
        for (at, input) in self.inputs.iter().enumerate() {
            out += &format!("@in[{at}] = (int64)0x{input:x};\n");
        }
        for (at, (name, ty)) in VARIABLES.iter().enumerate() {
            out += &format!("{name} = ({ty})@in[{at}];\n");
        }
        out += "$s = @in[8] > 0 ? \"abcdefgh\" : \"abcdefghijklmnopqrstuvwxyz\";
$p = @in[9] > 0 ? \"ab\" : \"abcdefgi\";
$t0 = ($a, $s, $b > 5);
$t1 = ($p, $s);
$t2 = ($h, $c, $t0);
$t3 = ($e, $a == 1, $b, $s);
@m[1] = (int64)1; @n[1, \"abcdefghijklmnopqrstuvwxyz\"] = (int64)2; @k[\"abcdefghijklmnopqrstuvwxyz\"] = $b;
@s[1] = $s; @t[1] = $t0; @u[$t1] = $h; @one = $a;
@count[1] = count(); @sum[1] = sum($a); @min[1] = min($a); @max[1] = max($a); @avg[1] = avg($c);
@stats[1] = stats($c); @usum = sum($b); @umax = max($b);
";
        out += &self.body.text();
        out += "clear(@in);\nexit();\n}\n";
        out
    }

    /// Scripts that are smaller by one step, the largest steps first.
    pub fn smaller(&self) -> Vec<Script> {
        let bodies = self.body.smaller().into_iter();
        let less = bodies.map(|body| Script { inputs: self.inputs.clone(), body });
        let simpler = (0..self.inputs.len()).filter(|at| self.inputs[*at] != 1).map(|at| {
            let mut inputs = self.inputs.clone();
            inputs[at] = 1;
            Script { inputs, body: self.body.clone() }
        });
        less.chain(simpler).collect()
    }
}

/// What scripts are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// All of rbtrace's language.
    Own,
    /// What bpftrace computes in the same way: it takes numbers that are divided for unsigned, and
    /// the negative of a number of less than 64 bits, too, and evaluates the key of `@m[$k++] += 1`
    /// twice.
    Shared,
}

struct Maker {
    rng: Rng,
    dialect: Dialect,
    /// Loops around this place.
    loops: u32,
    /// Loops so far: each has a variable of its own.
    variables: u32,
}

/// Operators, with what keeps their right operand to what is defined.
const ARITHMETIC: &[&str] = &[
    "({} + {})",
    "({} - {})",
    "({} * {})",
    "({} & {})",
    "({} | {})",
    "({} ^ {})",
    "({} / {})",
    "({} % {})",
    "({} << ({} & 63))",
    "({} >> ({} & 63))",
];

const COMPARISONS: &[&str] =
    &["({} < {})", "({} <= {})", "({} > {})", "({} >= {})", "({} == {})", "({} != {})"];

const INTEGERS: &[&str] =
    &["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"];

impl Maker {
    fn leaf(&mut self) -> Node {
        let name = self.rng.pick(VARIABLES).0;
        Node::leaf(Kind::Int, name)
    }

    /// A literal that may stand beside any number.
    fn literal(&mut self) -> Node {
        let n = self.rng.below(1 << self.rng.clone().below(31));
        Node::leaf(Kind::Int, (n + 1).to_string())
    }

    /// A key of the maps whose keys are numbers.
    fn small(&mut self) -> Node {
        let of = self.int(1);
        Node::new(Kind::Int, "((int64){} & 3)", vec![of])
    }

    fn int(&mut self, depth: u32) -> Node {
        if depth == 0 {
            return self.leaf();
        }
        let down = depth - 1;
        match self.rng.below(20) {
            0..=6 => {
                let op = self.rng.pick(ARITHMETIC);
                let op = match self.dialect {
                    Dialect::Shared if op.contains(['/', '%']) => op.replace("{}", "(uint64){}"),
                    _ => op.to_owned(),
                };
                let left = self.int(down);
                let right = if self.rng.once_in(4) { self.literal() } else { self.int(down) };
                Node::new(Kind::Int, &op, vec![left, right])
            }
            7 => {
                let ops = match self.dialect {
                    Dialect::Own => ["(-{})", "(~{})"],
                    Dialect::Shared => ["(-(int64){})", "(~(int64){})"],
                };
                let of = self.int(down);
                Node::new(Kind::Int, self.rng.pick(&ops), vec![of])
            }
            8..=10 => {
                let template = format!("(({}){{}})", self.rng.pick(INTEGERS));
                let of = self.int(down);
                Node::new(Kind::Int, &template, vec![of])
            }
            11 | 12 => {
                let (cond, a, b) = (self.bool(down), self.int(down), self.int(down));
                let cast = |of| Node::new(Kind::Int, "(int64){}", vec![of]);
                Node::new(Kind::Int, "({} ? {} : {})", vec![cond, cast(a), cast(b)])
            }
            13 => {
                let of = self.bool(down);
                Node::new(Kind::Int, "((int64){})", vec![of])
            }
            14 => {
                let key = self.small();
                Node::new(Kind::Int, "@m[{}]", vec![key])
            }
            15 => {
                let (key, text) = (self.small(), self.text(down.min(1)));
                Node::new(Kind::Int, "@n[{}, {}]", vec![key, text])
            }
            16 => {
                let text = self.text(down.min(1));
                Node::new(Kind::Int, "@k[{}]", vec![text])
            }
            17 => {
                let op = self.rng.pick(&["{}++", "{}--", "++{}", "--{}"]);
                let name = self.rng.pick(&["$a", "$b"]);
                // `--` would make an unsigned variable signed.
                let op = if name == "$b" { op.replace("--", "++") } else { op.to_owned() };
                Node::leaf(Kind::Int, format!("({})", op.replace("{}", name)))
            }
            18 => self.member(Kind::Int),
            _ => {
                let of = self.rng.pick(&["strlen($s)", "len(@m)", "len(@k)", "(uint64)@count[1]"]);
                Node::leaf(Kind::Int, of)
            }
        }
    }

    /// A member of one of the tuples.
    fn member(&mut self, kind: Kind) -> Node {
        const MEMBERS: &[(Kind, &str)] = &[
            (Kind::Int, "$t0.0"),
            (Kind::Text, "$t0.1"),
            (Kind::Bool, "$t0.2"),
            (Kind::Text, "$t1.0"),
            (Kind::Int, "$t2.0"),
            (Kind::Int, "$t2.1"),
            (Kind::Tuple(0), "$t2.2"),
            (Kind::Text, "$t2.2.1"),
            (Kind::Int, "$t2.2.0"),
            (Kind::Int, "$t3.2"),
            (Kind::Text, "$t3.3"),
            (Kind::Int, "@t[1].0"),
            (Kind::Text, "@t[3].1"),
        ];
        let those: Vec<&str> =
            MEMBERS.iter().filter(|(of, _)| *of == kind).map(|(_, text)| *text).collect();
        let text = self.rng.pick(&those);
        Node::leaf(kind, text)
    }

    fn bool(&mut self, depth: u32) -> Node {
        let down = depth.saturating_sub(1);
        if depth > 0 {
            match self.rng.below(10) {
                0 | 1 => {
                    let op = self.rng.pick(&["({} && {})", "({} || {})"]);
                    let both = vec![self.bool(down), self.bool(down)];
                    return Node::new(Kind::Bool, op, both);
                }
                2 => {
                    let of = self.bool(down);
                    return Node::new(Kind::Bool, "(!{})", vec![of]);
                }
                3 => {
                    // Two literals would be known when compiling, and might divide as 0.
                    let op = self.rng.pick(&["($s == {})", "({} != $p)"]);
                    let both = vec![self.text(down)];
                    return Node::new(Kind::Bool, op, both);
                }
                4 => {
                    let template =
                        format!("(strncmp({{}}, {{}}, {}) == 0)", 1 + self.rng.below(12));
                    let both = vec![self.text(down), self.text(down)];
                    return Node::new(Kind::Bool, &template, both);
                }
                5 => {
                    let shape = self.rng.below(SHAPES.len() as u64) as usize;
                    let op = self.rng.pick(&["({} == {})", "({} != {})"]);
                    let both = vec![self.tuple(shape, 0), self.tuple(shape, 0)];
                    return Node::new(Kind::Bool, op, both);
                }
                6 => {
                    let key = self.small();
                    return Node::new(Kind::Bool, "has_key(@m, {})", vec![key]);
                }
                7 => return self.member(Kind::Bool),
                _ => {}
            }
        }
        let op = self.rng.pick(COMPARISONS);
        let left = self.int(down);
        let right = if self.rng.once_in(4) { self.literal() } else { self.int(down) };
        Node::new(Kind::Bool, op, vec![left, right])
    }

    fn text(&mut self, depth: u32) -> Node {
        match self.rng.below(if depth == 0 { 5 } else { 8 }) {
            0 | 1 => {
                let text = self.rng.pick(TEXTS);
                Node::leaf(Kind::Text, format!("{text:?}"))
            }
            2 => Node::leaf(Kind::Text, "$s"),
            3 => Node::leaf(Kind::Text, "$p"),
            4 => self.member(Kind::Text),
            5 => {
                let key = self.small();
                Node::new(Kind::Text, "@s[{}]", vec![key])
            }
            _ => {
                let (cond, a, b) =
                    (self.bool(depth - 1), self.text(depth - 1), self.text(depth - 1));
                Node::new(Kind::Text, "({} ? {} : {})", vec![cond, a, b])
            }
        }
    }

    fn tuple(&mut self, shape: usize, depth: u32) -> Node {
        let kind = Kind::Tuple(shape);
        if self.rng.once_in(3) {
            return Node::leaf(kind, format!("$t{shape}"));
        }
        if shape == 0 && self.rng.once_in(3) {
            let key = self.small();
            return Node::new(kind, "@t[{}]", vec![key]);
        }
        let (mut templates, mut children) = (Vec::new(), Vec::new());
        for member in SHAPES[shape] {
            let (template, child) = match member {
                Member::Int(ty) => (format!("({ty}){{}}"), self.int(depth)),
                Member::Bool => ("{}".to_owned(), self.bool(depth)),
                Member::Text => ("{}".to_owned(), self.text(depth)),
                Member::Tuple(inner) => ("{}".to_owned(), self.tuple(*inner, depth)),
            };
            templates.push(template);
            children.push(child);
        }
        Node::new(kind, &format!("({})", templates.join(", ")), children)
    }

    /// A value of any kind, shown.
    fn print(&mut self) -> Node {
        let depth = 1 + self.rng.below(3) as u32;
        let of = match self.rng.below(10) {
            0..=5 => self.int(depth),
            6 | 7 => self.bool(depth),
            8 => self.text(2),
            _ => {
                let shape = self.rng.below(SHAPES.len() as u64) as usize;
                self.tuple(shape, 1)
            }
        };
        Node::new(Kind::Stmt, "print(({}));\n", vec![of])
    }

    fn block(&mut self, depth: u32) -> Node {
        let count = 1 + self.rng.below(3);
        Node::block((0..count).map(|_| self.stmt(depth)).collect())
    }

    fn stmt(&mut self, depth: u32) -> Node {
        match self.rng.below(if depth == 0 { 12 } else { 16 }) {
            0 | 1 => {
                let (name, ty) = self.rng.pick(VARIABLES);
                let of = self.int(2);
                Node::new(Kind::Stmt, &format!("{name} = ({ty}){{}};\n"), vec![of])
            }
            2 => {
                let all = ["+=", "-=", "*=", "&=", "|=", "^=", "/=", "%="];
                let dividing = if self.dialect == Dialect::Shared { 2 } else { 0 };
                let op = self.rng.pick(&all[..all.len() - dividing]);
                let of = self.int(1);
                Node::new(Kind::Stmt, &format!("$a {op} (int64){{}};\n"), vec![of])
            }
            3 => {
                let (key, of) = (self.small(), self.int(2));
                Node::new(Kind::Stmt, "@m[{}] = (int64){};\n", vec![key, of])
            }
            4 => {
                let op = self.rng.pick(&["+=", "-=", "*=", "|=", "^="]);
                let op = if self.dialect == Dialect::Shared { "=" } else { op };
                let (key, text, of) = (self.small(), self.text(1), self.int(1));
                let template = format!("@n[{{}}, {{}}] {op} (int64){{}};\n");
                Node::new(Kind::Stmt, &template, vec![key, text, of])
            }
            5 => {
                let (key, of) = (self.text(1), self.int(1));
                Node::new(Kind::Stmt, "@k[{}] = (uint64){};\n", vec![key, of])
            }
            6 => {
                let (key, of) = (self.small(), self.text(2));
                Node::new(Kind::Stmt, "@s[{}] = {};\n", vec![key, of])
            }
            7 => {
                let (key, of) = (self.small(), self.tuple(0, 1));
                Node::new(Kind::Stmt, "@t[{}] = {};\n", vec![key, of])
            }
            8 => {
                let (key, of) = (self.tuple(1, 1), self.int(1));
                Node::new(Kind::Stmt, "@u[{}] = (uint8){};\n", vec![key, of])
            }
            9 => self.aggregation(),
            10 => {
                let shape = self.rng.below(SHAPES.len() as u64) as usize;
                let of = self.tuple(shape, 1);
                Node::new(Kind::Stmt, &format!("$t{shape} = {{}};\n"), vec![of])
            }
            11 => self.remove_or_jump(),
            12 | 13 => {
                let (cond, then) = (self.bool(2), self.block(depth - 1));
                if self.rng.once_in(2) {
                    return Node::new(Kind::Stmt, "if ({}) «{}»\n", vec![cond, then]);
                }
                let otherwise = self.block(depth - 1);
                Node::new(Kind::Stmt, "if ({}) «{}» else «{}»\n", vec![cond, then, otherwise])
            }
            _ => self.looped(depth - 1),
        }
    }

    fn aggregation(&mut self) -> Node {
        const FORMS: &[&str] = &[
            "@sum[{}] = sum((int64){});\n",
            "@min[{}] = min((int64){});\n",
            "@max[{}] = max((int64){});\n",
            "@avg[{}] = avg((int32){});\n",
            "@stats[{}] = stats((int32){});\n",
        ];
        match self.rng.below(8) {
            0 => {
                let key = self.small();
                Node::new(Kind::Stmt, "@count[{}] = count();\n", vec![key])
            }
            1 => {
                let of = self.int(1);
                Node::new(Kind::Stmt, "@usum = sum((uint64){});\n", vec![of])
            }
            2 => {
                let of = self.int(1);
                Node::new(Kind::Stmt, "@umax = max((uint64){});\n", vec![of])
            }
            _ => {
                let form = self.rng.pick(FORMS);
                let (key, of) = (self.small(), self.int(1));
                Node::new(Kind::Stmt, form, vec![key, of])
            }
        }
    }

    fn remove_or_jump(&mut self) -> Node {
        if self.loops > 0 && self.rng.once_in(2) {
            let word = self.rng.pick(&["break", "continue"]);
            let cond = self.bool(1);
            return Node::new(Kind::Stmt, &format!("if ({{}}) «{word};»\n"), vec![cond]);
        }
        let form = self.rng.pick(&["delete(@m, {});\n", "delete(@s, {});\n", "delete(@t, {});\n"]);
        let key = self.small();
        Node::new(Kind::Stmt, form, vec![key])
    }

    fn looped(&mut self, depth: u32) -> Node {
        let (name, rounds) = (format!("$i{}", self.variables), 1 + self.rng.below(5));
        self.variables += 1;
        let kind = self.rng.below(4);
        // What is computed before the loop is not inside of it.
        let bound = self.int(1);
        if kind == 0 {
            let around = std::mem::take(&mut self.loops);
            let body = self.block(0);
            self.loops = around;
            return Node::new(Kind::Stmt, &format!("unroll({rounds}) «{{}}»\n"), vec![body]);
        }
        self.loops += 1;
        let body = self.block(depth);
        self.loops -= 1;
        match kind {
            1 => {
                let template = format!("for ({name} : 0..{rounds}) «{{}}»\n");
                Node::new(Kind::Stmt, &template, vec![body])
            }
            2 => {
                let template = format!("for ({name} : (int64)0..((int64){{}} & 7)) «{{}}»\n");
                Node::new(Kind::Stmt, &template, vec![bound, body])
            }
            _ => {
                let template =
                    format!("{name} = (int64)0; while ({name} < {rounds}) «{name}++; {{}}»\n");
                Node::new(Kind::Stmt, &template, vec![body])
            }
        }
    }
}
