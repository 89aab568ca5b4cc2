//! Values of literals.

use std::ops::Range;

/// What is wrong with a literal, and where in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiteralError {
    /// One sentence without a full stop.
    pub message: String,
    /// Bytes of the literal's text.
    pub at: Range<usize>,
    /// What to do, where there is something to say.
    pub help: Option<String>,
}

/// Suffixes of integers with what they multiply by; durations are in nanoseconds.
pub(crate) const SUFFIXES: &[(&str, u64)] = &[
    ("", 1),
    ("u", 1),
    ("ul", 1),
    ("ull", 1),
    ("l", 1),
    ("ll", 1),
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// The value of an integer: decimal with an exponent or a duration's suffix, `0x`, `0b` or octal,
/// `_` between digits.
pub fn integer(text: &str) -> Result<u64, LiteralError> {
    let whole = 0..text.len();
    let bytes = text.as_bytes();
    let (radix, start) = match (bytes.first(), bytes.get(1)) {
        (Some(b'0'), Some(b'x' | b'X')) => (16, 2),
        (Some(b'0'), Some(b'b' | b'B')) => (2, 2),
        (Some(b'0'), Some(b'0'..=b'9')) => (8, 1),
        _ => (10, 0),
    };
    let end = end_of_digits(bytes, start, radix);
    let digits = text.get(start..end).unwrap_or_default();
    if radix == 8 && matches!(bytes.get(end), Some(b'8' | b'9')) {
        return Err(LiteralError {
            help: Some("a leading `0` makes a number octal; leave it out".into()),
            ..error("octal digits are 0 to 7", end..end + 1)
        });
    }
    if digits.is_empty() {
        return Err(error("digits are missing after the prefix", whole));
    }
    check_underscore(digits, end)?;
    let mut value =
        u64::from_str_radix(&digits.replace('_', ""), radix).map_err(|_| too_large())?;
    let mut suffix_start = end;
    if radix == 10 && matches!(bytes.get(end), Some(b'e' | b'E')) {
        let exponent_end = end_of_digits(bytes, end + 1, 10);
        let exponent = text.get(end + 1..exponent_end).unwrap_or_default();
        if exponent.is_empty() {
            return Err(error("digits are missing after the exponent's `e`", end..text.len()));
        }
        check_underscore(exponent, exponent_end)?;
        let power = exponent.replace('_', "").parse().ok().and_then(|e| 10u64.checked_pow(e));
        value = power.and_then(|p| value.checked_mul(p)).ok_or_else(too_large)?;
        suffix_start = exponent_end;
    }
    let suffix = text.get(suffix_start..).unwrap_or_default();
    let Some(factor) = factor(suffix) else {
        let at = suffix_start..text.len();
        return Err(LiteralError {
            help: Some(
                "numbers may end in `u`, `l`, `ns`, `us`, `ms`, `s`, `m`, `h` or `d`".into(),
            ),
            ..error(format!("unknown suffix `{suffix}` of a number"), at)
        });
    };
    value.checked_mul(factor).ok_or_else(too_large)
}

fn factor(suffix: &str) -> Option<u64> {
    let lower = suffix.to_ascii_lowercase();
    let known =
        if lower.contains(['u', 'l']) && !lower.contains('s') { lower.as_str() } else { suffix };
    SUFFIXES.iter().find(|(name, _)| *name == known).map(|&(_, factor)| factor)
}

fn end_of_digits(bytes: &[u8], start: usize, radix: u32) -> usize {
    let is_digit = |b: &u8| *b == b'_' || char::from(*b).is_digit(radix);
    start + bytes.iter().skip(start).take_while(|b| is_digit(b)).count()
}

fn check_underscore(digits: &str, end: usize) -> Result<(), LiteralError> {
    if digits.ends_with('_') {
        return Err(error("`_` stands between digits only", end - 1..end));
    }
    Ok(())
}

fn error(message: impl Into<String>, at: Range<usize>) -> LiteralError {
    LiteralError { message: message.into(), at, help: None }
}

fn too_large() -> LiteralError {
    // Callers show the whole literal for an empty range.
    LiteralError {
        message: "the number does not fit 64 bits".into(),
        at: 0..0,
        help: Some(format!("the largest is {}", u64::MAX)),
    }
}

/// The bytes of a string, its quotes included in `text`. Mistakes are collected; they leave nothing
/// in the result.
pub fn string(text: &str) -> (Vec<u8>, Vec<LiteralError>) {
    let bytes = text.as_bytes();
    let end = bytes.len().saturating_sub(1);
    let mut result = Vec::with_capacity(end);
    let mut errors = Vec::new();
    let mut at = 1;
    while at < end {
        match bytes.get(at) {
            Some(b'\\') => {
                let (value, length) = escape(text, at);
                match value {
                    Ok(byte) => result.push(byte),
                    Err(error) => errors.push(error),
                }
                at += length;
            }
            Some(&byte) => {
                result.push(byte);
                at += 1;
            }
            None => break,
        }
    }
    (result, errors)
}

/// The value of a character in single quotes, which must be one byte.
pub fn character(text: &str) -> Result<u64, LiteralError> {
    let (bytes, errors) = string(text);
    if let Some(error) = errors.into_iter().next() {
        return Err(error);
    }
    match bytes.as_slice() {
        [byte] => Ok(u64::from(*byte)),
        _ => Err(LiteralError {
            help: Some("for a string use double quotes".into()),
            ..error("single quotes hold one byte", 0..text.len())
        }),
    }
}

/// The value of the escape at `at`, and its length in bytes.
fn escape(text: &str, at: usize) -> (Result<u8, LiteralError>, usize) {
    let rest = text.get(at + 1..).unwrap_or_default();
    let Some(first) = rest.chars().next() else {
        return (Err(error("nothing follows the backslash", at..at + 1)), 1);
    };
    let simple = match first {
        'n' => Some(b'\n'),
        't' => Some(b'\t'),
        'r' => Some(b'\r'),
        '"' => Some(b'"'),
        '\'' => Some(b'\''),
        '\\' => Some(b'\\'),
        _ => None,
    };
    if let Some(byte) = simple {
        return (Ok(byte), 2);
    }
    if first.is_digit(8) {
        let length = rest.bytes().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
        let value = u8::from_str_radix(rest.get(..length).unwrap_or_default(), 8);
        let message = "an octal escape goes up to `\\377`";
        return (value.map_err(|_| error(message, at..at + 1 + length)), 1 + length);
    }
    if matches!(first, 'x' | 'X') {
        let length = rest.bytes().skip(1).take(2).take_while(u8::is_ascii_hexdigit).count();
        let value = u8::from_str_radix(rest.get(1..1 + length).unwrap_or_default(), 16);
        let message = "hexadecimal digits are missing after `\\x`";
        return (value.map_err(|_| error(message, at..at + 2 + length)), 2 + length);
    }
    let unknown = LiteralError {
        help: Some(
            "there are `\\n`, `\\t`, `\\r`, `\\\"`, `\\\\`, `\\123` (octal) and `\\x7f`".into(),
        ),
        ..error(format!("unknown escape `\\{first}`"), at..at + 1 + first.len_utf8())
    };
    (Err(unknown), 1 + first.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, value) in [
            ("0", 0),
            ("1_000", 1000),
            ("1e6", 1_000_000),
            ("12e4", 120_000),
            ("0x2A", 42),
            ("0xffff_ffff_ffff_ffff", u64::MAX),
            ("0xffu", 255),
            ("0b101", 5),
            ("0755", 493),
            ("5ULL", 5),
            ("3ns", 3),
            ("7us", 7_000),
            ("10ms", 10_000_000),
            ("1s", 1_000_000_000),
            ("2m", 120_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1d", 86_400_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(integer(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn wrong_integers() {
        for (text, at) in [
            ("18446744073709551616", 0..0),
            ("1e21", 0..0),
            ("1000000000000d", 0..0),
            ("1_", 1..2),
            ("5x", 1..2),
            ("089", 1..2),
            ("1S", 1..2),
            ("1lul", 1..4),
            ("0x", 0..2),
            ("1e", 1..2),
        ] {
            assert_eq!(integer(text).map_err(|e| e.at), Err(at), "{text}");
        }
    }

    #[test]
    fn strings() {
        let (bytes, errors) = string(r#""a\n\t\"\\\0\101\x7fé""#);
        assert_eq!(bytes, b"a\n\t\"\\\0A\x7f\xc3\xa9");
        assert_eq!(errors, []);
        let (_, errors) = string(r#""\q\777\x""#);
        assert_eq!(errors.iter().map(|e| e.at.clone()).collect::<Vec<_>>(), [1..3, 3..7, 7..9]);
        assert_eq!(character("'\\n'"), Ok(10));
        assert!(character("'ab'").is_err());
    }
}
