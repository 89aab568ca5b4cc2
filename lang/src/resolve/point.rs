//! An attach point as text: its parts, and what all kinds need to read them.

pub(super) use rbtrace_probes_ebpf::glob::is_glob as is_pattern;

use crate::ast::{self, AttachPiece};
use crate::diag::Diagnostic;
use crate::span::Span;

use super::Failure;

/// An attach point with the text of its parts.
#[derive(Clone, Debug)]
pub struct Point {
    /// Name of the kind.
    pub kind: String,
    /// Place of the kind's name.
    pub kind_span: Span,
    /// The parts after the kind.
    pub parts: Vec<Part>,
    /// All of it.
    pub span: Span,
    /// Whether it is told if the machine has no such thing: looking for near names takes time.
    pub told: bool,
}

/// A part of an attach point.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its text, quotes taken off.
    pub text: String,
    /// Its place.
    pub span: Span,
}

impl Point {
    /// `None` if there is nothing: a trailing comma.
    pub fn new(written: &ast::AttachPoint) -> Option<Self> {
        let mut parts = written.parts.iter().map(|part| Part {
            text: part.pieces.iter().map(piece_text).collect(),
            span: part.span,
        });
        let kind = parts.next()?;
        if kind.text.is_empty() {
            return None;
        }
        Some(Self {
            kind: kind.text,
            kind_span: kind.span,
            parts: parts.collect(),
            span: written.span,
            told: true,
        })
    }

    /// Whether the kind is a pattern: `k*`.
    pub fn kind_is_pattern(&self) -> bool {
        is_pattern(&self.kind)
    }

    /// The texts of the parts.
    pub fn texts(&self) -> Vec<&str> {
        self.parts.iter().map(|part| part.text.as_str()).collect()
    }

    /// The place of a part; of the whole if there is no such part.
    pub fn part_span(&self, index: usize) -> Span {
        self.parts.get(index).map_or(self.span, |part| part.span)
    }

    /// An error about the whole: the parts do not fit the kind.
    pub fn wrong_form(&self, forms: &[&str]) -> Failure {
        Failure::Malformed(
            Diagnostic::error(
                "attach-point-form",
                self.span,
                format!("this is no attach point of kind `{}`", self.kind),
            )
            .label(format!("expected {}", forms.join(" or "))),
        )
    }

    /// An error about a part.
    pub fn bad_part(&self, index: usize, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error("attach-point-form", self.part_span(index), message)
    }
}

fn piece_text(piece: &AttachPiece) -> &str {
    match piece {
        AttachPiece::Text(text) | AttachPiece::Quoted(text) => text,
        // Replaced by their values before.
        AttachPiece::Param(param) => param.default.as_deref().unwrap_or_default(),
    }
}

/// Reads a number as scripts write it: decimal, `0x`, octal, `1e6`, `1_000`, and durations such
/// as `10ms`, which are nanoseconds.
pub fn number(text: &str) -> Option<u64> {
    const UNITS: &[(&str, u64)] = &[
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ];
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let text = text.replace('_', "");
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(hex, 16).ok();
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(digits);
    let radix = if digits.len() > 1 && digits.starts_with('0') { 8 } else { 10 };
    let n = u64::from_str_radix(digits, radix).ok()?;
    if rest.is_empty() {
        return Some(n);
    }
    if let Some(exponent) = rest.strip_prefix('e').or_else(|| rest.strip_prefix('E')) {
        return 10u64.checked_pow(exponent.parse().ok()?)?.checked_mul(n);
    }
    UNITS.iter().find(|(unit, _)| *unit == rest).and_then(|(_, factor)| n.checked_mul(*factor))
}

/// Splits `name+offset`. The error says what is wrong.
pub fn split_offset(text: &str) -> Result<(&str, u64), String> {
    let Some((name, offset)) = text.split_once('+') else { return Ok((text, 0)) };
    let offset = offset.trim();
    let value =
        number(offset).ok_or_else(|| format!("`{offset}` is no offset: a number is expected"))?;
    Ok((name.trim(), value))
}

/// The full name of a probe kind that exists but is not built yet.
pub fn unsupported_kind(name: &str) -> Option<&'static str> {
    const KINDS: &[(&str, &[&str])] = &[("asyncwatchpoint", &["aw"])];
    KINDS.iter().find(|(full, short)| *full == name || short.contains(&name)).map(|(full, _)| *full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers() {
        assert_eq!(number("0x10"), Some(16));
        assert_eq!(number("010"), Some(8));
        assert_eq!(number("1e3"), Some(1000));
        assert_eq!(number("1_000"), Some(1000));
        assert_eq!(number("2s"), Some(2_000_000_000));
        assert_eq!(number("vfs"), None);
        assert_eq!(number("99999999999d"), None);
        assert_eq!(split_offset("f+0x10"), Ok(("f", 16)));
    }
}
