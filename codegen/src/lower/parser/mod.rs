//! The packet parser of a block: it finds the headers that the block names, once, and no deeper than
//! the last of them, and keeps what is wanted of them in variables.
//!
//! Each header is a block of the program, entered with the place where it begins; whatever ends the walk
//! (no more headers, a packet that is cut, a fragment) jumps to the end. What was found until then stays,
//! everything else is 0 from the start.
//!
//! | file     | part                                        |
//! |----------|---------------------------------------------|
//! | `needs`  | which headers a block's facts take          |
//! | `link`   | Ethernet, VLAN tags, ARP                    |
//! | `internet` | IPv4, IPv6 with its extension headers     |
//! | `fields` | values of fields                            |
//! | `payload` | what follows the last header              |
//! | `source` | where the bytes of a packet are             |

mod fields;
mod internet;
mod link;
mod needs;
mod payload;
mod source;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types::I64};
use rbtrace_lang::hir::Int;
use rbtrace_probes_ebpf::kinds::ProbeKind;
use rbtrace_probes_ebpf::packet::{Fact, Header};

use super::func::FnBuilder;
use super::mem::Place;
use crate::error::Error;

use needs::Needs;
use source::Source;

/// Where a header begins, in bytes from the start of the packet.
#[derive(Clone, Copy)]
enum At {
    /// Always there.
    Fixed(u32),
    /// As the packet has it.
    Found(Value),
}

/// The walk over a packet.
struct Walk {
    needs: Needs,
    source: Source,
    /// Where the walk ends.
    stop: Block,
    /// Where it ends if the packet has not got what the predicate needs.
    absent: Block,
    /// Blocks of the headers, each with the place where it begins as its parameter; those that are
    /// wanted.
    headers: Vec<(Header, Block, Value)>,
}

impl Walk {
    fn block(&self, header: Header) -> Option<Block> {
        self.headers.iter().find(|(of, ..)| *of == header).map(|(_, block, _)| *block)
    }

    /// Where the walk ends when `last` is the last header that was found.
    fn exit(&self, last: Header) -> Block {
        if self.needs.satisfied_by(last) { self.stop } else { self.absent }
    }
}

impl FnBuilder<'_, '_, '_> {
    /// Sets the variables for what the block wants to know of the packet.
    pub(super) fn parse_packet(&mut self) -> Result<(), Error> {
        let facts = &self.block.packet;
        if facts.is_empty() {
            return Ok(());
        }
        for (fact, local) in facts {
            self.clear_fact(fact, *local)?;
        }
        let walk = self.begin_walk(Needs::of(facts, &self.block.required))?;
        match self.block.kind {
            ProbeKind::CgroupSkb => self.parse_network(&walk),
            _ => self.parse_ethernet(&walk)?,
        }
        for (header, block, at) in &walk.headers {
            self.enter(*block);
            self.parse_header(&walk, *header, At::Found(*at))?;
        }
        self.enter(walk.absent);
        self.return_default();
        self.enter(walk.stop);
        Ok(())
    }

    fn begin_walk(&mut self, needs: Needs) -> Result<Walk, Error> {
        let source = self.packet_source()?;
        let [stop, absent] = [(); 2].map(|()| self.b.create_block());
        let headers = needs.after_tags().map(|header| {
            let block = self.b.create_block();
            let at = self.b.append_block_param(block, I64);
            (header, block, at)
        });
        let headers = headers.collect();
        Ok(Walk { needs, source, stop, absent, headers })
    }

    /// A header behind Ethernet and tags, and on to what it says comes next.
    fn parse_header(&mut self, walk: &Walk, header: Header, at: At) -> Result<(), Error> {
        match header {
            Header::Arp => self.parse_arp(walk, at),
            Header::Ip => self.parse_ip(walk, at),
            Header::Ip6 => self.parse_ip6(walk, at),
            Header::Tcp => self.parse_tcp(walk, at),
            _ => {
                let place = self.claim(walk, header, at)?;
                self.keep(header, place)?;
                self.payload_from(at, header.spec().size)?;
                self.b.ins().jump(walk.exit(header), &[]);
                Ok(())
            }
        }
    }

    /// TCP, whose options come before the payload.
    fn parse_tcp(&mut self, walk: &Walk, at: At) -> Result<(), Error> {
        /// Where its length is.
        const DATA_OFFSET: u32 = 12;
        let place = self.claim(walk, Header::Tcp, at)?;
        self.keep(Header::Tcp, place)?;
        if let Some(local) = self.wanted(&Fact::PayloadOffset) {
            let byte = self.load(place.plus(DATA_OFFSET), Int { size: 1, signed: false });
            // The upper half, in units of 4 bytes.
            let words = self.b.ins().band_imm_s(byte, 0xf0);
            let length = self.b.ins().ushr_imm_s(words, 2);
            let least = self.iconst(i64::from(Header::Tcp.spec().size));
            let short = self.b.ins().icmp(IntCC::UnsignedLessThan, length, least);
            let length = self.b.ins().select(short, least, length);
            let start = self.offset_of(at, 0);
            let payload = self.b.ins().iadd(start, length);
            self.set_fact(local, payload)?;
        }
        self.b.ins().jump(walk.exit(Header::Tcp), &[]);
        Ok(())
    }

    /// The place of a header's fixed part; the walk ends before it if it is not all there.
    fn claim(&mut self, walk: &Walk, header: Header, at: At) -> Result<Place, Error> {
        let satisfied = walk.needs.satisfied_before(header);
        let outside = if satisfied { walk.stop } else { walk.absent };
        self.claim_bytes(walk.source, at, header.spec().size, outside)
    }

    /// A place so many bytes further on, as a number.
    fn offset_of(&mut self, at: At, further: u32) -> Value {
        match at {
            At::Fixed(bytes) => self.iconst(i64::from(bytes + further)),
            At::Found(offset) => self.b.ins().iadd_imm_s(offset, i64::from(further)),
        }
    }

    /// The payload begins `further` bytes after `at`, unless another header is found there.
    fn payload_from(&mut self, at: At, further: u32) -> Result<(), Error> {
        if let Some(local) = self.wanted(&Fact::PayloadOffset) {
            let offset = self.offset_of(at, further);
            self.set_fact(local, offset)?;
        }
        Ok(())
    }

    /// Goes on at a header's block if a number says that it comes next.
    fn walk_on_if(&mut self, walk: &Walk, header: Header, is: Value, at: Value) {
        let Some(block) = walk.block(header) else { return };
        let other = self.b.create_block();
        self.b.ins().brif(is, block, &[at.into()], other, &[]);
        self.enter(other);
    }
}
