//! A type of BTF as the compiler's description of it.

use rbtrace_lang::catalog::ctypes::{CEnum, CField, CRecord, CType, Signature, TypeRef};
use rbtrace_probes_ebpf::btf::{Btf, Kind, Type};

/// Pointers and arrays around one another, at most.
const MAX_DEPTH: u32 = 32;

/// The types of one BTF, under the number that the compiler knows them by.
#[derive(Clone, Copy)]
pub struct Describe<'a> {
    /// The types.
    pub btf: &'a Btf<'static>,
    /// [`TypeRef::source`] of the types that are not of the base.
    pub source: u32,
    /// That of the base's types.
    pub base: u32,
}

impl Describe<'_> {
    /// The reference that stands for a type.
    pub fn reference(&self, id: u32) -> TypeRef {
        let source = if id < self.btf.first_id() { self.base } else { self.source };
        TypeRef { source, id: id.into() }
    }

    /// `struct file * name`, as bpftrace lists arguments.
    pub fn named_declaration(&self, id: u32, name: &str) -> String {
        format!("{} {name}", self.btf.declaration(id, "")).trim_end().to_owned()
    }

    /// What a reference stands for.
    pub fn describe(&self, id: u32) -> Option<CType> {
        let ty = self.btf.resolve(id)?;
        Some(match ty.kind() {
            Kind::Struct | Kind::Union => CType::Record(self.record(&ty)),
            Kind::Enum | Kind::Enum64 => CType::Enum(enumeration(&ty)),
            Kind::Fwd => CType::Record(CRecord {
                name: ty.name().to_owned(),
                union: ty.flag(),
                size: None,
                fields: Vec::new(),
            }),
            Kind::Func => CType::Function,
            Kind::Var => self.member_type(ty.target()),
            _ => self.member_type(id),
        })
    }

    /// The type of a member or parameter: what has a description of its own by reference.
    pub fn member_type(&self, id: u32) -> CType {
        self.within(id, MAX_DEPTH)
    }

    fn within(&self, id: u32, depth: u32) -> CType {
        let Some(depth) = depth.checked_sub(1) else { return CType::Void };
        let Some(ty) = self.btf.resolve(id) else { return CType::Void };
        match ty.kind() {
            Kind::Int => integer(&ty),
            Kind::Float => CType::Float { size: size(&ty) },
            Kind::Ptr => CType::Pointer(Box::new(self.within(ty.target(), depth))),
            Kind::Array => match ty.array() {
                Some(array) => {
                    CType::Array { elem: Box::new(self.within(array.elem, depth)), len: array.len }
                }
                None => CType::Void,
            },
            Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Fwd => {
                CType::Ref(self.reference(ty.id()))
            }
            Kind::Func | Kind::FuncProto => CType::Function,
            _ => CType::Void,
        }
    }

    fn record(&self, ty: &Type<'_>) -> CRecord {
        let field = |m: rbtrace_probes_ebpf::btf::Member<'_>| CField {
            name: m.name.to_owned(),
            ty: self.member_type(m.ty),
            bit_offset: m.bit_offset,
            bits: m.bits,
        };
        CRecord {
            name: ty.name().to_owned(),
            union: ty.kind() == Kind::Union,
            size: ty.size(),
            fields: ty.members().map(field).collect(),
        }
    }

    /// Parameters and result of a function or of its prototype, `...` left out. The first `skip`
    /// parameters are left out as well.
    pub fn signature(&self, id: u32, skip: usize) -> Option<Signature> {
        let mut ty = self.btf.resolve(id)?;
        for _ in 0..MAX_DEPTH {
            ty = match ty.kind() {
                Kind::FuncProto => break,
                Kind::Func | Kind::Ptr => self.btf.resolve(ty.target())?,
                _ => return None,
            };
        }
        let params = ty.params().skip(skip).filter(|param| param.ty != 0);
        let params = params.enumerate().map(|(i, param)| {
            let name = if param.name.is_empty() { format!("arg{i}") } else { param.name.into() };
            (name, self.member_type(param.ty))
        });
        Some(Signature { params: params.collect(), result: self.member_type(ty.target()) })
    }
}

fn size(ty: &Type<'_>) -> u8 {
    ty.size().and_then(|size| u8::try_from(size).ok()).unwrap_or(8)
}

fn integer(ty: &Type<'_>) -> CType {
    let size = size(ty);
    match ty.int() {
        Some(int) if int.boolean => CType::Bool,
        // Whether it is signed differs between architectures; that it is text does not.
        _ if ty.name() == "char" => CType::Char,
        int => CType::Int { size, signed: int.is_some_and(|int| int.signed) },
    }
}

fn enumeration(ty: &Type<'_>) -> CEnum {
    CEnum {
        name: ty.name().to_owned(),
        size: size(ty),
        signed: ty.flag(),
        variants: ty.variants().map(|v| (v.name.to_owned(), v.value)).collect(),
    }
}
