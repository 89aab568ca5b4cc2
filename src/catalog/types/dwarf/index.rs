//! Where the types and functions of a program are, by name.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use gimli::DwTag;
use rbtrace_lang::catalog::ctypes::Tag;

use super::parts::{DebugInfo, Place, headers};
use super::unit::{Cursor, Entry, flag};

/// What a name is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    Type(Tag),
    Function,
}

/// Hashes of names and the places that they are the names of.
///
/// Names themselves stay in the file; whoever finds a place compares its name.
#[derive(Debug, Default)]
pub struct Index {
    /// Sorted.
    entries: Vec<(u64, Place)>,
}

impl Index {
    /// Goes over all units once.
    pub fn of(info: &DebugInfo) -> Self {
        let mut index = Self::default();
        for part in 0..info.part_count() {
            let Some(dwarf) = info.dwarf(part).map(Rc::new) else { continue };
            for header in headers(&dwarf) {
                if let Some(cursor) = Cursor::of_unit(info, part, &dwarf, header) {
                    // What is damaged is left out.
                    let _ = index.add_unit(&cursor);
                }
            }
        }
        index.entries.sort_unstable();
        // The same header in many units: any of its copies will do.
        index.entries.dedup_by_key(|(hash, _)| *hash);
        index
    }

    fn add_unit(&mut self, cursor: &Cursor<'_>) -> gimli::Result<()> {
        let mut entries = cursor.unit().entries();
        entries.next_entry()?;
        let mut inside = true;
        loop {
            // Either into an entry, or past it; after its last sibling, on with what follows.
            let mut found = if inside { entries.next_dfs()? } else { entries.next_sibling()? };
            if found.is_none() && !inside {
                found = entries.next_dfs()?;
            }
            let Some(entry) = found else { return Ok(()) };
            self.add(cursor, entry);
            inside = holds_names(entry.tag());
        }
    }

    fn add<'a>(&mut self, cursor: &Cursor<'a>, entry: &Entry<'a>) {
        let Some(of) = of(entry.tag()) else { return };
        if flag(entry, gimli::DW_AT_declaration) {
            return;
        }
        let place = cursor.place(entry.offset());
        let names = match of {
            Of::Type(_) => [cursor.text(entry, gimli::DW_AT_name), None],
            Of::Function => [gimli::DW_AT_name, gimli::DW_AT_linkage_name]
                .map(|a| cursor.inherited_text(entry, a)),
        };
        let names = names.iter().flatten();
        self.entries.extend(names.map(|name| (hash(of, name.slice()), place)));
    }

    fn find(&self, of: Of, name: &str) -> Option<Place> {
        let hash = hash(of, name.as_bytes());
        let at = self.entries.partition_point(|(h, _)| *h < hash);
        self.entries.get(at).filter(|(h, _)| *h == hash).map(|(_, place)| *place)
    }

    /// A type that is defined, not only declared.
    pub fn find_type(&self, tag: Tag, name: &str) -> Option<Place> {
        self.find(Of::Type(tag), name)
    }

    /// A function, by the name in the source or by its symbol.
    pub fn find_function(&self, name: &str) -> Option<Place> {
        self.find(Of::Function, name)
    }
}

fn hash(of: Of, name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (of, name).hash(&mut hasher);
    hasher.finish()
}

fn of(tag: DwTag) -> Option<Of> {
    Some(match tag {
        gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type => Of::Type(Tag::Struct),
        gimli::DW_TAG_union_type => Of::Type(Tag::Union),
        gimli::DW_TAG_enumeration_type => Of::Type(Tag::Enum),
        gimli::DW_TAG_typedef | gimli::DW_TAG_base_type => Of::Type(Tag::Name),
        gimli::DW_TAG_subprogram => Of::Function,
        _ => return None,
    })
}

/// Whether there may be names in an entry that are looked for.
fn holds_names(tag: DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_namespace
            | gimli::DW_TAG_module
            | gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_union_type
    )
}
