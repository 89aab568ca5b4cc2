//! Formatted output: a parsed format and values make text.

mod gfp;
mod number;

pub(crate) use number::sign_extend;

use rbtrace_probes_ebpf::format::{self, Conversion, FormatError, Piece, Spec};

use crate::print::text;
use crate::value::Value;

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    pieces: Vec<Piece>,
}

impl Format {
    /// Parses a format, its escapes already resolved.
    pub fn parse(format: &str) -> Result<Self, FormatError> {
        Ok(Self { pieces: format::parse(format)? })
    }

    /// The text. An argument that a conversion cannot print, or that is missing, shows as
    /// `!{...}` in its place.
    pub fn render(&self, args: &[Value]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut args = args.iter();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Conversion(spec) => match args.next() {
                    Some(arg) => convert(spec, arg, &mut out),
                    None => out.extend_from_slice(b"!{missing argument}"),
                },
            }
        }
        out
    }
}

/// Appends one argument.
fn convert(spec: &Spec, arg: &Value, out: &mut Vec<u8>) {
    let mut text = Vec::new();
    let head = match spec.conversion {
        Conversion::Str => string(spec, arg, &mut text),
        Conversion::Buffer | Conversion::BufferEscaped | Conversion::BufferHex => {
            match arg {
                Value::Buf(bytes) => buffer(spec.conversion, bytes, &mut text),
                other => text::value(other, &mut text),
            }
            text.len()
        }
        _ => {
            match arg.bits() {
                Some(bits) => number::convert(spec, bits, &mut text),
                None => {
                    text.extend_from_slice(b"!{invalid integer conversion: ");
                    text::value(arg, &mut text);
                    text.push(b'}');
                    out.append(&mut text);
                    return;
                }
            }
            text.len()
        }
    };
    pad(spec, head, &text, out);
}

/// Appends `text` so that its first `head` bytes fill the field. Widths count bytes.
fn pad(spec: &Spec, head: usize, text: &[u8], out: &mut Vec<u8>) {
    let fill = if spec.zero { b'0' } else { b' ' };
    let missing = usize::try_from(spec.width).unwrap_or(0).saturating_sub(head);
    let (head, tail) = text.split_at(head.min(text.len()));
    if !spec.left {
        out.resize(out.len() + missing, fill);
    }
    out.extend_from_slice(head);
    if spec.left {
        out.resize(out.len() + missing, fill);
    }
    out.extend_from_slice(tail);
}

/// `%s`. Returns how many bytes the field's width applies to: of a compound value, bpftrace
/// pads the opening bracket alone.
fn string(spec: &Spec, arg: &Value, text: &mut Vec<u8>) -> usize {
    text::value_with(arg, text::Style { plus: spec.plus }, text);
    match arg {
        Value::Array(_) | Value::Tuple(_) => 1,
        Value::Struct(members) if !members.is_empty() => 2,
        Value::Stats(_) => 2,
        _ => text.len(),
    }
}

/// `%r` and its kin.
fn buffer(conversion: Conversion, bytes: &[u8], text: &mut Vec<u8>) {
    match conversion {
        Conversion::BufferEscaped => {
            for byte in bytes {
                text.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
            }
        }
        Conversion::BufferHex => {
            for (i, byte) in bytes.iter().enumerate() {
                let space = if i == 0 { "" } else { " " };
                text.extend_from_slice(format!("{space}{byte:02x}").as_bytes());
            }
        }
        _ => text::buffer(bytes, text),
    }
}

#[cfg(test)]
mod tests;
