//! Walking over entries: from one to those that it refers to, wherever they are.

use std::rc::Rc;

use gimli::{
    AttributeValue, DebugInfoOffset, DebuggingInformationEntry, DwAt, Dwarf, Unit, UnitHeader,
    UnitOffset,
};

use super::file::Slice;
use super::parts::{DebugInfo, Place};

/// An entry (DIE).
pub type Entry<'a> = DebuggingInformationEntry<Slice<'a>>;
/// The value of an attribute.
pub type Value<'a> = AttributeValue<Slice<'a>>;

/// Entries that refer to one another in a row, at most.
const MAX_HOPS: u32 = 32;

/// A unit that is being looked at.
#[derive(Clone)]
pub struct Cursor<'a> {
    info: &'a DebugInfo,
    part: usize,
    dwarf: Rc<Dwarf<Slice<'a>>>,
    unit: Rc<Unit<Slice<'a>>>,
}

impl<'a> Cursor<'a> {
    /// A unit of a part.
    pub fn of_unit(
        info: &'a DebugInfo,
        part: usize,
        dwarf: &Rc<Dwarf<Slice<'a>>>,
        header: UnitHeader<Slice<'a>>,
    ) -> Option<Self> {
        let unit = Rc::new(dwarf.unit(header).ok()?);
        Some(Self { info, part, dwarf: dwarf.clone(), unit })
    }

    /// An entry and its unit.
    pub fn open(info: &'a DebugInfo, place: Place) -> Option<(Self, Entry<'a>)> {
        let head = info.unit_of(place)?;
        let dwarf = Rc::new(info.dwarf(place.part)?);
        let header = match place.in_types {
            true => {
                let mut units = dwarf.type_units();
                std::iter::from_fn(|| units.next().ok().flatten())
                    .find(|header| header.offset().0 == head.start)?
            }
            false => dwarf.unit_header(DebugInfoOffset(head.start)).ok()?,
        };
        let cursor = Self::of_unit(info, place.part, &dwarf, header)?;
        let entry = cursor.entry(UnitOffset(place.offset.checked_sub(cursor.start())?))?;
        Some((cursor, entry))
    }

    fn start(&self) -> usize {
        self.unit.header.offset().0
    }

    fn in_types(&self) -> bool {
        self.unit.header.debug_types_offset().is_some()
    }

    /// The unit.
    pub fn unit(&self) -> &Unit<Slice<'a>> {
        &self.unit
    }

    /// The entry at an offset in the unit.
    pub fn entry(&self, offset: UnitOffset) -> Option<Entry<'a>> {
        self.unit.entry(offset).ok()
    }

    /// Where an entry of this unit is.
    pub fn place(&self, offset: UnitOffset) -> Place {
        Place {
            part: self.part,
            in_types: self.in_types(),
            offset: self.start().saturating_add(offset.0),
        }
    }

    /// The children of an entry, in order.
    pub fn children(&self, of: &Entry<'a>) -> Vec<Entry<'a>> {
        let mut children = Vec::new();
        // What a damaged entry has before the damage is as good as all of it.
        let _ = self.each_child(of, |child| children.push(child.clone()));
        children
    }

    fn each_child(&self, of: &Entry<'a>, mut f: impl FnMut(&Entry<'a>)) -> gimli::Result<()> {
        let mut tree = self.unit.entries_tree(Some(of.offset()))?;
        let mut entries = tree.root()?.children();
        while let Some(child) = entries.next()? {
            f(child.entry());
        }
        Ok(())
    }

    /// The place that a reference means.
    fn target(&self, value: &Value<'a>) -> Option<Place> {
        let in_part = |part, offset| Place { part, in_types: false, offset };
        match value {
            AttributeValue::UnitRef(offset) => Some(self.place(*offset)),
            AttributeValue::DebugInfoRef(offset) => Some(in_part(self.part, offset.0)),
            AttributeValue::DebugInfoRefSup(offset) => Some(in_part(self.info.sup()?, offset.0)),
            AttributeValue::DebugTypesRef(signature) => self.info.type_unit(signature.0),
            _ => None,
        }
    }

    /// The entry that an attribute refers to, with its unit.
    pub fn follow(&self, value: &Value<'a>) -> Option<(Self, Entry<'a>)> {
        let (cursor, entry) = match value {
            AttributeValue::UnitRef(offset) => (self.clone(), self.entry(*offset)?),
            value => Self::open(self.info, self.target(value)?)?,
        };
        // Of what a unit of its own holds, there is only a mention here.
        match entry.attr_value(gimli::DW_AT_signature) {
            Some(signature) => Self::open(self.info, cursor.target(&signature)?),
            None => Some((cursor, entry)),
        }
    }

    /// The entry that an attribute of an entry refers to.
    pub fn referred(&self, entry: &Entry<'a>, attribute: DwAt) -> Option<(Self, Entry<'a>)> {
        self.follow(&entry.attr_value(attribute)?)
    }

    /// An attribute of an entry, or of what it is an instance or the definition of.
    pub fn inherited(&self, entry: &Entry<'a>, attribute: DwAt) -> Option<(Self, Value<'a>)> {
        let (mut cursor, mut entry) = (self.clone(), entry.clone());
        for _ in 0..MAX_HOPS {
            if let Some(value) = entry.attr_value(attribute) {
                return Some((cursor, value));
            }
            let origin = cursor
                .referred(&entry, gimli::DW_AT_abstract_origin)
                .or_else(|| cursor.referred(&entry, gimli::DW_AT_specification));
            (cursor, entry) = origin?;
        }
        None
    }

    /// A text attribute of an entry itself.
    pub fn text(&self, entry: &Entry<'a>, attribute: DwAt) -> Option<Slice<'a>> {
        self.dwarf.attr_string(&self.unit, entry.attr_value(attribute)?).ok()
    }

    /// A text attribute of an entry, or of what it is an instance or the definition of.
    pub fn inherited_text(&self, entry: &Entry<'a>, attribute: DwAt) -> Option<Slice<'a>> {
        let (at, value) = self.inherited(entry, attribute)?;
        at.dwarf.attr_string(&at.unit, value).ok()
    }

    /// The name of an entry, or of what it is an instance of; empty if it has none.
    pub fn name(&self, entry: &Entry<'a>) -> String {
        let name = self.inherited_text(entry, gimli::DW_AT_name);
        name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// A number.
    pub fn number(&self, entry: &Entry<'a>, attribute: DwAt) -> Option<u64> {
        entry.attr_value(attribute)?.udata_value()
    }

    /// The type of an entry; `None` for `void`.
    pub fn type_of(&self, entry: &Entry<'a>) -> Option<(Self, Entry<'a>)> {
        let (at, value) = self.inherited(entry, gimli::DW_AT_type)?;
        at.follow(&value)
    }
}

/// Whether an entry has a flag.
pub fn flag(entry: &Entry<'_>, attribute: DwAt) -> bool {
    matches!(entry.attr_value(attribute), Some(AttributeValue::Flag(true)))
}
