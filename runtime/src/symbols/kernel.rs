//! Symbols of the kernel and its modules.

use std::fs;
use std::sync::OnceLock;

use memchr::memmem;

use crate::error::{Error, nearest};

/// The kernel's list of its symbols.
const KALLSYMS: &str = "/proc/kallsyms";

/// Symbols of the running kernel.
#[derive(Debug, Default)]
pub struct KernelSymbols {
    text: String,
    /// Functions by address, and where their names begin in `text`; names end at white space.
    entries: OnceLock<Vec<(u64, u32)>>,
}

/// A place in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelSymbol<'a> {
    /// Name of the symbol.
    pub name: &'a str,
    /// Name of the module that it is in.
    pub module: Option<&'a str>,
    /// Its address; 0 where the kernel hides addresses from this process.
    pub address: u64,
}

impl KernelSymbols {
    /// Reads the running kernel's symbols, some 100,000.
    pub fn read() -> Result<Self, Error> {
        let bytes = fs::read(KALLSYMS).map_err(Error::system(format!("read {KALLSYMS}")))?;
        Ok(Self::parse(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Takes a text in the form of /proc/kallsyms.
    fn parse(text: String) -> Self {
        Self { text, entries: OnceLock::new() }
    }

    fn entries(&self) -> &[(u64, u32)] {
        self.entries.get_or_init(|| self.sorted())
    }

    fn sorted(&self) -> Vec<(u64, u32)> {
        let mut entries = Vec::with_capacity(self.text.len() / 40);
        let mut start = 0usize;
        for line in self.text.split_inclusive('\n') {
            // `ffffffff81000000 T _text` and, for a module, `\t[name]`
            let mut parts = line.splitn(3, ' ');
            let address = parts.next().and_then(|a| u64::from_str_radix(a, 16).ok());
            let is_code = parts.next().is_some_and(is_function);
            if let (Some(address), true, Some(name)) = (address, is_code, parts.next())
                && let Ok(at) = u32::try_from(start + line.len() - name.len())
            {
                entries.push((address, at));
            }
            start += line.len();
        }
        entries.sort_unstable();
        entries
    }

    fn symbol(&self, entry: (u64, u32)) -> KernelSymbol<'_> {
        let (address, at) = entry;
        let line = self.text.get(at as usize..).and_then(|rest| rest.lines().next());
        let line = line.unwrap_or_default();
        let (name, module) = line.split_once('\t').unwrap_or((line, ""));
        let module = module.trim().strip_prefix('[').and_then(|m| m.strip_suffix(']'));
        KernelSymbol { name, module, address }
    }

    /// Functions of the kernel and its modules, by address.
    pub fn iter(&self) -> impl Iterator<Item = KernelSymbol<'_>> {
        self.entries().iter().map(|e| self.symbol(*e))
    }

    /// The function that an address lies in.
    pub fn at(&self, address: u64) -> Option<KernelSymbol<'_>> {
        let entries = self.entries();
        let after = entries.partition_point(|(start, _)| *start <= address);
        // Of several symbols at one address the first by name order of the file stands.
        let (start, _) = *entries.get(after.checked_sub(1)?)?;
        let first = entries.partition_point(|(s, _)| *s < start);
        // All addresses are 0 where the kernel hides them.
        (start != 0).then(|| entries.get(first).map(|e| self.symbol(*e)))?
    }

    /// The function with this name.
    pub fn find(&self, name: &str) -> Option<KernelSymbol<'_>> {
        self.iter().find(|s| s.name == name)
    }

    /// The modules that have a function of this name; `None` is the kernel itself.
    pub fn modules_with<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Option<&'a str>> {
        let named = self.named(name).filter(|(_, kind, _)| is_function(kind));
        named.map(|(.., rest)| rest.trim().strip_prefix('[').and_then(|m| m.strip_suffix(']')))
    }

    /// Address of the function or variable with this name. Kernels without `CONFIG_KALLSYMS_ALL`
    /// tell of functions only.
    pub fn address(&self, name: &str) -> Option<u64> {
        self.named(name).find_map(|(address, ..)| u64::from_str_radix(address, 16).ok())
    }

    /// Address, kind and what follows the name, of each symbol of this name. The text is searched
    /// as it is: it has some 100,000 lines.
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        memmem::find_iter(self.text.as_bytes(), name).filter_map(move |at| {
            let start = self.text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
            let (address, kind) = self.text.get(start..at)?.strip_suffix(' ')?.split_once(' ')?;
            let rest = self.text.get(at + name.len()..)?.split('\n').next()?;
            let ends = rest.is_empty() || rest.starts_with('\t');
            (ends && !kind.contains(' ')).then_some((address, kind, rest))
        })
    }

    /// Names of functions like `name`, nearest first.
    pub fn similar(&self, name: &str, count: usize) -> Vec<String> {
        nearest(name, self.iter().map(|s| s.name), count)
    }
}

/// Whether a symbol of this kind, as nm(1) writes it, is a function.
fn is_function(kind: &str) -> bool {
    matches!(kind, "t" | "T" | "w" | "W")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
ffffffff81000100 T vfs_read
ffffffff81000000 T _text
ffffffff81000100 t __vfs_read_alias
ffffffff82000000 D some_data
ffffffffc0000000 t veth_open\t[veth]
broken line
";

    #[test]
    fn looks_up_addresses_and_names() {
        let symbols = KernelSymbols::parse(TEXT.into());
        assert_eq!(symbols.at(0xffffffff81000110).expect("is listed").name, "vfs_read");
        assert_eq!(symbols.at(0xffffffff81000000).expect("is listed").name, "_text");
        assert!(symbols.at(1).is_none());
        let veth = symbols.at(0xffffffffc0000004).expect("is listed");
        assert_eq!((veth.name, veth.module), ("veth_open", Some("veth")));
        assert_eq!(symbols.find("vfs_read").expect("is listed").address, 0xffffffff81000100);
        assert_eq!(symbols.address("some_data"), Some(0xffffffff82000000));
        assert_eq!(symbols.address("veth_open"), Some(0xffffffffc0000000));
        assert_eq!(symbols.address("no_such_symbol"), None);
        assert_eq!(symbols.address("read"), None);
        let modules = |name| symbols.modules_with(name).collect::<Vec<_>>();
        assert_eq!(modules("vfs_read"), [None]);
        assert_eq!(modules("veth_open"), [Some("veth")]);
        assert!(modules("some_data").is_empty() && modules("vfs_rea").is_empty());
        assert_eq!(symbols.similar("vfs_raed", 1), ["vfs_read"]);
    }
}
