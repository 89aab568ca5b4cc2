//! What the packets of a capture begin with.

use std::fmt;

/// A link type, by its number in <https://www.tcpdump.org/linktypes.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkType(pub u16);

impl LinkType {
    /// An Ethernet header (IEEE 802.3).
    pub const ETHERNET: Self = Self(1);
    /// An IP header of either version.
    pub const RAW_IP: Self = Self(101);
}

/// Those that captures are likely to have.
const NAMES: &[(u16, &str)] = &[
    (0, "NULL"),
    (1, "ETHERNET"),
    (9, "PPP"),
    (101, "RAW"),
    (105, "IEEE802_11"),
    (108, "LOOP"),
    (113, "LINUX_SLL"),
    (127, "IEEE802_11_RADIOTAP"),
    (187, "BLUETOOTH_HCI_H4"),
    (189, "USB_LINUX"),
    (220, "USB_LINUX_MMAPPED"),
    (227, "CAN_SOCKETCAN"),
    (228, "IPV4"),
    (229, "IPV6"),
    (239, "NFLOG"),
    (253, "NETLINK"),
    (276, "LINUX_SLL2"),
];

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((number, name)) => write!(f, "LINKTYPE_{name} ({number})"),
            None => write!(f, "{}", self.0),
        }
    }
}
