//! Tuples, strings and aggregations made at random.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::expr::{Expr, INPUTS, Rng, State, TEXTS, Text, starts_alike};
use super::make::Maker;
use super::{each_seed, finish, inputs, map_of, run_block, same, shown};
use crate::ctx::Ctx;

/// A value of any type that maps hold.
enum Any {
    Int(Expr),
    Bool(Expr),
    Text(Text),
    Tuple(Vec<Any>),
}

impl Any {
    fn make(maker: &mut Maker, depth: u32) -> Any {
        match maker.rng.below(if depth == 0 { 4 } else { 6 }) {
            0 => {
                let of = Box::new(maker.int(1));
                let bytes = maker.rng.pick(&[1, 2, 4, 8]);
                Any::Int(Expr::Cast { bytes, signed: maker.rng.once_in(2), of })
            }
            1 => Any::Int(maker.typed(true, 2)),
            2 => Any::Bool(maker.cond(1)),
            3 => Any::Text(maker.text(1)),
            _ => Any::tuple(maker, depth - 1),
        }
    }

    fn tuple(maker: &mut Maker, depth: u32) -> Any {
        let count = 2 + maker.rng.below(3);
        Any::Tuple((0..count).map(|_| Any::make(maker, depth)).collect())
    }

    fn text(&self) -> String {
        match self {
            Any::Int(expr) | Any::Bool(expr) => expr.text(),
            Any::Text(text) => text.text(),
            Any::Tuple(members) => {
                let members: Vec<String> = members.iter().map(Any::text).collect();
                format!("({})", members.join(", "))
            }
        }
    }

    fn value(&self, state: &mut State) -> Value {
        match self {
            Any::Int(expr) if expr.signed() => json!(expr.eval(state) as i64),
            Any::Int(expr) => json!(expr.eval(state)),
            Any::Bool(expr) => json!(expr.eval(state) != 0),
            Any::Text(text) => json!(text.eval(state)),
            Any::Tuple(members) => members.iter().map(|member| member.value(state)).collect(),
        }
    }
}

/// As the key of a map in JSON output: no spaces, tuples in tuples in parentheses.
fn key(value: &Value) -> String {
    match value {
        Value::Array(members) => members.iter().map(inner_key).collect::<Vec<_>>().join(","),
        Value::String(text) => text.replace(' ', ""),
        other => other.to_string(),
    }
}

fn inner_key(value: &Value) -> String {
    match value {
        Value::Array(_) => format!("({})", key(value)),
        other => key(other),
    }
}

/// Tuples as variables, as values and keys of maps, and member by member; many printf arguments.
pub fn tuples(ctx: &Ctx) -> Result<()> {
    each_seed(|seed| {
        let mut maker = Maker::new(seed ^ 0x300);
        let all: Vec<Any> = (0..4).map(|_| Any::tuple(&mut maker, 1)).collect();
        let mut body = String::new();
        for (at, tuple) in all.iter().enumerate() {
            body += &format!("$t{at} = {};\n", tuple.text());
        }
        for at in 0..all.len() {
            let (count, other) = (format!("@seen / {INPUTS}"), (at + 1) % all.len());
            body += &format!("@v{at}[{count}] = $t{at}; @k{at}[$t{at}] = $t{other};\n");
        }
        let (format, args) = many_arguments(&all);
        body += &format!("printf(\"{format}\\n\", {});\n", args.join(", "));
        let inputs = inputs(&mut maker.rng);
        let mut expected = Vec::new();
        let mut maps = vec![(Map::new(), Map::new()); all.len()];
        for (round, input) in inputs.iter().enumerate() {
            let mut state = State { vars: input.to_vec(), ..State::default() };
            let values: Vec<Value> = all.iter().map(|any| any.value(&mut state)).collect();
            for (at, (by_round, by_value)) in maps.iter_mut().enumerate() {
                by_round.insert((round + 1).to_string(), values[at].clone());
                by_value.insert(key(&values[at]), values[(at + 1) % values.len()].clone());
            }
            let scalars: Vec<String> = values.iter().flat_map(scalars_of).collect();
            expected.push((format!("inputs {input:?}"), scalars.join("|") + "\n"));
        }
        let out = run_block(ctx, &body, &inputs, &expected)?;
        for (at, (by_round, by_value)) in maps.into_iter().enumerate() {
            let (v, k) = (format!("@v{at}"), format!("@k{at}"));
            same(&v, &map_of(&out, &v), &Value::Object(by_round), &body)?;
            same(&k, &map_of(&out, &k), &Value::Object(by_value), &body)?;
        }
        Ok(())
    })
}

/// A format and arguments that print every member of the tuples that is no tuple itself.
fn many_arguments(all: &[Any]) -> (String, Vec<String>) {
    let (mut formats, mut args) = (Vec::new(), Vec::new());
    for (at, tuple) in all.iter().enumerate() {
        let Any::Tuple(members) = tuple else { continue };
        for (member, any) in members.iter().enumerate() {
            formats.push(match any {
                Any::Int(expr) if expr.signed() => "%lld",
                Any::Int(_) => "%llu",
                Any::Bool(_) => "%d",
                Any::Text(_) => "%s",
                Any::Tuple(_) => continue,
            });
            args.push(format!("$t{at}.{member}"));
        }
    }
    (formats.join("|"), args)
}

/// What [`many_arguments`] prints of a tuple.
fn scalars_of(tuple: &Value) -> Vec<String> {
    let members = tuple.as_array().map(Vec::as_slice).unwrap_or_default();
    let scalars = members.iter().filter(|member| !member.is_array());
    let shown = scalars.map(|member| match member {
        Value::Bool(truth) => u8::from(*truth).to_string(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    shown.collect()
}

/// Says what a comparison makes of a string.
type Truth = Box<dyn Fn(&str) -> bool>;

/// A comparison of the string that is given with a literal.
fn test_of(rng: &mut Rng, text: &str) -> (String, Truth) {
    let literal = rng.pick(TEXTS);
    let length = 1 + rng.below(24) as usize;
    // The length given to str() counts the end of the string.
    let cut = move |given: &str| given[..given.len().min(length - 1)].to_owned();
    match rng.below(6) {
        0 => (format!("{text} == {literal:?}"), Box::new(move |given| given == literal)),
        1 => (format!("{literal:?} != {text}"), Box::new(move |given| given != literal)),
        2 => (
            format!("str(arg0, {length}) == {literal:?}"),
            Box::new(move |given| cut(given) == literal),
        ),
        3 => (format!("str(arg0, {length}) == {text}"), Box::new(move |given| cut(given) == given)),
        4 => (
            format!("strncmp({text}, {literal:?}, {length}) == 0"),
            Box::new(move |given| starts_alike(given, literal, length)),
        ),
        _ => (
            format!("strncmp({literal:?}, str(arg0), {length}) != 0"),
            Box::new(move |given| !starts_alike(given, literal, length)),
        ),
    }
}

/// Strings of the traced program compared, chosen from, kept in maps and used as long keys.
pub fn strings(ctx: &Ctx) -> Result<()> {
    each_seed(|seed| {
        let mut rng = Rng::new(seed ^ 0x400);
        let strlen = rng.pick(&[64, 100, 200, 400]);
        let tests: Vec<_> = (0..12)
            .map(|at| {
                let text = if at % 2 == 0 { "$p" } else { "str(arg0)" };
                test_of(&mut rng, text)
            })
            .collect();
        let conds: Vec<&str> = tests.iter().map(|(cond, _)| cond.as_str()).collect();
        let choice = format!("{} ? $p : {} ? \"neither\" : \"other\"", conds[0], conds[1]);
        let script = format!(
            "config = {{ max_strlen = {strlen} }}
BEGIN {{ @n = (int64)0; }}
uprobe:{{exe}}:live_string {{ $p = str(arg0); @n++;
printf(\"{}|%s|%s|%lld\\n\", {}, $p, {choice}, @n);
@by[$p, @n] = {choice}; @long[$p, str(arg0), ({choice})]++; @pair[$p] = ($p, @n, {}); }}",
            vec!["%d"; conds.len()].join("|"),
            conds.join(", "),
            conds[2],
        );
        let given: Vec<&str> = TEXTS.iter().copied().filter(|text| !text.is_empty()).collect();
        let workload = format!("strings {}", given.join(" "));
        let out = finish(ctx.script(&script).json().workload(&workload), &script)?;
        let (mut by, mut long, mut pair) = (Map::new(), Map::new(), Map::new());
        let mut lines = String::new();
        for (n, given) in given.iter().enumerate() {
            let n = n + 1;
            let truths: Vec<bool> = tests.iter().map(|(_, test)| test(given)).collect();
            let chosen = match (truths[0], truths[1]) {
                (true, _) => given,
                (_, true) => "neither",
                _ => "other",
            };
            let shown: Vec<String> = truths.iter().map(|t| u8::from(*t).to_string()).collect();
            lines += &format!("{}|{given}|{chosen}|{n}\n", shown.join("|"));
            by.insert(format!("{given},{n}"), json!(chosen));
            long.insert(format!("{given},{given},{chosen}"), json!(1));
            pair.insert((*given).to_owned(), json!([given, n, truths[2]]));
        }
        same("the text", &out.printed()?.concat(), &lines, &script)?;
        for (name, truth) in [("@by", by), ("@long", long), ("@pair", pair)] {
            same(name, &map_of(&out, name), &Value::Object(truth), &script)?;
        }
        Ok(())
    })
}

/// Buckets of a histogram that are not empty: smallest value and count.
fn buckets(map: &Value) -> Vec<(Option<i64>, i64)> {
    let list = map.as_array().map(Vec::as_slice).unwrap_or_default();
    let all = list.iter().map(|one| (one["min"].as_i64(), one["count"].as_i64().unwrap_or(0)));
    all.filter(|(_, count)| *count > 0).collect()
}

fn counted(values: &[i64], place: impl Fn(i64) -> Option<i64>) -> Vec<(Option<i64>, i64)> {
    let mut counts = std::collections::BTreeMap::new();
    values.iter().for_each(|value| *counts.entry(place(*value)).or_insert(0) += 1);
    counts.into_iter().collect()
}

/// What an aggregation makes of values, of which there is at least one.
fn aggregate(function: &str, values: &[i64]) -> Value {
    let count = values.len() as i64;
    let total = values.iter().fold(0, |sum: i64, value| sum.wrapping_add(*value));
    match function {
        "count" => json!(count),
        "sum" => json!(total),
        "min" => json!(values.iter().min()),
        "max" => json!(values.iter().max()),
        "avg" => json!(total / count),
        _ => json!({"count": count, "average": total / count, "total": total}),
    }
}

/// Every aggregation over the values of expressions, as a whole and by key.
pub fn aggregations(ctx: &Ctx) -> Result<()> {
    each_seed(|seed| {
        let mut maker = Maker::new(seed ^ 0x500);
        // Of 32 bits, so that no sum overflows.
        let of = Box::new(maker.typed(true, 3));
        let value = Expr::Cast { bytes: 4, signed: true, of };
        let value = Expr::Cast { bytes: 8, signed: true, of: Box::new(value) };
        let name = Text::Choice(
            Box::new(maker.cond(1)),
            Box::new(Text::Literal("even")),
            Box::new(Text::Literal("none")),
        );
        let low = maker.rng.below(2000) as i64 - 1000;
        let step = 1 + maker.rng.below(1 << 25) as i64;
        let high = low + step * (2 + maker.rng.below(40) as i64);
        let mut body = format!("$v = {}; $k = {};\n", value.text(), name.text());
        body += "@count = count(); @count_by[$k] = count();\n";
        let functions = ["sum", "min", "max", "avg", "stats"];
        for f in functions {
            body += &format!("@{f} = {f}($v); @{f}_by[$k] = {f}($v);\n");
        }
        body += &format!("@hist = hist($v); @lhist = lhist($v, {low}, {high}, {step});\n");
        body += "printf(\"%lld\\n\", $v);\n";
        let inputs: Vec<_> = (0..6).flat_map(|_| inputs(&mut maker.rng)).collect();
        let (mut expected, mut all, mut named) = (Vec::new(), Vec::new(), Vec::new());
        for input in &inputs {
            let mut state = State { vars: input.to_vec(), ..State::default() };
            let v = value.eval(&mut state);
            expected.push((format!("inputs {input:?}"), shown(true, v) + "\n"));
            all.push(v as i64);
            named.push((name.eval(&mut state), v as i64));
        }
        let out = run_block(ctx, &body, &inputs, &expected)?;
        for f in functions.into_iter().chain(["count"]) {
            same(f, &map_of(&out, &format!("@{f}")), &aggregate(f, &all), &body)?;
            let mut by = Map::new();
            for key in ["even", "none"] {
                let those = named.iter().filter(|(name, _)| *name == key);
                let those: Vec<i64> = those.map(|(_, value)| *value).collect();
                if !those.is_empty() {
                    by.insert(key.to_owned(), aggregate(f, &those));
                }
            }
            let f = format!("@{f}_by");
            same(&f, &map_of(&out, &f), &Value::Object(by), &body)?;
        }
        let powers = counted(&all, |value| match value {
            ..0 => None,
            0 => Some(0),
            _ => Some(1 << value.ilog2()),
        });
        out.same("@hist", buckets(&map_of(&out, "@hist")), powers)?;
        let linear = counted(&all, |value| match value {
            _ if value < low => None,
            _ if value >= high => Some(high),
            _ => Some(low + (value - low) / step * step),
        });
        out.same("@lhist", buckets(&map_of(&out, "@lhist")), linear)
    })
}
