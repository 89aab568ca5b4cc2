//! Symbols of programs and libraries.

use std::path::Path;

use object::{Object, ObjectKind, ObjectSymbol};
use rbtrace_lang::catalog::UserSymbol;
use rbtrace_runtime::symbols::Binary;

/// The symbol of this name that a file defines.
pub fn find(path: &Path, name: &str) -> Option<UserSymbol> {
    let binary = Binary::open(path).ok()?;
    let file = object::File::parse(binary.data()).ok()?;
    let mut symbols = file.symbols().chain(file.dynamic_symbols());
    let symbol = symbols.find(|symbol| !symbol.is_undefined() && symbol.name() == Ok(name))?;
    Some(UserSymbol {
        address: symbol.address(),
        size: symbol.size(),
        fixed: file.kind() == ObjectKind::Executable,
    })
}
