//! What operands of all architectures have in common.

/// Reads a decimal, hexadecimal or octal number, with a sign, as assemblers do. Numbers of 64 bits
/// without a sign wrap.
pub(super) fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    // A second sign is none of `from_str_radix`'s business.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?.cast_signed();
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Reads a sum of numbers and at most one symbol: `16`, `counter`, `counter+8`, `-4+counter`.
pub(super) fn sum(text: &str) -> Option<(Option<String>, i64)> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let (mut symbol, mut total) = (None, 0i64);
    while !rest.is_empty() {
        let end = rest.char_indices().skip(1).find(|(_, c)| matches!(c, '+' | '-'));
        let (term, tail) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        rest = tail;
        let name = term.strip_prefix('+').unwrap_or(term).trim();
        match number(term) {
            Some(n) => total = total.wrapping_add(n),
            None if symbol.is_none() && is_symbol(name) => symbol = Some(name.to_owned()),
            None => return None,
        }
    }
    Some((symbol, total))
}

fn is_symbol(text: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$');
    text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '_' | '.'))
        && text.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number("-12"), Some(-12));
        assert_eq!(number("0x10"), Some(16));
        assert_eq!(number("-0x10"), Some(-16));
        assert_eq!(number("010"), Some(8));
        assert_eq!(number("18446744073709551615"), Some(-1));
        assert_eq!(number("-9223372036854775808"), Some(i64::MIN));
        for text in ["", "-", "--1", "+-1", "x", "1x", "99999999999999999999"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn sums() {
        assert_eq!(sum("16"), Some((None, 16)));
        assert_eq!(sum("a.b"), Some((Some("a.b".into()), 0)));
        assert_eq!(sum("a+8-4"), Some((Some("a".into()), 4)));
        assert_eq!(sum("-4+_a"), Some((Some("_a".into()), -4)));
        for text in ["", "a+b", "-a", "1a", "a b", "+", "%rax"] {
            assert_eq!(sum(text), None, "{text}");
        }
    }
}
