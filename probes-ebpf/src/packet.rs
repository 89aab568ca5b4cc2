//! Headers of packets and their fields, by the names that the kernel's headers give them and by short
//! ones.
//!
//! A header is where a packet analyser would find it: behind up to two VLAN tags, the options of IPv4
//! and the extension headers of IPv6. A packet has a header if all bytes of its fixed part are there.

mod fields;

use std::fmt;

pub use fields::PACKET_PROPERTIES;

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Header {
    /// Ethernet (`struct ethhdr`, linux/if_ether.h).
    Eth,
    /// The outermost VLAN tag (`struct vlan_hdr`, linux/if_vlan.h; IEEE 802.1Q).
    Vlan,
    /// The tag inside of that (IEEE 802.1ad).
    Vlan2,
    /// ARP for IPv4 over Ethernet (`struct arphdr`, linux/if_arp.h; RFC 826).
    Arp,
    /// IPv4 (`struct iphdr`, linux/ip.h; RFC 791).
    Ip,
    /// IPv6 (`struct ipv6hdr`, linux/ipv6.h; RFC 8200).
    Ip6,
    /// ICMP (`struct icmphdr`, linux/icmp.h; RFC 792).
    Icmp,
    /// ICMP for IPv6 (`struct icmp6hdr`, linux/icmpv6.h; RFC 4443).
    Icmp6,
    /// TCP (`struct tcphdr`, linux/tcp.h; RFC 9293).
    Tcp,
    /// UDP (`struct udphdr`, linux/udp.h; RFC 768).
    Udp,
}

/// What a header is like.
#[derive(Debug)]
pub struct HeaderSpec {
    /// The header.
    pub header: Header,
    /// What scripts call it.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Bytes of its fixed part.
    pub size: u32,
    /// What is in it.
    pub fields: &'static [Field],
}

/// A field of a header.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// What the kernel calls it, or what is usual where the kernel has no name.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// Bytes from the start of the header.
    pub offset: u32,
    /// What is there.
    pub kind: FieldKind,
    /// What it is, in a few words.
    pub about: &'static str,
}

/// What a field holds. Everything in a packet is in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// A number of 1, 2 or 4 bytes.
    Number {
        /// Bytes.
        size: u8,
    },
    /// Some bits of such a number.
    Bits {
        /// Bytes of the number.
        size: u8,
        /// Number of the lowest bit, from the least significant.
        first: u8,
        /// Number of bits.
        width: u8,
    },
    /// An IPv4 address.
    Inet4,
    /// An IPv6 address.
    Inet6,
    /// An Ethernet address.
    Mac,
    /// The protocol behind the extension headers of IPv6, a byte.
    LastProtocol,
}

/// What a script can know of a packet when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Whether the packet has a header.
    Has(Header),
    /// A field; 0 if the packet has no such header.
    Field(Header, &'static Field),
    /// Where that begins what follows the last header: bytes from the start of the packet.
    PayloadOffset,
    /// Where it ends. Bytes that only fill up an Ethernet frame are no payload.
    PayloadEnd,
}

/// What a packet has that is in no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Property {
    /// Bytes of the packet.
    Length,
    /// Index of the interface.
    Interface,
    /// Number of the queue of the interface.
    Queue,
}

impl fmt::Display for Fact {
    /// As scripts write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Has(header) => f.write_str(header.spec().name),
            Fact::Field(header, field) => write!(f, "{}.{}", header.spec().name, field.name),
            Fact::PayloadOffset => f.write_str("payload"),
            Fact::PayloadEnd => f.write_str("payload.end"),
        }
    }
}

impl Header {
    /// Every header, from the outside to the inside.
    pub const ALL: [Header; 10] = [
        Header::Eth,
        Header::Vlan,
        Header::Vlan2,
        Header::Arp,
        Header::Ip,
        Header::Ip6,
        Header::Icmp,
        Header::Icmp6,
        Header::Tcp,
        Header::Udp,
    ];

    /// What it is like.
    pub const fn spec(self) -> &'static HeaderSpec {
        match self {
            Header::Eth => &fields::ETH,
            Header::Vlan => &fields::VLAN,
            Header::Vlan2 => &fields::VLAN2,
            Header::Arp => &fields::ARP,
            Header::Ip => &fields::IP,
            Header::Ip6 => &fields::IP6,
            Header::Icmp => &fields::ICMP,
            Header::Icmp6 => &fields::ICMP6,
            Header::Tcp => &fields::TCP,
            Header::Udp => &fields::UDP,
        }
    }

    /// The header of this name.
    pub fn by_name(name: &str) -> Option<Header> {
        Header::ALL.into_iter().find(|header| header.spec().name == name)
    }

    /// The headers that it may be directly inside of, tags aside.
    pub const fn parents(self) -> &'static [Header] {
        match self {
            Header::Eth => &[],
            Header::Vlan | Header::Arp | Header::Ip | Header::Ip6 => &[Header::Eth],
            Header::Vlan2 => &[Header::Vlan],
            Header::Icmp => &[Header::Ip],
            Header::Icmp6 => &[Header::Ip6],
            Header::Tcp | Header::Udp => &[Header::Ip, Header::Ip6],
        }
    }
}

impl HeaderSpec {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name || field.aliases.contains(&name))
    }

    /// Every name of a field.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.fields
            .iter()
            .flat_map(|field| [field.name].into_iter().chain(field.aliases.iter().copied()))
    }
}

impl FieldKind {
    /// Bytes that a field takes in its header.
    pub const fn bytes(self) -> u32 {
        match self {
            FieldKind::Number { size } | FieldKind::Bits { size, .. } => size as u32,
            FieldKind::LastProtocol => 1,
            FieldKind::Inet4 => 4,
            FieldKind::Inet6 => 16,
            FieldKind::Mac => 6,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn fields_lie_in_their_headers_and_have_names_of_their_own() {
        for header in Header::ALL {
            let spec = header.spec();
            assert_eq!(spec.header, header);
            assert_eq!(Header::by_name(spec.name), Some(header));
            let mut names = BTreeSet::new();
            for field in spec.fields {
                assert!(
                    field.offset + field.kind.bytes() <= spec.size,
                    "{}.{}",
                    spec.name,
                    field.name
                );
                assert!(!field.about.is_empty(), "{}.{}", spec.name, field.name);
                if let FieldKind::Bits { size, first, width } = field.kind {
                    assert!(width > 0 && first + width <= size * 8, "{}.{}", spec.name, field.name);
                }
            }
            for name in spec.names() {
                assert!(names.insert(name), "{}.{name} is there twice", spec.name);
            }
        }
    }

    #[test]
    fn a_header_comes_after_those_that_it_is_in() {
        for header in Header::ALL {
            assert!(header.parents().iter().all(|parent| *parent < header));
        }
    }
}
