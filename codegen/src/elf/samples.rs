//! Objects written by hand, for tests: every sort of map and reference in small programs.

use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::plan::{Config, Map, MapKind, MapRole, Plan, Program, VERSION};
use rbtrace_probes_ebpf::profile::TargetProfile;
use rbtrace_probes_ebpf::types::{Record, RecordKind, Type, lay_out};

use super::{Error, FunctionInput, FunctionRole, Input, write};
use crate::bpf::{FunctionCode, Insn, LineEntry, Reloc, RelocTarget};
use crate::btf::core::{CoreKind, CoreReloc, LocalField, LocalType};
use crate::clif::{DataVar, LineSpan};

/// All that an [`Input`] borrows.
pub struct Sample {
    pub plan: Plan,
    pub functions: Vec<(&'static str, FunctionRole<'static>, FunctionCode)>,
    pub rodata: Vec<u8>,
    pub data: Vec<DataVar>,
    pub core_relocs: Vec<CoreReloc>,
    pub spans: Vec<LineSpan>,
}

impl Sample {
    pub fn write(&self) -> Result<Vec<u8>, Error> {
        let functions: Vec<_> = self
            .functions
            .iter()
            .map(|(name, role, code)| FunctionInput { name, role: *role, code })
            .collect();
        write(&Input {
            plan: &self.plan,
            functions: &functions,
            rodata: &self.rodata,
            bss_size: if self.data.is_empty() { 0 } else { 16 },
            data: &self.data,
            core_relocs: &self.core_relocs,
            kfuncs: &[],
            spans: &self.spans,
            source_name: "sample.rt",
        })
    }
}

/// Writes instructions; registers and numbers as in the kernel's listings.
#[derive(Default)]
pub struct Asm(FunctionCode);

#[allow(clippy::cast_possible_truncation)]
impl Asm {
    fn insn(mut self, code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Self {
        self.0.insns.push(Insn { code, dst, src, off, imm });
        self
    }
    fn reference(mut self, target: RelocTarget) -> Self {
        self.0.relocs.push(Reloc { slot: self.0.insns.len() as u32, target });
        self
    }
    pub fn line(mut self, span: u32) -> Self {
        self.0.lines.push(LineEntry { slot: self.0.insns.len() as u32, span });
        self
    }
    pub fn mov(self, dst: u8, imm: i32) -> Self {
        self.insn(0xb7, dst, 0, 0, imm)
    }
    pub fn mov_reg(self, dst: u8, src: u8) -> Self {
        self.insn(0xbf, dst, src, 0, 0)
    }
    pub fn add(self, dst: u8, imm: i32) -> Self {
        self.insn(0x07, dst, 0, 0, imm)
    }
    /// `*(u64 *)(dst + off) = imm`
    pub fn store(self, dst: u8, off: i16, imm: i32) -> Self {
        self.insn(0x7a, dst, 0, off, imm)
    }
    /// `dst = *(u64 *)(src + off)`
    pub fn load(self, dst: u8, src: u8, off: i16) -> Self {
        self.insn(0x79, dst, src, off, 0)
    }
    /// `lock *(u64 *)(dst + 0) += src`
    pub fn atomic_add(self, dst: u8, src: u8) -> Self {
        self.insn(0xdb, dst, src, 0, 0)
    }
    /// `if dst == 0 goto +off`
    pub fn jump_if_zero(self, dst: u8, off: i16) -> Self {
        self.insn(0x15, dst, 0, off, 0)
    }
    pub fn helper(self, id: i32) -> Self {
        self.insn(0x85, 0, 0, 0, id)
    }
    pub fn address(self, dst: u8, target: RelocTarget) -> Self {
        self.reference(target).insn(0x18, dst, 0, 0, 0).insn(0, 0, 0, 0, 0)
    }
    pub fn call(self, target: RelocTarget) -> Self {
        self.reference(target).insn(0x85, 0, 0, 0, 0)
    }
    pub fn core(self, dst: u8, index: u32) -> Self {
        self.reference(RelocTarget::Core(index)).mov(dst, 0)
    }
    pub fn exit(self, result: i32) -> FunctionCode {
        self.mov(0, result).insn(0x95, 0, 0, 0, 0).0
    }
}

fn map(
    symbol: &str,
    kind: MapKind,
    role: MapRole,
    (key, value): (Type, Type),
    max_entries: u32,
) -> Map {
    let name = if role == MapRole::Script { format!("@{symbol}") } else { symbol.into() };
    Map { name, symbol: symbol.into(), role, kind, key, value, max_entries }
}

fn plan(maps: Vec<Map>, functions: &[(&str, FunctionRole<'_>, FunctionCode)]) -> Plan {
    let mut programs = Vec::new();
    for (name, role, _) in functions {
        if let FunctionRole::Program { section, kind } = role {
            programs.push(Program {
                symbol: (*name).into(),
                section: (*section).into(),
                kind: *kind,
                probes: vec![],
                uses_cookie: false,
                passes_on: false,
                line: 1,
            });
        }
    }
    Plan {
        version: VERSION,
        compiler: "test".into(),
        target: TargetProfile::REFERENCE,
        maps,
        programs,
        probes: vec![],
        actions: vec![],
        config: Config::default(),
        globals: vec![],
        losses: None,
    }
}

const U64: Type = Type::Int { size: 8, signed: false };

/// One XDP program that counts in an array.
pub fn counter() -> Sample {
    let code = Asm::default()
        .line(0)
        .store(10, -8, 0)
        .mov_reg(2, 10)
        .add(2, -8)
        .address(1, RelocTarget::Map(0))
        .helper(1)
        .jump_if_zero(0, 2)
        .line(1)
        .mov(1, 1)
        .atomic_add(0, 1)
        .exit(2);
    let functions =
        vec![("count", FunctionRole::Program { section: "xdp", kind: ProbeKind::Xdp }, code)];
    let maps = vec![map("packets", MapKind::Array, MapRole::Script, (Type::Void, U64), 1)];
    let span = |line, text: &str| LineSpan { line, column: 5, text: text.into() };
    Sample {
        plan: plan(maps, &functions),
        functions,
        rodata: vec![],
        data: vec![],
        core_relocs: vec![],
        spans: vec![span(2, "if (1) {"), span(3, "@packets++;")],
    }
}

/// Every sort of map and reference; two programs share a section.
pub fn everything() -> Sample {
    let (fields, size) = lay_out([
        (String::new(), Type::Int { size: 4, signed: true }),
        (String::new(), Type::Str { size: 16 }),
        (String::new(), U64),
    ]);
    let tuple = Type::Record(Record { kind: RecordKind::Tuple, name: String::new(), size, fields });
    let maps = vec![
        map("start", MapKind::Hash, MapRole::Script, (U64, U64), 4096),
        map(
            "avgs",
            MapKind::PerCpuHash,
            MapRole::Script,
            (tuple, Type::Avg { signed: true }),
            4096,
        ),
        map("rb.ring", MapKind::RingBuf, MapRole::Ring, (Type::Void, Type::Void), 1 << 16),
        map(
            "hists",
            MapKind::PerCpuArray,
            MapRole::Script,
            (Type::Void, Type::Hist { bits: 0 }),
            1,
        ),
        map(
            "stacks",
            MapKind::StackTrace,
            MapRole::Stacks,
            (Type::Void, Type::Array { elem: Box::new(U64), len: 127 }),
            64,
        ),
        map(
            "names",
            MapKind::LruHash,
            MapRole::Script,
            (Type::Str { size: 16 }, Type::Array { elem: Box::new(Type::Str { size: 8 }), len: 2 }),
            16,
        ),
        map(".bss", MapKind::Array, MapRole::Data, (Type::Void, Type::Void), 1),
    ];
    let task = LocalType::Record {
        union: false,
        name: "task_struct".into(),
        size: 16,
        fields: vec![
            LocalField {
                name: "flags".into(),
                ty: LocalType::Int { size: 4, signed: false },
                bit_offset: 0,
                bits: 0,
            },
            LocalField { name: "parent".into(), ty: LocalType::Ptr, bit_offset: 64, bits: 0 },
        ],
    };
    let callback = Asm::default().line(2).exit(0);
    let helper = Asm::default().line(3).mov_reg(0, 1).add(0, 1).exit(0);
    let begin = Asm::default()
        .line(0)
        // for_each_map_elem(&start, callback, NULL, 0)
        .address(1, RelocTarget::Map(0))
        .address(2, RelocTarget::FuncAddr(0))
        .mov(3, 0)
        .mov(4, 0)
        .helper(164)
        .line(1)
        .mov(1, 41)
        .call(RelocTarget::Call(1))
        // a constant, a variable
        .address(6, RelocTarget::Rodata(8))
        .load(7, 6, 0)
        .address(6, RelocTarget::Data(8))
        .load(7, 6, 0)
        // ringbuf_output(&ring, sp - 16, 16, 0)
        .store(10, -16, 1)
        .store(10, -8, 2)
        .address(1, RelocTarget::Map(2))
        .mov_reg(2, 10)
        .add(2, -16)
        .mov(3, 16)
        .mov(4, 0)
        .helper(130)
        .core(8, 0)
        .core(8, 1)
        .exit(0);
    let tick = |span| Asm::default().line(span).call(RelocTarget::Call(1)).exit(0);
    let tick = |span| {
        let mut code = tick(span);
        // The call needs its argument.
        code.insns.insert(0, Insn { code: 0xb7, dst: 1, src: 0, off: 0, imm: 1 });
        code.relocs.iter_mut().for_each(|r| r.slot += 1);
        code
    };
    let program = |section, kind| FunctionRole::Program { section, kind };
    let functions = vec![
        ("each_start", FunctionRole::Subprogram { params: 4 }, callback),
        ("add_one", FunctionRole::Subprogram { params: 1 }, helper),
        ("begin", program("raw_tp/begin", ProbeKind::Begin), begin),
        ("tick_1", program("perf_event", ProbeKind::Interval), tick(1)),
        ("tick_2", program("perf_event", ProbeKind::Profile), tick(2)),
    ];
    let data = |name: &str, offset| DataVar { name: name.into(), offset, size: 8 };
    let core = |kind| CoreReloc { root: task.clone(), access: vec![0, 1], kind };
    Sample {
        plan: plan(maps, &functions),
        functions,
        rodata: b"unused..constant".to_vec(),
        data: vec![data("cpus", 8), data("started", 0)],
        core_relocs: vec![core(CoreKind::FieldByteOffset), core(CoreKind::FieldExists)],
        spans: (1..=4)
            .map(|line| LineSpan { line, column: 1, text: format!("line {line}") })
            .collect(),
    }
}
