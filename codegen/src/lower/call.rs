//! Functions with a scalar value.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self, InstBuilder, UserFuncName, Value};
use rbtrace_lang::hir::{Builtin, Call, Expr, Int, MapId, Space, Type};
use rbtrace_probes_ebpf::helpers::{self, Helper};

use super::func::{FnBuilder, signature};
use crate::clif::{Function, Intrinsic, Role, namespace};
use crate::error::Error;

impl FnBuilder<'_, '_, '_> {
    /// The value of a function that is a scalar.
    pub(super) fn function_scalar(&mut self, call: &Call, ty: &Type) -> Result<Value, Error> {
        match call {
            Call::HasKey { map, key } => self.map_has_key(*map, key),
            Call::Delete { map, key } => self.map_delete(*map, key.as_ref()),
            Call::MapLen(map) => self.map_len(*map),
            Call::StrLen(text) => self.str_len(text),
            Call::StackLen(stack) => self.stack_len(stack),
            Call::Strncmp { left, right, len } => self.strncmp(left, right, *len),
            Call::Memcmp { left, right, len } => self.memcmp(left, right, len),
            Call::StrStr { haystack, needle } => self.str_str(haystack, needle),
            Call::Bswap(value) => self.bswap(value, ty),
            Call::Register { offset } => self.register(*offset),
            Call::Helper { helper, context, args } => self.plain_helper(helper, *context, args),
            Call::WriteUser { to, from, len } => self.write_user(to, from, *len),
            Call::SkbOutput { file, skb, len, offset } => self.skb_output(file, skb, len, *offset),
            Call::PerCpuAddress { offsets, variable, cpu } => {
                self.per_cpu_address(*offsets, *variable, cpu)
            }
            Call::Within { address, network, prefix } => self.within(address, *network, *prefix),
            Call::PayloadByte { payload, at } => self.payload_byte(payload, at),
            Call::PayloadLen(payload) => self.payload_len(payload),
            Call::Mark(_)
            | Call::Strftime(_)
            | Call::Str { .. }
            | Call::Cut { .. }
            | Call::StrConcat { .. }
            | Call::TextOf { .. }
            | Call::BufOf { .. }
            | Call::Buf { .. }
            | Call::Ntop { .. }
            | Call::MacAddr(_)
            | Call::PayloadBytes { .. }
            | Call::Path(_)
            | Call::Stack { .. } => Err(self.bug("memory where a scalar is expected")),
        }
    }

    /// Number of entries: what the kernel says that it walked over.
    fn map_len(&mut self, map: MapId) -> Result<Value, Error> {
        let nothing = self.no_context();
        let function = self.unit.shared_function("skip_entry", skipping_callback);
        let callback = self.function_address(function, 4);
        let map = self.map_ref(map.0);
        let context = self.address(nothing);
        let flags = self.iconst(0);
        Ok(self.helper(helpers::FOR_EACH_MAP_ELEM, &[map, callback, context, flags]))
    }

    /// A helper with scalar arguments.
    fn plain_helper(
        &mut self,
        helper: &Helper,
        context: bool,
        args: &[Expr],
    ) -> Result<Value, Error> {
        let mut values: Vec<Value> = context.then_some(self.ctx).into_iter().collect();
        for arg in args {
            values.push(self.scalar(arg)?);
        }
        Ok(self.helper(*helper, &values))
    }

    fn write_user(&mut self, to: &Expr, from: &Expr, len: u32) -> Result<Value, Error> {
        let to = self.scalar(to)?;
        let from = if from.ty.is_scalar() {
            self.scalar(from)?
        } else {
            let place = self.memory_of(from)?;
            self.address(place)
        };
        let len = self.iconst(i64::from(len));
        Ok(self.helper(helpers::PROBE_WRITE_USER, &[to, from, len]))
    }

    fn per_cpu_address(&mut self, offsets: u64, variable: u64, cpu: &Expr) -> Result<Value, Error> {
        let cpu = self.scalar(cpu)?;
        let count = self.builtin(Builtin::Ncpus)?;
        let exists = self.b.ins().icmp(IntCC::UnsignedLessThan, cpu, count);
        self.choose(
            exists,
            |f| {
                let at = f.b.ins().ishl_imm_s(cpu, 3);
                let at = f.b.ins().iadd_imm_s(at, offsets as i64);
                let offset = f.load_foreign(at, Space::Kernel, Int::U64)?;
                Ok(f.b.ins().iadd_imm_s(offset, variable as i64))
            },
            |f| Ok(f.iconst(0)),
        )
    }

    fn bswap(&mut self, value: &Expr, ty: &Type) -> Result<Value, Error> {
        let int = self.int_of(ty)?;
        let operand = self.scalar(value)?;
        let intrinsic = match int.size {
            1 => return Ok(operand),
            2 => Intrinsic::Bswap16,
            4 => Intrinsic::Bswap32,
            _ => Intrinsic::Bswap64,
        };
        let swapped = self.call(namespace::INTRINSIC, intrinsic as u32, &[operand]);
        Ok(self.fit(swapped, int))
    }
}

/// `fn(map, key, value, _) -> 0`, which goes on to the next entry.
fn skipping_callback(name: &str) -> Function {
    let mut ir = ir::Function::with_name_signature(UserFuncName::testcase(name), signature(4));
    let block = ir.dfg.make_block();
    for _ in 0..4 {
        ir.dfg.append_block_param(block, I64);
    }
    let mut cursor = FuncCursor::new(&mut ir);
    cursor.insert_block(block);
    let zero = cursor.ins().iconst(I64, 0);
    cursor.ins().return_(&[zero]);
    Function { name: name.into(), role: Role::Subprogram, ir }
}
