//! The string table of `.BTF`.

use std::collections::HashMap;

/// NUL-ended strings, each stored once. Offset 0 is the empty string.
#[derive(Clone, Debug)]
pub struct Strings {
    bytes: Vec<u8>,
    offsets: HashMap<String, u32>,
}

impl Default for Strings {
    fn default() -> Self {
        Self { bytes: vec![0], offsets: HashMap::new() }
    }
}

impl Strings {
    /// Offset of `text` in the table, added where it is new. A NUL ends the text.
    pub fn offset(&mut self, text: &str) -> u32 {
        let text = text.split('\0').next().unwrap_or_default();
        if text.is_empty() {
            return 0;
        }
        if let Some(&offset) = self.offsets.get(text) {
            return offset;
        }
        let offset = super::count(self.bytes.len());
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self.offsets.insert(text.to_owned(), offset);
        offset
    }

    /// The table.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Longest name that every kernel takes: `KSYM_NAME_LEN` was 128, NUL included, before Linux 6.1.
pub const MAX_NAME: usize = 127;

/// Whether the kernel takes `name` for a type, a member, a variable or a function.
pub fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= MAX_NAME
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The nearest name that the kernel takes; the empty name stays empty.
pub fn identifier(name: &str) -> String {
    let mut out: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out.truncate(MAX_NAME);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_stored_once() {
        let mut strings = Strings::default();
        let a = strings.offset("key");
        assert_eq!(strings.offset("key"), a);
        assert_eq!(strings.offset(""), 0);
        assert_eq!(strings.offset("key\0hidden"), a);
        assert_eq!(strings.bytes(), b"\0key\0");
    }

    #[test]
    fn names_are_made_valid() {
        assert_eq!(identifier("kprobe:vfs_*"), "kprobe_vfs__");
        assert_eq!(identifier("1st"), "_1st");
        assert_eq!(identifier(&"x".repeat(300)).len(), MAX_NAME);
        assert!(
            is_identifier("a_1")
                && !is_identifier("1a")
                && !is_identifier("")
                && !is_identifier("ü")
        );
    }
}
