//! The tables of headers.

use super::{Field, FieldKind, Header, HeaderSpec, Property};

/// What has no header, by name: `pkt.len` and so on.
pub const PACKET_PROPERTIES: &[(&str, Property, &str)] = &[
    ("len", Property::Length, "bytes of the packet"),
    ("ifindex", Property::Interface, "index of the interface"),
    ("queue", Property::Queue, "number of the interface's queue"),
];

const fn number(name: &'static str, offset: u32, size: u8, about: &'static str) -> Field {
    Field { name, aliases: &[], offset, kind: FieldKind::Number { size }, about }
}

const fn bits(
    name: &'static str,
    offset: u32,
    [size, first, width]: [u8; 3],
    about: &'static str,
) -> Field {
    Field { name, aliases: &[], offset, kind: FieldKind::Bits { size, first, width }, about }
}

const fn of_kind(name: &'static str, offset: u32, kind: FieldKind, about: &'static str) -> Field {
    Field { name, aliases: &[], offset, kind, about }
}

const fn flag(name: &'static str, offset: u32, bit: u8, about: &'static str) -> Field {
    bits(name, offset, [1, bit, 1], about)
}

impl Field {
    const fn or(self, aliases: &'static [&'static str]) -> Field {
        Field { aliases, ..self }
    }
}

pub(super) static ETH: HeaderSpec = HeaderSpec {
    header: Header::Eth,
    name: "eth",
    about: "Ethernet",
    size: 14,
    fields: &[
        of_kind("h_dest", 0, FieldKind::Mac, "address that it is for").or(&["dst", "dest"]),
        of_kind("h_source", 6, FieldKind::Mac, "address that it comes from").or(&["src", "source"]),
        number("h_proto", 12, 2, "what follows: an `ETH_P_` constant, also that of a tag")
            .or(&["proto", "type"]),
    ],
};

/// The fields of a VLAN tag.
const TAG: &[Field] = &[
    number("h_vlan_TCI", 0, 2, "priority, drop eligibility and id in one number").or(&["tci"]),
    bits("pcp", 0, [1, 5, 3], "priority").or(&["prio"]),
    flag("dei", 0, 4, "may be dropped first"),
    bits("id", 0, [2, 0, 12], "number of the VLAN").or(&["vid"]),
    number("h_vlan_encapsulated_proto", 2, 2, "what follows: an `ETH_P_` constant")
        .or(&["proto", "type"]),
];

pub(super) static VLAN: HeaderSpec = HeaderSpec {
    header: Header::Vlan,
    name: "vlan",
    about: "the outermost VLAN tag (802.1Q or 802.1ad)",
    size: 4,
    fields: TAG,
};

pub(super) static VLAN2: HeaderSpec = HeaderSpec {
    header: Header::Vlan2,
    name: "vlan2",
    about: "the VLAN tag inside of the outermost",
    size: 4,
    fields: TAG,
};

pub(super) static ARP: HeaderSpec = HeaderSpec {
    header: Header::Arp,
    name: "arp",
    about: "ARP for IPv4 over Ethernet",
    size: 28,
    fields: &[
        number("ar_hrd", 0, 2, "kind of hardware, 1 for Ethernet").or(&["hrd"]),
        number("ar_pro", 2, 2, "protocol, `ETH_P_IP`").or(&["pro"]),
        number("ar_hln", 4, 1, "bytes of a hardware address").or(&["hln"]),
        number("ar_pln", 5, 1, "bytes of a protocol address").or(&["pln"]),
        number("ar_op", 6, 2, "1 for a request, 2 for a reply").or(&["op"]),
        of_kind("ar_sha", 8, FieldKind::Mac, "the sender's hardware address").or(&["sha"]),
        of_kind("ar_sip", 14, FieldKind::Inet4, "the sender's address").or(&["sip"]),
        of_kind("ar_tha", 18, FieldKind::Mac, "the target's hardware address").or(&["tha"]),
        of_kind("ar_tip", 24, FieldKind::Inet4, "the target's address").or(&["tip"]),
    ],
};

pub(super) static IP: HeaderSpec = HeaderSpec {
    header: Header::Ip,
    name: "ip",
    about: "IPv4",
    size: 20,
    fields: &[
        bits("version", 0, [1, 4, 4], "4"),
        bits("ihl", 0, [1, 0, 4], "length of the header with its options, in 4 bytes"),
        number("tos", 1, 1, "type of service"),
        bits("dscp", 1, [1, 2, 6], "differentiated services (RFC 2474)"),
        bits("ecn", 1, [1, 0, 2], "explicit congestion notification (RFC 3168)"),
        number("tot_len", 2, 2, "bytes with the header").or(&["len"]),
        number("id", 4, 2, "what its fragments have in common"),
        number("frag_off", 6, 2, "the flags, and the offset of the fragment in 8 bytes"),
        flag("df", 6, 6, "not to be fragmented"),
        flag("mf", 6, 5, "more fragments follow"),
        number("ttl", 8, 1, "hops that are left"),
        number("protocol", 9, 1, "what follows: an `IPPROTO_` constant").or(&["proto"]),
        number("check", 10, 2, "checksum of the header").or(&["checksum"]),
        of_kind("saddr", 12, FieldKind::Inet4, "address that it comes from").or(&["src"]),
        of_kind("daddr", 16, FieldKind::Inet4, "address that it is for").or(&["dst"]),
    ],
};

pub(super) static IP6: HeaderSpec = HeaderSpec {
    header: Header::Ip6,
    name: "ip6",
    about: "IPv6",
    size: 40,
    fields: &[
        bits("version", 0, [1, 4, 4], "6"),
        bits("priority", 0, [1, 0, 4], "the upper half of the traffic class"),
        bits("tclass", 0, [2, 4, 8], "traffic class"),
        bits("flow_lbl", 0, [4, 0, 20], "flow label").or(&["flow"]),
        number("payload_len", 4, 2, "bytes after this header").or(&["len"]),
        number("nexthdr", 6, 1, "what follows directly: an `IPPROTO_` constant"),
        of_kind("proto", 6, FieldKind::LastProtocol, "what follows the extension headers")
            .or(&["protocol"]),
        number("hop_limit", 7, 1, "hops that are left").or(&["ttl"]),
        of_kind("saddr", 8, FieldKind::Inet6, "address that it comes from").or(&["src"]),
        of_kind("daddr", 24, FieldKind::Inet6, "address that it is for").or(&["dst"]),
    ],
};

pub(super) static ICMP: HeaderSpec = HeaderSpec {
    header: Header::Icmp,
    name: "icmp",
    about: "ICMP",
    size: 8,
    fields: &[
        number("type", 0, 1, "kind of message: 8 for an echo request"),
        number("code", 1, 1, "which of its kind"),
        number("checksum", 2, 2, "checksum").or(&["check"]),
        number("id", 4, 2, "identifier of an echo message"),
        number("sequence", 6, 2, "number of an echo message").or(&["seq"]),
        number("mtu", 6, 2, "largest packet, if it had to be fragmented"),
        of_kind("gateway", 4, FieldKind::Inet4, "the other router, of a redirect"),
    ],
};

pub(super) static ICMP6: HeaderSpec = HeaderSpec {
    header: Header::Icmp6,
    name: "icmp6",
    about: "ICMP for IPv6",
    size: 8,
    fields: &[
        number("icmp6_type", 0, 1, "kind of message: 128 for an echo request").or(&["type"]),
        number("icmp6_code", 1, 1, "which of its kind").or(&["code"]),
        number("icmp6_cksum", 2, 2, "checksum").or(&["checksum", "check"]),
        number("icmp6_identifier", 4, 2, "identifier of an echo message").or(&["id"]),
        number("icmp6_sequence", 6, 2, "number of an echo message").or(&["sequence", "seq"]),
        number("icmp6_mtu", 4, 4, "largest packet, if it was too big").or(&["mtu"]),
    ],
};

pub(super) static TCP: HeaderSpec = HeaderSpec {
    header: Header::Tcp,
    name: "tcp",
    about: "TCP",
    size: 20,
    fields: &[
        number("source", 0, 2, "port that it comes from").or(&["sport"]),
        number("dest", 2, 2, "port that it is for").or(&["dport"]),
        number("seq", 4, 4, "sequence number"),
        number("ack_seq", 8, 4, "acknowledged so far"),
        bits("doff", 12, [1, 4, 4], "length of the header with its options, in 4 bytes"),
        number("flags", 13, 1, "the eight flags in one number"),
        flag("fin", 13, 0, "the sender is done"),
        flag("syn", 13, 1, "opens a connection"),
        flag("rst", 13, 2, "resets the connection"),
        flag("psh", 13, 3, "to be handed on at once"),
        flag("ack", 13, 4, "`ack_seq` counts"),
        flag("urg", 13, 5, "`urg_ptr` counts"),
        flag("ece", 13, 6, "congestion was seen (RFC 3168)"),
        flag("cwr", 13, 7, "the sender has slowed down (RFC 3168)"),
        number("window", 14, 2, "bytes that may be sent, before scaling"),
        number("check", 16, 2, "checksum").or(&["checksum"]),
        number("urg_ptr", 18, 2, "where urgent data ends"),
    ],
};

pub(super) static UDP: HeaderSpec = HeaderSpec {
    header: Header::Udp,
    name: "udp",
    about: "UDP",
    size: 8,
    fields: &[
        number("source", 0, 2, "port that it comes from").or(&["sport"]),
        number("dest", 2, 2, "port that it is for").or(&["dport"]),
        number("len", 4, 2, "bytes with the header"),
        number("check", 6, 2, "checksum, 0 for none").or(&["checksum"]),
    ],
};
