//! The format strings of `printf` and its kin: their syntax, and what each conversion takes.
//!
//! A conversion is `%[-][+][ ][#][0][width][.precision][length]letter`, with the flags in this
//! very order. What looks like a conversion but is none is text, as bpftrace has it: `100%` and
//! `%y` print as they stand.

use thiserror::Error;

use crate::types::Type;

/// Largest field width, in bytes.
pub const MAX_WIDTH: u32 = 65_535;

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Printed as it is; `%%` is already one `%`.
    Text(String),
    /// Takes an argument.
    Conversion(Spec),
}

/// A conversion with its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// `-`: pad on the right.
    pub left: bool,
    /// `+`: a sign before positive signed numbers.
    pub plus: bool,
    /// `#`: `0x` before hexadecimal numbers, `0` before octal ones.
    pub alternate: bool,
    /// `0`: pad with zeros.
    pub zero: bool,
    /// Smallest number of bytes to print; 0 where none is given. A width of `*` counts as none
    /// and takes no argument.
    pub width: u32,
    /// Precision; only validated, since no conversion uses it. `*` counts as none.
    pub precision: Option<u32>,
    /// Width of the integer that the argument is cut to.
    pub length: Length,
    /// What is printed.
    pub conversion: Conversion,
}

impl Spec {
    /// The conversion as the kernel's own functions spell it (`bpf_bprintf_prepare` in
    /// kernel/bpf/helpers.c), of 64 bits where it takes a number. `None`: they have none like it.
    pub fn in_kernel(&self) -> Option<String> {
        let letters = match self.conversion {
            Conversion::Signed => "lld",
            Conversion::Unsigned => "llu",
            Conversion::Hex => "llx",
            Conversion::HexUpper => "llX",
            Conversion::Str => "s",
            Conversion::Char => "c",
            // What pads it would come between prefix and digits.
            Conversion::Pointer if self.width == 0 => return Some("0x%llx".into()),
            _ => return None,
        };
        if self.alternate {
            return None;
        }
        let flag = |set, letter| if set { letter } else { "" };
        let flags = [flag(self.left, "-"), flag(self.plus, "+"), flag(self.zero, "0")].concat();
        let width = if self.width > 0 { self.width.to_string() } else { String::new() };
        Some(format!("%{flags}{width}{letters}"))
    }
}

/// Length modifiers: the C type that an integer argument is converted to before it prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// No modifier, or a combination without meaning: `int`.
    Int,
    /// `hh`: `char`.
    Char,
    /// `h`: `short`.
    Short,
    /// `l`, `ll`, `j`, `z`, `t`: 64 bits.
    Long,
}

impl Length {
    /// Every modifier that means something.
    pub const ALL: [(&str, Length); 7] = [
        ("hh", Length::Char),
        ("h", Length::Short),
        ("l", Length::Long),
        ("ll", Length::Long),
        ("j", Length::Long),
        ("z", Length::Long),
        ("t", Length::Long),
    ];

    /// Bits that are kept of the argument.
    pub const fn bits(self) -> u32 {
        match self {
            Length::Char => 8,
            Length::Short => 16,
            Length::Int => 32,
            Length::Long => 64,
        }
    }
}

/// What a conversion prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conversion {
    /// `%d`, `%i`: signed decimal.
    Signed,
    /// `%u`: unsigned decimal.
    Unsigned,
    /// `%o`: unsigned octal.
    Octal,
    /// `%x`: hexadecimal, lower case.
    Hex,
    /// `%X`: hexadecimal, upper case.
    HexUpper,
    /// `%c`: one byte.
    Char,
    /// `%p`: `0x` and hexadecimal digits of 64 bits.
    Pointer,
    /// `%s`: any value as it prints by itself.
    Str,
    /// `%r`: bytes as text, those that are not printable ASCII as `\x00`.
    Buffer,
    /// `%rx`: every byte as `\x00`.
    BufferEscaped,
    /// `%rh`: every byte as two hexadecimal digits, with spaces between.
    BufferHex,
    /// `%gr`: the kernel's memory allocation flags by name.
    GfpFlags,
}

impl Conversion {
    /// Every spelling without `%`; the longer one first where one begins another: `%rh` is not
    /// `%r` and an `h`.
    pub const ALL: [(&str, Conversion); 13] = [
        ("d", Conversion::Signed),
        ("i", Conversion::Signed),
        ("u", Conversion::Unsigned),
        ("o", Conversion::Octal),
        ("x", Conversion::Hex),
        ("X", Conversion::HexUpper),
        ("c", Conversion::Char),
        ("p", Conversion::Pointer),
        ("s", Conversion::Str),
        ("rx", Conversion::BufferEscaped),
        ("rh", Conversion::BufferHex),
        ("r", Conversion::Buffer),
        ("gr", Conversion::GfpFlags),
    ];

    /// What it prints, in a few words.
    pub const fn about(self) -> &'static str {
        match self {
            Conversion::Signed => "a signed decimal number",
            Conversion::Unsigned => "an unsigned decimal number",
            Conversion::Octal => "an unsigned octal number",
            Conversion::Hex => "a hexadecimal number in lower case",
            Conversion::HexUpper => "a hexadecimal number in upper case",
            Conversion::Char => "one byte, as it is",
            Conversion::Pointer => "an address: `0x` and hexadecimal digits of 64 bits",
            Conversion::Str => "a value of any type, as `print()` shows it",
            Conversion::Buffer => "bytes as text; those that are not printable ASCII as `\\x00`",
            Conversion::BufferEscaped => "every byte as `\\x00`",
            Conversion::BufferHex => "every byte as two hexadecimal digits, separated by spaces",
            Conversion::GfpFlags => "the kernel's memory allocation flags, by name",
        }
    }

    /// How it is spelled, without `%` (`%i` is named `d`).
    pub const fn letters(self) -> &'static str {
        match self {
            Conversion::Signed => "d",
            Conversion::Unsigned => "u",
            Conversion::Octal => "o",
            Conversion::Hex => "x",
            Conversion::HexUpper => "X",
            Conversion::Char => "c",
            Conversion::Pointer => "p",
            Conversion::Str => "s",
            Conversion::Buffer => "r",
            Conversion::BufferEscaped => "rx",
            Conversion::BufferHex => "rh",
            Conversion::GfpFlags => "gr",
        }
    }

    /// Whether an argument of this class can be printed so.
    pub const fn takes(self, class: ArgClass) -> bool {
        match self {
            Conversion::Str => !matches!(class, ArgClass::Nothing),
            Conversion::Buffer | Conversion::BufferEscaped | Conversion::BufferHex => {
                matches!(class, ArgClass::Buffer)
            }
            _ => matches!(class, ArgClass::Integer),
        }
    }
}

/// What an argument is, as far as conversions care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgClass {
    /// Integers, booleans, enums and pointers, and aggregations that read as one integer.
    Integer,
    /// The result of `buf`.
    Buffer,
    /// No value at all.
    Nothing,
    /// Everything else.
    Other,
}

impl ArgClass {
    /// The class of a type.
    pub fn of(ty: &Type) -> Self {
        match ty {
            Type::Int { .. } | Type::Bool | Type::Ptr | Type::Enum { .. } => Self::Integer,
            Type::Count | Type::Sum { .. } | Type::Min { .. } => Self::Integer,
            Type::Max { .. } | Type::Avg { .. } => Self::Integer,
            Type::Buf { .. } => Self::Buffer,
            Type::Void => Self::Nothing,
            _ => Self::Other,
        }
    }
}

/// Why a format, or its arguments, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    /// A conversion of C that has no meaning here.
    #[error("unsupported format specifier: {0}")]
    Unsupported(String),
    /// A width or precision above [`MAX_WIDTH`].
    #[error("field width or precision {0} is above the limit of {MAX_WIDTH}")]
    TooWide(String),
    /// Fewer arguments than conversions.
    #[error("not enough arguments for format string ({supplied} supplied, {expected} expected)")]
    TooFew {
        /// Arguments given.
        supplied: usize,
        /// Conversions in the format.
        expected: usize,
    },
    /// More arguments than conversions.
    #[error("too many arguments for format string ({supplied} supplied, {expected} expected)")]
    TooMany {
        /// Arguments given.
        supplied: usize,
        /// Conversions in the format.
        expected: usize,
    },
    /// A conversion cannot print its argument.
    #[error("argument {} of the format cannot be printed with %{}", index + 1, conversion.letters())]
    Mismatch {
        /// Which argument, from 0.
        index: usize,
        /// The conversion that it meets.
        conversion: Conversion,
    },
}

/// Splits a format, its escapes already resolved, into text and conversions.
pub fn parse(format: &str) -> Result<Vec<Piece>, FormatError> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let mut cursor = Cursor(from.strip_prefix('%').unwrap_or_default());
        match cursor.spec()? {
            Found::Nothing => {
                text.push('%');
                rest = from.strip_prefix('%').unwrap_or_default();
                continue;
            }
            Found::Percent => text.push('%'),
            Found::Spec(spec) => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(Piece::Conversion(spec));
            }
        }
        rest = cursor.0;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// The conversions of a parsed format, in order: each takes one argument.
pub fn specs(pieces: &[Piece]) -> impl Iterator<Item = &Spec> {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Conversion(spec) => Some(spec),
        Piece::Text(_) => None,
    })
}

/// Checks the number of arguments and what each conversion takes.
pub fn check(pieces: &[Piece], args: &[ArgClass]) -> Result<(), FormatError> {
    let (supplied, expected) = (args.len(), specs(pieces).count());
    if supplied < expected {
        return Err(FormatError::TooFew { supplied, expected });
    }
    if supplied > expected {
        return Err(FormatError::TooMany { supplied, expected });
    }
    for (index, (spec, class)) in specs(pieces).zip(args).enumerate() {
        if !spec.conversion.takes(*class) {
            return Err(FormatError::Mismatch { index, conversion: spec.conversion });
        }
    }
    Ok(())
}

/// What follows a `%`.
enum Found {
    /// Nothing that makes a conversion: the `%` is text.
    Nothing,
    /// `%%`, possibly with flags between.
    Percent,
    /// A conversion.
    Spec(Spec),
}

/// What is left to read of the format.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn eat(&mut self, c: char) -> bool {
        let found = self.0.strip_prefix(c);
        self.0 = found.unwrap_or(self.0);
        found.is_some()
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !accept(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    /// A number or `*`. Absent if there is neither; the inner value is absent for `*`.
    fn number(&mut self) -> Result<Option<Option<u32>>, FormatError> {
        if self.eat('*') {
            return Ok(Some(None));
        }
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Ok(None);
        }
        match digits.parse::<u32>() {
            Ok(n) if n <= MAX_WIDTH => Ok(Some(Some(n))),
            _ => Err(FormatError::TooWide(digits.into())),
        }
    }

    fn spec(&mut self) -> Result<Found, FormatError> {
        let left = self.eat('-');
        let plus = self.eat('+');
        // A space before positive numbers in C; accepted and without effect.
        let _ = self.eat(' ');
        let alternate = self.eat('#');
        let zero = self.eat('0');
        let width = self.number()?.flatten().unwrap_or(0);
        let mut precision = None;
        if self.eat('.') {
            match self.number()? {
                Some(n) => precision = n,
                None => return Ok(Found::Nothing),
            }
        }
        let letters = self.take_while(|c| "hlLjzt".contains(c));
        let length = Length::ALL.iter().find(|(spelling, _)| *spelling == letters);
        let length = length.map_or(Length::Int, |(_, length)| *length);
        if self.eat('%') {
            return Ok(Found::Percent);
        }
        let Some(conversion) = self.conversion()? else {
            return Ok(Found::Nothing);
        };
        let spec = Spec { left, plus, alternate, zero, width, precision, length, conversion };
        Ok(Found::Spec(spec))
    }

    fn conversion(&mut self) -> Result<Option<Conversion>, FormatError> {
        for (letters, conversion) in Conversion::ALL {
            if let Some(rest) = self.0.strip_prefix(letters) {
                self.0 = rest;
                return Ok(Some(conversion));
            }
        }
        match self.0.chars().next() {
            Some(c) if "eEfFgGaAn".contains(c) => Err(FormatError::Unsupported(c.into())),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(format: &str) -> Spec {
        let pieces = parse(format).expect("valid format");
        match pieces.as_slice() {
            [Piece::Conversion(spec)] => *spec,
            other => panic!("{format}: {other:?}"),
        }
    }

    fn text(format: &str) -> String {
        match parse(format).expect("valid format").as_slice() {
            [Piece::Text(text)] => text.clone(),
            other => panic!("{format}: {other:?}"),
        }
    }

    #[test]
    fn flags_width_and_length() {
        let spec = one("%-+ #010.3hhd");
        assert!(spec.left && spec.plus && spec.alternate && spec.zero);
        assert_eq!((spec.width, spec.precision), (10, Some(3)));
        assert_eq!((spec.length, spec.conversion), (Length::Char, Conversion::Signed));
        assert_eq!(one("%llx").length, Length::Long);
        assert_eq!(one("%hlx").length, Length::Int);
        assert_eq!((one("%*.*u").width, one("%*.*u").precision), (0, None));
    }

    #[test]
    fn the_kernel_has_conversions_of_its_own() {
        let spelled = |format| one(format).in_kernel();
        assert_eq!(spelled("%d").as_deref(), Some("%lld"));
        assert_eq!(spelled("%-+8hhd").as_deref(), Some("%-+8lld"));
        assert_eq!(spelled("%08llx").as_deref(), Some("%08llx"));
        assert_eq!(spelled("%-10s").as_deref(), Some("%-10s"));
        assert_eq!(spelled("%p").as_deref(), Some("0x%llx"));
        for other in ["%20p", "%#x", "%o", "%r", "%gr"] {
            assert_eq!(spelled(other), None, "{other}");
        }
    }

    #[test]
    fn longest_spelling_wins() {
        assert_eq!(one("%rh").conversion, Conversion::BufferHex);
        assert_eq!(one("%rx").conversion, Conversion::BufferEscaped);
        assert_eq!(one("%gr").conversion, Conversion::GfpFlags);
        let pieces = parse("%ry").expect("valid format");
        assert_eq!(pieces.len(), 2);
    }

    #[test]
    fn what_is_no_conversion_is_text() {
        for plain in ["100%", "%y", "%5.d", "%+-d", "%", "é%ü"] {
            assert_eq!(text(plain), plain);
        }
        assert_eq!(text("%%d %5% %-%"), "%d % %");
        assert_eq!(parse(""), Ok(Vec::new()));
    }

    #[test]
    fn errors() {
        assert_eq!(parse("%f"), Err(FormatError::Unsupported("f".into())));
        assert_eq!(parse("%g"), Err(FormatError::Unsupported("g".into())));
        assert_eq!(parse("%99999d"), Err(FormatError::TooWide("99999".into())));
        assert!(parse("%99999999999999999999d").is_err());
    }

    #[test]
    fn arguments() {
        use ArgClass::{Buffer, Integer, Nothing, Other};
        let pieces = parse("%d %s %r").expect("valid format");
        assert_eq!(check(&pieces, &[Integer, Other, Buffer]), Ok(()));
        let few = FormatError::TooFew { supplied: 1, expected: 3 };
        assert_eq!(check(&pieces, &[Integer]), Err(few));
        let wrong = FormatError::Mismatch { index: 0, conversion: Conversion::Signed };
        assert_eq!(check(&pieces, &[Other, Other, Buffer]), Err(wrong));
        assert!(check(&pieces, &[Integer, Nothing, Buffer]).is_err());
    }
}
