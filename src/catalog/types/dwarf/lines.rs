//! Lines of source: where in a program the code of one begins.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use gimli::{ColumnType, LineProgramHeader, UnitType};
use rbtrace_lang::catalog::source::{SourceLine, SourceLineError};

use super::file::Slice;
use super::parts::{DebugInfo, headers};

/// Lines named in an error, at most.
const NEAREST: usize = 3;

type Unit<'a> = gimli::Unit<Slice<'a>>;
type Dwarf<'a> = gimli::Dwarf<Slice<'a>>;

/// What was found of a line.
#[derive(Default)]
struct Found {
    /// Files that the name fits.
    files: BTreeSet<PathBuf>,
    /// Lowest address of a statement on the line.
    address: Option<u64>,
    /// Lines that have code.
    lines: BTreeSet<u64>,
    /// Names of all files, without folders, should none fit.
    names: BTreeSet<String>,
}

/// The address, in the file's own address space, of the first instruction of a line.
///
/// # Errors
///
/// If no file has such a name, several have, or the line has no code.
pub fn address_of(info: &DebugInfo, line: &SourceLine) -> Result<u64, SourceLineError> {
    let mut found = Found::default();
    if let Some(dwarf) = info.dwarf(0) {
        for header in headers(&dwarf) {
            // Units of types share the lines of those that have code, without saying where they
            // were compiled.
            if matches!(header.type_(), UnitType::Type { .. }) {
                continue;
            }
            // A damaged unit has no lines.
            let _ = dwarf.unit(header).map(|unit| in_unit(&dwarf, &unit, line, &mut found));
        }
    }
    if found.files.is_empty() {
        return Err(SourceLineError::NoFile { names: found.names.into_iter().collect() });
    }
    if found.files.len() > 1 {
        let files = found.files.iter().map(|path| path.display().to_string());
        return Err(SourceLineError::Ambiguous { files: files.collect() });
    }
    found
        .address
        .ok_or_else(|| SourceLineError::NoCode { nearest: nearest(&found.lines, line.line) })
}

fn nearest(lines: &BTreeSet<u64>, line: u64) -> Vec<u64> {
    let mut near: Vec<u64> = lines.iter().copied().collect();
    near.sort_by_key(|l| l.abs_diff(line));
    near.truncate(NEAREST);
    near.sort_unstable();
    near
}

fn in_unit(
    dwarf: &Dwarf<'_>,
    unit: &Unit<'_>,
    line: &SourceLine,
    found: &mut Found,
) -> gimli::Result<()> {
    let Some(program) = unit.line_program.clone() else { return Ok(()) };
    let header = program.header();
    let wanted = normal(Path::new(&line.file));
    let mut fitting = Vec::new();
    // Up to version 4, files count from 1.
    let first = u64::from(header.version() <= 4);
    for index in (first..).take(header.file_names().len()) {
        let Some(path) = path_of(dwarf, unit, header, index) else { continue };
        if path.ends_with(&wanted) {
            fitting.push((index, path));
        } else if found.files.is_empty()
            && let Some(name) = path.file_name()
        {
            found.names.insert(name.to_string_lossy().into_owned());
        }
    }
    if fitting.is_empty() {
        return Ok(());
    }
    let mut rows = program.rows();
    while let Some((_, row)) = rows.next_row()? {
        let Some((_, path)) = fitting.iter().find(|(index, _)| *index == row.file_index()) else {
            continue;
        };
        let Some(number) = row.line() else { continue };
        if row.end_sequence() || !row.is_stmt() {
            continue;
        }
        // A header counts only where it has code of its own.
        found.files.insert(path.clone());
        found.lines.insert(number.get());
        let column = match row.column() {
            ColumnType::LeftEdge => 0,
            ColumnType::Column(column) => column.get(),
        };
        let here = number.get() == line.line && line.column.is_none_or(|c| c == column);
        if here && found.address.is_none_or(|address| row.address() < address) {
            found.address = Some(row.address());
        }
    }
    Ok(())
}

/// The path of a file, as far as the compiler told it.
fn path_of(
    dwarf: &Dwarf<'_>,
    unit: &Unit<'_>,
    header: &LineProgramHeader<Slice<'_>>,
    index: u64,
) -> Option<PathBuf> {
    let file = header.file(index)?;
    let text = |value| {
        let text = dwarf.attr_string(unit, value).ok()?;
        Some(PathBuf::from(text.to_string_lossy().into_owned()))
    };
    let mut path = PathBuf::new();
    if let Some(directory) = unit.comp_dir {
        path.push(directory.to_string_lossy().as_ref());
    }
    if let Some(directory) = file.directory(header).and_then(text) {
        path.push(directory);
    }
    path.push(text(file.path_name())?);
    Some(normal(&path))
}

/// Without `.` and, where that can be told from the text, without `..`.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(out.components().next_back(), Some(Component::Normal(_))) =>
            {
                out.pop();
            }
            component => out.push(component),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_compared_part_by_part() {
        assert_eq!(normal(Path::new("/build/../src/./a.c")), Path::new("/src/a.c"));
        assert_eq!(normal(Path::new("../a.c")), Path::new("../a.c"));
        assert_eq!(normal(Path::new("./a.c")), Path::new("a.c"));
        assert_eq!(nearest(&[1, 5, 9, 40].into(), 10), [1, 5, 9]);
    }
}
