//! Ring buffer records.

use std::sync::Arc;

use rbtrace_probes_ebpf::plan::Action;
use rbtrace_probes_ebpf::record::{ACTION_OFFSET, PACKET_DATA, PACKET_LENGTH, PACKET_TIME};
use rbtrace_probes_ebpf::types::{Clock, Field};

use super::read::{slice, u32_at, u64_at};
use super::typed::Typed;
use super::{DecodeError, Decoder};
use crate::capture::Packet;
use crate::event::{Event, Formatted, HelperError};
use crate::format::Format;
use crate::request::Request;
use crate::time;
use crate::value::Value;

/// What a record asks for.
pub(super) fn decode(decoder: &Decoder, bytes: &[u8]) -> Result<Request, DecodeError> {
    let index = u32_at(bytes, ACTION_OFFSET)?;
    let position = usize::try_from(index).ok();
    let action = position.and_then(|i| decoder.plan.actions.get(i));
    let format = position.and_then(|i| decoder.formats.get(i));
    let (Some(action), Some(format)) = (action, format) else {
        return Err(DecodeError::UnknownAction(index));
    };
    let record = RecordReader { decoder, bytes };
    record.request(action, format.as_ref().map_err(Clone::clone)?)
}

#[derive(Clone, Copy)]
struct RecordReader<'a> {
    decoder: &'a Decoder,
    bytes: &'a [u8],
}

impl RecordReader<'_> {
    fn request(self, action: &Action, format: &Arc<Format>) -> Result<Request, DecodeError> {
        Ok(match action {
            Action::Printf { args, .. } => {
                Request::Output(Event::Printf(self.formatted(format, args)?))
            }
            Action::Errorf { args, location, warning, .. } => Request::Output(Event::Errorf {
                message: self.formatted(format, args)?,
                location: location.clone(),
                warning: *warning,
            }),
            Action::HelperError { helper, location, source, columns, result } => {
                let result = self.value(result)?.bits().unwrap_or(0).cast_signed();
                Request::Output(Event::HelperError(Box::new(HelperError {
                    helper: helper.clone(),
                    result,
                    location: location.clone(),
                    source: source.clone(),
                    columns: *columns,
                })))
            }
            Action::PrintValue { value } => Request::Output(Event::Value(self.value(value)?)),
            Action::PrintMap { map, top, div } => {
                Request::PrintMap { map: *map, top: *top, div: *div }
            }
            Action::PrintEntry { map, key, value, div } => {
                self.entry(*map, key, value.as_ref(), *div)?
            }
            Action::Clear { map } => Request::Clear { map: *map },
            Action::Zero { map } => Request::Zero { map: *map },
            Action::Exit { code } => Request::Exit { code: self.exit_code(code.as_ref())? },
            Action::Unwatch { address } => {
                Request::Unwatch { address: self.value(address)?.bits().unwrap_or(0) }
            }
            Action::Packet { file, offset } => {
                Request::Packet { file: file.clone(), packet: self.packet(*offset)? }
            }
            Action::Time { format } => {
                let now = self.decoder.resolve.now();
                let text = time::strftime(format, now, self.decoder.zone());
                Request::Output(Event::Time(text))
            }
            Action::Join { separator, args } => Request::Output(self.join(separator, args)?),
            Action::Cat { args, .. } => Request::Cat {
                path: self.formatted(format, args)?.text(),
                max_bytes: self.decoder.plan.config.max_cat_bytes,
            },
            Action::System { args, .. } => {
                Request::System { command: self.formatted(format, args)?.text() }
            }
        })
    }

    fn value(self, field: &Field) -> Result<Value, DecodeError> {
        Typed::new(self.decoder, 1).field(field, self.bytes)
    }

    fn formatted(self, format: &Arc<Format>, args: &[Field]) -> Result<Formatted, DecodeError> {
        let args = args.iter().map(|field| self.value(field)).collect::<Result<_, _>>()?;
        Ok(Formatted { format: format.clone(), args })
    }

    fn entry(
        self,
        map: u32,
        key: &Field,
        value: Option<&Field>,
        div: u32,
    ) -> Result<Request, DecodeError> {
        let raw_key = slice(self.bytes, key.offset, key.ty.size())?;
        let Some(value) = value else {
            return Ok(Request::PrintEntry { map, key: raw_key.to_vec(), div });
        };
        let name = self.decoder.map_of_plan(map)?.name.clone();
        let key = self.value(key)?;
        let value = Typed::new(self.decoder, div).field(value, self.bytes)?;
        Ok(Request::Output(Event::Entry { map: name, key, value }))
    }

    fn exit_code(self, code: Option<&Field>) -> Result<i32, DecodeError> {
        let bits = match code {
            Some(field) => self.value(field)?.bits().unwrap_or(0),
            None => 0,
        };
        // The lowest 32 bits, as a conversion to `int` in C.
        let [a, b, c, d, ..] = bits.to_le_bytes();
        Ok(i32::from_le_bytes([a, b, c, d]))
    }

    fn packet(self, offset: u64) -> Result<Packet, DecodeError> {
        let boot = u64_at(self.bytes, PACKET_TIME)?;
        let offset_of_boot = self.decoder.resolve.clock_offset(Clock::Boot).unwrap_or(0);
        let length = u32::try_from(u64_at(self.bytes, PACKET_LENGTH)?).unwrap_or(u32::MAX);
        let bytes = slice(self.bytes, PACKET_DATA, length)?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = bytes.get(offset..).unwrap_or_default().to_vec();
        let time = boot.saturating_add_signed(offset_of_boot);
        // Nobody says how long a packet was of which less was asked for.
        Ok(Packet { time, length: bytes.len() as u32, bytes })
    }

    fn join(self, separator: &str, args: &[Field]) -> Result<Event, DecodeError> {
        let mut parts = Vec::new();
        for field in args {
            let Value::Str(text) = self.value(field)? else {
                continue;
            };
            if text.bytes.is_empty() {
                break;
            }
            parts.push(text.bytes);
        }
        Ok(Event::Join(parts.join(separator.as_bytes())))
    }
}
