//! Messages of netlink(7): a header, what the family wants first, then attributes.

use std::io;

/// `NLM_F_*` of linux/netlink.h. An acknowledgement is asked for wherever the kernel would not answer.
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
/// All there is.
pub(crate) const DUMP: u16 = 0x300;
/// It may not be there yet.
pub(crate) const CREATE: u16 = 0x600;
/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Bytes of a `struct nlmsghdr` and of a `struct nlattr`.
const HEADER: usize = 16;
const ATTRIBUTE: usize = 4;
/// Bits of an attribute's type that are no flags (`NLA_TYPE_MASK`), and the flag that it holds others.
const TYPE_MASK: u16 = 0x3fff;
const NESTED: u16 = 0x8000;

/// A request under construction.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Of a type (`RTM_*`), with flags beyond those that every request has, and what comes first.
    pub fn new(kind: u16, flags: u16, family: &[u8]) -> Self {
        let answered = if flags & DUMP == DUMP { 0 } else { ACKNOWLEDGE };
        let flags = flags | REQUEST | answered;
        let mut bytes = vec![0; ATTRIBUTE];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]); // sequence number, port
        bytes.extend(family);
        Self { bytes }
    }

    /// Adds an attribute.
    pub fn attribute(mut self, kind: u16, contents: &[u8]) -> Self {
        let length = (ATTRIBUTE + contents.len()) as u16;
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(contents);
        self.bytes.resize(self.bytes.len().next_multiple_of(ATTRIBUTE), 0);
        self
    }

    /// Adds an attribute that consists of attributes: what `fill` adds.
    pub fn nested(self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.bytes.len();
        let mut filled = fill(self.attribute(kind | NESTED, &[]));
        let length = (filled.bytes.len() - start) as u16;
        if let Some(place) = filled.bytes.get_mut(start..start + 2) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
        filled
    }

    /// The bytes to send.
    pub fn finish(mut self) -> Vec<u8> {
        let length = (self.bytes.len() as u32).to_ne_bytes();
        if let Some(place) = self.bytes.get_mut(..length.len()) {
            place.copy_from_slice(&length);
        }
        self.bytes
    }
}

/// A message of the kernel's.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// Its type.
    pub kind: u16,
    contents: Vec<u8>,
}

impl Reply {
    /// Whether it ends the answer.
    ///
    /// # Errors
    ///
    /// What the kernel says it failed for.
    pub(super) fn ends_answer(&self) -> io::Result<bool> {
        match (self.kind, self.number(0)) {
            (DONE, _) | (ERROR, Some(0)) => Ok(true),
            (ERROR, Some(code)) => {
                Err(io::Error::from_raw_os_error(code.cast_signed().wrapping_neg()))
            }
            (ERROR, None) => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(false),
        }
    }

    /// The `u32` at this offset of what the family has first.
    pub fn number(&self, offset: usize) -> Option<u32> {
        number(self.contents.get(offset..)?)
    }

    /// The attribute of a type, behind what the family has first, which takes so many bytes.
    pub fn attribute(&self, family: usize, kind: u16) -> Option<&[u8]> {
        attribute(self.contents.get(family..)?, kind)
    }
}

/// The `u32` that an attribute begins with.
pub(crate) fn number(contents: &[u8]) -> Option<u32> {
    contents.first_chunk().copied().map(u32::from_ne_bytes)
}

/// The text that an attribute is, without its NUL.
pub(crate) fn text(contents: &[u8]) -> String {
    let end = contents.iter().position(|byte| *byte == 0).unwrap_or(contents.len());
    String::from_utf8_lossy(contents.get(..end).unwrap_or_default()).into_owned()
}

/// The messages of a datagram.
pub(super) fn messages(mut bytes: &[u8]) -> Vec<Reply> {
    let mut all = Vec::new();
    while let Some((reply, length)) = first_message(bytes) {
        all.push(reply);
        bytes = bytes.get(length..).unwrap_or_default();
    }
    all
}

/// The first message, and how many bytes it takes.
fn first_message(bytes: &[u8]) -> Option<(Reply, usize)> {
    let length = number(bytes)? as usize;
    let kind = bytes.get(4..)?.first_chunk().copied().map(u16::from_ne_bytes)?;
    let contents = bytes.get(HEADER..length)?.to_vec();
    Some((Reply { kind, contents }, length.next_multiple_of(ATTRIBUTE)))
}

/// The contents of the first attribute of a type.
pub(crate) fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = bytes.get(2..)?.first_chunk().copied().map(u16::from_ne_bytes)?;
        let contents = bytes.get(ATTRIBUTE..length)?;
        if kind & TYPE_MASK == wanted {
            return Some(contents);
        }
        bytes = bytes.get(length.next_multiple_of(ATTRIBUTE)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let message = Message::new(44, CREATE, &[7; 20])
            .attribute(1, b"bpf\0")
            .nested(2, |m| m.attribute(6, &9u32.to_ne_bytes()).attribute(7, b"x\0"));
        let bytes = message.finish();
        let mut two = bytes.clone();
        two.extend(&bytes);
        let read = messages(&two);
        assert_eq!(read.len(), 2);
        let options = read[1].attribute(20, 2).expect("the second attribute");
        assert_eq!(attribute(options, 6).and_then(number), Some(9));
        assert_eq!(attribute(options, 7).map(text).as_deref(), Some("x"));
        assert_eq!(read[1].attribute(20, 3), None);
        for end in 0..bytes.len() {
            assert!(messages(&bytes[..end]).is_empty());
        }
    }

    #[test]
    fn errors_are_the_kernels() {
        let reply = |kind, code: i32| Reply { kind, contents: code.to_ne_bytes().to_vec() };
        assert_eq!(reply(ERROR, -17).ends_answer().unwrap_err().raw_os_error(), Some(17));
        assert!(reply(ERROR, 0).ends_answer().unwrap() && reply(DONE, 0).ends_answer().unwrap());
        assert!(!reply(44, 0).ends_answer().unwrap());
        assert!(Reply { kind: ERROR, contents: Vec::new() }.ends_answer().is_err());
    }
}
