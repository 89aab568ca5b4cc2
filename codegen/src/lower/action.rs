//! What programs ask of user space: ring buffer records.

use cranelift_codegen::ir::{InstBuilder, Value, condcodes::IntCC};
use rbtrace_lang::hir::{Action, Expr, ExprKind};
use rbtrace_lang::span::Span;
use rbtrace_probes_ebpf::helpers::{self, Helper};
use rbtrace_probes_ebpf::plan;
use rbtrace_probes_ebpf::record::{ACTION_OFFSET, HEADER_SIZE, Loss, PROGRAM_OFFSET};
use rbtrace_probes_ebpf::types::{Field, Type as Layout, lay_out};

use super::func::{FnBuilder, TOLD_TO_END};
use super::mem::{Place, SLACK};
use super::memory::Tail;
use super::own_maps::OwnMap;
use crate::error::Error;

/// Largest record, in bytes: what fits into the ring buffer many times over.
const RECORD_LIMIT: u32 = 1 << 18;
/// Largest number of strings that `join` prints, as in bpftrace.
const JOIN_STRINGS: u32 = 16;
/// Bytes of each string that `join` prints.
const JOIN_BYTES: u32 = 1024;

/// An argument once its record's layout is known.
enum Argument<'e> {
    Scalar(Value),
    InPlace(&'e Expr),
    Elsewhere(Place),
}

impl FnBuilder<'_, '_, '_> {
    pub(super) fn action(&mut self, action: &Action, span: Span) -> Result<(), Error> {
        use plan::Action as P;
        match action {
            Action::Printf { format, args } => {
                self.send(args, |args| P::Printf { format: format.clone(), args })
            }
            Action::Errorf { format, args, warning } => {
                let location = self.unit.location(span);
                self.send(args, |args| P::Errorf {
                    format: format.clone(),
                    args,
                    location,
                    warning: *warning,
                })
            }
            Action::SeqPrintf(pieces) => self.seq_printf(pieces),
            Action::Debugf { format, args } => self.trace(format, args),
            Action::Cat { format, args } => {
                self.send(args, |args| P::Cat { format: format.clone(), args })
            }
            Action::System { format, args } => {
                self.send(args, |args| P::System { format: format.clone(), args })
            }
            Action::PrintValue(value) => self.send_one(value, |value| P::PrintValue { value }),
            Action::PrintMap { map, top, div } => {
                let (map, top, div) = (map.0, *top, *div);
                self.send(&[], |_| P::PrintMap { map, top, div })
            }
            Action::PrintEntry { map, key, value, div } => {
                let mut args = vec![key.clone()];
                args.extend(value.clone());
                let (map, div) = (map.0, *div);
                self.try_send(&args, |fields| {
                    let mut fields = fields.into_iter();
                    let key = fields.next()?;
                    Some(P::PrintEntry { map, key, value: fields.next(), div })
                })
            }
            Action::Clear(map) => self.send(&[], |_| P::Clear { map: map.0 }),
            Action::Zero(map) => self.send(&[], |_| P::Zero { map: map.0 }),
            Action::Exit(code) => {
                let args: Vec<Expr> = code.iter().cloned().collect();
                self.send_then(
                    &args,
                    |args| Some(P::Exit { code: args.into_iter().next() }),
                    Self::note_exit,
                )?;
                self.return_default();
                Ok(())
            }
            Action::Unwatch(address) => self.send_one(address, |address| P::Unwatch { address }),
            Action::Time(format) => self.send(&[], |_| P::Time { format: format.clone() }),
            Action::Join { list, separator } => self.join_strings(list, separator),
        }
    }

    /// `debugf()`: text is handed over by its address.
    fn trace(&mut self, format: &str, args: &[Expr]) -> Result<(), Error> {
        let mut bytes = format.as_bytes().to_vec();
        bytes.push(0);
        let text = self.unit.bytes(&bytes);
        let mut values = vec![self.rodata(text), self.iconst(bytes.len() as i64)];
        for arg in args {
            values.push(if arg.ty.is_scalar() {
                self.scalar(arg)?
            } else {
                let place = self.memory_of(arg)?;
                self.address(place)
            });
        }
        while values.len() < usize::from(helpers::TRACE_PRINTK.params) {
            values.push(self.iconst(0));
        }
        self.helper(helpers::TRACE_PRINTK, &values);
        Ok(())
    }

    fn send_one(
        &mut self,
        value: &Expr,
        action: impl FnOnce(Field) -> plan::Action,
    ) -> Result<(), Error> {
        self.try_send(std::slice::from_ref(value), |fields| fields.into_iter().next().map(action))
    }

    fn send(
        &mut self,
        args: &[Expr],
        action: impl FnOnce(Vec<Field>) -> plan::Action,
    ) -> Result<(), Error> {
        self.try_send(args, |fields| Some(action(fields)))
    }

    /// User space has been told to end: blocks that end it need not run again.
    fn note_exit(&mut self) -> Result<(), Error> {
        if self.unit.exit_is_heeded() {
            let flag = self.unit.told(TOLD_TO_END);
            let flag = self.bss(flag);
            let one = self.iconst(1);
            self.store(Place::pointer(flag), 8, one);
        }
        Ok(())
    }

    fn try_send(
        &mut self,
        args: &[Expr],
        action: impl FnOnce(Vec<Field>) -> Option<plan::Action>,
    ) -> Result<(), Error> {
        self.send_then(args, action, |_| Ok(()))
    }

    /// Sends a record with these arguments and, where there was room for it, does `then`. Scalars
    /// are evaluated before the record is reserved, memory is built in it, so that nothing is
    /// copied twice.
    fn send_then(
        &mut self,
        args: &[Expr],
        action: impl FnOnce(Vec<Field>) -> Option<plan::Action>,
        then: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let types: Vec<_> = args.iter().map(|a| self.unit.layout(&a.ty)).collect();
        let (mut fields, size) = lay_out(types.into_iter().map(|ty| (String::new(), ty)));
        for field in &mut fields {
            field.offset += HEADER_SIZE;
        }
        let has_memory = args.iter().any(|a| !a.ty.is_scalar());
        let size = HEADER_SIZE + size + if has_memory { SLACK } else { 0 };
        let offsets: Vec<u32> = fields.iter().map(|f| f.offset).collect();
        let Some(action) = action(fields) else {
            return Err(self.bug("an action that lacks an argument"));
        };
        let number = self.unit.action(action);

        let mut ready = Vec::with_capacity(args.len());
        for arg in args {
            ready.push(if arg.ty.is_scalar() {
                Argument::Scalar(self.scalar(arg)?)
            } else if runs_straight(arg) {
                Argument::InPlace(arg)
            } else {
                Argument::Elsewhere(self.memory_of(arg)?)
            });
        }
        self.record(number, size, |f, record| {
            for ((arg, argument), offset) in args.iter().zip(&ready).zip(&offsets) {
                let to = record.plus(*offset);
                match argument {
                    Argument::Scalar(value) => f.store_typed(to, &arg.ty, *value)?,
                    Argument::InPlace(e) => f.put(e, to, Tail::Keep)?,
                    Argument::Elsewhere(from) => {
                        let size = f.unit.layout(&arg.ty).size();
                        f.copy(to, *from, size)?;
                    }
                }
            }
            then(f)
        })
    }

    /// Reserves a record, lets `fill` write its arguments and hands it to user space. Without
    /// room the loss is counted.
    fn record(
        &mut self,
        action: u32,
        size: u32,
        fill: impl FnOnce(&mut Self, Place) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if size > RECORD_LIMIT {
            return Err(Error::RecordLimit { bytes: size, limit: RECORD_LIMIT });
        }
        self.unit.grow_ring(size);
        let ring = self.unit.own_map(OwnMap::Ring);
        let ring = self.map_ref(ring);
        let bytes = self.iconst(i64::from(size));
        let flags = self.iconst(0);
        let reserved = self.helper(helpers::RINGBUF_RESERVE, &[ring, bytes, flags]);
        let program = self.index;
        self.either(
            reserved,
            |f| {
                let record = Place::pointer(reserved);
                let number = f.iconst(i64::from(action));
                f.store(record.plus(ACTION_OFFSET), 4, number);
                let program = f.iconst(i64::from(program));
                f.store(record.plus(PROGRAM_OFFSET), 4, program);
                fill(f, record)?;
                let flags = f.iconst(0);
                f.helper(helpers::RINGBUF_SUBMIT, &[reserved, flags]);
                Ok(())
            },
            |f| f.count_loss(Loss::RingFull),
        )
    }

    /// Sends a record without arguments.
    pub(super) fn tell(&mut self, action: u32) -> Result<(), Error> {
        self.record(action, HEADER_SIZE, |_, _| Ok(()))
    }

    /// Tells user space, where it wants to know, that a helper has failed if `failed` is not 0.
    pub(super) fn report_failure(
        &mut self,
        helper: Helper,
        result: Value,
        failed: Value,
    ) -> Result<(), Error> {
        let ty = Layout::Int { size: 8, signed: true };
        let field = Field { name: String::new(), offset: HEADER_SIZE, ty, bits: None };
        let (source, columns) = self.unit.excerpt(self.place);
        let number = self.unit.action(plan::Action::HelperError {
            helper: helper.name.into(),
            location: self.unit.location(self.place),
            source,
            columns,
            result: field,
        });
        self.when(failed, |f| {
            f.record(number, HEADER_SIZE + 8, |f, record| {
                f.store(record.plus(HEADER_SIZE), 8, result);
                Ok(())
            })
        })
    }

    /// Calls a helper that answers a negative number if it fails, which user space is told where it
    /// wants to know.
    pub(super) fn watched_helper(
        &mut self,
        helper: Helper,
        args: &[Value],
    ) -> Result<Value, Error> {
        let result = self.helper(helper, args);
        if self.unit.program.helper_errors {
            let failed = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, result, 0);
            self.report_failure(helper, result, failed)?;
        }
        Ok(result)
    }

    /// `join(argv)`: follows a list of pointers to its null and copies each string.
    fn join_strings(&mut self, list: &Expr, separator: &str) -> Result<(), Error> {
        use rbtrace_lang::hir::Int;
        let layout = (0..JOIN_STRINGS).map(|_| (String::new(), Layout::Str { size: JOIN_BYTES }));
        let (mut args, size) = lay_out(layout);
        for field in &mut args {
            field.offset += HEADER_SIZE;
        }
        let offsets: Vec<u32> = args.iter().map(|f| f.offset).collect();
        let number = self.unit.action(plan::Action::Join { separator: separator.into(), args });
        let space = self.space_of(&list.ty);
        let mut next = self.scalar(list)?;
        self.record(number, HEADER_SIZE + size, |f, record| {
            let end = f.b.create_block();
            for offset in offsets {
                let to = record.plus(offset);
                let zero = f.iconst(0);
                f.store(to, 1, zero);
                let text = f.load_foreign(next, space, Int::U64)?;
                let more = f.b.create_block();
                f.b.ins().brif(text, more, &[], end, &[]);
                f.enter(more);
                f.read_string(to, JOIN_BYTES, text, space, Tail::Keep)?;
                next = f.b.ins().iadd_imm_s(next, 8);
            }
            f.join(end);
            Ok(())
        })
    }
}

/// Whether an expression can be evaluated between reserving a record and submitting it: it may
/// not leave the program on the way, nor send records itself.
fn runs_straight(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Block { .. } => false,
        ExprKind::Tuple(values) => values.iter().all(runs_straight),
        ExprKind::Cast(e) | ExprKind::Load(e) => runs_straight(e),
        ExprKind::Field { base, .. } => runs_straight(base),
        ExprKind::Index { base, index } => runs_straight(base) && runs_straight(index),
        ExprKind::Ternary { cond, then, otherwise } => {
            runs_straight(cond) && runs_straight(then) && runs_straight(otherwise)
        }
        _ => true,
    }
}
