//! `uprobe` and `uretprobe`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Probe, Target, UserFunction};

use super::point::{Point, is_pattern, number, split_offset};
use super::{Context, Expansion, Failure, did_you_mean, source_line};
use crate::diag::Diagnostic;

pub(super) fn expand(kind: ProbeKind, point: &Point, cx: &Context<'_>) -> Expansion {
    let pid = cx.catalog.pid();
    let texts = point.texts();
    if let Some((binary, line)) = source_line::parse(&texts) {
        return source_line::expand(kind, binary, &line, point, cx);
    }
    let (binary, function, naming) = match texts.as_slice() {
        // With a process given, its own program may be left out.
        [function] if pid.is_some() => (None, *function, Naming::Symbol),
        ["", function] if pid.is_some() => (None, *function, Naming::Symbol),
        [binary, function] if !binary.is_empty() => (Some(*binary), *function, Naming::Symbol),
        [binary, "cpp", function] if !binary.is_empty() => (Some(*binary), *function, Naming::Cpp),
        [_, language, _] => return Err(Failure::Malformed(language_error(point, language))),
        _ => return Err(point.wrong_form(kind.spec().forms)),
    };
    let last = point.parts.len() - 1;
    let binaries = match binary {
        Some(binary) => binaries(binary, point, cx)?,
        None => cx.catalog.program().into_iter().collect(),
    };
    let place = match naming {
        Naming::Symbol => parse_function(kind, function, point, last)?,
        // Operators of C++ have signs in their names.
        Naming::Cpp if !function.is_empty() => Place::Cpp(function),
        Naming::Cpp => return Err(point.wrong_form(kind.spec().forms)),
    };
    if matches!(place, Place::Address(_)) && binary.is_some_and(is_pattern) {
        return Err(Failure::Malformed(
            point
                .bad_part(last, "an address means nothing in several files")
                .label("needs one file"),
        ));
    }
    let mut probes = Vec::new();
    for binary in &binaries {
        in_binary(kind, binary, &place, binaries.len() > 1, point, cx, &mut probes)?;
    }
    if probes.is_empty() {
        return Err(Failure::Missing(Diagnostic::error(
            "no-match",
            point.part_span(last),
            format!("no function matches `{function}` in any of {} files", binaries.len()),
        )));
    }
    Ok(probes)
}

/// What a function is called by.
enum Naming {
    /// Its symbol.
    Symbol,
    /// Its name in C++.
    Cpp,
}

/// Where in a file.
enum Place<'a> {
    /// A name or pattern as C++ has it.
    Cpp(&'a str),
    /// A name or pattern and an offset in bytes.
    Function(&'a str, u64),
    /// An address in the file's own address space.
    Address(u64),
}

fn parse_function<'a>(
    kind: ProbeKind,
    text: &'a str,
    point: &Point,
    index: usize,
) -> Result<Place<'a>, Failure> {
    if text.is_empty() {
        return Err(point.wrong_form(kind.spec().forms));
    }
    if let Some(address) = number(text) {
        return Ok(Place::Address(address));
    }
    if kind == ProbeKind::Uretprobe && text.contains('+') {
        return Err(Failure::Malformed(
            point.bad_part(index, "a uretprobe is on the return of a function and takes no offset"),
        ));
    }
    let (name, offset) =
        split_offset(text).map_err(|why| Failure::Malformed(point.bad_part(index, why)))?;
    Ok(Place::Function(name, offset))
}

fn language_error(point: &Point, language: &str) -> Diagnostic {
    point
        .bad_part(1, format!("`{language}` is no language whose names are known"))
        .note("the only one is cpp; names of other languages are those that nm(1) shows")
}

/// The files that a name or pattern stands for.
pub(super) fn binaries(
    name: &str,
    point: &Point,
    cx: &Context<'_>,
) -> Result<Vec<String>, Failure> {
    let mut found = cx.catalog.binaries(name);
    if found.is_empty() {
        let (code, what) = if is_pattern(name) {
            ("no-match", format!("no program or library matches `{name}`"))
        } else {
            ("unknown-binary", format!("there is no program or library `{name}`"))
        };
        let mut error = Diagnostic::error(code, point.part_span(0), what);
        if !name.contains('/') {
            error = error.note("it is neither in PATH nor a library that the dynamic linker finds");
        }
        return Err(Failure::Missing(error));
    }
    // A name that several places have means the first, as for a shell.
    if !is_pattern(name) {
        found.truncate(1);
    }
    Ok(found)
}

/// Adds the probes in one file. `many`: there are other files, so that this one may have none.
fn in_binary(
    kind: ProbeKind,
    binary: &str,
    place: &Place<'_>,
    many: bool,
    point: &Point,
    cx: &Context<'_>,
    probes: &mut Vec<Probe>,
) -> Result<(), Failure> {
    let index = point.parts.len() - 1;
    let (name, offset, found) = match place {
        Place::Address(address) => {
            probes.push(probe(kind, binary, None, *address, cx));
            return Ok(());
        }
        Place::Function(name, offset) => (*name, *offset, cx.catalog.user_functions(binary, name)),
        Place::Cpp(name) => (*name, 0, cx.catalog.cpp_functions(binary, name)),
    };
    match found {
        Some(found) => {
            if found.is_empty() && !many {
                let error = unknown(binary, name, point, index, cx);
                return Err(Failure::Missing(match place {
                    Place::Cpp(_) => error.note(format!(
                        "rbtrace -l '{}:{binary}:cpp:*' lists its functions",
                        kind.spec().name
                    )),
                    _ => error,
                }));
            }
            let named = found.into_iter().map(|f| probe(kind, binary, Some(f), offset, cx));
            probes.extend(named.map(|probe| match place {
                Place::Cpp(_) => called_by_cpp(probe, kind, binary),
                _ => probe,
            }));
        }
        None if many => {}
        None => {
            let error = Diagnostic::error(
                "unknown-binary",
                point.part_span(0),
                format!("`{binary}` cannot be read as a program or library"),
            );
            let reason = cx.catalog.why_no_binary(binary);
            return Err(Failure::Missing(reason.into_iter().fold(error, Diagnostic::note)));
        }
    }
    Ok(())
}

fn unknown(binary: &str, name: &str, point: &Point, index: usize, cx: &Context<'_>) -> Diagnostic {
    if is_pattern(name) {
        return Diagnostic::error(
            "no-match",
            point.part_span(index),
            format!("no function of {binary} matches `{name}`"),
        );
    }
    let error = Diagnostic::error(
        "unknown-user-function",
        point.part_span(index),
        format!("there is no function `{name}` in {binary}"),
    );
    if !point.told {
        return error;
    }
    let all = cx.catalog.user_functions(binary, "*").unwrap_or_default();
    if all.is_empty() {
        return error.note("the file has no symbols; its functions can be probed by address");
    }
    did_you_mean(error, name, all.iter().map(String::as_str))
}

/// A probe whose name says that it was given by a name of C++.
fn called_by_cpp(probe: Probe, kind: ProbeKind, binary: &str) -> Probe {
    let file = format!("{}:{binary}:", kind.spec().name);
    let name = match probe.name.strip_prefix(&file) {
        Some(symbol) => format!("{file}cpp:{symbol}"),
        None => probe.name,
    };
    Probe { name, ..probe }
}

fn probe(
    kind: ProbeKind,
    binary: &str,
    symbol: Option<String>,
    offset: u64,
    cx: &Context<'_>,
) -> Probe {
    let mut name = format!("{}:{binary}", kind.spec().name);
    match &symbol {
        Some(symbol) if offset != 0 => name.push_str(&format!(":{symbol}+{offset}")),
        Some(symbol) => name.push_str(&format!(":{symbol}")),
        None => name.push_str(&format!(":{offset}")),
    }
    let place = UserFunction { binary: binary.to_owned(), symbol, offset, pid: cx.catalog.pid() };
    let target = match kind {
        ProbeKind::Uretprobe => Target::Uretprobe(place),
        _ => Target::Uprobe(place),
    };
    Probe { name, target }
}
