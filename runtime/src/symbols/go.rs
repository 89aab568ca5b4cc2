//! Which code was compiled from Go. Its functions get their arguments in other registers than those of C, and
//! move their stacks while they run, which the kernel's return probes do not bear.

use std::ops::Range;

use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::Binary;

/// A section that every program of Go has.
const BUILD_INFO: &str = ".go.buildinfo";
/// Symbols around what Go's linker has put together. Code of C that was linked to it is elsewhere.
const BEGIN: &str = "runtime.text";
const END: &str = "runtime.etext";

impl Binary {
    /// Whether the code at an address of the file's own address space was compiled from Go.
    pub fn is_go(&self, address: u64) -> bool {
        self.go_code().is_some_and(|code| code.contains(&address))
    }

    /// Where code of Go is, if there is any.
    fn go_code(&self) -> Option<Range<u64>> {
        let file = self.parse().ok()?;
        file.section_by_name(BUILD_INFO)?;
        let symbol = |name| {
            let found = file.symbols().find(|symbol| symbol.name() == Ok(name));
            found.map(|symbol| symbol.address())
        };
        // Without symbols, what is known is that its own linker puts everything into one section.
        let text = file.section_by_name(".text");
        let whole = text.map(|text| text.address()..text.address().saturating_add(text.size()));
        match (symbol(BEGIN), symbol(END)) {
            (Some(begin), Some(end)) => Some(begin..end),
            _ => whole,
        }
    }
}
