//! Types as a listing shows them: `const char* name`.

use super::describe::{function, parameters};
use super::parts::DebugInfo;
use super::unit::{Cursor, Entry};

/// Types around one another, at most.
const MAX_DEPTH: u32 = 16;

/// Declarations of a function's parameters. `None`: nothing is known of the function.
pub fn declarations(info: &DebugInfo, name: &str) -> Option<Vec<String>> {
    let (cursor, entry) = function(info, name)?;
    let params = parameters(&cursor, &entry).into_iter();
    let declarations = params.map(|param| {
        let ty = type_name(cursor.type_of(&param), MAX_DEPTH);
        let name = cursor.name(&param);
        if name.is_empty() { ty } else { format!("{ty} {name}") }
    });
    Some(declarations.collect())
}

/// `None` is `void`.
fn type_name<'a>(at: Option<(Cursor<'a>, Entry<'a>)>, depth: u32) -> String {
    let (Some((cursor, entry)), Some(depth)) = (at, depth.checked_sub(1)) else {
        return "void".into();
    };
    let inner = || type_name(cursor.type_of(&entry), depth);
    let qualified = |qualifier: &str| {
        let name = inner();
        // A qualifier of a pointer follows it.
        if name.ends_with('*') {
            format!("{name} {qualifier}")
        } else {
            format!("{qualifier} {name}")
        }
    };
    let tagged = |tag: &str| {
        let name = cursor.name(&entry);
        if name.is_empty() { format!("{tag} <anonymous>") } else { format!("{tag} {name}") }
    };
    match entry.tag() {
        gimli::DW_TAG_pointer_type => format!("{}*", inner()),
        gimli::DW_TAG_reference_type => format!("{}&", inner()),
        gimli::DW_TAG_rvalue_reference_type => format!("{}&&", inner()),
        gimli::DW_TAG_const_type => qualified("const"),
        gimli::DW_TAG_volatile_type => qualified("volatile"),
        gimli::DW_TAG_restrict_type => qualified("restrict"),
        gimli::DW_TAG_structure_type => tagged("struct"),
        gimli::DW_TAG_class_type => tagged("class"),
        gimli::DW_TAG_union_type => tagged("union"),
        gimli::DW_TAG_enumeration_type => tagged("enum"),
        gimli::DW_TAG_array_type => format!("{}[]", inner()),
        gimli::DW_TAG_subroutine_type => format!("{}()", inner()),
        _ => {
            let name = cursor.name(&entry);
            if name.is_empty() { inner() } else { name }
        }
    }
}
