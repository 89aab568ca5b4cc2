//! Programs of one hook that call each other: where the kernel runs a single program, one that decides
//! nothing goes over to the next by a tail call.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rbtrace_probes_ebpf::plan::{MapKind, MapRole};

use crate::error::Error;
use crate::features::Need;
use crate::load::Loaded;
use crate::maps::LoadedMap;
use crate::sys::bpf::{MapRef, MapSpec, create_map};

/// Bytes of a key and of a value of a map of programs.
const WORD: u32 = 4;
/// Most programs that a packet goes through (`MAX_TAIL_CALL_CNT` of linux/bpf.h, and the first).
const MOST: usize = 34;

/// The programs of hooks that call each other. What comes after a program is in a map, which all hooks
/// share where it comes to the same: others get copies of the programs, with a map of their own.
#[derive(Debug, Default)]
pub(super) struct Chains(Vec<Copies>);

/// Programs that look for the next one in one map.
#[derive(Debug, Default)]
struct Copies {
    /// The map and the copies that refer to it; without them it is the plan's, and the programs are those
    /// that were loaded first.
    own: Option<(OwnedFd, BTreeMap<usize, OwnedFd>)>,
    /// What comes after each program.
    next: BTreeMap<usize, Option<usize>>,
}

impl Chains {
    /// Has these programs run one after another until one decides. The first, which is to be attached, is
    /// answered.
    pub fn link<'a>(
        &'a mut self,
        loaded: &'a Loaded,
        programs: &[usize],
    ) -> Result<BorrowedFd<'a>, Error> {
        let Some(&first) = programs.first() else { return Err(missing()) };
        if programs.len() > MOST {
            let reason = format!("{} blocks are on it, and {MOST} are the most", programs.len());
            return Err(Error::BadLocation { place: "this place".into(), reason });
        }
        let passes_on = |program: usize| {
            loaded.plan.programs.get(program).is_some_and(|program| program.passes_on)
        };
        let mut next = BTreeMap::new();
        for (at, &program) in programs.iter().enumerate() {
            match (passes_on(program), programs.get(at + 1)) {
                (true, after) => drop(next.insert(program, after.copied())),
                (false, None) => {}
                (false, Some(_)) => return Err(by_two_names()),
            }
        }
        let fitting = self.0.iter().position(|copies| copies.fit(&next));
        let at = match fitting {
            Some(at) => at,
            None => {
                let own = match self.0.is_empty() {
                    true => None,
                    false => Some((new_map(loaded)?, BTreeMap::new())),
                };
                self.0.push(Copies { own, next: BTreeMap::new() });
                self.0.len() - 1
            }
        };
        let copies = self.0.get_mut(at).ok_or_else(missing)?;
        copies.extend(loaded, next)?;
        copies.program(loaded, first)
    }

    /// The copies of a program.
    pub fn copies_of(&self, program: usize) -> impl Iterator<Item = BorrowedFd<'_>> {
        let own = self.0.iter().filter_map(|copies| copies.own.as_ref());
        own.filter_map(move |(_, copies)| copies.get(&program).map(AsFd::as_fd))
    }
}

impl Copies {
    /// Whether programs with these successors can be among them.
    fn fit(&self, next: &BTreeMap<usize, Option<usize>>) -> bool {
        next.iter().all(|(program, after)| self.next.get(program).is_none_or(|own| own == after))
    }

    /// Makes what is not there yet.
    fn extend(
        &mut self,
        loaded: &Loaded,
        next: BTreeMap<usize, Option<usize>>,
    ) -> Result<(), Error> {
        for (&program, _) in next.iter().filter(|(program, _)| !self.next.contains_key(program)) {
            if let Some((map, copies)) = &mut self.own {
                let shared = plans_map(loaded)?;
                copies.insert(program, loaded.copy(program, shared.fd(), map.as_fd())?);
            }
        }
        for (program, after) in next {
            if let (false, Some(after)) = (self.next.contains_key(&program), after) {
                let successor = self.program(loaded, after)?;
                self.set(loaded, program, successor).map_err(|e| {
                    Error::privileged("put one program behind another", Need::Bpf, e)
                })?;
            }
            self.next.insert(program, after);
        }
        Ok(())
    }

    /// A program, or its copy; of one that never looks for another there is but one.
    fn program<'a>(&'a self, loaded: &'a Loaded, program: usize) -> Result<BorrowedFd<'a>, Error> {
        let copy = self.own.as_ref().and_then(|(_, copies)| copies.get(&program));
        let original = || loaded.program(program).map(|program| program.fd.as_fd());
        copy.map(AsFd::as_fd).or_else(original).ok_or_else(missing)
    }

    fn set(&self, loaded: &Loaded, program: usize, after: BorrowedFd<'_>) -> io::Result<()> {
        let key = (program as u32).to_ne_bytes();
        let value = after.as_raw_fd().to_ne_bytes();
        match &self.own {
            Some((map, _)) => {
                let map = MapRef { fd: map.as_fd(), key: key.len(), value: value.len() };
                map.update(&key, &value, 0)
            }
            None => plans_map(loaded).map_err(io::Error::other)?.set(&key, &value),
        }
    }
}

/// The plan's map of programs.
fn plans_map(loaded: &Loaded) -> Result<&LoadedMap, Error> {
    let map = loaded.maps.iter().find(|map| map.plan.role == MapRole::Next);
    map.map(|map| &**map).ok_or_else(missing)
}

/// A map like the plan's.
fn new_map(loaded: &Loaded) -> Result<OwnedFd, Error> {
    let plan = &plans_map(loaded)?.plan;
    let spec = MapSpec {
        kind: MapKind::ProgArray.number(),
        key: WORD,
        value: WORD,
        entries: plan.max_entries,
        flags: 0,
    };
    create_map(&spec, c"rbtrace_next", None)
        .map_err(|e| Error::privileged(format!("create map {}", plan.name), Need::Bpf, e))
}

fn missing() -> Error {
    Error::Malformed("a program or the map of what follows it is not there".into())
}

fn by_two_names() -> Error {
    Error::BadLocation {
        place: "it twice".into(),
        reason: "two blocks give one place by names that differ; write them alike".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_share_programs_unless_something_else_comes_after_one() {
        let next = |pairs: &[(usize, Option<usize>)]| pairs.iter().copied().collect();
        let copies = Copies { own: None, next: next(&[(0, Some(2)), (2, None)]) };
        assert!(copies.fit(&next(&[(0, Some(2)), (2, None)])));
        assert!(copies.fit(&next(&[(1, Some(2))])) && copies.fit(&next(&[])));
        assert!(!copies.fit(&next(&[(0, None)])) && !copies.fit(&next(&[(2, Some(3))])));
    }
}
