//! C's integers and what is done with them.

use crate::catalog::ctypes::CType;

/// An integer with its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    /// Within the range of its type.
    pub value: i128,
    /// Bytes.
    size: u8,
    signed: bool,
}

impl Number {
    /// The number that is left when the value is put into this type.
    pub fn new(value: i128, size: u8, signed: bool) -> Self {
        let value = match 128 - u32::from(size) * 8 {
            0 => value,
            shift if signed => (value << shift) >> shift,
            shift => (((value as u128) << shift) >> shift) as i128,
        };
        Self { value, size, signed }
    }

    /// An `int`.
    pub fn int(value: i64) -> Self {
        Self::new(value.into(), 4, true)
    }

    /// A `size_t`.
    pub fn size(value: u64) -> Self {
        Self::new(value.into(), 8, false)
    }

    /// A variant of an enum: an `int` if it fits.
    pub fn variant(value: i64) -> Self {
        match i32::try_from(value) {
            Ok(_) => Self::int(value),
            Err(_) => Self::new(value.into(), 8, true),
        }
    }

    /// Its type.
    pub fn ty(self) -> CType {
        CType::Int { size: self.size, signed: self.signed }
    }

    /// `+`, `-`, `~` or `!` applied to it.
    pub fn signed_by(self, sign: &str) -> Self {
        let Self { value, size, signed } = self.promoted();
        match sign {
            "-" => Self::new(value.wrapping_neg(), size, signed),
            "~" => Self::new(!value, size, signed),
            "!" => Self::int((value == 0).into()),
            _ => Self { value, size, signed },
        }
    }

    /// Smaller integers count as `int`.
    fn promoted(self) -> Self {
        if self.size < 4 { Self::new(self.value, 4, true) } else { self }
    }
}

/// The value of a literal, with the type that C gives it.
pub(super) fn literal(text: &str) -> Result<Number, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (lower.get(2..).unwrap_or_default(), 16),
        [b'0', b'b', ..] => (lower.get(2..).unwrap_or_default(), 2),
        [b'0', b'0'..=b'9', ..] => (lower.get(1..).unwrap_or_default(), 8),
        _ => (lower.as_str(), 10),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let (digits, suffix) = digits.split_at(end);
    let (unsigned, long) = match suffix {
        "" => (false, false),
        "u" => (true, false),
        "l" | "ll" => (false, true),
        "ul" | "ull" | "lu" | "llu" => (true, true),
        _ => return Err(format!("`{text}` is no integer")),
    };
    let value = u64::from_str_radix(digits, radix)
        .map_err(|_| format!("`{text}` does not fit into 64 bits"))?;
    let is_decimal = radix == 10;
    let fits = |bits: u32| value >> (bits - 1) == 0;
    let (size, signed) = match (unsigned, long) {
        (false, false) if fits(32) => (4, true),
        (_, false) if (unsigned || !is_decimal) && value >> 32 == 0 => (4, false),
        (false, _) if fits(64) => (8, true),
        _ => (8, false),
    };
    Ok(Number::new(value.into(), size, signed))
}

/// The value of an operation other than `&&` and `||`.
pub(super) fn binary(operator: &str, left: Number, right: Number) -> Result<Number, String> {
    let (left, right) = (left.promoted(), right.promoted());
    if let "<<" | ">>" = operator {
        let bits = u32::from(left.size) * 8;
        let by = u32::try_from(right.value).ok().filter(|by| *by < bits);
        let by = by.ok_or_else(|| format!("a shift by {} bits has no meaning", right.value))?;
        let value = if operator == "<<" { left.value << by } else { left.value >> by };
        return Ok(Number::new(value, left.size, left.signed));
    }
    let size = left.size.max(right.size);
    let unsigned = |n: Number| !n.signed && n.size == size;
    let signed = !(unsigned(left) || unsigned(right));
    let a = Number::new(left.value, size, signed).value;
    let b = Number::new(right.value, size, signed).value;
    let truth = |truth: bool| Ok(Number::int(truth.into()));
    let value = match operator {
        "==" => return truth(a == b),
        "!=" => return truth(a != b),
        "<" => return truth(a < b),
        "<=" => return truth(a <= b),
        ">" => return truth(a > b),
        ">=" => return truth(a >= b),
        "/" | "%" if b == 0 => return Err("the divisor is 0".to_owned()),
        "+" => a.wrapping_add(b),
        "-" => a.wrapping_sub(b),
        "*" => a.wrapping_mul(b),
        "/" => a.wrapping_div(b),
        "%" => a.wrapping_rem(b),
        "&" => a & b,
        "|" => a | b,
        "^" => a ^ b,
        _ => return Err(format!("`{operator}` is no operator of constants")),
    };
    Ok(Number::new(value, size, signed))
}
