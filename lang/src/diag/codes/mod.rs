//! The registry of codes: each with the text that `rbtrace explain CODE` prints.

pub mod c;
pub mod check;
pub mod expand;
pub mod probes;
pub mod syntax;

/// A code and its explanation.
pub struct Code {
    /// Kebab-case name, as in [`super::Diagnostic::code`].
    pub name: &'static str,
    /// What the code means, with an example of what is wrong and what is right; several lines.
    pub text: &'static str,
}

/// Every code there is.
pub fn all() -> impl Iterator<Item = &'static Code> {
    let first = syntax::CODES.iter().chain(expand::CODES).chain(probes::CODES);
    first.chain(check::CODES).chain(c::CODES)
}

/// The explanation of a code.
pub fn explain(name: &str) -> Option<&'static str> {
    all().find(|code| code.name == name).map(|code| code.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case_and_unique() {
        let mut names: Vec<_> = all().map(|c| c.name).collect();
        assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(all().all(|c| !c.text.trim().is_empty()));
    }
}
