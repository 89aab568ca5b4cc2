//! Bytes of a type to values.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;
use rbtrace_probes_ebpf::plan::{Probe, Target};
use rbtrace_probes_ebpf::types::Stack as StackType;
use rbtrace_probes_ebpf::types::{
    AF_INET, AF_INET6, Clock, Field, Record, RecordKind, StackMode, Type, stack_frames,
};

use super::read::{array, slice, u32_at, u64_at, unsigned};
use super::{DecodeError, Decoder, merge, series};
use crate::format::sign_extend;
use crate::resolve::RawFrame;
use crate::symbols::cpp;
use crate::time;
use crate::value::{Frame, Stack, Text, Value};

/// Deepest nesting of arrays and records.
pub(super) const MAX_DEPTH: u32 = 64;

/// Decodes values; carries what applies to all parts of one.
#[derive(Clone, Copy)]
pub(super) struct Typed<'a> {
    decoder: &'a Decoder,
    /// Integers are divided by this; not 0.
    div: u32,
    depth: u32,
}

impl<'a> Typed<'a> {
    pub(super) fn new(decoder: &'a Decoder, div: u32) -> Self {
        Self { decoder, div: div.max(1), depth: 0 }
    }

    fn deeper(self) -> Result<Self, DecodeError> {
        if self.depth >= MAX_DEPTH {
            return Err(DecodeError::TooDeep);
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    /// The field of the record that `bytes` are.
    pub(super) fn field(self, field: &Field, bytes: &[u8]) -> Result<Value, DecodeError> {
        let bytes = slice(bytes, field.offset, field.ty.size())?;
        match field.bits {
            Some((first, width)) => self.bitfield(&field.ty, bytes, first, width),
            None => self.value(&field.ty, bytes),
        }
    }

    /// A value of a type, at the start of `bytes`.
    pub(super) fn value(self, ty: &Type, bytes: &[u8]) -> Result<Value, DecodeError> {
        Ok(match ty {
            Type::Void => Value::Null,
            Type::Int { size, .. } | Type::Enum { size, .. } => {
                self.integer(ty, unsigned(bytes, *size)?, u32::from(*size) * 8)
            }
            Type::Bool => Value::Bool(unsigned(bytes, 1)? != 0),
            Type::Str { size } => Value::Str(self.text(slice(bytes, 0, *size)?)),
            Type::Chars { size } => {
                let bytes = slice(bytes, 0, *size)?;
                let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
                Value::Str(Text { bytes: slice(bytes, 0, end as u32)?.to_vec(), trailer: None })
            }
            Type::Buf { size } => {
                let length = u32_at(bytes, 0)?.min(*size);
                Value::Buf(slice(bytes, 4, length)?.to_vec())
            }
            Type::Ptr => Value::Ptr(u64_at(bytes, 0)?),
            Type::Array { elem, len } => self.array(elem, *len, bytes)?,
            Type::Record(record) => self.record(record, bytes)?,
            Type::Inet => inet(bytes)?,
            Type::Inet4 => {
                Value::Inet(Some(Ipv4Addr::from(array::<4>(slice(bytes, 0, 4)?)).into()))
            }
            Type::Inet6 => {
                Value::Inet(Some(Ipv6Addr::from(array::<16>(slice(bytes, 0, 16)?)).into()))
            }
            Type::Mac => Value::Mac(array(slice(bytes, 0, 6)?)),
            Type::KSym => {
                let address = u64_at(bytes, 0)?;
                let symbol = self.decoder.resolve.kernel_symbol(address);
                Value::Symbol { address, symbol: symbol.map(Box::new) }
            }
            Type::USym => {
                let (address, pid, probe) =
                    (u64_at(bytes, 0)?, u32_at(bytes, 8)?, u32_at(bytes, 12)?);
                let symbol = self.decoder.resolve.user_symbol(pid, probe, address);
                Value::Symbol { address, symbol: symbol.map(Box::new) }
            }
            Type::KStack(stack) => self.stack(stack, false, bytes)?,
            Type::UStack(stack) => self.stack(stack, true, bytes)?,
            Type::Username => {
                let number = u64_at(bytes, 0)?;
                let name = self.decoder.resolve.user_name(number).unwrap_or_default();
                Value::Named { number, name }
            }
            Type::Timestamp { format, clock, utc } => {
                self.timestamp(u64_at(bytes, 0)?, format, *clock, *utc)
            }
            Type::CgroupPath { filter } => self.cgroup(u64_at(bytes, 0)?, filter),
            Type::Probe => self.probe(u64_at(bytes, 0)?, |probe| probe.name.clone())?,
            Type::Func => {
                let demangle = self.decoder.plan.config.cpp_demangle;
                self.probe(u64_at(bytes, 0)?, |probe| function(probe, demangle))?
            }
            Type::Tseries { .. } => series::value(self.decoder, ty, &[bytes], None)?,
            Type::Count
            | Type::Sum { .. }
            | Type::Min { .. }
            | Type::Max { .. }
            | Type::Avg { .. }
            | Type::Stats { .. }
            | Type::Hist { .. }
            | Type::Lhist { .. } => merge::aggregate(ty, &[bytes], self.div)?,
        })
    }

    /// The lowest `width` bits of `bits` as an integer or enum.
    fn integer(self, ty: &Type, bits: u64, width: u32) -> Value {
        match ty {
            Type::Enum { signed, variants, .. } => {
                let key = if *signed { sign_extend(bits, width) } else { bits.cast_signed() };
                let variant = variants.iter().find(|(value, _)| *value == key);
                Value::Enum { name: variant.map(|(_, name)| name.clone()), number: bits }
            }
            Type::Int { signed: true, .. } => {
                Value::Int(sign_extend(bits, width) / i64::from(self.div))
            }
            _ => Value::Uint(bits / u64::from(self.div)),
        }
    }

    fn bitfield(self, ty: &Type, bytes: &[u8], first: u8, width: u8) -> Result<Value, DecodeError> {
        let size = match ty {
            Type::Int { size, .. } | Type::Enum { size, .. } => *size,
            Type::Bool => 1,
            _ => return Err(DecodeError::BadInteger(0)),
        };
        let (first, width) = (u32::from(first), u32::from(width));
        if width == 0 || first + width > u32::from(size) * 8 {
            return Err(DecodeError::BadInteger(size));
        }
        let bits = (unsigned(bytes, size)? >> first) & (u64::MAX >> (64 - width));
        match ty {
            Type::Bool => Ok(Value::Bool(bits != 0)),
            _ => Ok(self.integer(ty, bits, width)),
        }
    }

    /// Text up to the first NUL; cut if there is none.
    fn text(self, bytes: &[u8]) -> Text {
        let end = bytes.iter().position(|byte| *byte == 0);
        let text = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        let trailer = end.is_none().then(|| self.decoder.trailer.clone());
        Text { bytes: text.to_vec(), trailer }
    }

    fn array(self, elem: &Type, len: u32, bytes: &[u8]) -> Result<Value, DecodeError> {
        let inner = self.deeper()?;
        let size = elem.size();
        // An element without size takes no bytes, so a length would bound nothing.
        let len = if size == 0 { 0 } else { len };
        let element = |i: u32| inner.value(elem, slice(bytes, i.saturating_mul(size), size)?);
        Ok(Value::Array((0..len).map(element).collect::<Result<_, _>>()?))
    }

    fn record(self, record: &Record, bytes: &[u8]) -> Result<Value, DecodeError> {
        let inner = self.deeper()?;
        let values = record.fields.iter().map(|field| inner.field(field, bytes));
        if record.kind == RecordKind::Tuple {
            return Ok(Value::Tuple(values.collect::<Result<_, _>>()?));
        }
        let names = record.fields.iter().map(|field| field.name.clone());
        let members = names.zip(values).map(|(name, value)| Ok((name, value?)));
        Ok(Value::Struct(members.collect::<Result<_, DecodeError>>()?))
    }

    fn stack(self, ty: &StackType, user: bool, bytes: &[u8]) -> Result<Value, DecodeError> {
        let (id, pid, probe) = (u64_at(bytes, 0)?, u32_at(bytes, 8)?, u32_at(bytes, 12)?);
        let resolve = &self.decoder.resolve;
        let build_id = ty.mode == StackMode::BuildId;
        let raw = match stack_frames(id) {
            0 => None,
            _ => resolve.stack(ty.map, id, build_id),
        };
        let limit = usize::try_from(ty.limit).unwrap_or(usize::MAX);
        let symbol = |address| match (ty.mode, user) {
            (StackMode::Raw | StackMode::BuildId, _) => None,
            (_, false) => resolve.kernel_symbol(address),
            (_, true) => resolve.user_symbol(pid, probe, address),
        };
        let frame = |raw| match raw {
            RawFrame::Address(address) => Frame::Address { address, symbol: symbol(address) },
            RawFrame::BuildId { id, offset } => Frame::BuildId { id, offset },
        };
        let frames = raw.unwrap_or_default().into_iter().take(limit).map(frame).collect();
        Ok(Value::Stack(Stack { mode: ty.mode, user, frames }))
    }

    fn timestamp(self, reading: u64, format: &str, clock: Clock, utc: bool) -> Value {
        let resolve = &self.decoder.resolve;
        let nanoseconds = match clock {
            Clock::Realtime => Some(resolve.now().as_nanosecond()),
            _ => resolve.clock_offset(clock).map(|offset| i128::from(reading) + i128::from(offset)),
        };
        let zone = if utc { &jiff::tz::TimeZone::UTC } else { self.decoder.zone() };
        let time = nanoseconds.and_then(|n| Timestamp::from_nanosecond(n).ok());
        let text = time.map(|time| time::strftime_with_fractions(format, time, zone));
        let text = text.filter(|text| !text.is_empty()).unwrap_or_else(|| time::UNKNOWN.into());
        Value::Time { nanoseconds, text }
    }

    fn cgroup(self, number: u64, filter: &str) -> Value {
        let paths = self.decoder.resolve.cgroup_paths(number, filter);
        let found = paths.into_iter().filter(|(_, path)| !path.is_empty());
        let texts: Vec<String> = found.map(|(name, path)| format!("{name}:{path}")).collect();
        Value::Named { number, name: texts.join(",") }
    }

    fn probe(self, number: u64, name: impl Fn(&Probe) -> String) -> Result<Value, DecodeError> {
        let index = usize::try_from(number).ok();
        let probe = index.and_then(|index| self.decoder.plan.probes.get(index));
        let probe = probe.ok_or(DecodeError::UnknownProbe(number))?;
        Ok(Value::Named { number, name: name(probe) })
    }
}

fn inet(bytes: &[u8]) -> Result<Value, DecodeError> {
    let family = u32_at(bytes, 0)?;
    let address = slice(bytes, 4, 16)?;
    Ok(Value::Inet(match family {
        AF_INET => Some(Ipv4Addr::from(array::<4>(slice(address, 0, 4)?)).into()),
        AF_INET6 => Some(Ipv6Addr::from(array::<16>(address)).into()),
        _ => None,
    }))
}

/// Name of the function that a probe is on; the probe's own name if it is on none. Symbols of C++ are
/// shown as they are written there if `demangle` says so.
fn function(probe: &Probe, demangle: bool) -> String {
    match &probe.target {
        Target::Kprobe(f) | Target::Kretprobe(f) | Target::Fentry(f) | Target::Fexit(f)
            if !f.function.is_empty() =>
        {
            f.function.clone()
        }
        Target::ProgramEntry(f) | Target::ProgramExit(f) => f.function.clone(),
        Target::Lsm { hook } => hook.clone(),
        Target::Uprobe(f) | Target::Uretprobe(f) => match &f.symbol {
            Some(symbol) => {
                cpp::signature(symbol).filter(|_| demangle).unwrap_or_else(|| symbol.clone())
            }
            None => format!("{:#x}", f.offset),
        },
        _ => probe.name.clone(),
    }
}
