//! Sections of the files that describe names.

/// What begins the heading of a section.
const HEADING: &str = "## ";
/// What begins the line that says of which type a value is.
const VALUE: &str = "value: ";

/// What is said of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section<'a> {
    /// What its value is; empty if the line is missing.
    pub value: &'a str,
    /// Paragraphs and examples.
    pub text: &'a str,
}

impl<'a> Section<'a> {
    /// The first sentence.
    pub fn summary(&self) -> &'a str {
        let paragraph = self.text.split("\n\n").next().unwrap_or_default();
        match paragraph.find(". ").or_else(|| paragraph.find(".\n")) {
            Some(end) => &paragraph[..=end],
            None => paragraph,
        }
    }
}

/// Headings and what follows them, up to the next.
fn split(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = text.split("\n## ").enumerate().map(|(i, part)| match i {
        0 => part.strip_prefix(HEADING).unwrap_or_default(),
        _ => part,
    });
    parts.filter(|part| !part.is_empty()).map(|part| part.split_once('\n').unwrap_or((part, "")))
}

/// The names that have sections.
#[cfg(test)]
pub(super) fn names(text: &str) -> impl Iterator<Item = &str> {
    split(text).map(|(name, _)| name.trim())
}

/// The section of a name.
pub(super) fn find<'a>(text: &'a str, name: &str) -> Option<Section<'a>> {
    let (_, body) = split(text).find(|(heading, _)| heading.trim() == name)?;
    let (value, text) = match body.strip_prefix(VALUE) {
        Some(rest) => rest.split_once('\n').unwrap_or((rest, "")),
        None => ("", body),
    };
    Some(Section { value: value.trim(), text: text.trim() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_end_where_the_next_begins() {
        let text = "## a\nvalue: `uint8`\n\nOne. Two.\n\n## b\nThree.\n";
        assert_eq!(names(text).collect::<Vec<_>>(), ["a", "b"]);
        let a = find(text, "a").expect("there");
        assert_eq!((a.value, a.text, a.summary()), ("`uint8`", "One. Two.", "One."));
        let b = find(text, "b").expect("there");
        assert_eq!((b.value, b.text, b.summary()), ("", "Three.", "Three."));
        assert_eq!(find(text, "c"), None);
    }
}
