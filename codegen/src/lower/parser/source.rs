//! Where the bytes of a packet are, by the kind of the probe.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value};
use rbtrace_lang::hir::Int;
use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::kinds::{Context, ProbeKind};
use rbtrace_probes_ebpf::packet::Property;

use super::super::func::FnBuilder;
use super::super::mem::Place;
use super::At;
use crate::clif::{Intrinsic, namespace};
use crate::error::Error;

/// Offsets in `struct xdp_md` of linux/bpf.h.
mod xdp_md {
    pub(super) const DATA: u32 = 0;
    pub(super) const DATA_END: u32 = 4;
    pub(super) const INGRESS_IFINDEX: u32 = 12;
    pub(super) const RX_QUEUE_INDEX: u32 = 16;
}

/// Offsets in `struct __sk_buff` of linux/bpf.h.
pub(super) mod sk_buff {
    pub(super) const LEN: u32 = 0;
    pub(super) const QUEUE_MAPPING: u32 = 12;
    pub(in super::super) const PROTOCOL: u32 = 16;
    pub(in super::super) const VLAN_PRESENT: u32 = 20;
    pub(in super::super) const VLAN_TCI: u32 = 24;
    pub(in super::super) const VLAN_PROTO: u32 = 28;
    pub(super) const IFINDEX: u32 = 40;
    pub(super) const DATA: u32 = 76;
    pub(super) const DATA_END: u32 = 80;
}

/// Bytes of a packet that are made readable, if it has so many: more than all headers take but those of
/// IPv6 with unusual extensions.
const HEADERS: u32 = 192;

/// How a program reaches the bytes of its packet.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// Where they lie.
    Direct {
        /// The first byte.
        data: Value,
        /// The end of what can be read.
        end: Value,
    },
    /// By copies.
    Copied,
}

/// Whether programs of a kind copy what they want to see. Those of sockets must. Those of cgroups see in
/// place what lies in the first piece of a packet alone, and nothing in test runs of older kernels.
pub(super) fn copies_packet(kind: ProbeKind) -> bool {
    matches!(kind, ProbeKind::Socket | ProbeKind::CgroupSkb)
}

impl FnBuilder<'_, '_, '_> {
    /// The packet of the program.
    pub(super) fn packet_source(&mut self) -> Result<Source, Error> {
        let (data, end) = match self.block.kind {
            kind if copies_packet(kind) => return Ok(Source::Copied),
            ProbeKind::Tc => {
                self.pull_headers()?;
                (sk_buff::DATA, sk_buff::DATA_END)
            }
            _ => (xdp_md::DATA, xdp_md::DATA_END),
        };
        // They differ before and after the kernel has moved bytes.
        let context = Place::pointer(self.ctx);
        let data = self.load(context.plus(data), Int::U32);
        let end = self.load(context.plus(end), Int::U32);
        Ok(Source::Direct { data, end })
    }

    /// Has the kernel make headers readable that are in other pieces of the packet than the first.
    fn pull_headers(&mut self) -> Result<(), Error> {
        let data = self.load_context(sk_buff::DATA, Int::U32);
        let end = self.load_context(sk_buff::DATA_END, Int::U32);
        let length = self.load_context(sk_buff::LEN, Int::U32);
        let readable = self.b.ins().isub(end, data);
        let wanted = self.at_most(length, HEADERS)?;
        let short = self.b.ins().icmp(IntCC::UnsignedLessThan, readable, wanted);
        let ctx = self.ctx;
        self.when(short, |f| {
            f.helper(helpers::SKB_PULL_DATA, &[ctx, wanted]);
            Ok(())
        })
    }

    /// The place of `size` bytes of the packet; goes on at `outside` if they are not all there.
    pub(super) fn claim_bytes(
        &mut self,
        source: Source,
        at: At,
        size: u32,
        outside: Block,
    ) -> Result<Place, Error> {
        let inside = self.b.create_block();
        let (place, beyond) = match source {
            Source::Direct { data, end } => {
                let (base, before) = match at {
                    At::Fixed(bytes) => (data, bytes),
                    At::Found(offset) => {
                        let address = self.b.ins().iadd(data, offset);
                        // The verifier knows the bounds of the one pointer that was compared.
                        let intrinsic = Intrinsic::Settled as u32;
                        (self.call(namespace::INTRINSIC, intrinsic, &[address]), 0)
                    }
                };
                let limit = self.b.ins().iadd_imm_s(base, i64::from(before + size));
                let beyond = self.b.ins().icmp(IntCC::UnsignedGreaterThan, limit, end);
                (Place::pointer(base).plus(before), beyond)
            }
            Source::Copied => {
                let place = self.temp_bytes(size)?;
                let (ctx, offset) = (self.ctx, self.offset_of(at, 0));
                let (to, size) = (self.address(place), self.iconst(i64::from(size)));
                let status = self.helper(helpers::SKB_LOAD_BYTES, &[ctx, offset, to, size]);
                (place, self.b.ins().icmp_imm_s(IntCC::NotEqual, status, 0))
            }
        };
        self.b.ins().brif(beyond, outside, &[], inside, &[]);
        self.enter(inside);
        Ok(place)
    }

    /// What a packet has that is in no header.
    pub(in super::super) fn packet_property(&mut self, property: Property) -> Value {
        let is_xdp = self.kind().context == Context::Xdp;
        let offset = match property {
            Property::Length if is_xdp => {
                let data = self.load_context(xdp_md::DATA, Int::U32);
                let end = self.load_context(xdp_md::DATA_END, Int::U32);
                return self.b.ins().isub(end, data);
            }
            Property::Length => sk_buff::LEN,
            Property::Interface if is_xdp => xdp_md::INGRESS_IFINDEX,
            Property::Interface => sk_buff::IFINDEX,
            Property::Queue if is_xdp => xdp_md::RX_QUEUE_INDEX,
            Property::Queue => sk_buff::QUEUE_MAPPING,
        };
        self.load_context(offset, Int::U32)
    }
}
