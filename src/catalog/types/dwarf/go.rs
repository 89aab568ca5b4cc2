//! What is particular to the debug information of Go's compiler.

use gimli::AttributeValue;
use rbtrace_lang::catalog::ctypes::CType;

use super::unit::{Cursor, Entry};

/// The name of the parameter that says what types a generic function is for.
const DICTIONARY: &str = ".dict";
/// Types in the names of functions that are for all types of one form.
const SHAPE: &str = "[go.shape.";

/// Whether a unit was compiled from Go.
pub fn is_go(cursor: &Cursor<'_>) -> bool {
    let mut entries = cursor.unit().entries();
    let language =
        entries.next_dfs().ok().flatten().and_then(|unit| unit.attr_value(gimli::DW_AT_language));
    matches!(language, Some(AttributeValue::Language(gimli::DW_LANG_Go)))
}

/// Whether a parameter is a result: Go has several, which are listed behind the arguments.
pub fn is_result<'a>(cursor: &Cursor<'a>, parameter: &Entry<'a>) -> bool {
    let flag = cursor.inherited(parameter, gimli::DW_AT_variable_parameter);
    matches!(flag, Some((_, AttributeValue::Flag(true))))
}

/// Adds the dictionary of types that generic functions get behind the receiver, where the compiler keeps
/// quiet about it.
pub fn add_dictionary(function: &str, params: &mut Vec<(String, CType)>) {
    if params.iter().any(|(name, _)| name == DICTIONARY) {
        return;
    }
    if let Some(at) = dictionary_at(function) {
        let at = at.min(params.len());
        params.insert(at, (DICTIONARY.to_owned(), CType::Pointer(Box::new(CType::Void))));
    }
}

/// Which parameter of a function is the dictionary. Closures have it from the function that they are in.
fn dictionary_at(function: &str) -> Option<usize> {
    let (_, types) = function.split_once(SHAPE)?;
    if types.ends_with(']') {
        return Some(0);
    }
    let (_, method) = types.rsplit_once("].").or_else(|| types.rsplit_once("])."))?;
    let number = method.strip_prefix("func").unwrap_or_default();
    let is_closure = number.starts_with(|first: char| first.is_ascii_digit());
    (!is_closure && !method.contains('.')).then_some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionaries_are_behind_the_receiver() {
        for (name, at) in [
            ("main.add", None),
            ("main.each[go.shape.int64_0]", Some(0)),
            ("main.pair[go.shape.int_0,go.shape.string_1]", Some(0)),
            ("main.(*list[go.shape.int_0]).push", Some(1)),
            ("main.list[go.shape.int_0].len", Some(1)),
            ("main.each[go.shape.int64_0].func1", None),
            ("main.(*list[go.shape.int_0]).push.func2", None),
        ] {
            assert_eq!(dictionary_at(name), at, "{name}");
        }
    }
}
