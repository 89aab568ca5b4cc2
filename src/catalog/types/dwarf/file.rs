//! A file that holds debug information: its sections, decompressed where they are compressed.

use std::ops::Range;
use std::path::Path;

use gimli::{Dwarf, DwarfPackage, DwarfPackageSections, DwarfSections, EndianSlice, LittleEndian};
use object::{CompressionFormat, Object as _, ObjectSection as _};
use rbtrace_runtime::symbols::Binary;

/// Bytes of a section.
pub type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// A section: a part of the file, or its decompressed contents.
#[derive(Debug)]
enum Section {
    Part(Range<usize>),
    Owned(Vec<u8>),
}

/// A file that holds debug information.
#[derive(Debug)]
pub struct DebugFile {
    binary: Binary,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A program, a library, or the debug information of one.
    Whole(Box<DwarfSections<Section>>),
    /// What `-gsplit-dwarf` puts aside for one unit.
    Split(Box<DwarfSections<Section>>),
    /// Many of these in one file.
    Package(Box<DwarfPackageSections<Section>>),
}

/// Names of a section, the usual one and that of split files.
type Names = (&'static str, Option<&'static str>);

impl DebugFile {
    /// A program or library, or the separate file with its debug information. `None`: it has no
    /// debug information.
    pub fn whole(binary: Binary) -> Option<Self> {
        Self::load(binary, |load| {
            let load = |id: gimli::SectionId| load((id.name(), None));
            let sections = DwarfSections::load(load).ok()?;
            Some(Kind::Whole(Box::new(sections)))
        })
        .filter(|file| !file.info_is_empty())
    }

    /// A `.dwo` file.
    pub fn split(path: &Path) -> Option<Self> {
        Self::load(Binary::open(path).ok()?, |load| {
            let load = |id: gimli::SectionId| load((id.name(), id.dwo_name()));
            let sections = DwarfSections::load(load).ok()?;
            Some(Kind::Split(Box::new(sections)))
        })
        .filter(|file| !file.info_is_empty())
    }

    /// A `.dwp` file.
    pub fn package(path: &Path) -> Option<Self> {
        Self::load(Binary::open(path).ok()?, |load| {
            let load = |id: gimli::SectionId| load((id.name(), id.dwo_name()));
            let sections = DwarfPackageSections::load(load).ok()?;
            Some(Kind::Package(Box::new(sections)))
        })
    }

    fn load(
        binary: Binary,
        load: impl FnOnce(&dyn Fn(Names) -> Result<Section, gimli::Error>) -> Option<Kind>,
    ) -> Option<Self> {
        let file = object::File::parse(binary.data()).ok()?;
        if !file.is_little_endian() {
            return None;
        }
        let kind = load(&|names| Ok(section(&file, names)))?;
        Some(Self { binary, kind })
    }

    /// The file.
    pub fn binary(&self) -> &Binary {
        &self.binary
    }

    fn info_is_empty(&self) -> bool {
        let dwarf = self.dwarf(None);
        dwarf.debug_info.units().next().ok().flatten().is_none()
    }

    fn slice<'a>(&'a self, section: &'a Section) -> Slice<'a> {
        let bytes = match section {
            Section::Part(range) => self.binary.data().get(range.clone()).unwrap_or_default(),
            Section::Owned(bytes) => bytes.as_slice(),
        };
        EndianSlice::new(bytes, LittleEndian)
    }

    /// What is in the file; nothing of a package. `sup`: the file that several share (dwz).
    pub fn dwarf<'a>(&'a self, sup: Option<&'a DebugFile>) -> Dwarf<Slice<'a>> {
        match &self.kind {
            Kind::Whole(sections) => {
                let mut dwarf = sections.borrow(|section| self.slice(section));
                if let Some(sup) = sup {
                    dwarf.set_sup(sup.dwarf(None));
                }
                dwarf
            }
            Kind::Split(sections) => sections.borrow(|section| self.slice(section)),
            Kind::Package(_) => Dwarf::default(),
        }
    }

    /// As [`DebugFile::dwarf`], of a `.dwo` file whose program is `parent`.
    pub fn dwo<'a>(&'a self, parent: &Dwarf<Slice<'a>>) -> Dwarf<Slice<'a>> {
        let mut dwarf = self.dwarf(None);
        dwarf.make_dwo(parent);
        dwarf
    }

    /// The parts of a package. `None`: it is none.
    pub fn parts(&self) -> Option<DwarfPackage<Slice<'_>>> {
        let Kind::Package(sections) = &self.kind else { return None };
        let empty = EndianSlice::new(&[], LittleEndian);
        sections.borrow(|section| self.slice(section), empty).ok()
    }
}

/// Finds a section. One that is not there, or is damaged, is empty.
fn section(file: &object::File<'_>, (name, split): Names) -> Section {
    let nothing = Section::Part(0..0);
    let found = match split {
        // In a `.dwp` file the indices have the usual names.
        Some(split) => file.section_by_name(split),
        None => file.section_by_name(name),
    };
    let Some(section) = found else { return nothing };
    let Ok(range) = section.compressed_file_range() else { return nothing };
    if range.format != CompressionFormat::None {
        return section.uncompressed_data().map_or(nothing, |data| Section::Owned(data.into()));
    }
    let start = usize::try_from(range.offset).unwrap_or(usize::MAX);
    let size = usize::try_from(range.uncompressed_size).unwrap_or(usize::MAX);
    Section::Part(start..start.saturating_add(size))
}
