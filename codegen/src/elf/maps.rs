//! Maps as BTF describes them: a variable whose type is a struct with a pointer for each attribute;
//! numbers are lengths of arrays.

use rbtrace_probes_ebpf::plan::{Map, MapKind, MapRole, Plan};
use rbtrace_probes_ebpf::types::Type;

use super::Error;
use super::symbols::Names;
use crate::btf::{Builder, Encoding, Linkage, Member, TypeId};

/// Bytes of an attribute in the variable: a pointer.
const ATTRIBUTE: u32 = 8;
/// `BPF_F_NO_PREALLOC`, which a trie must have.
const NO_PREALLOC: u32 = 1;
/// `BPF_F_INNER_MAP`: the arrays in an array differ in length.
const INNER_MAP: u32 = 1 << 12;
/// Bytes by which a map is handed over: its descriptor, and the key of an array.
const DESCRIPTOR: u32 = 4;

/// A number is the length of an array of 4-byte integers, whose size has 32 bits.
const MAX_ENTRIES: u32 = u32::MAX / 4;

/// A map in `.maps`.
#[derive(Debug)]
pub struct Definition {
    /// Index in the plan.
    pub index: u32,
    /// Symbol.
    pub name: String,
    /// The variable in BTF.
    pub var: TypeId,
    /// Bytes from the start of the section.
    pub offset: u32,
    /// Bytes of the variable.
    pub size: u32,
}

/// Describes the plan's maps, those apart that are data sections.
pub fn define(
    btf: &mut Builder,
    symbols: &mut Names,
    plan: &Plan,
) -> Result<Vec<Definition>, Error> {
    let mut out = Vec::new();
    let mut offset = 0;
    for (index, map) in (0..).zip(&plan.maps).filter(|(_, m)| m.role != MapRole::Data) {
        symbols.variable(&map.symbol)?;
        let members = attributes(btf, map)?;
        let size = members.len() as u32 * ATTRIBUTE;
        let ty = btf.record(false, "", size, &members);
        let var = btf.var(&map.symbol, ty, Linkage::Global);
        out.push(Definition { index, name: map.symbol.clone(), var, offset, size });
        offset += size;
    }
    Ok(out)
}

/// Whether the kernel takes types for the map's key and value.
fn is_typed(kind: MapKind) -> bool {
    !matches!(
        kind,
        MapKind::RingBuf
            | MapKind::StackTrace
            | MapKind::ProgArray
            | MapKind::PerfEventArray
            | MapKind::CgroupArray
            | MapKind::ArrayOfArrays
    )
}

fn attributes(btf: &mut Builder, map: &Map) -> Result<Vec<Member>, Error> {
    let invalid = |reason| Error::InvalidMap { map: map.symbol.clone(), reason };
    if map.max_entries == 0 {
        return Err(invalid("it has no entries"));
    }
    if map.max_entries > MAX_ENTRIES {
        return Err(invalid("it has too many entries"));
    }
    let mut list = vec![("type", number(btf, map.kind.number()))];
    if map.kind != MapKind::RingBuf {
        let key = if map.key == Type::Void {
            Type::Int { size: 4, signed: false }
        } else {
            map.key.clone()
        };
        if key.size() == 0 {
            return Err(invalid("its key has no bytes"));
        }
        if map.value.size() == 0 {
            return Err(invalid("its value has no bytes"));
        }
        let value = map.stored();
        let value_size = if map.kind == MapKind::ArrayOfArrays { DESCRIPTOR } else { value.size() };
        if is_typed(map.kind) {
            for (name, ty) in [("key", &key), ("value", &value)] {
                let ty = btf.map_type(ty);
                list.push((name, btf.ptr(ty)));
            }
        } else {
            list.push(("key_size", number(btf, key.size())));
            list.push(("value_size", number(btf, value_size)));
        }
    }
    list.push(("max_entries", number(btf, map.max_entries)));
    if map.kind == MapKind::LpmTrie {
        list.push(("map_flags", number(btf, NO_PREALLOC)));
    }
    if map.kind == MapKind::ArrayOfArrays {
        list.push(("values", inner_arrays(btf, map.value.size())));
    }
    Ok(members(list))
}

/// The arrays in an array of them, as libbpf wants it: an array of no pointers to their description,
/// the last attribute.
fn inner_arrays(btf: &mut Builder, value_size: u32) -> TypeId {
    let list = vec![
        ("type", number(btf, MapKind::Array.number())),
        ("key_size", number(btf, DESCRIPTOR)),
        ("value_size", number(btf, value_size)),
        ("max_entries", number(btf, 1)),
        ("map_flags", number(btf, INNER_MAP)),
    ];
    let members = members(list);
    let description = btf.record(false, "", members.len() as u32 * ATTRIBUTE, &members);
    let pointer = btf.ptr(description);
    btf.array(pointer, 0)
}

/// Attributes one after another.
fn members(list: Vec<(&str, TypeId)>) -> Vec<Member> {
    let member = |(i, (name, ty)): (u32, (&str, TypeId))| Member {
        name: name.to_owned(),
        ty,
        bit_offset: i * ATTRIBUTE * 8,
        bits: 0,
    };
    (0..).zip(list).map(member).collect()
}

/// A number: a pointer to an array of that length.
fn number(btf: &mut Builder, n: u32) -> TypeId {
    let int = btf.int("int", 4, Encoding::Signed);
    let array = btf.array(int, n);
    btf.ptr(array)
}
