//! Uprobes on lines of source: `uprobe:BINARY@FILE:LINE[:COLUMN]`.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Probe, Target, UserFunction};

use super::point::{Point, is_pattern};
use super::{Context, Expansion, Failure, did_you_mean, uprobe};
use crate::catalog::source::{SourceLine, SourceLineError};
use crate::diag::Diagnostic;

/// The binary and the line, if that is what the parts of an attach point mean.
pub(super) fn parse<'a>(parts: &[&'a str]) -> Option<(&'a str, SourceLine)> {
    let (place, line, column) = match parts {
        [place, line] => (place, line, None),
        [place, line, column] => (place, line, Some(column)),
        _ => return None,
    };
    let (binary, file) = place.rsplit_once('@')?;
    let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n > 0);
    let column = match column {
        Some(column) => Some(number(column)?),
        None => None,
    };
    if file.is_empty() {
        return None;
    }
    Some((binary, SourceLine { file: file.to_owned(), line: number(line)?, column }))
}

pub(super) fn expand(
    kind: ProbeKind,
    binary: &str,
    line: &SourceLine,
    point: &Point,
    cx: &Context<'_>,
) -> Expansion {
    if kind == ProbeKind::Uretprobe {
        return Err(Failure::Malformed(
            point.bad_part(0, "a uretprobe is on the return of a function, not on a line"),
        ));
    }
    if is_pattern(binary) {
        return Err(Failure::Malformed(
            point.bad_part(0, "a line of source is one of one program").label("needs one file"),
        ));
    }
    let files = match binary {
        "" => cx.catalog.program().into_iter().collect(),
        binary => uprobe::binaries(binary, point, cx)?,
    };
    let Some(binary) = files.into_iter().next() else {
        return Err(point.wrong_form(kind.spec().forms));
    };
    let offset = cx
        .catalog
        .source_line(&binary, line)
        .map_err(|why| Failure::Missing(error(&binary, line, why, point)))?;
    let mut name = format!("{}:{binary}@{}:{}", kind.spec().name, line.file, line.line);
    if let Some(column) = line.column {
        name.push_str(&format!(":{column}"));
    }
    let place = UserFunction { binary, symbol: None, offset, pid: cx.catalog.pid() };
    Ok(vec![Probe { name, target: Target::Uprobe(place) }])
}

fn error(binary: &str, line: &SourceLine, why: SourceLineError, point: &Point) -> Diagnostic {
    let SourceLine { file, line, column } = line;
    let error = |part, message: String| {
        Diagnostic::error("unknown-source-line", point.part_span(part), message)
    };
    match why {
        SourceLineError::NoDebugInfo => Diagnostic::error(
            "no-debug-info",
            point.part_span(0),
            format!("{binary} has no debug information"),
        )
        .note("the lines of its source are read from it")
        .help(
            "compile it with -g, install the package with its debug symbols, or say with \
             --debuginfo where they are",
        ),
        SourceLineError::NoFile { names } => did_you_mean(
            error(0, format!("{binary} is not made of a file `{file}`")),
            file,
            names.iter().map(String::as_str),
        ),
        SourceLineError::Ambiguous { files } => {
            error(0, format!("{binary} is made of several files `{file}`"))
                .help(format!("write more of the path: {}", files.join(", ")))
        }
        SourceLineError::NoCode { nearest } => {
            let what = match column {
                Some(column) => format!("there is no code at {file}:{line}:{column}"),
                None => format!("line {line} of {file} has no code"),
            };
            let nearest: Vec<_> = nearest.iter().map(u64::to_string).collect();
            let error = error(1, what);
            match nearest.is_empty() {
                true => error,
                false => error.note(format!("the nearest lines that have: {}", nearest.join(", "))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_lines_from_functions() {
        let line = |file: &str, line, column| SourceLine { file: file.into(), line, column };
        assert_eq!(parse(&["/bin/a@x.c", "22"]), Some(("/bin/a", line("x.c", 22, None))));
        assert_eq!(parse(&["a@b/x.c", "22", "7"]), Some(("a", line("b/x.c", 22, Some(7)))));
        for parts in [&["/bin/a", "22"][..], &["a@x.c", "main"], &["a@x.c", "0"], &["a@", "1"]] {
            assert_eq!(parse(parts), None, "{parts:?}");
        }
    }
}
