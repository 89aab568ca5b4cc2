//! The maps that a loader makes by BTF are those that the plan describes. Whoever reads a value
//! trusts the plan for its size.

use std::collections::HashMap;

use super::ReadError;
use super::btf::Types;
use super::elf::damaged;
use crate::plan::{Map, MapKind, MapRole, Plan};
use crate::types::Type;

/// `BTF_KIND_*` of what describes a map.
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const VAR: u32 = 14;
const DATASEC: u32 = 15;

/// A map's attributes that the plan has too.
#[derive(Debug, Default, PartialEq, Eq)]
struct Definition {
    kind: u32,
    key: u64,
    value: u64,
    max_entries: u32,
    /// Bytes of the values of the arrays in an array of them.
    inner: Option<u64>,
}

/// Bytes of a key of an array, and of a map in one: its descriptor.
const DESCRIPTOR: u32 = 4;

impl Definition {
    fn of(map: &Map) -> Self {
        let (key, value) = match (map.kind, &map.key) {
            (MapKind::RingBuf, _) => (0, 0),
            (MapKind::ArrayOfArrays, _) => (DESCRIPTOR, DESCRIPTOR),
            (_, Type::Void) => (DESCRIPTOR, map.stored().size()),
            (_, key) => (key.size(), map.stored().size()),
        };
        let inner = (map.kind == MapKind::ArrayOfArrays).then(|| map.value.size().into());
        let (kind, max_entries) = (map.kind.number(), map.max_entries);
        Self { kind, key: key.into(), value: value.into(), max_entries, inner }
    }
}

/// Compares the object's maps with the plan's.
pub fn check(types: &Types<'_>, plan: &Plan) -> Result<(), ReadError> {
    let mut found = definitions(types)?;
    for map in plan.maps.iter().filter(|m| m.role != MapRole::Data) {
        if found.remove(map.symbol.as_str()) != Some(Definition::of(map)) {
            let reason = format!("map `{}` is another in the object", map.symbol);
            return Err(ReadError::InconsistentPlan(reason));
        }
    }
    match found.keys().next() {
        Some(name) => Err(ReadError::InconsistentPlan(format!("it has no map `{name}`"))),
        None => Ok(()),
    }
}

/// The definitions in the data section `.maps`, by name.
fn definitions<'t>(types: &'t Types<'_>) -> Result<HashMap<&'t str, Definition>, ReadError> {
    let is_maps = |id: &u32| {
        let kind = types.get(*id).map(|(kind, ..)| kind);
        kind == Some(DATASEC) && types.word(*id, 0).and_then(|n| types.string(n)) == Some(".maps")
    };
    let mut out = HashMap::new();
    let mut sections = types.ids().filter(is_maps);
    let Some(section) = sections.next() else {
        return Ok(out);
    };
    let count = types.get(section).map_or(0, |(_, count, _)| count);
    for i in 0..count {
        let map = types.word(section, 3 + i * 3).and_then(|var| definition(types, var));
        let (name, map) = map.ok_or_else(|| damaged("BTF describes a map in an unknown way"))?;
        if out.insert(name, map).is_some() {
            return Err(damaged(format!("BTF describes map `{name}` twice")));
        }
    }
    if sections.next().is_some() { Err(damaged("BTF has two sections of maps")) } else { Ok(out) }
}

fn of_kind(types: &Types<'_>, id: u32, kind: u32) -> Option<usize> {
    types.get(id).filter(|(k, ..)| *k == kind).map(|(_, count, _)| count)
}

/// Name and attributes of the map that a variable is. `map_flags` is free: the kernel checks it.
fn definition<'t>(types: &'t Types<'_>, var: u32) -> Option<(&'t str, Definition)> {
    of_kind(types, var, VAR)?;
    let name = types.string(types.word(var, 0)?)?;
    Some((name, attributes(types, types.word(var, 2)?, false)?))
}

/// The attributes that the members of a struct stand for; `inner`: of a map in a map, which holds none.
fn attributes(types: &Types<'_>, description: u32, inner: bool) -> Option<Definition> {
    let mut out = Definition::default();
    for i in 0..of_kind(types, description, STRUCT)? {
        let attribute = types.string(types.word(description, 3 + i * 3)?)?;
        let pointer = types.word(description, 4 + i * 3)?;
        if attribute == "values" && !inner {
            out.inner = Some(inner_value(types, pointer)?);
            continue;
        }
        of_kind(types, pointer, PTR)?;
        let target = types.word(pointer, 2)?;
        let number = || of_kind(types, target, ARRAY).and_then(|_| types.word(target, 5));
        match attribute {
            "type" => out.kind = number()?,
            "key" => out.key = types.size_of(target)?,
            "value" => out.value = types.size_of(target)?,
            "key_size" => out.key = number()?.into(),
            "value_size" => out.value = number()?.into(),
            "max_entries" => out.max_entries = number()?,
            "map_flags" => {
                number()?;
            }
            _ => return None,
        }
    }
    Some(out)
}

/// Bytes of the values of the arrays that `values`, an array of pointers to their description, is
/// about.
fn inner_value(types: &Types<'_>, values: u32) -> Option<u64> {
    of_kind(types, values, ARRAY)?;
    let pointer = types.word(values, 3)?;
    of_kind(types, pointer, PTR)?;
    let array = attributes(types, types.word(pointer, 2)?, true)?;
    (array.kind == MapKind::Array.number()).then_some(array.value)
}
