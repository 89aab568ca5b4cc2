//! Captures of packets: files in the formats of pcap (pcap-savefile(5), draft-ietf-opsawg-pcap) and
//! pcapng (draft-ietf-opsawg-pcapng).

mod form;
mod link;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::io;

pub use link::LinkType;
pub use read::Reader;
pub use write::Writer;

/// A packet of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// When it was seen: nanoseconds since 1970.
    pub time: u64,
    /// Bytes that it had; more than there are where the capture has cut it.
    pub length: u32,
    /// What there is of it.
    pub bytes: Vec<u8>,
}

/// Why a capture cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is something else.
    #[error("it is no capture: tcpdump -w and Wireshark write those, as pcap or pcapng")]
    NotACapture,
    /// It is compressed.
    #[error("it is compressed: unpack it first")]
    Compressed,
    /// The file ends where more is said to follow.
    #[error("the file ends in the middle of a record, {}", place(*after))]
    Cut {
        /// The last packet that is whole, from 1; 0: none is.
        after: u64,
    },
    /// A record makes no sense.
    #[error("a record is broken, {}", place(*after))]
    Broken {
        /// The last packet before it, from 1; 0: there is none.
        after: u64,
    },
    /// A record is of a form that nobody writes any more.
    #[error("a record has an obsolete form, {}: editcap(1) rewrites it", place(*after))]
    Obsolete {
        /// The last packet before it, from 1; 0: there is none.
        after: u64,
    },
    /// Packets do not begin with an Ethernet header.
    #[error(
        "its packets have link type {link}, and LINKTYPE_ETHERNET (1) is needed: capture on one \
         Ethernet interface, not on `any`"
    )]
    Link {
        /// What they begin with.
        link: LinkType,
    },
}

/// Where in a capture something is.
fn place(after: u64) -> String {
    match after {
        0 => "before the first packet".into(),
        after => format!("after packet {after}"),
    }
}
