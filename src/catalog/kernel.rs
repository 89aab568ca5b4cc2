//! Functions of the running kernel.

use std::cell::OnceCell;
use std::fs;
use std::path::Path;

use memchr::memmem;
use rbtrace_probes_ebpf::glob;
use rbtrace_runtime::symbols::kernel::KernelSymbols;

/// A function and the module that it is of; empty: the kernel itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Function {
    /// Symbol.
    pub name: String,
    /// Module.
    pub module: String,
}

/// A list of functions as the kernel gives it, one a line with the module in brackets, such as
/// available_filter_functions.
pub struct FunctionList {
    text: Vec<u8>,
    all: OnceCell<Vec<Function>>,
}

impl FunctionList {
    /// Reads a list. `None`: it cannot be read.
    pub fn read(path: &Path) -> Option<Self> {
        Some(Self { text: fs::read(path).ok()?, all: OnceCell::new() })
    }

    /// All of them, sorted by name.
    pub fn all(&self) -> &[Function] {
        self.all.get_or_init(|| {
            let text = String::from_utf8_lossy(&self.text);
            let mut functions: Vec<Function> = text.lines().filter_map(listed).collect();
            functions.sort_unstable();
            functions.dedup();
            functions
        })
    }

    /// Whether a function is listed, of one module or of any: without taking the list apart, which
    /// is long.
    pub fn has(&self, module: Option<&str>, name: &str) -> bool {
        memmem::find_iter(&self.text, name).any(|at| {
            let begins = at == 0 || self.text.get(at - 1) == Some(&b'\n');
            let line = self.text.get(at..).and_then(|rest| rest.split(|b| *b == b'\n').next());
            let line = String::from_utf8_lossy(line.unwrap_or_default());
            begins && listed(&line).is_some_and(|f| f.name == name && f.is_of(module))
        })
    }
}

/// The function in a line of a list.
fn listed(line: &str) -> Option<Function> {
    let (name, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let module = rest.trim().trim_start_matches('[').trim_end_matches(']');
    // The kernel lists places without a symbol under such names.
    let is_named = !name.is_empty() && !name.starts_with("__ftrace_invalid_address__");
    is_named.then(|| Function { name: name.into(), module: module.into() })
}

impl Function {
    /// Whether it is of a module that matches; `vmlinux` is the kernel itself, and `None` any.
    fn is_of(&self, module: Option<&str>) -> bool {
        match module {
            None => true,
            Some("vmlinux") => self.module.is_empty(),
            Some(module) => glob::matches(module, &self.module),
        }
    }
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

/// Whether a function is among the kernel's symbols, of one module or of any.
pub fn is_symbol(symbols: &KernelSymbols, module: Option<&str>, name: &str) -> bool {
    let mut modules = symbols.modules_with(name).map(Option::unwrap_or_default);
    !is_split_off(name)
        && modules.any(|of| Function { name: name.into(), module: of.into() }.is_of(module))
}

/// Names among `functions` that match, of one module or of all.
pub fn matching<'a>(
    functions: &'a [Function],
    module: Option<&'a str>,
    pattern: &'a str,
) -> impl Iterator<Item = &'a Function> {
    functions.iter().filter(move |f| f.is_of(module) && glob::matches(pattern, &f.name))
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
        let list = FunctionList::read(&path).expect("a list");
        let _ = std::fs::remove_file(&path);
        let all =
            [function("veth_xmit", "veth"), function("vfs_open", ""), function("vfs_read", "")];
        assert_eq!(list.all(), all);
        let names = |module, pattern| -> Vec<&str> {
            matching(list.all(), module, pattern).map(|f| f.name.as_str()).collect()
        };
        assert_eq!(names(None, "v*_[rx]*"), ["veth_xmit", "vfs_read"]);
        assert_eq!(names(Some("veth"), "*"), ["veth_xmit"]);
        assert_eq!(names(Some("vmlinux"), "*"), ["vfs_open", "vfs_read"]);
        assert!(list.has(None, "vfs_read") && list.has(Some("vmlinux"), "vfs_open"));
        assert!(list.has(Some("ve*"), "veth_xmit") && !list.has(Some("vmlinux"), "veth_xmit"));
        assert!(!list.has(None, "read") && !list.has(None, "vfs_") && !list.has(None, "veth"));
    }
}
