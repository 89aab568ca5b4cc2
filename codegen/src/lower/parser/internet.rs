//! IPv4 and IPv6, and on to what they carry.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{Block, InstBuilder, Value, types::I64};
use rbtrace_lang::hir::Int;
use rbtrace_probes_ebpf::packet::{Fact, FieldKind, Header};

use super::super::func::FnBuilder;
use super::super::mem::Place;
use super::link::loaded;
use super::{At, Walk};
use crate::error::Error;

const BYTE: Int = Int { size: 1, signed: false };
const WORD: Int = Int { size: 2, signed: false };

/// `IPPROTO_*` of linux/in.h and linux/in6.h.
const HOP_BY_HOP: i64 = 0;
const ICMP: i64 = 1;
const TCP: i64 = 6;
const UDP: i64 = 17;
const ROUTING: i64 = 43;
const FRAGMENT: i64 = 44;
const AUTHENTICATION: i64 = 51;
const ICMPV6: i64 = 58;
const DESTINATION_OPTIONS: i64 = 60;

/// Bytes of an IPv6 header.
const IP6_SIZE: u32 = 40;
/// Extension headers that are walked over; packets with more have no headers behind them.
const MOST_EXTENSIONS: u32 = 8;
/// Bytes of an extension header that say what it is and how long.
const EXTENSION: u32 = 8;

impl FnBuilder<'_, '_, '_> {
    /// IPv4 with its options. What follows in a fragment that is not the first is no header.
    pub(super) fn parse_ip(&mut self, walk: &Walk, at: At) -> Result<(), Error> {
        /// Version 4, and 5 to 15 words: the header's first byte.
        const LEAST: i64 = 0x45;
        const MOST: i64 = 0x4f;
        let place = self.claim(walk, Header::Ip, at)?;
        let first = self.load(place, BYTE);
        let above = self.b.ins().iadd_imm_s(first, -LEAST);
        let broken = self.b.ins().icmp_imm_s(IntCC::UnsignedGreaterThan, above, MOST - LEAST);
        self.leave_if(broken, walk.exit(Header::Eth));
        self.keep(Header::Ip, place)?;
        let words = self.b.ins().band_imm_s(first, 0xf);
        let length = self.b.ins().ishl_imm_s(words, 2);
        let start = self.offset_of(at, 0);
        let next = self.b.ins().iadd(start, length);
        self.payload_from(At::Found(next), 0)?;
        if let Some(local) = self.wanted(&Fact::PayloadEnd) {
            let length = self.load(place.plus(2), WORD);
            let length = self.in_host_order(length, 2);
            let end = self.b.ins().iadd(start, length);
            self.set_fact(local, end)?;
        }
        if walk.needs.inside(Header::Ip) {
            let fragment = self.load(place.plus(6), WORD);
            let offset = self.b.ins().band_imm_s(fragment, loaded(0x1fff));
            self.leave_if(offset, walk.exit(Header::Ip));
            let protocol = self.load(place.plus(9), BYTE);
            self.after_internet(walk, protocol, next, (ICMP, Header::Icmp));
        }
        self.b.ins().jump(walk.exit(Header::Ip), &[]);
        Ok(())
    }

    /// IPv6 with its extension headers.
    pub(super) fn parse_ip6(&mut self, walk: &Walk, at: At) -> Result<(), Error> {
        let place = self.claim(walk, Header::Ip6, at)?;
        let first = self.load(place, BYTE);
        let version = self.b.ins().band_imm_s(first, 0xf0);
        let other = self.b.ins().icmp_imm_s(IntCC::NotEqual, version, 0x60);
        self.leave_if(other, walk.exit(Header::Eth));
        self.keep(Header::Ip6, place)?;
        self.payload_from(at, IP6_SIZE)?;
        let next = self.offset_of(at, IP6_SIZE);
        if let Some(local) = self.wanted(&Fact::PayloadEnd) {
            let length = self.load(place.plus(4), WORD);
            let length = self.in_host_order(length, 2);
            let end = self.b.ins().iadd(next, length);
            self.set_fact(local, end)?;
        }
        if walk.needs.inside(Header::Ip6) || walk.needs.last_protocol {
            let protocol = self.load(place.plus(6), BYTE);
            let (protocol, next) = self.after_extensions(walk, protocol, next)?;
            self.after_internet(walk, protocol, next, (ICMPV6, Header::Icmp6));
        }
        self.b.ins().jump(walk.exit(Header::Ip6), &[]);
        Ok(())
    }

    /// Walks over extension headers (RFC 8200 section 4): what comes behind them, and where.
    fn after_extensions(
        &mut self,
        walk: &Walk,
        protocol: Value,
        start: Value,
    ) -> Result<(Value, Value), Error> {
        let head = self.b.create_block();
        let [count, protocol_here, at] = [(); 3].map(|()| self.b.append_block_param(head, I64));
        let none = self.iconst(0);
        self.b.ins().jump(head, &[none.into(), protocol.into(), start.into()]);
        self.b.switch_to_block(head);
        self.keep_last_protocol(protocol_here)?;
        self.payload_from(At::Found(at), 0)?;

        let [extension, after] = [(); 2].map(|()| self.b.create_block());
        for kind in [HOP_BY_HOP, ROUTING, DESTINATION_OPTIONS, FRAGMENT, AUTHENTICATION] {
            let other = self.b.create_block();
            let is = self.b.ins().icmp_imm_s(IntCC::Equal, protocol_here, kind);
            self.b.ins().brif(is, extension, &[], other, &[]);
            self.enter(other);
        }
        self.b.ins().jump(after, &[]);

        self.enter(extension);
        let most = i64::from(MOST_EXTENSIONS);
        let too_many = self.b.ins().icmp_imm_s(IntCC::UnsignedGreaterThanOrEqual, count, most);
        let outside = walk.exit(Header::Ip6);
        self.leave_if(too_many, outside);
        let place = self.claim_bytes(walk.source, At::Found(at), EXTENSION, outside)?;
        let following = self.load(place, BYTE);
        let length = self.extension_length(protocol_here, place)?;
        let next = self.b.ins().iadd(at, length);
        self.heed_fragment(walk, protocol_here, place, following, next)?;
        let counted = self.b.ins().iadd_imm_s(count, 1);
        self.b.ins().jump(head, &[counted.into(), following.into(), next.into()]);
        self.b.seal_block(head);
        self.enter(after);
        Ok((protocol_here, at))
    }

    /// Bytes of an extension header. Most say how many 8 bytes come after the first 8; authentication
    /// counts in 4 bytes (RFC 4302 section 2.2), and that of a fragment has always 8.
    fn extension_length(&mut self, kind: Value, place: Place) -> Result<Value, Error> {
        let count = self.load(place.plus(1), BYTE);
        let is_fragment = self.b.ins().icmp_imm_s(IntCC::Equal, kind, FRAGMENT);
        let is_authentication = self.b.ins().icmp_imm_s(IntCC::Equal, kind, AUTHENTICATION);
        let in_bytes = |f: &mut Self, first: i64, shift: i64| {
            let units = f.b.ins().iadd_imm_s(count, first);
            Ok(f.b.ins().ishl_imm_s(units, shift))
        };
        self.choose(
            is_fragment,
            |f| Ok(f.iconst(i64::from(EXTENSION))),
            |f| f.choose(is_authentication, |f| in_bytes(f, 2, 2), |f| in_bytes(f, 1, 3)),
        )
    }

    /// Ends the walk at a fragment that is not the first: what comes next is from the middle.
    fn heed_fragment(
        &mut self,
        walk: &Walk,
        kind: Value,
        place: Place,
        following: Value,
        next: Value,
    ) -> Result<(), Error> {
        let [fragment, later, on] = [(); 3].map(|()| self.b.create_block());
        let is_fragment = self.b.ins().icmp_imm_s(IntCC::Equal, kind, FRAGMENT);
        self.b.ins().brif(is_fragment, fragment, &[], on, &[]);
        self.enter(fragment);
        let word = self.load(place.plus(2), WORD);
        let offset = self.b.ins().band_imm_s(word, loaded(0xfff8));
        self.b.ins().brif(offset, later, &[], on, &[]);
        self.enter(later);
        self.keep_last_protocol(following)?;
        self.payload_from(At::Found(next), 0)?;
        self.b.ins().jump(walk.exit(Header::Ip6), &[]);
        self.enter(on);
        Ok(())
    }

    /// Goes on at the header of this protocol, if it is wanted.
    fn after_internet(&mut self, walk: &Walk, protocol: Value, at: Value, messages: (i64, Header)) {
        for (number, header) in [(TCP, Header::Tcp), (UDP, Header::Udp), messages] {
            if walk.needs.has(header) {
                let is = self.b.ins().icmp_imm_s(IntCC::Equal, protocol, number);
                self.walk_on_if(walk, header, is, at);
            }
        }
    }

    /// Goes on elsewhere if a number is not 0.
    fn leave_if(&mut self, condition: Value, to: Block) {
        let on = self.b.create_block();
        self.b.ins().brif(condition, to, &[], on, &[]);
        self.enter(on);
    }

    /// What comes behind the extension headers, as far as it is known.
    fn keep_last_protocol(&mut self, protocol: Value) -> Result<(), Error> {
        let block = self.block;
        for (fact, local) in &block.packet {
            if let Fact::Field(_, field) = fact
                && field.kind == FieldKind::LastProtocol
            {
                self.set_fact(*local, protocol)?;
            }
        }
        Ok(())
    }
}
