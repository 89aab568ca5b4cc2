//! The debug information of a program or library: all files and parts of files that it is in.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use gimli::{Dwarf, DwoId, UnitHeader, UnitType};

use super::file::{DebugFile, Slice};
use super::index::Index;
use super::search::{self, Wanted};

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Number of the part.
    pub part: usize,
    /// In `.debug_types`, not `.debug_info`.
    pub in_types: bool,
    /// Bytes from the start of the section.
    pub offset: usize,
}

/// Bits of a [`Place`] as one number: the section, its part, the rest is the offset.
const TYPES_BIT: u64 = 1 << 63;
const PART_SHIFT: u32 = 43;
const PART_MASK: u64 = 0xf_ffff;

impl Place {
    /// As one number. `None` if there are more parts than it can tell apart.
    pub fn to_number(self) -> Option<u64> {
        let (part, offset) = (self.part as u64, self.offset as u64);
        let fits = part <= PART_MASK && offset >> PART_SHIFT == 0;
        let types = if self.in_types { TYPES_BIT } else { 0 };
        fits.then_some(types | part << PART_SHIFT | offset)
    }

    /// The place that a number stands for.
    pub fn from_number(number: u64) -> Self {
        Self {
            part: (number >> PART_SHIFT & PART_MASK) as usize,
            in_types: number & TYPES_BIT != 0,
            offset: (number & ((1 << PART_SHIFT) - 1)) as usize,
        }
    }
}

/// Something that has sections of its own, in which offsets count from 0.
#[derive(Debug)]
struct Part {
    source: Source,
    /// Its units, sorted by section and place.
    units: Vec<UnitPlace>,
}

/// Where the sections of a part are.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// The program, or the separate file with its debug information.
    Main,
    /// What several programs share (dwz).
    Shared,
    /// A `.dwo` file, by its number among the files.
    Split(usize),
    /// A unit of a package, by its row in the index.
    PackedUnit(usize, u32),
    /// A type unit of a package.
    PackedType(usize, u32),
}

/// Where a unit is.
#[derive(Clone, Copy, Debug)]
pub struct UnitPlace {
    in_types: bool,
    /// Bytes from the start of its section.
    pub start: usize,
    end: usize,
    /// Of a type unit: its signature, and where in the unit the type is.
    signature: Option<(u64, usize)>,
}

/// The debug information of a program or library.
#[derive(Debug)]
pub struct DebugInfo {
    main: DebugFile,
    shared: Option<DebugFile>,
    /// `.dwo` and `.dwp` files.
    split: Vec<DebugFile>,
    parts: Vec<Part>,
    /// `.dwo` files that were not found.
    missing: Vec<PathBuf>,
    index: OnceCell<Index>,
}

impl DebugInfo {
    /// Finds the debug information of a program or library. `folders`: where separate files are
    /// looked for. `None`: there is none.
    pub fn find(binary: &Path, folders: &[PathBuf]) -> Option<Self> {
        let main = search::main(binary, folders)?;
        let shared = search::shared(main.binary(), folders);
        let mut info = Self {
            main,
            shared,
            split: Vec::new(),
            parts: Vec::new(),
            missing: Vec::new(),
            index: OnceCell::new(),
        };
        info.add(Source::Main);
        if info.shared.is_some() {
            info.add(Source::Shared);
        }
        info.add_split(binary);
        Some(info)
    }

    fn add(&mut self, source: Source) {
        let units = self.sections(source).map(|dwarf| units_of(&dwarf)).unwrap_or_default();
        self.parts.push(Part { source, units });
    }

    /// Adds what `-gsplit-dwarf` put aside.
    fn add_split(&mut self, binary: &Path) {
        let wanted = skeletons(&self.main.dwarf(None));
        if wanted.is_empty() {
            return;
        }
        let packages = [binary, self.main.binary().path()].map(search::package);
        if let Some(package) = packages.into_iter().flatten().next() {
            self.add_package(package);
            return;
        }
        for wanted in wanted {
            match search::split(&wanted, binary) {
                Some(file) => {
                    self.split.push(file);
                    self.add(Source::Split(self.split.len() - 1));
                }
                None => self.missing.push(wanted.name),
            }
        }
    }

    fn add_package(&mut self, package: DebugFile) {
        let counts =
            package.parts().map(|parts| (parts.cu_index.unit_count(), parts.tu_index.unit_count()));
        let (units, types) = counts.unwrap_or_default();
        self.split.push(package);
        let file = self.split.len() - 1;
        for row in 1..=units {
            self.add(Source::PackedUnit(file, row));
        }
        for row in 1..=types {
            self.add(Source::PackedType(file, row));
        }
    }

    fn sections(&self, source: Source) -> Option<Dwarf<Slice<'_>>> {
        Some(match source {
            Source::Main => self.main.dwarf(self.shared.as_ref()),
            Source::Shared => self.shared.as_ref()?.dwarf(None),
            Source::Split(file) => self.split.get(file)?.dwo(&self.main.dwarf(None)),
            Source::PackedUnit(file, row) => {
                self.split.get(file)?.parts()?.cu_sections(row, &self.main.dwarf(None)).ok()?
            }
            Source::PackedType(file, row) => {
                self.split.get(file)?.parts()?.tu_sections(row, &self.main.dwarf(None)).ok()?
            }
        })
    }

    /// The sections of a part.
    pub fn dwarf(&self, part: usize) -> Option<Dwarf<Slice<'_>>> {
        self.sections(self.parts.get(part)?.source)
    }

    /// How many parts there are. The first is the program's own.
    pub fn part_count(&self) -> usize {
        self.parts.len()
    }

    /// The part that several programs share.
    pub fn sup(&self) -> Option<usize> {
        self.parts.iter().position(|part| matches!(part.source, Source::Shared))
    }

    /// Files that it consists of but that were not found.
    pub fn missing(&self) -> &[PathBuf] {
        &self.missing
    }

    /// The unit that a place is in.
    pub fn unit_of(&self, place: Place) -> Option<UnitPlace> {
        let units = &self.parts.get(place.part)?.units;
        let key = (place.in_types, place.offset);
        let after = units.partition_point(|unit| (unit.in_types, unit.start) <= key);
        let unit = *units.get(after.checked_sub(1)?)?;
        (unit.in_types == place.in_types && place.offset < unit.end).then_some(unit)
    }

    /// The type of a type unit, by its signature.
    pub fn type_unit(&self, signature: u64) -> Option<Place> {
        self.parts.iter().enumerate().find_map(|(part, Part { units, .. })| {
            units.iter().find_map(|unit| {
                let (of, inside) = unit.signature?;
                let offset = unit.start.checked_add(inside)?;
                (of == signature).then_some(Place { part, in_types: unit.in_types, offset })
            })
        })
    }

    /// Where names are. Made when it is first asked for, in one pass over all units.
    pub fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(self))
    }
}

/// All units, in the order of [`Part::units`].
pub fn headers<'a>(dwarf: &Dwarf<Slice<'a>>) -> impl Iterator<Item = UnitHeader<Slice<'a>>> {
    let (mut units, mut types) = (dwarf.units(), dwarf.type_units());
    // What comes after a damaged header cannot be found.
    let units = std::iter::from_fn(move || units.next().ok().flatten());
    units.chain(std::iter::from_fn(move || types.next().ok().flatten()))
}

fn units_of(dwarf: &Dwarf<Slice<'_>>) -> Vec<UnitPlace> {
    let place = |header: UnitHeader<Slice<'_>>| {
        let start = header.offset().0;
        let signature = match header.type_() {
            UnitType::Type { type_signature, type_offset }
            | UnitType::SplitType { type_signature, type_offset } => {
                Some((type_signature.0, type_offset.0))
            }
            _ => None,
        };
        let end = start.saturating_add(header.length_including_self());
        UnitPlace { in_types: header.debug_types_offset().is_some(), start, end, signature }
    };
    headers(dwarf).map(place).collect()
}

/// What the units of a program say about files that hold the rest of them.
fn skeletons(dwarf: &Dwarf<Slice<'_>>) -> Vec<Wanted> {
    let mut units = headers(dwarf).peekable();
    // In DWARF 4 the first unit tells whether any are split.
    let first = units.peek().and_then(|header| wanted(dwarf, *header));
    let old = first.is_some();
    units
        .filter(|header| old || matches!(header.type_(), UnitType::Skeleton(_)))
        .filter_map(|header| wanted(dwarf, header))
        .collect()
}

fn wanted(dwarf: &Dwarf<Slice<'_>>, header: UnitHeader<Slice<'_>>) -> Option<Wanted> {
    let unit = dwarf.unit(header).ok()?;
    let path = |text: Slice<'_>| PathBuf::from(text.to_string_lossy().into_owned());
    let DwoId(_) = unit.dwo_id?;
    let name = path(dwarf.attr_string(&unit, unit.dwo_name().ok()??).ok()?);
    Some(Wanted { name, directory: unit.comp_dir.map(path) })
}
