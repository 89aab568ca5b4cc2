//! The tables in `docs/language.md` that say what the compiler's tables say.
//!
//! The document is written by hand. Between a line `<!-- table: NAME -->` and the next `<!-- end -->`
//! stands what the table of this name gives.

use rbtrace_probes_ebpf::format::{Conversion, Length};
use rbtrace_probes_ebpf::kinds::{Counter, KindSpec, ProbeKind};
use rbtrace_probes_ebpf::packet::{Field, FieldKind, Header};

use crate::check::place::Place;
use crate::check::{cast, maps};
use crate::parse::{expressions, literals};
use crate::resolve::settings;

const START: &str = "<!-- table: ";
const END: &str = "<!-- end -->";

/// A table's name and what writes it.
type Table = (&'static str, fn() -> String);

const TABLES: &[Table] = &[
    ("probe-kinds", probe_kinds),
    ("probe-contents", probe_contents),
    ("verdicts", verdicts),
    ("packet-fields", packet_fields),
    ("software-events", || events(ProbeKind::Software)),
    ("hardware-events", || events(ProbeKind::Hardware)),
    ("integers", integers),
    ("suffixes", suffixes),
    ("operators", operators),
    ("map-kinds", map_kinds),
    ("conversions", conversions),
    ("lengths", lengths),
    ("settings", settings_table),
    ("settings-accepted", settings_accepted),
];

/// The document with its tables as they should be.
///
/// # Errors
///
/// A table that there is not, one that has no end, or one that the document lacks.
pub fn filled(document: &str) -> Result<String, String> {
    let mut out = String::with_capacity(document.len());
    let mut rest = document;
    let mut seen = Vec::new();
    while let Some((before, after)) = rest.split_once(START) {
        let (name, after) = after.split_once(" -->\n").ok_or("a marker of a table does not end")?;
        let (_, after) = after.split_once(END).ok_or(format!("the table {name} does not end"))?;
        let found = TABLES.iter().find(|(n, _)| *n == name);
        let (_, write) = found.ok_or_else(|| format!("there is no table {name}"))?;
        out.push_str(&format!("{before}{START}{name} -->\n{}{END}", write()));
        seen.push(name);
        rest = after;
    }
    out.push_str(rest);
    match TABLES.iter().find(|(name, _)| !seen.contains(name)) {
        Some((name, _)) => Err(format!("the document has no table {name}")),
        None => Ok(out),
    }
}

fn table(heads: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| {
        // A bar ends a cell, even in code.
        let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let rule = vec!["---".to_owned(); heads.len()];
    [heads, rule].into_iter().chain(rows).map(|cells| line(&cells)).collect()
}

/// Words as code, separated by commas.
fn codes<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn kinds() -> impl Iterator<Item = &'static KindSpec> {
    ProbeKind::ALL.into_iter().map(ProbeKind::spec)
}

fn probe_kinds() -> String {
    let row = |spec: &KindSpec| {
        let name = codes([spec.name]);
        let aliases = codes(spec.aliases.iter().copied());
        vec![name, aliases, codes(spec.forms.iter().copied()), spec.about.to_owned()]
    };
    table(&["kind", "also", "attach points", "fires"], kinds().map(row))
}

fn probe_contents() -> String {
    let columns: [(&str, Place); 7] = [
        ("`arg0`, ...", Place::WITH_ARGUMENTS),
        ("`args`", Place::WITH_NAMED_ARGUMENTS),
        ("`retval`", Place::WITH_RESULT),
        ("`reg()`", Place::WITH_REGISTERS),
        ("`func`", Place::ON_FUNCTIONS),
        ("`pid`, `comm`", Place::WITH_TASK),
        ("stacks", Place::IN_TASK),
    ];
    let heads: Vec<&str> = ["kind"].into_iter().chain(columns.map(|(head, _)| head)).collect();
    let row = |spec: &KindSpec| {
        let cells = columns.iter().map(|(_, place)| if place.holds(spec) { "yes" } else { "" });
        [codes([spec.name])].into_iter().chain(cells.map(str::to_owned)).collect()
    };
    table(&heads, kinds().map(row))
}

fn verdicts() -> String {
    let all = kinds().flat_map(|spec| spec.verdicts.iter().map(move |verdict| (spec, verdict)));
    let row = |(spec, verdict): (&KindSpec, &rbtrace_probes_ebpf::kinds::Verdict)| {
        let default = if verdict.value == spec.default_return { "yes" } else { "" };
        vec![codes([spec.name]), codes([verdict.name]), verdict.value.to_string(), default.into()]
    };
    table(&["kind", "verdict", "value", "without `return`"], all.map(row))
}

fn packet_fields() -> String {
    let rows = Header::ALL.into_iter().flat_map(|header| {
        let spec = header.spec();
        let head = vec![codes([spec.name]), String::new(), String::new(), spec.about.to_owned()];
        let row = |field: &Field| {
            let kind = match field.kind {
                FieldKind::Number { size } => format!("{} bits", u32::from(size) * 8),
                FieldKind::Bits { width: 1, .. } => "1 bit".into(),
                FieldKind::Bits { width, .. } => format!("{width} bits"),
                FieldKind::LastProtocol => "8 bits".into(),
                FieldKind::Inet4 | FieldKind::Inet6 => codes(["inet"]),
                FieldKind::Mac => codes(["macaddr_t"]),
            };
            let name = format!("{}.{}", spec.name, field.name);
            vec![
                codes([&*name]),
                codes(field.aliases.iter().copied()),
                kind,
                field.about.to_owned(),
            ]
        };
        [head].into_iter().chain(spec.fields.iter().map(row))
    });
    table(&["field", "also", "holds", "what it is"], rows)
}

fn events(kind: ProbeKind) -> String {
    let row =
        |event: &Counter| vec![codes([event.name]), codes(event.alias), event.count.to_string()];
    table(&["event", "also", "count"], Counter::all(kind).iter().map(row))
}

fn integers() -> String {
    let mut rows: Vec<((u8, bool), Vec<&str>)> = Vec::new();
    for (name, size, signed) in cast::INTEGERS {
        match rows.iter_mut().find(|(key, _)| *key == (*size, *signed)) {
            Some((_, names)) => names.push(name),
            None => rows.push(((*size, *signed), vec![name])),
        }
    }
    let row = |((size, signed), names): ((u8, bool), Vec<&str>)| {
        let sign = if signed { "signed" } else { "unsigned" };
        vec![format!("{} bits, {sign}", u32::from(size) * 8), codes(names)]
    };
    table(&["integer", "names"], rows.into_iter().map(row))
}

fn suffixes() -> String {
    let durations = literals::SUFFIXES.iter().filter(|(name, factor)| *factor > 1 || *name == "ns");
    let row = |(name, factor): &(&str, u64)| vec![codes([*name]), factor.to_string()];
    table(&["suffix", "nanoseconds"], durations.map(row))
}

fn operators() -> String {
    let hand = |what: &str, symbols: &str| vec![symbols.to_owned(), what.to_owned()];
    let first = [
        hand("member, through a pointer, element, step after", "`.` `->` `[]` `++` `--`"),
        hand(
            "negative, not, bits inverted, what a pointer points to, address, step before, cast",
            "`-` `!` `~` `*` `&` `++` `--` `(type)` `comptime`",
        ),
    ];
    let levels = expressions::LEVELS.iter().rev().map(|level| {
        let symbols: Vec<_> =
            level.operators.iter().map(|op| format!("`{}`", op.symbol())).collect();
        vec![symbols.join(" "), level.about.to_owned()]
    });
    let last = [hand("one of two values; `a ?: b` is `a ? a : b`", "`? :`")];
    table(&["operators", "what they are"], first.into_iter().chain(levels).chain(last))
}

fn map_kinds() -> String {
    let rows = maps::KINDS.iter().map(|(name, _, about)| vec![codes([*name]), (*about).to_owned()]);
    table(&["kind", "what it is"], rows)
}

fn conversions() -> String {
    let row = |(letters, conversion): (&str, Conversion)| {
        vec![format!("`%{letters}`"), conversion.about().to_owned()]
    };
    table(&["conversion", "prints"], Conversion::ALL.map(row))
}

fn lengths() -> String {
    let none = ("", Length::Int);
    let row = |(letters, length): (&str, Length)| {
        let letters = if letters.is_empty() { "none".into() } else { codes([letters]) };
        vec![letters, length.bits().to_string()]
    };
    table(&["modifier", "bits"], [none].into_iter().chain(Length::ALL).map(row))
}

fn settings_table() -> String {
    let row = |it: &settings::Setting| {
        let default = it.default_value();
        let default = if default.is_empty() { String::new() } else { codes([default.as_str()]) };
        vec![codes([it.name]), it.takes(), default, it.about.to_owned()]
    };
    let all = settings::TABLE.iter().filter(|it| !it.about.is_empty());
    table(&["setting", "takes", "default", "what it is for"], all.map(row))
}

fn settings_accepted() -> String {
    let row = |it: &settings::Setting| vec![codes([it.name]), it.takes()];
    let all = settings::TABLE.iter().filter(|it| it.about.is_empty());
    table(&["setting", "takes"], all.map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_put_where_they_are_asked_for() {
        let all: String = TABLES
            .iter()
            .map(|(name, _)| format!("a\n{START}{name} -->\nSTALE\n{END}\n"))
            .collect();
        let filled_once = filled(&all).expect("every table is there");
        assert!(!filled_once.contains("STALE") && filled_once.contains("`kprobe`"));
        assert_eq!(filled(&filled_once).as_deref(), Ok(filled_once.as_str()));
        assert!(filled("").is_err());
        assert!(filled(&format!("{START}nothing -->\n{END}")).is_err());
    }
}
