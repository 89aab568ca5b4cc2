//! What has been declared so far.

use std::collections::{BTreeMap, HashMap};

use crate::catalog::ctypes::{CRecord, CType, Tag, TypeRef};
use crate::span::Span;

use super::layout::Layout;
use super::predefined;

/// Numbers from here on are those of the types that need no header.
const PREDEFINED: u64 = 1 << 32;

/// A declared type.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub tag: Tag,
    /// Empty for what has no name.
    pub name: String,
    /// What it is; of an alias the type that it names.
    pub ty: CType,
    /// Size and alignment; `None` as long as nothing says.
    pub layout: Option<Layout>,
    /// Where it is declared, or first mentioned.
    pub span: Span,
    /// Only headers speak of it.
    pub header: bool,
}

/// A variant of an enum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enumerator {
    pub of: TypeRef,
    pub value: i64,
    pub span: Span,
    pub header: bool,
}

/// All declarations.
#[derive(Clone, Debug, Default)]
pub(super) struct Store {
    types: Vec<Declared>,
    names: HashMap<Tag, HashMap<String, u32>>,
    pub enumerators: BTreeMap<String, Enumerator>,
}

/// The reference to a declaration.
fn reference(number: u32) -> TypeRef {
    TypeRef { source: TypeRef::SCRIPT, id: number.into() }
}

impl Store {
    /// The declaration that a name has.
    pub fn named(&self, tag: Tag, name: &str) -> Option<(TypeRef, &Declared)> {
        let number = *self.names.get(&tag)?.get(name)?;
        Some((reference(number), self.types.get(number as usize)?))
    }

    /// A declaration by its reference.
    pub fn get(&self, at: TypeRef) -> Option<&Declared> {
        if at.source != TypeRef::SCRIPT {
            return None;
        }
        self.types.get(usize::try_from(at.id).ok()?)
    }

    /// As [`Self::get`].
    pub fn get_mut(&mut self, at: TypeRef) -> Option<&mut Declared> {
        if at.source != TypeRef::SCRIPT {
            return None;
        }
        self.types.get_mut(usize::try_from(at.id).ok()?)
    }

    /// What a reference stands for.
    pub fn describe(&self, at: TypeRef) -> Option<&CType> {
        match at.id.checked_sub(PREDEFINED) {
            Some(number) if at.source == TypeRef::SCRIPT => {
                predefined::type_of(usize::try_from(number).ok()?)
            }
            _ => self.get(at).map(|declared| &declared.ty),
        }
    }

    /// The reference to a type that needs no header.
    pub fn predefined(name: &str) -> Option<TypeRef> {
        let number = predefined::type_number(name)? as u64;
        Some(TypeRef { source: TypeRef::SCRIPT, id: PREDEFINED + number })
    }

    /// Adds a declaration; one of the same name is hidden.
    pub fn add(&mut self, declared: Declared) -> TypeRef {
        let number = self.types.len() as u32;
        if !declared.name.is_empty() {
            self.names.entry(declared.tag).or_default().insert(declared.name.clone(), number);
        }
        self.types.push(declared);
        reference(number)
    }

    /// Records, unions and enums of which nothing but the name is known.
    pub fn incomplete(&self) -> Vec<TypeRef> {
        let numbers = self.types.iter().enumerate();
        let incomplete = numbers.filter(|(_, declared)| {
            matches!(&declared.ty, CType::Record(CRecord { size: None, .. }))
        });
        incomplete.map(|(number, _)| reference(number as u32)).collect()
    }

    /// Names with this tag.
    pub fn names(&self, tag: Tag) -> impl Iterator<Item = &str> {
        self.names.get(&tag).into_iter().flatten().map(|(name, _)| name.as_str())
    }
}
