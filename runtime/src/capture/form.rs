//! The two formats, record by record.

use pcap_parser::nom::{Err as Stopped, IResult};
use pcap_parser::pcapng::{Block, parse_block_be, parse_block_le};
use pcap_parser::traits::PcapNGPacketBlock as _;
use pcap_parser::{
    InterfaceDescriptionBlock, LegacyPcapBlock, PcapError, PcapHeader, parse_pcap_frame,
    parse_pcap_frame_be, parse_pcap_frame_modified, parse_pcap_header,
};

use super::{LinkType, Packet};

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;
/// What a file of pcapng begins with, in either byte order.
const SECTION_HEADER: &[u8] = &[0x0a, 0x0d, 0x0d, 0x0a];
/// First bytes of what gzip, xz and zstd write.
const COMPRESSED: [&[u8]; 3] =
    [&[0x1f, 0x8b], &[0xfd, 0x37, 0x7a, 0x58], &[0x28, 0xb5, 0x2f, 0xfd]];
/// The Packet Block of pcapng, which the Enhanced Packet Block has replaced.
const PACKET_BLOCK: u32 = 2;
/// The exponent in `if_tsresol` is of 2, not of 10.
const POWER_OF_TWO: u8 = 0x80;

/// What was read.
pub(super) struct Step {
    /// Bytes of the record.
    pub length: usize,
    /// Its packet, if it holds one.
    pub packet: Option<(LinkType, Packet)>,
}

/// Why nothing was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// More bytes are needed.
    Incomplete,
    /// It makes no sense.
    Broken,
    /// Nobody writes such any more.
    Obsolete,
    /// It is something else than a capture.
    NotACapture,
    /// It may be a capture, once it is unpacked.
    Compressed,
}

/// The format of a file, and what its records have said so far.
pub(super) enum Form {
    /// pcap
    Plain(Plain),
    /// pcapng
    Sections(Sections),
}

/// What the header of a pcap file says.
pub(super) struct Plain {
    /// What packets begin with.
    pub link: LinkType,
    /// Nanoseconds of the unit behind the seconds.
    unit: u64,
    parse: fn(&[u8]) -> Parsed<'_, LegacyPcapBlock<'_>>,
}

/// A section of a pcapng file.
#[derive(Default)]
pub(super) struct Sections {
    big_endian: bool,
    interfaces: Vec<Interface>,
}

/// An interface that packets of a section are from.
struct Interface {
    link: LinkType,
    /// Most bytes that are kept of a packet; 0: all.
    most: u32,
    /// Units of time in a second.
    resolution: u64,
    /// Seconds to be added to times.
    offset: i64,
}

type Parsed<'a, T> = IResult<&'a [u8], T, PcapError<&'a [u8]>>;

/// What was parsed and its length.
fn parsed<'a, T>(data: &'a [u8], result: Parsed<'a, T>) -> Result<(usize, T), Failure> {
    match result {
        Ok((rest, value)) => Ok((data.len() - rest.len(), value)),
        Err(Stopped::Incomplete(_)) => Err(Failure::Incomplete),
        Err(Stopped::Error(_) | Stopped::Failure(_)) => Err(Failure::Broken),
    }
}

impl Form {
    /// Tells the format from the first bytes. Also returns how many of them are no record.
    pub fn of(data: &[u8]) -> Result<(usize, Self), Failure> {
        if COMPRESSED.iter().any(|magic| data.starts_with(magic)) {
            return Err(Failure::Compressed);
        }
        if data.starts_with(SECTION_HEADER) {
            return Ok((0, Form::Sections(Sections::default())));
        }
        match parse_pcap_header(data) {
            Err(Stopped::Error(PcapError::HeaderNotRecognized)) => Err(Failure::NotACapture),
            result => {
                let (length, header) = parsed(data, result)?;
                Ok((length, Form::Plain(Plain::of(&header))))
            }
        }
    }

    /// Reads the record that `data` begins with.
    pub fn step(&mut self, data: &[u8]) -> Result<Step, Failure> {
        match self {
            Form::Plain(plain) => plain.step(data),
            Form::Sections(sections) => sections.step(data),
        }
    }
}

impl Plain {
    fn of(header: &PcapHeader) -> Self {
        let parse: fn(&[u8]) -> Parsed<'_, LegacyPcapBlock<'_>> = match header.is_bigendian() {
            _ if header.is_modified_format() => parse_pcap_frame_modified,
            true => parse_pcap_frame_be,
            false => parse_pcap_frame,
        };
        Self {
            // What is above tells of checksums behind frames.
            link: LinkType((header.network.0 & 0xffff) as u16),
            unit: if header.is_nanosecond_precision() { 1 } else { 1000 },
            parse,
        }
    }

    fn step(&self, data: &[u8]) -> Result<Step, Failure> {
        let (length, frame) = parsed(data, (self.parse)(data))?;
        let time = u64::from(frame.ts_sec) * SECOND + u64::from(frame.ts_usec) * self.unit;
        let packet = Packet { time, length: frame.origlen, bytes: frame.data.to_vec() };
        Ok(Step { length, packet: Some((self.link, packet)) })
    }
}

impl Sections {
    fn step(&mut self, data: &[u8]) -> Result<Step, Failure> {
        let parse = if self.big_endian { parse_block_be } else { parse_block_le };
        let (length, block) = parsed(data, parse(data))?;
        let mut packet = None;
        match block {
            Block::SectionHeader(header) => {
                let big_endian = header.big_endian();
                *self = Self { big_endian, ..Self::default() };
            }
            Block::InterfaceDescription(interface) => {
                self.interfaces.push(Interface::of(&interface, self.big_endian)?);
            }
            Block::EnhancedPacket(found) => {
                let interface = self.interface(found.if_id)?;
                let units = u64::from(found.ts_high) << 32 | u64::from(found.ts_low);
                let (time, length) = (interface.time(units), found.origlen);
                let bytes = found.packet_data().to_vec();
                packet = Some((interface.link, Packet { time, length, bytes }));
            }
            Block::SimplePacket(found) => {
                let interface = self.interface(0)?;
                let most = if interface.most == 0 { usize::MAX } else { interface.most as usize };
                let bytes = found.packet_data().iter().take(most).copied().collect();
                let packet_of = Packet { time: 0, length: found.origlen, bytes };
                packet = Some((interface.link, packet_of));
            }
            Block::Unknown(found) if found.block_type == PACKET_BLOCK => {
                return Err(Failure::Obsolete);
            }
            _ => {}
        }
        Ok(Step { length, packet })
    }

    fn interface(&self, number: u32) -> Result<&Interface, Failure> {
        self.interfaces.get(number as usize).ok_or(Failure::Broken)
    }
}

impl Interface {
    fn of(block: &InterfaceDescriptionBlock<'_>, big_endian: bool) -> Result<Self, Failure> {
        let exponent = u32::from(block.if_tsresol & !POWER_OF_TWO);
        let base: u64 = if block.if_tsresol & POWER_OF_TWO == 0 { 10 } else { 2 };
        // The library reads it in one byte order alone.
        let offset = block.if_tsoffset;
        Ok(Self {
            link: LinkType((block.linktype.0 & 0xffff) as u16),
            most: block.snaplen,
            resolution: base.checked_pow(exponent).ok_or(Failure::Broken)?,
            offset: if big_endian { offset.swap_bytes() } else { offset },
        })
    }

    /// Nanoseconds since 1970; times that no `u64` can hold are cut off at its ends.
    fn time(&self, units: u64) -> u64 {
        let nanoseconds = u128::from(units) * u128::from(SECOND) / u128::from(self.resolution);
        let offset = i128::from(self.offset) * i128::from(SECOND);
        let sum = i128::try_from(nanoseconds).unwrap_or(i128::MAX).saturating_add(offset);
        u64::try_from(sum.max(0)).unwrap_or(u64::MAX)
    }
}
