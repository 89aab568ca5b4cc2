//! What programs know of files: rules, and the rows in which they hold.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use rbtrace_probes_ebpf::unwind::{END, FRAME_POINTER, MOST_RULES, Rule};

use crate::maps::LoadedMap;
use crate::sys::bpf::{MapRef, MapSpec, create_map};

/// Rows that the first array has room for.
const LEAST: usize = 1 << 16;
/// Bytes of an index and of a row.
const INDEX: usize = size_of::<u32>();
const ROW: usize = size_of::<u64>();

/// All rows of all files. The kernel's array of them cannot grow, so that a larger one takes its place
/// when it is full: rows keep their numbers, and programs are in no danger meanwhile.
#[derive(Debug)]
pub(super) struct Rows {
    outer: Arc<LoadedMap>,
    array: Option<OwnedFd>,
    capacity: usize,
    all: Vec<u64>,
    /// How many of them the array has.
    written: usize,
}

impl Rows {
    /// None yet. `outer` holds the array.
    pub fn new(outer: Arc<LoadedMap>) -> Self {
        Self { outer, array: None, capacity: 0, all: Vec::new(), written: 0 }
    }

    /// Appends rows and answers the index of the first. Programs see them after [`Rows::flush`].
    pub fn append(&mut self, rows: &[u64]) -> u32 {
        let first = self.all.len();
        self.all.extend_from_slice(rows);
        u32::try_from(first).unwrap_or(u32::MAX)
    }

    /// Hands what was appended to programs.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.all.len() > self.capacity {
            return self.grow();
        }
        if let Some(array) = &self.array {
            write(array, &self.all, self.written)?;
            self.written = self.all.len();
        }
        Ok(())
    }

    fn grow(&mut self) -> io::Result<()> {
        let capacity = self.all.len().max(LEAST).next_power_of_two();
        let like = self.outer.inner().ok_or(io::ErrorKind::InvalidInput)?;
        let entries = u32::try_from(capacity).map_err(io::Error::other)?;
        let array = create_map(&MapSpec { entries, ..like }, c"unwind_rows", None)?;
        write(&array, &self.all, 0)?;
        self.outer.set(&0u32.to_ne_bytes(), &array.as_raw_fd().to_ne_bytes())?;
        (self.array, self.capacity, self.written) = (Some(array), capacity, self.all.len());
        Ok(())
    }
}

/// Writes rows from the `first` on.
fn write(array: &OwnedFd, rows: &[u64], first: usize) -> io::Result<()> {
    let new = rows.get(first..).unwrap_or_default();
    let keys: Vec<u8> = (first..rows.len()).flat_map(|i| (i as u32).to_ne_bytes()).collect();
    let values: Vec<u8> = new.iter().flat_map(|row| row.to_ne_bytes()).collect();
    MapRef { fd: array.as_fd(), key: INDEX, value: ROW }.update_batch(&keys, &values)
}

/// The rules by number.
#[derive(Debug)]
pub(super) struct Rules {
    map: Arc<LoadedMap>,
    numbers: HashMap<Rule, u32>,
    /// Those that programs do not see yet.
    new: Vec<(u32, Rule)>,
}

impl Rules {
    /// Those that there always are.
    pub fn new(map: Arc<LoadedMap>) -> Self {
        let fixed = [(FRAME_POINTER, Rule::FRAME_POINTER), (END, Rule::END)];
        let numbers = fixed.iter().map(|(number, rule)| (*rule, *number)).collect();
        Self { map, numbers, new: fixed.to_vec() }
    }

    /// The number of a rule; if there are too many, the one that ends a stack. Programs see it after
    /// [`Rules::flush`].
    pub fn number(&mut self, rule: Rule) -> u32 {
        if let Some(number) = self.numbers.get(&rule) {
            return *number;
        }
        let next = u32::try_from(self.numbers.len()).unwrap_or(MOST_RULES);
        if next >= MOST_RULES {
            return END;
        }
        self.numbers.insert(rule, next);
        self.new.push((next, rule));
        next
    }

    /// Hands new rules to programs.
    pub fn flush(&mut self) -> io::Result<()> {
        for (number, rule) in self.new.drain(..) {
            self.map.set(&number.to_ne_bytes(), &rule.to_bytes())?;
        }
        Ok(())
    }
}
