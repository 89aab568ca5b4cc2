//! Values of fields, and the variables that they are kept in.

use cranelift_codegen::ir::{InstBuilder, Value};
use rbtrace_lang::hir::{Int, LocalId};
use rbtrace_probes_ebpf::packet::{Fact, Field, FieldKind, Header};

use super::super::func::{FnBuilder, Storage};
use super::super::mem::Place;
use super::source::copies_packet;
use crate::clif::{Intrinsic, namespace};
use crate::error::Error;

impl FnBuilder<'_, '_, '_> {
    /// The variable for a fact, if the block wants to know it.
    pub(super) fn wanted(&self, fact: &Fact) -> Option<LocalId> {
        self.block.packet.iter().find(|(of, _)| of == fact).map(|(_, local)| *local)
    }

    /// Sets a variable to what holds of a packet without any header.
    pub(super) fn clear_fact(&mut self, fact: &Fact, local: LocalId) -> Result<(), Error> {
        match (self.local(local)?, fact) {
            (Storage::Memory(place), Fact::Field(_, field)) => self.zero(place, field.kind.bytes()),
            _ => {
                let zero = self.iconst(0);
                self.set_fact(local, zero)
            }
        }
    }

    /// Sets a variable that holds a number.
    pub(super) fn set_fact(&mut self, local: LocalId, value: Value) -> Result<(), Error> {
        let Some(declared) = self.block.locals.get(local.index()) else {
            return Err(self.bug("a fact without a variable"));
        };
        match self.local(local)? {
            Storage::Register(variable) => {
                self.b.def_var(variable, value);
                Ok(())
            }
            Storage::Memory(place) => self.store_typed(place, &declared.ty, value),
            Storage::Members => Err(self.bug("a fact that is a tuple")),
        }
    }

    /// Keeps what the block wants of a header that lies at `place`.
    pub(super) fn keep(&mut self, header: Header, place: Place) -> Result<(), Error> {
        let block = self.block;
        for (fact, local) in &block.packet {
            match fact {
                Fact::Has(of) if *of == header => {
                    let yes = self.iconst(1);
                    self.set_fact(*local, yes)?;
                }
                Fact::Field(of, field) if *of == header => self.keep_field(field, *local, place)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn keep_field(&mut self, field: &Field, local: LocalId, header: Place) -> Result<(), Error> {
        let place = header.plus(field.offset);
        let value = match field.kind {
            FieldKind::Number { size } => {
                let value = self.load(place, Int { size, signed: false });
                self.in_host_order(value, size)
            }
            FieldKind::Bits { size, first, width } => {
                let value = self.load(place, Int { size, signed: false });
                let value = self.in_host_order(value, size);
                self.extract_bits(value, (first, width))
            }
            // As it lies there.
            FieldKind::Inet4 => self.load_word(place),
            FieldKind::Inet6 | FieldKind::Mac => {
                let Storage::Memory(to) = self.local(local)? else {
                    return Err(self.bug("an address in a register"));
                };
                return self.copy(to, place, field.kind.bytes());
            }
            // It is known when the extension headers have been walked over.
            FieldKind::LastProtocol => return Ok(()),
        };
        self.set_fact(local, value)
    }

    /// Loads four bytes, which the verifier wants to be aligned where they are a copy.
    pub(super) fn load_word(&mut self, place: Place) -> Value {
        let is_copy = copies_packet(self.block.kind);
        if !is_copy || place.offset.is_multiple_of(4) {
            return self.load(place, Int::U32);
        }
        let half = Int { size: 2, signed: false };
        let (low, high) = (self.load(place, half), self.load(place.plus(2), half));
        let high = self.b.ins().ishl_imm_s(high, 16);
        self.b.ins().bor(low, high)
    }

    /// A number in the byte order of the network.
    pub(super) fn in_host_order(&mut self, value: Value, size: u8) -> Value {
        let intrinsic = match size {
            1 => return value,
            2 => Intrinsic::Bswap16,
            _ => Intrinsic::Bswap32,
        };
        self.call(namespace::INTRINSIC, intrinsic as u32, &[value])
    }
}
