//! The link layer: Ethernet, VLAN tags, and ARP, which ends there.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_lang::hir::Int;
use rbtrace_probes_ebpf::kinds::Context;
use rbtrace_probes_ebpf::packet::{Fact, Header};

use super::super::func::FnBuilder;
use super::source::sk_buff;
use super::{At, Walk};
use crate::error::Error;

/// `ETH_P_*` of linux/if_ether.h.
const ETH_P_IP: u16 = 0x0800;
const ETH_P_ARP: u16 = 0x0806;
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_IPV6: u16 = 0x86dd;
const ETH_P_8021AD: u16 = 0x88a8;

/// Bytes of an Ethernet header, and where its type is.
const ETHERNET: u32 = 14;
const ETHERNET_TYPE: u32 = 12;
/// The same of a tag.
const TAG: u32 = 4;
const TAG_TYPE: u32 = 2;

/// What a machine of little endian makes of a number of the network's.
pub(super) const fn loaded(number: u16) -> i64 {
    number.swap_bytes() as i64
}

impl FnBuilder<'_, '_, '_> {
    /// Where a packet begins with the header of IP: on to that.
    pub(super) fn parse_network(&mut self, walk: &Walk) {
        let protocol = self.load_context(sk_buff::PROTOCOL, Int::U32);
        self.after_link(walk, protocol, 0);
        self.b.ins().jump(walk.exit(Header::Eth), &[]);
    }

    /// Ethernet and its tags, and on to the header that they say comes next.
    pub(super) fn parse_ethernet(&mut self, walk: &Walk) -> Result<(), Error> {
        let start = At::Fixed(0);
        let place = self.claim(walk, Header::Eth, start)?;
        self.keep(Header::Eth, place)?;
        self.payload_from(start, ETHERNET)?;
        let protocol = self.load(place.plus(ETHERNET_TYPE), Int { size: 2, signed: false });
        let tags_matter = walk.needs.inside(Header::Eth) || self.wants_ethernet_type();
        if tags_matter && self.kind().context == Context::Skb {
            self.parse_tag_beside(walk, protocol)?;
        }
        if walk.needs.inside(Header::Eth) {
            self.after_link(walk, protocol, ETHERNET);
            self.parse_tag(walk, Header::Vlan, protocol, ETHERNET)?;
        }
        self.b.ins().jump(walk.exit(Header::Eth), &[]);
        Ok(())
    }

    /// The outermost tag of a packet from which the kernel has taken it, if it has, and on from there.
    fn parse_tag_beside(&mut self, walk: &Walk, protocol: Value) -> Result<(), Error> {
        let present = self.load_context(sk_buff::VLAN_PRESENT, Int::U32);
        let [beside, none] = [(); 2].map(|()| self.b.create_block());
        self.b.ins().brif(present, beside, &[], none, &[]);
        self.enter(beside);
        let kind = self.load_context(sk_buff::VLAN_PROTO, Int::U32);
        let kind = self.in_host_order(kind, 2);
        self.keep_ethernet_type(kind)?;
        let tag = self.temp_bytes(TAG)?;
        let control = self.load_context(sk_buff::VLAN_TCI, Int::U32);
        let control = self.in_host_order(control, 2);
        self.store(tag, 2, control);
        self.store(tag.plus(TAG_TYPE), 2, protocol);
        self.keep(Header::Vlan, tag)?;
        if walk.needs.inside(Header::Eth) {
            self.after_link(walk, protocol, ETHERNET);
            self.parse_tag(walk, Header::Vlan2, protocol, ETHERNET)?;
        }
        self.b.ins().jump(walk.exit(Header::Eth), &[]);
        self.enter(none);
        Ok(())
    }

    fn wants_ethernet_type(&self) -> bool {
        let is_type = |fact: &Fact| matches!(fact, Fact::Field(Header::Eth, field) if field.offset == ETHERNET_TYPE);
        self.block.packet.iter().any(|(fact, _)| is_type(fact))
    }

    /// The type in the frame as it was sent.
    fn keep_ethernet_type(&mut self, kind: Value) -> Result<(), Error> {
        let block = self.block;
        for (fact, local) in &block.packet {
            if let Fact::Field(Header::Eth, field) = fact
                && field.offset == ETHERNET_TYPE
            {
                self.set_fact(*local, kind)?;
            }
        }
        Ok(())
    }

    /// A tag, if there is one, and on to what comes after it.
    fn parse_tag(
        &mut self,
        walk: &Walk,
        tag: Header,
        protocol: Value,
        start: u32,
    ) -> Result<(), Error> {
        let tagged = self.b.create_block();
        for tag in [ETH_P_8021Q, ETH_P_8021AD] {
            let other = self.b.create_block();
            let is = self.b.ins().icmp_imm_s(IntCC::Equal, protocol, loaded(tag));
            self.b.ins().brif(is, tagged, &[], other, &[]);
            self.enter(other);
        }
        self.b.ins().jump(walk.exit(Header::Eth), &[]);
        self.enter(tagged);
        let place = self.claim(walk, tag, At::Fixed(start))?;
        self.keep(tag, place)?;
        self.payload_from(At::Fixed(start), TAG)?;
        let protocol = self.load(place.plus(TAG_TYPE), Int { size: 2, signed: false });
        self.after_link(walk, protocol, start + TAG);
        match tag {
            Header::Vlan => self.parse_tag(walk, Header::Vlan2, protocol, start + TAG),
            _ => Ok(()),
        }
    }

    /// Goes on at the header of this type, if it is wanted.
    fn after_link(&mut self, walk: &Walk, protocol: Value, start: u32) {
        let next = [(ETH_P_IP, Header::Ip), (ETH_P_IPV6, Header::Ip6), (ETH_P_ARP, Header::Arp)];
        for (number, header) in next.into_iter().filter(|(_, header)| walk.needs.has(*header)) {
            let is = self.b.ins().icmp_imm_s(IntCC::Equal, protocol, loaded(number));
            let at = self.iconst(i64::from(start));
            self.walk_on_if(walk, header, is, at);
        }
    }

    /// ARP, if it is for IPv4 over Ethernet.
    pub(super) fn parse_arp(&mut self, walk: &Walk, at: At) -> Result<(), Error> {
        let place = self.claim(walk, Header::Arp, at)?;
        // ar_pro, ar_hln and ar_pln (RFC 826): IPv4 addresses, 6 bytes of hardware, 4 of protocol.
        let kinds = self.load_word(place.plus(2));
        let usual = i64::from(u32::from_le_bytes([0x08, 0x00, 6, 4]));
        let is = self.b.ins().icmp_imm_s(IntCC::Equal, kinds, usual);
        let known = self.b.create_block();
        self.b.ins().brif(is, known, &[], walk.exit(Header::Eth), &[]);
        self.enter(known);
        self.keep(Header::Arp, place)?;
        self.payload_from(at, Header::Arp.spec().size)?;
        self.b.ins().jump(walk.exit(Header::Arp), &[]);
        Ok(())
    }
}
