//! C in scripts: types that a script or the headers it includes declare, and the constants that
//! they define.
//!
//! Pure: headers and the kernel's types come in through [`TypeSource`].

use std::collections::{BTreeMap, HashMap};

use rbtrace_probes_ebpf::profile::TargetProfile;

use crate::ast;
use crate::catalog::TypeSource;
use crate::catalog::ctypes::{CType, Tag, TypeRef};
use crate::diag::Diagnostic;
use crate::span::Span;

/// What the C definitions of a script and the headers that it includes declare.
#[derive(Clone, Debug, Default)]
pub struct Declarations {
    /// By the number in their [`TypeRef`].
    types: Vec<CType>,
    tags: HashMap<(Tag, String), TypeRef>,
    enumerators: BTreeMap<String, (TypeRef, i64)>,
    constants: BTreeMap<String, Constant>,
    missing: Vec<MissingHeader>,
}

/// What an object-like macro stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constant {
    /// An integer; C's arithmetic has been done.
    Int(i128),
    /// Bytes of a text, without the NUL.
    Str(Vec<u8>),
    /// Something else: text that may be an expression of the script's language.
    Text(String),
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
    _definitions: &[ast::CDefinition],
    _types: &dyn TypeSource,
    _profile: &TargetProfile,
    _diagnostics: &mut Vec<Diagnostic>,
) -> Declarations {
    Declarations::default()
}

impl Declarations {
    /// A declared type. Names that C programs take for granted (`size_t`, `uint32_t`, `__u32`) are
    /// always there.
    pub fn find(&self, tag: Tag, name: &str) -> Option<TypeRef> {
        self.tags.get(&(tag, name.to_owned())).copied()
    }

    /// What a reference with [`TypeRef::SCRIPT`] stands for; of an alias (`typedef`) the type that
    /// it names, which may be another reference, also to a type of the kernel.
    pub fn describe(&self, at: TypeRef) -> Option<CType> {
        if at.source != TypeRef::SCRIPT {
            return None;
        }
        self.types.get(usize::try_from(at.id).ok()?).cloned()
    }

    /// The enum and the value of a variant.
    pub fn enumerator(&self, name: &str) -> Option<(TypeRef, i64)> {
        self.enumerators.get(name).copied()
    }

    /// What a `#define` without parameters stands for.
    pub fn constant(&self, name: &str) -> Option<&Constant> {
        self.constants.get(name)
    }

    /// Names of constants and variants, for suggestions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.enumerators.keys().chain(self.constants.keys()).map(String::as_str)
    }

    /// Names of types with this tag, for suggestions.
    pub fn type_names(&self, tag: Tag) -> impl Iterator<Item = &str> {
        self.tags.keys().filter(move |(t, _)| *t == tag).map(|(_, name)| name.as_str())
    }

    /// Headers that could not be read: why a name may be unknown.
    pub fn missing_headers(&self) -> &[MissingHeader] {
        &self.missing
    }
}
