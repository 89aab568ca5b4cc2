//! Symbols of the kernel and its modules.

use std::fs;

use crate::error::{Error, nearest};

/// The kernel's list of its symbols.
const KALLSYMS: &str = "/proc/kallsyms";

/// Symbols of the running kernel, sorted by address.
#[derive(Debug, Default)]
pub struct KernelSymbols {
    text: String,
    /// Address, and where the name begins in `text`; names end at white space.
    entries: Vec<(u64, u32)>,
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
        let mut entries = Vec::with_capacity(text.len() / 40);
        let mut start = 0usize;
        for line in text.split_inclusive('\n') {
            // `ffffffff81000000 T _text` and, for a module, `\t[name]`
            let mut parts = line.splitn(3, ' ');
            let address = parts.next().and_then(|a| u64::from_str_radix(a, 16).ok());
            let kind = parts.next();
            let is_code = matches!(kind, Some("t" | "T" | "w" | "W"));
            if let (Some(address), true, Some(name)) = (address, is_code, parts.next())
                && let Ok(at) = u32::try_from(start + line.len() - name.len())
            {
                entries.push((address, at));
            }
            start += line.len();
        }
        entries.sort_unstable();
        Self { text, entries }
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
        self.entries.iter().map(|e| self.symbol(*e))
    }

    /// The function that an address lies in.
    pub fn at(&self, address: u64) -> Option<KernelSymbol<'_>> {
        let after = self.entries.partition_point(|(start, _)| *start <= address);
        // Of several symbols at one address the first by name order of the file stands.
        let (start, _) = *self.entries.get(after.checked_sub(1)?)?;
        let first = self.entries.partition_point(|(s, _)| *s < start);
        // All addresses are 0 where the kernel hides them.
        (start != 0).then(|| self.entries.get(first).map(|e| self.symbol(*e)))?
    }

    /// The function with this name.
    pub fn find(&self, name: &str) -> Option<KernelSymbol<'_>> {
        self.iter().find(|s| s.name == name)
    }

    /// Address of the function or variable with this name. Kernels without `CONFIG_KALLSYMS_ALL`
    /// tell of functions only.
    pub fn address(&self, name: &str) -> Option<u64> {
        self.text.lines().find_map(|line| {
            let mut parts = line.split_ascii_whitespace();
            let address = parts.next()?;
            (parts.nth(1) == Some(name)).then(|| u64::from_str_radix(address, 16).ok())?
        })
    }

    /// Names of functions like `name`, nearest first.
    pub fn similar(&self, name: &str, count: usize) -> Vec<String> {
        nearest(name, self.iter().map(|s| s.name), count)
    }
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
        assert_eq!(symbols.similar("vfs_raed", 1), ["vfs_read"]);
    }
}
