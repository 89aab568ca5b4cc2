//! C in scripts: types that a script or the headers it includes declare, and the constants that
//! they define.
//!
//! Pure: headers and the kernel's types come in through [`TypeSource`].
//!
//! | file         | part                                                                    |
//! |--------------|-------------------------------------------------------------------------|
//! | `token`      | text to preprocessing tokens                                            |
//! | `preprocess` | directives and headers: all definitions to one row of tokens            |
//! | `macros`     | the replacement of macros                                               |
//! | `predefined` | macros and types that are there without a header                        |
//! | `split`      | the row of tokens to declarations                                       |
//! | `c.pest`     | grammar of declarations and constant expressions                        |
//! | `build`      | declarations to types                                                   |
//! | `typing`     | types as they are written                                               |
//! | `eval`, `number` | constant expressions                                                |
//! | `layout`     | sizes and places of members                                             |
//! | `store`      | what has been declared                                                  |

mod build;
mod eval;
mod failure;
mod layout;
mod macros;
mod number;
mod predefined;
mod preprocess;
mod split;
mod store;
#[cfg(test)]
mod tests;
mod token;
mod typing;

use rbtrace_probes_ebpf::profile::{Arch, TargetProfile};

use crate::ast;
use crate::catalog::TypeSource;
use crate::catalog::ctypes::{CRecord, CType, Tag, TypeRef};
use crate::diag::{Diagnostic, Label};
use crate::span::Span;

use failure::Failure;
use macros::Macros;
use preprocess::Preprocessor;
use store::Store;
use typing::Typing;

/// What pest makes of `c.pest`.
#[allow(missing_docs, reason = "the rules are documented in the grammar")]
mod grammar {
    /// The parser; [`Rule`] is its rules.
    #[derive(pest_derive::Parser)]
    #[grammar = "c/c.pest"]
    pub struct Grammar;
}

use grammar::{Grammar, Rule};

type Node<'a> = pest::iterators::Pair<'a, Rule>;

/// What the C definitions of a script and the headers that it includes declare.
#[derive(Clone, Debug)]
pub struct Declarations {
    store: Store,
    macros: Macros,
    missing: Vec<MissingHeader>,
}

/// What an object-like macro stands for, macros in it replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// As text: what the script's language makes of it decides, if it is no constant of C.
    pub text: String,
    /// Its value in C, if it has one.
    pub value: Option<ConstantValue>,
    /// A header defines it.
    pub header: bool,
    /// Where it is defined, or the line that includes the header.
    pub span: Span,
}

/// The value of a constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConstantValue {
    /// An integer of 64 bits, with or without a sign.
    Int(i128),
    /// Bytes of a text, without the NUL.
    Str(Vec<u8>),
}

/// A header that a script includes and that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingHeader {
    /// As written, without the brackets or quotes.
    pub name: String,
    /// The line of the script that leads to it.
    pub span: Span,
}

/// Reads the C definitions of a script. What is wrong with them goes to `diagnostics`; what can be
/// understood is declared nevertheless.
pub fn parse(
    definitions: &[ast::CDefinition],
    types: &dyn TypeSource,
    profile: &TargetProfile,
    diagnostics: &mut Vec<Diagnostic>,
) -> Declarations {
    let mut preprocessor = Preprocessor::new(types, Macros::new(profile.arch), diagnostics);
    for definition in definitions {
        preprocessor.definition(&definition.text, definition.span);
    }
    preprocessor.finish();
    let Preprocessor { macros, pasted, out, missing, .. } = preprocessor;
    let before = diagnostics.len();
    let mut builder = build::Builder::new(types, diagnostics);
    for chunk in split::chunks(&out, &macros.texts, &pasted) {
        builder.declare(chunk);
    }
    let declarations = Declarations { store: builder.finish(), macros, missing };
    for diagnostic in diagnostics.iter_mut().skip(before) {
        if let "c-unknown-type" | "c-incomplete-type" | "c-constant" = diagnostic.code {
            declarations.note_missing_headers(diagnostic);
        }
    }
    declarations
}

impl Default for Declarations {
    fn default() -> Self {
        Self { store: Store::default(), macros: Macros::new(Arch::HOST), missing: Vec::new() }
    }
}

impl Declarations {
    /// A declared type: of the script, or of the kernel if the script speaks of it without
    /// declaring it. Names that C programs take for granted (`size_t`, `uint32_t`, `__u32`) are
    /// always there.
    pub fn find(&self, tag: Tag, name: &str) -> Option<TypeRef> {
        let Some((at, declared)) = self.store.named(tag, name) else {
            return (tag == Tag::Name).then(|| Store::predefined(name)).flatten();
        };
        match &declared.ty {
            // A header mentions it; the kernel may know more.
            CType::Record(CRecord { size: None, .. }) if declared.header => None,
            CType::Ref(kernel) if tag != Tag::Name => Some(*kernel),
            _ => Some(at),
        }
    }

    /// What a reference with [`TypeRef::SCRIPT`] stands for; of an alias (`typedef`) the type that
    /// it names, which may be another reference, also to a type of the kernel.
    pub fn describe(&self, at: TypeRef) -> Option<CType> {
        self.store.describe(at).cloned()
    }

    /// The enum and the value of a variant.
    pub fn enumerator(&self, name: &str) -> Option<(TypeRef, i64)> {
        self.store.enumerators.get(name).map(|variant| (variant.of, variant.value))
    }

    /// What a `#define` without parameters stands for. `None` also if it stands for nothing, or for
    /// a name that is its own, as headers have it for variants.
    pub fn constant(&self, name: &str, types: &dyn TypeSource) -> Option<Constant> {
        let (text, tokens) = self.macros.replacement(name)?;
        if text.is_empty() || text == name {
            return None;
        }
        let typing = Typing { store: &self.store, types };
        let value = match typing.expression(&tokens) {
            Ok(number) => Some(ConstantValue::Int(number.value))
                .filter(|_| u64::try_from(number.value).is_ok() || number.value < 0),
            Err(_) => typing.string(&tokens).map(ConstantValue::Str),
        };
        let (header, span) = self.macros.get(name).map(|m| (m.header, m.span))?;
        Some(Constant { text, value, header, span })
    }

    /// Names of constants and variants, for suggestions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.store.enumerators.keys().map(String::as_str).chain(self.macros.constants())
    }

    /// Names of types with this tag, for suggestions.
    pub fn type_names(&self, tag: Tag) -> impl Iterator<Item = &str> {
        self.store.names(tag)
    }

    /// Headers that could not be read: why a name may be unknown.
    pub fn missing_headers(&self) -> &[MissingHeader] {
        &self.missing
    }

    /// Adds to an error about an unknown name that headers were not found.
    pub fn note_missing_headers(&self, error: &mut Diagnostic) {
        for header in &self.missing {
            let text = format!("`{}` was not found", header.name);
            error.labels.push(Label { span: header.span, text });
        }
    }
}
