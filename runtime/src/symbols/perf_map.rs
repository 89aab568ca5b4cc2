//! Perf maps: where just-in-time compilers say which code they made
//! (tools/perf/Documentation/jit-interface.txt). blazesym reads those of running processes; these
//! are for the ones that have ended.

use std::collections::HashMap;
use std::fs;

use crate::value::Symbol;

/// Largest file that is read, in bytes.
const MOST: u64 = 256 << 20;

/// The perf maps that were looked at, by process.
#[derive(Debug, Default)]
pub(crate) struct PerfMaps(HashMap<u32, PerfMap>);

#[derive(Debug, Default)]
struct PerfMap {
    /// Bytes of the file when it was read: it only grows.
    length: u64,
    text: String,
    /// First address, address behind the last, and where in `text` the name is; by address.
    functions: Vec<(u64, u64, usize)>,
}

impl PerfMaps {
    /// The function that a process has told of.
    pub fn symbol(&mut self, pid: u32, address: u64) -> Option<Symbol> {
        let path = format!("/tmp/perf-{pid}.map");
        let length = fs::metadata(&path).ok()?.len();
        let map = self.0.entry(pid).or_default();
        if map.length != length && length <= MOST {
            *map = PerfMap::parse(fs::read_to_string(&path).unwrap_or_default(), length);
        }
        map.symbol(address, &path)
    }
}

impl PerfMap {
    fn parse(text: String, length: u64) -> Self {
        let mut functions = Vec::new();
        let mut begin = 0;
        for line in text.split_inclusive('\n') {
            // `START SIZE name`, in hexadecimal; the name may have spaces in it.
            let mut parts = line.splitn(3, ' ');
            let mut number =
                || u64::from_str_radix(parts.next()?.trim_start_matches("0x"), 16).ok();
            if let (Some(start), Some(size)) = (number(), number())
                && let Some(name) = parts.next()
            {
                let at = begin + line.len() - name.len();
                functions.push((start, start.saturating_add(size), at));
            }
            begin += line.len();
        }
        // Stable: of two functions at one place the later one stands.
        functions.sort_by_key(|(start, ..)| *start);
        Self { length, text, functions }
    }

    fn symbol(&self, address: u64, path: &str) -> Option<Symbol> {
        let after = self.functions.partition_point(|(start, ..)| *start <= address);
        let (start, end, at) = *self.functions.get(after.checked_sub(1)?)?;
        let name = self.text.get(at..)?.lines().next()?;
        (address < end).then(|| Symbol {
            name: name.to_owned(),
            offset: address - start,
            module: Some(path.to_owned()),
            ..Symbol::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_functions_with_spaces_in_their_names() {
        let text = "1000 20 old\nbroken\n1000 10 LazyCompile:*f /x.js:1\n0x3000 8 g\n";
        let map = PerfMap::parse(text.into(), 1);
        let found = map.symbol(0x1004, "/tmp/perf-1.map").expect("a function");
        assert_eq!((found.name.as_str(), found.offset), ("LazyCompile:*f /x.js:1", 4));
        assert_eq!(map.symbol(0x3007, "m").map(|s| s.name), Some("g".into()));
        assert!(map.symbol(0x1010, "m").is_none() && map.symbol(0xfff, "m").is_none());
    }
}
