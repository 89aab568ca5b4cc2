//! Raw tracepoints, by the names of types that the kernel has for each: `btf_trace_NAME`.

use std::fs;
use std::path::Path;

/// Where the kernel keeps its types and those of its modules, a file each.
const FOLDER: &str = "/sys/kernel/btf";
/// What the names of the types begin with (include/trace/bpf_probe.h).
const PREFIX: &[u8] = b"btf_trace_";
/// Places in the header of BTF (`struct btf_header` in linux/btf.h).
const HEADER_LENGTH: usize = 4;
const STRINGS_OFFSET: usize = 16;
const STRINGS_LENGTH: usize = 20;

/// Module and name of each, sorted. `None`: the kernel does not tell.
pub fn all() -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(FOLDER).ok()?.filter_map(Result::ok) {
        let Ok(module) = entry.file_name().into_string() else { continue };
        let names = of_file(&entry.path());
        found.extend(names.into_iter().map(|name| (module.clone(), name)));
    }
    found.sort_unstable();
    found.dedup();
    (!found.is_empty()).then_some(found)
}

fn of_file(path: &Path) -> Vec<String> {
    let data = fs::read(path).unwrap_or_default();
    let strings = strings(&data).unwrap_or_default();
    let names = strings.split(|byte| *byte == 0).filter_map(|name| name.strip_prefix(PREFIX));
    names.filter_map(|name| std::str::from_utf8(name).ok().map(str::to_owned)).collect()
}

/// The names of all types and members.
fn strings(btf: &[u8]) -> Option<&[u8]> {
    let start = word(btf, HEADER_LENGTH)?.checked_add(word(btf, STRINGS_OFFSET)?)?;
    btf.get(start..start.checked_add(word(btf, STRINGS_LENGTH)?)?)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_ne_bytes)?;
    usize::try_from(word).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_among_the_strings() {
        let text = b"\0int\0btf_trace_sched_switch\0btf_trace\0";
        let mut btf = vec![0u8; 24];
        btf[4..8].copy_from_slice(&24u32.to_ne_bytes());
        btf[20..24].copy_from_slice(&(text.len() as u32).to_ne_bytes());
        btf.extend_from_slice(text);
        assert_eq!(strings(&btf), Some(&text[..]));
        let path = std::env::temp_dir().join(format!("rbtrace-btf-{}", std::process::id()));
        std::fs::write(&path, &btf).expect("a temporary file");
        let names = of_file(&path);
        let _ = std::fs::remove_file(&path);
        assert_eq!(names, ["sched_switch"]);
        assert_eq!(strings(&btf[..30]), None);
        assert_eq!(strings(b""), None);
    }
}
