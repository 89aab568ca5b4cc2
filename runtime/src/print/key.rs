//! Keys of maps.

use super::text;
use crate::value::Value;

/// The text of a key without the parentheses of a tuple. As in bpftrace, any text in
/// parentheses loses them.
pub(super) fn bare(key: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    text::value(key, &mut out);
    if let [b'(', inner @ .., b')'] = out.as_slice() {
        return inner.to_vec();
    }
    out
}

/// The text of a key as the name of a JSON member: no spaces, as in bpftrace.
pub(super) fn member(key: &Value) -> Vec<u8> {
    let mut out = bare(key);
    out.retain(|byte| *byte != b' ');
    out
}
