//! Patterns with `*`, `?` and `[...]`.

/// Whether a text is a pattern that can match something other than itself.
pub fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether `pattern` matches the whole of `text`. A `[` that is never closed stands for itself.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on after a mismatch: behind the last star, one byte of text further.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match step(&pattern[p..], text[t]) {
            Step::Star => {
                p += 1;
                retry = Some((p, t));
                continue;
            }
            Step::Match(length) => {
                p += length;
                t += 1;
                continue;
            }
            Step::Mismatch => {}
        }
        let Some((after_star, from)) = retry else { return false };
        p = after_star;
        t = from + 1;
        retry = Some((after_star, t));
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

/// What the next element of a pattern makes of a byte.
enum Step {
    /// It is a star.
    Star,
    /// It matches, and is so many bytes long.
    Match(usize),
    /// It does not match, or the pattern has ended.
    Mismatch,
}

fn step(pattern: &[u8], byte: u8) -> Step {
    match pattern {
        [] => Step::Mismatch,
        [b'*', ..] => Step::Star,
        [b'?', ..] => Step::Match(1),
        [b'[', rest @ ..] => match class(rest, byte) {
            Some((true, length)) => Step::Match(length + 1),
            Some((false, _)) => Step::Mismatch,
            None if byte == b'[' => Step::Match(1),
            None => Step::Mismatch,
        },
        [literal, ..] if *literal == byte => Step::Match(1),
        _ => Step::Mismatch,
    }
}

/// Whether `byte` is in the class that `class` begins with, and the length of the class with its
/// closing bracket. `None`: it is not closed.
fn class(class: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(class.first(), Some(b'!' | b'^'));
    let start = usize::from(negated);
    // A bracket right at the start is a member.
    let end = start + 1 + class.get(start + 1..)?.iter().position(|b| *b == b']')?;
    let mut members = &class[start..end];
    let mut found = false;
    while let [first, rest @ ..] = members {
        if let [b'-', last, rest @ ..] = rest {
            found |= (*first..=*last).contains(&byte);
            members = rest;
        } else {
            found |= *first == byte;
            members = rest;
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_classes_and_literals() {
        for (pattern, text) in [
            ("*", ""),
            ("vfs_*", "vfs_read"),
            ("*open*at", "sys_enter_openat"),
            ("a*b*c", "aXbXbXc"),
            ("sys_?", "sys_x"),
            ("x[0-9a]", "x5"),
            ("x[!0-9]y", "xay"),
            ("x[]]", "x]"),
            ("x[", "x["),
            ("plain", "plain"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("vfs_*", "vfs"),
            ("a*b", "abc"),
            ("x[0-9]", "xa"),
            ("?", ""),
            ("plain", "plains"),
            ("", "x"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        assert!(!matches(&"*a".repeat(40), &"a".repeat(39)));
    }
}
