//! Functions of the running kernel.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use rbtrace_runtime::symbols::kernel::KernelSymbols;

use super::glob;

/// A function and the module that it is of; empty: the kernel itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// Symbol.
    pub name: String,
    /// Module.
    pub module: String,
}

/// Reads a list of functions, one a line with the module in brackets, as in
/// available_filter_functions. `None`: it cannot be read.
pub fn listed(path: &Path) -> Option<Vec<Function>> {
    let mut functions = Vec::new();
    for line in BufReader::new(File::open(path).ok()?).lines() {
        let line = line.ok()?;
        let (name, rest) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
        let module = rest.trim().trim_start_matches('[').trim_end_matches(']');
        // The kernel lists places without a symbol under such names.
        if !name.is_empty() && !name.starts_with("__ftrace_invalid_address__") {
            functions.push(Function { name: name.into(), module: module.into() });
        }
    }
    functions.sort_unstable();
    functions.dedup();
    Some(functions)
}

/// Functions among the kernel's symbols. What the compiler split off or put in front of
/// functions is left out.
pub fn of_symbols(symbols: &KernelSymbols) -> Vec<Function> {
    let mut functions: Vec<Function> = symbols
        .iter()
        .filter(|symbol| !is_split_off(symbol.name))
        .map(|s| Function { name: s.name.into(), module: s.module.unwrap_or_default().into() })
        .collect();
    functions.sort_unstable();
    functions.dedup();
    functions
}

/// Names among `functions` that match, of one module or of all.
pub fn matching<'a>(
    functions: &'a [Function],
    module: Option<&'a str>,
    pattern: &'a str,
) -> impl Iterator<Item = &'a Function> {
    functions.iter().filter(move |f| {
        let of_module = match module {
            None => true,
            Some("vmlinux") => f.module.is_empty(),
            Some(module) => glob::matches(module, &f.module),
        };
        of_module && glob::matches(pattern, &f.name)
    })
}

fn is_split_off(name: &str) -> bool {
    name.starts_with("__pfx_") || name.starts_with("__cfi_") || name.contains(".cold")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, module: &str) -> Function {
        Function { name: name.into(), module: module.into() }
    }

    #[test]
    fn reads_a_list_with_modules() {
        let path = std::env::temp_dir().join(format!("rbtrace-functions-{}", std::process::id()));
        let text = "vfs_read\nveth_xmit [veth]\n__ftrace_invalid_address___64\nvfs_open\n";
        std::fs::write(&path, text).expect("a temporary file");
        let functions = listed(&path).expect("a list");
        let _ = std::fs::remove_file(&path);
        let all =
            [function("veth_xmit", "veth"), function("vfs_open", ""), function("vfs_read", "")];
        assert_eq!(functions, all);
        let names = |module, pattern| -> Vec<&str> {
            matching(&functions, module, pattern).map(|f| f.name.as_str()).collect()
        };
        assert_eq!(names(None, "v*_[rx]*"), ["veth_xmit", "vfs_read"]);
        assert_eq!(names(Some("veth"), "*"), ["veth_xmit"]);
        assert_eq!(names(Some("vmlinux"), "*"), ["vfs_open", "vfs_read"]);
    }
}
