//! Colours for script text. A rough reader: it only has to tell words from text and comments.

use rbtrace_probes_ebpf::kinds::ProbeKind;

use crate::style::Colour;

const KEYWORDS: &[&str] = &[
    "if", "else", "unroll", "while", "for", "break", "continue", "return", "let", "config",
    "import", "macro", "struct", "union", "enum", "typedef", "sizeof", "offsetof", "typeof",
    "true", "false",
];

/// A piece of the text, and the colour it has, if one.
pub type Piece<'a> = (&'a str, Option<Colour>);

/// The text in colours. `is_name` tells functions and builtins from other words.
pub fn paint(text: &str, is_name: impl Fn(&str) -> bool) -> String {
    let mut painted = String::with_capacity(text.len() * 2);
    for (piece, colour) in pieces(text, is_name) {
        match colour {
            Some(colour) => painted.push_str(&colour.paint(piece)),
            None => painted.push_str(piece),
        }
    }
    painted
}

/// Splits the text into pieces that together are the text.
pub fn pieces(text: &str, is_name: impl Fn(&str) -> bool) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut depth = 0i32;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => quoted(rest),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '@' | '$' => 1 + word(&rest[1..]),
            c if is_word(c) => word(rest),
            c => c.len_utf8(),
        };
        let (piece, after) = rest.split_at(length);
        depth += match first {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        pieces.push((piece, colour(piece, after, depth, &is_name)));
        rest = after;
    }
    pieces
}

fn colour(piece: &str, after: &str, depth: i32, is_name: &impl Fn(&str) -> bool) -> Option<Colour> {
    let first = piece.chars().next()?;
    match first {
        '"' => Some(Colour::Text),
        '/' if piece.len() > 1 => Some(Colour::Faint),
        '@' | '$' => Some(Colour::Variable),
        c if c.is_ascii_digit() => Some(Colour::Number),
        c if !is_word(c) => None,
        _ if depth == 0 && (after.starts_with(':') || is_edge(piece)) => {
            ProbeKind::from_name(piece).map(|_| Colour::Probe)
        }
        _ if KEYWORDS.contains(&piece) => Some(Colour::Keyword),
        _ if is_name(piece) => Some(Colour::Function),
        _ => None,
    }
}

/// The probes that stand without a colon.
fn is_edge(word: &str) -> bool {
    matches!(ProbeKind::from_name(word), Some(ProbeKind::Begin | ProbeKind::End))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(text: &str) -> usize {
    text.find(|c| !is_word(c)).unwrap_or(text.len())
}

/// Length of the text in quotes that `text` begins with; to the end if they are not closed.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coloured(text: &str) -> Vec<(&str, Colour)> {
        let is_name = |word: &str| matches!(word, "printf" | "pid");
        let pieces = pieces(text, is_name);
        assert_eq!(pieces.iter().map(|(piece, _)| *piece).collect::<String>(), text);
        pieces.into_iter().filter_map(|(piece, colour)| Some((piece, colour?))).collect()
    }

    #[test]
    fn tells_words_from_text_and_comments() {
        let script = "kprobe:f /pid == 5/ { printf(\"a \\\" if\", @x[$y]); if (1) {} } // pid";
        let expected = [
            ("kprobe", Colour::Probe),
            ("pid", Colour::Function),
            ("5", Colour::Number),
            ("printf", Colour::Function),
            ("\"a \\\" if\"", Colour::Text),
            ("@x", Colour::Variable),
            ("$y", Colour::Variable),
            ("if", Colour::Keyword),
            ("1", Colour::Number),
            ("// pid", Colour::Faint),
        ];
        assert_eq!(coloured(script), expected);
    }

    #[test]
    fn half_typed_text_is_text_all_the_same() {
        for text in ["\"open", "/* open", "@", "$", "é\"ü", "}}}{", "/"] {
            coloured(text);
        }
    }
}
