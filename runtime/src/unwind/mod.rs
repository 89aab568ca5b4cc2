//! Unwind data of processes for the programs that unwind their stacks: the user side of
//! [`rbtrace_probes_ebpf::unwind`].

mod follow;
mod prefix;
mod rows;
mod rule;
mod table;
mod vdso;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use rbtrace_probes_ebpf::plan::MapRole;
use rbtrace_probes_ebpf::unwind::place;

use crate::maps::LoadedMap;
use crate::symbols::Binary;
use crate::symbols::process::{Code, FileId, Mapping, Mappings};
pub(crate) use follow::Following;
use prefix::Prefix;
use rows::{Rows, Rules};
pub(crate) use table::Table;

/// What programs are told of some addresses.
type Place = [u8; place::SIZE as usize];

/// A file's table, and where its rows are among all.
#[derive(Debug)]
struct Unwound {
    table: Table,
    first: u32,
    rows: u32,
}

/// Keeps the tables of programs up to date.
#[derive(Debug)]
pub(crate) struct Unwinder {
    places: Arc<LoadedMap>,
    rows: Rows,
    rules: Rules,
    /// Files that were read; `None`: not an ELF file for this machine.
    files: HashMap<FileId, Option<Unwound>>,
    vdso: Option<Unwound>,
    /// What programs know, by process.
    known: HashMap<u32, BTreeMap<Prefix, Place>>,
}

impl Unwinder {
    /// For the programs that use these maps; `None` if they unwind no stacks.
    pub fn new(maps: &[Arc<LoadedMap>]) -> Option<Self> {
        let of = |role| maps.iter().find(|map| map.plan.role == role).map(Arc::clone);
        let mut this = Self {
            places: of(MapRole::UnwindPlaces)?,
            rows: Rows::new(of(MapRole::UnwindRows)?),
            rules: Rules::new(of(MapRole::UnwindRules)?),
            files: HashMap::new(),
            vdso: None,
            known: HashMap::new(),
        };
        this.vdso = vdso::image().and_then(|image| this.read(&image));
        Some(this)
    }

    /// Tells programs what processes have mapped now; nothing of those that have ended.
    pub fn update(&mut self, changed: &[(u32, Option<Mappings>)]) -> io::Result<()> {
        for mapping in changed.iter().filter_map(|(_, all)| all.as_ref()).flat_map(Mappings::iter) {
            self.read_file(mapping);
        }
        // Rules come before the rows that name them, rows before the places that lead to them.
        self.rules.flush()?;
        self.rows.flush()?;
        for (pid, mappings) in changed {
            let wanted = mappings.as_ref().map(|all| self.places_of(all)).unwrap_or_default();
            self.set_places(*pid, wanted)?;
        }
        Ok(())
    }

    fn read_file(&mut self, mapping: &Mapping) {
        let Code::File(file) = &mapping.code else { return };
        if self.files.contains_key(&file.id()) {
            return;
        }
        let read = Binary::open(file.readable()).ok().and_then(|binary| self.read(binary.data()));
        self.files.insert(file.id(), read);
    }

    fn read(&mut self, data: &[u8]) -> Option<Unwound> {
        let rules = &mut self.rules;
        let mut table = Table::read(data, |rule| rules.number(rule))?;
        let all = std::mem::take(&mut table.rows);
        let (first, rows) = (self.rows.append(&all), u32::try_from(all.len()).ok()?);
        Some(Unwound { table, first, rows })
    }

    fn of(&self, code: &Code) -> Option<&Unwound> {
        match code {
            Code::File(file) => self.files.get(&file.id())?.as_ref(),
            Code::Vdso => self.vdso.as_ref(),
            Code::Other => None,
        }
    }

    /// What programs are to know of a process; nothing if none of its files can be unwound.
    fn places_of(&self, mappings: &Mappings) -> BTreeMap<Prefix, Place> {
        let is_file = |mapping: &&Mapping| matches!(mapping.code, Code::File(_));
        let has_rows = |mapping: &Mapping| self.of(&mapping.code).is_some_and(|file| file.rows > 0);
        let mut files = mappings.iter().filter(is_file).peekable();
        if files.peek().is_some() && !files.any(has_rows) {
            return BTreeMap::new();
        }
        let mut places = BTreeMap::from([(Prefix::ALL, unmapped())]);
        for mapping in mappings.iter() {
            let place = self.place(mapping);
            let prefixes = prefix::of_range(mapping.start, mapping.end);
            places.extend(prefixes.into_iter().map(|prefix| (prefix, place)));
        }
        places
    }

    fn place(&self, mapping: &Mapping) -> Place {
        let file = self.of(&mapping.code).filter(|file| file.rows > 0);
        let found =
            file.and_then(|file| Some((file, file.table.bias(mapping.start, mapping.offset)?)));
        match found {
            Some((file, bias)) => encode(bias, file.first, file.rows, true),
            None => encode(0, 0, 0, true),
        }
    }

    fn set_places(&mut self, pid: u32, wanted: BTreeMap<Prefix, Place>) -> io::Result<()> {
        let known = self.known.entry(pid).or_default();
        let stale = known.keys().filter(|prefix| !wanted.contains_key(prefix)).copied();
        for prefix in stale.collect::<Vec<_>>() {
            self.places.remove(&prefix.key(pid))?;
            known.remove(&prefix);
        }
        for (prefix, place) in wanted {
            if known.get(&prefix) != Some(&place) {
                self.places.set(&prefix.key(pid), &place)?;
                known.insert(prefix, place);
            }
        }
        if known.is_empty() {
            self.known.remove(&pid);
        }
        Ok(())
    }
}

/// Where nothing is known to be mapped.
fn unmapped() -> Place {
    encode(0, 0, 0, false)
}

fn encode(bias: u64, first: u32, rows: u32, mapped: bool) -> Place {
    let halvings = rows.checked_sub(1).map_or(0, |last| u32::BITS - last.leading_zeros());
    laid_out([
        (place::BIAS, &bias.to_ne_bytes()),
        (place::FIRST, &first.to_ne_bytes()),
        (place::ROWS, &rows.to_ne_bytes()),
        (place::HALVINGS, &halvings.to_ne_bytes()),
        (place::MAPPED, &u32::from(mapped).to_ne_bytes()),
    ])
}

/// `SIZE` bytes with these parts at their offsets.
fn laid_out<const SIZE: usize, const PARTS: usize>(parts: [(u32, &[u8]); PARTS]) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    for (at, part) in parts {
        bytes[at as usize..at as usize + part.len()].copy_from_slice(part);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halvings_reach_every_row() {
        let halvings = |rows| encode(0, 0, rows, true)[place::HALVINGS as usize];
        assert_eq!([0, 1, 2, 3, 4, 5, 65536].map(halvings), [0, 0, 1, 2, 2, 3, 16]);
    }
}
