//! Types as C, as `bpftool btf dump format c` writes them.

use std::fmt::Write as _;

use super::{Btf, Kind, MAX_DEPTH, Type};

/// Integers that padding is made of, with their bits, the largest first.
const PADDING: [(&str, u32); 4] = [("long", 64), ("int", 32), ("short", 16), ("char", 8)];

impl Btf<'_> {
    /// The definition of a struct, union or enum, or the declaration of any other type. Ends
    /// without a semicolon.
    pub fn definition(&self, id: u32) -> String {
        let mut writer = Writer { btf: self, out: String::new() };
        match self.get(id) {
            Some(ty) if is_tagged(&ty) => writer.body(&ty, 0, MAX_DEPTH),
            _ => writer.declaration(id, "", 0, MAX_DEPTH),
        }
        writer.out
    }

    /// A declaration of `name` with a type: `struct file *name`.
    pub fn declaration(&self, id: u32, name: &str) -> String {
        let mut writer = Writer { btf: self, out: String::new() };
        writer.declaration(id, name, 0, MAX_DEPTH);
        writer.out
    }

    /// Alignment of a type in bytes.
    fn align_of(&self, id: u32, depth: u32) -> u32 {
        let (Some(depth), Some(ty)) = (depth.checked_sub(1), self.resolve(id)) else { return 1 };
        match ty.kind() {
            Kind::Ptr => 8,
            Kind::Array => ty.array().map_or(1, |array| self.align_of(array.elem, depth)),
            Kind::Struct | Kind::Union => {
                ty.members().map(|m| self.member_align(&ty, &m, depth)).max().unwrap_or(1)
            }
            _ => ty.size().map_or(1, |size| size.clamp(1, 8)),
        }
    }

    /// What a member adds to the alignment of its record: less than its type's where the record is
    /// packed.
    fn member_align(&self, of: &Type<'_>, member: &super::Member<'_>, depth: u32) -> u32 {
        let align = self.align_of(member.ty, depth);
        let misplaced = member.bits.is_none() && !member.bit_offset.is_multiple_of(align * 8);
        let short = of.size().is_some_and(|size| !size.is_multiple_of(align));
        if misplaced || short { 1 } else { align }
    }

    /// Whether the members of a struct are where only `__attribute__((packed))` puts them.
    fn is_packed(&self, ty: &Type<'_>) -> bool {
        let align = |id| self.align_of(id, MAX_DEPTH);
        let natural = |m: &super::Member<'_>| {
            m.bits.is_some() || m.bit_offset.is_multiple_of(align(m.ty) * 8)
        };
        let largest = ty.members().map(|m| align(m.ty)).max().unwrap_or(1);
        let whole = ty.size().is_none_or(|size| size.is_multiple_of(largest));
        !(whole && ty.members().all(|m| natural(&m)))
    }
}

struct Writer<'a> {
    btf: &'a Btf<'a>,
    out: String,
}

impl<'a> Writer<'a> {
    fn line(&mut self, level: usize) {
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n('\t', level));
    }

    /// A struct, union or enum written out.
    fn body(&mut self, ty: &Type<'a>, level: usize, depth: u32) {
        self.out.push_str(keyword(ty));
        if !ty.name().is_empty() {
            self.out.push(' ');
            self.out.push_str(ty.name());
        }
        let Some(depth) = depth.checked_sub(1) else { return };
        match ty.kind() {
            Kind::Fwd => {}
            Kind::Enum | Kind::Enum64 => self.variants(ty, level),
            _ => self.members(ty, level, depth),
        }
    }

    fn variants(&mut self, ty: &Type<'a>, level: usize) {
        self.out.push_str(" {");
        for variant in ty.variants() {
            self.line(level + 1);
            let unsigned = ty.kind() == Kind::Enum64 && !ty.flag();
            let _ = match unsigned {
                true => write!(self.out, "{} = {}ULL,", variant.name, variant.value as u64),
                false if ty.kind() == Kind::Enum64 => {
                    write!(self.out, "{} = {}LL,", variant.name, variant.value)
                }
                false => write!(self.out, "{} = {},", variant.name, variant.value),
            };
        }
        self.line(level);
        self.out.push('}');
    }

    fn members(&mut self, ty: &Type<'a>, level: usize, depth: u32) {
        let is_struct = ty.kind() == Kind::Struct;
        let packed = is_struct && self.btf.is_packed(ty);
        self.out.push_str(" {");
        let (mut end, mut after_bitfield) = (0, false);
        for member in ty.members() {
            let align = if packed { 1 } else { self.btf.align_of(member.ty, MAX_DEPTH) };
            if is_struct {
                let in_bitfield = after_bitfield && member.bits.is_some();
                self.padding(end, member.bit_offset, align, in_bitfield, level + 1);
            }
            self.line(level + 1);
            self.declaration(member.ty, member.name, level + 1, depth);
            let bits = match member.bits {
                Some(bits) => {
                    let _ = write!(self.out, ": {bits}");
                    bits.into()
                }
                None => self.btf.size_of(member.ty).unwrap_or(0).saturating_mul(8),
            };
            self.out.push(';');
            after_bitfield = member.bits.is_some();
            end = member.bit_offset.saturating_add(bits);
        }
        let size = ty.size().unwrap_or(0);
        if is_struct {
            let align = if packed { 1 } else { self.btf.align_of(ty.id(), MAX_DEPTH) };
            self.padding(end, size.saturating_mul(8), align, false, level + 1);
        }
        if ty.vlen() > 0 || size > 0 {
            self.line(level);
        }
        self.out.push('}');
        if packed {
            self.out.push_str(" __attribute__((packed))");
        }
    }

    /// Unnamed bitfields that bring the next member to its place, where its alignment alone does
    /// not.
    fn padding(&mut self, mut at: u32, next: u32, align: u32, in_bitfield: bool, level: usize) {
        // Holes larger than this are damage.
        const MOST: u32 = 1 << 24;
        if at >= next || next - at > MOST {
            return;
        }
        let (name, unit) = PADDING
            .into_iter()
            .find(|(_, bits)| at.next_multiple_of(*bits) <= next)
            .unwrap_or(("char", 8));
        let aligned = at.next_multiple_of(unit);
        if aligned > at && aligned <= next {
            // Where the member would not be aligned to that by itself, or the padding that follows
            // would be put into the gap.
            let by_itself = at.next_multiple_of(align.saturating_mul(8)) == aligned;
            if in_bitfield
                || (aligned == next && !by_itself)
                || (aligned != next && next - aligned <= aligned - at)
            {
                let width = if in_bitfield { aligned - at } else { 0 };
                self.pad(name, width, level);
            }
            at = aligned;
        }
        while at < next {
            let bits = (next - at).min(unit);
            let smallest = PADDING.iter().rev().find(|(_, size)| *size >= bits);
            let name = if bits == unit { name } else { smallest.map_or(name, |(name, _)| *name) };
            self.pad(name, bits, level);
            at += bits;
        }
    }

    fn pad(&mut self, name: &str, bits: u32, level: usize) {
        self.line(level);
        let _ = write!(self.out, "{name}: {bits};");
    }

    /// `TYPE NAME`, as C has it: around the name go pointers, arrays and parameters.
    fn declaration(&mut self, id: u32, name: &str, level: usize, depth: u32) {
        let (base, declarator) = self.declarator(id, name, depth);
        let mut qualifiers = Vec::new();
        let mut ty = base;
        while let Some(t) = ty.filter(|t| t.kind().is_alias() && t.kind() != Kind::Typedef) {
            qualifiers.push(t.kind());
            ty = self.btf.get(t.target());
            if qualifiers.len() as u32 > MAX_DEPTH {
                break;
            }
        }
        for qualifier in qualifiers {
            self.out.push_str(match qualifier {
                Kind::Const => "const ",
                Kind::Volatile => "volatile ",
                Kind::Restrict => "restrict ",
                _ => "",
            });
        }
        match ty {
            None => self.out.push_str("void"),
            Some(ty) if is_tagged(&ty) && ty.name().is_empty() => self.body(&ty, level, depth),
            Some(ty) if is_tagged(&ty) => {
                let _ = write!(self.out, "{} {}", keyword(&ty), ty.name());
            }
            Some(ty) => self.out.push_str(ty.name()),
        }
        if !declarator.is_empty() {
            self.out.push(' ');
            self.out.push_str(&declarator);
        }
    }

    /// The innermost type, and the name with all that goes around it.
    fn declarator(&self, id: u32, name: &str, depth: u32) -> (Option<Type<'a>>, String) {
        let mut declarator = name.to_owned();
        let mut next = id;
        // A pointer binds looser than what follows a name.
        let mut after_pointer = false;
        for _ in 0..depth {
            let Some(ty) = self.btf.get(next) else { return (None, declarator) };
            let parenthesize = |d: String| if after_pointer { format!("({d})") } else { d };
            match ty.kind() {
                Kind::Ptr => {
                    let star = if declarator.starts_with('(') { "* " } else { "*" };
                    declarator.insert_str(0, star);
                    after_pointer = true;
                    next = ty.target();
                }
                Kind::Array => {
                    let Some(array) = ty.array() else { return (None, declarator) };
                    declarator = format!("{}[{}]", parenthesize(declarator), array.len);
                    after_pointer = false;
                    next = array.elem;
                }
                Kind::FuncProto => {
                    let params = self.params(&ty, depth);
                    declarator = format!("{}({params})", parenthesize(declarator));
                    after_pointer = false;
                    next = ty.target();
                }
                // A qualifier of a pointer goes between the star and the name.
                Kind::Const | Kind::Volatile | Kind::Restrict | Kind::TypeTag
                    if self.is_pointer(ty.target()) =>
                {
                    let word = match ty.kind() {
                        Kind::Const => "const",
                        Kind::Volatile => "volatile",
                        Kind::Restrict => "restrict",
                        _ => "",
                    };
                    let space = if declarator.is_empty() || word.is_empty() { "" } else { " " };
                    let before = if word.is_empty() { "" } else { " " };
                    declarator = format!("{before}{word}{space}{declarator}");
                    next = ty.target();
                }
                _ => return (Some(ty), declarator),
            }
        }
        (None, declarator)
    }

    /// Whether a type is a pointer, qualified or not.
    fn is_pointer(&self, mut id: u32) -> bool {
        for _ in 0..MAX_DEPTH {
            match self.btf.get(id) {
                Some(ty) if ty.kind() == Kind::Ptr => return true,
                Some(ty) if ty.kind().is_alias() && ty.kind() != Kind::Typedef => id = ty.target(),
                _ => return false,
            }
        }
        false
    }

    fn params(&self, ty: &Type<'a>, depth: u32) -> String {
        let Some(depth) = depth.checked_sub(1) else { return "...".into() };
        let all: Vec<_> = ty.params().collect();
        if all.iter().all(|param| param.ty == 0) && all.len() <= 1 {
            return "void".into();
        }
        let one = |param: &super::Param<'_>| {
            if param.ty == 0 && param.name.is_empty() {
                return "...".to_owned();
            }
            let mut writer = Writer { btf: self.btf, out: String::new() };
            writer.declaration(param.ty, param.name, 0, depth);
            writer.out
        };
        all.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

fn is_tagged(ty: &Type<'_>) -> bool {
    matches!(ty.kind(), Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Fwd)
}

fn keyword(ty: &Type<'_>) -> &'static str {
    match ty.kind() {
        Kind::Union => "union",
        Kind::Enum | Kind::Enum64 => "enum",
        Kind::Fwd if ty.flag() => "union",
        _ => "struct",
    }
}
