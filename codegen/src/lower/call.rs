//! Functions with a scalar value.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, UserFuncName, Value};
use rbtrace_lang::hir::{Call, Expr, ExprKind, MapId, Type};
use rbtrace_probes_ebpf::helpers;

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
            Call::StrContains { haystack, needle } => self.str_contains(haystack, needle),
            Call::Bswap(value) => self.bswap(value, ty),
            Call::Register { offset } => self.register(*offset),
            Call::Mark(_)
            | Call::Strftime(_)
            | Call::Str { .. }
            | Call::Buf { .. }
            | Call::Ntop { .. }
            | Call::MacAddr(_)
            | Call::Stack => Err(self.bug("memory where a scalar is expected")),
        }
    }

    /// Number of entries, by a callback that counts.
    fn map_len(&mut self, map: MapId) -> Result<Value, Error> {
        let counter = self.counter();
        self.zero(counter, 8)?;
        let function = self.unit.shared_function("count_entry", counting_callback);
        let callback = self.function_address(function, 4);
        let map = self.map_ref(map.0);
        let context = self.address(counter);
        let flags = self.iconst(0);
        self.helper(helpers::FOR_EACH_MAP_ELEM, &[map, callback, context, flags]);
        self.load_typed(counter, &Type::U64)
    }

    /// Bytes before the NUL, or all of them.
    fn str_len(&mut self, text: &Expr) -> Result<Value, Error> {
        if let ExprKind::Str(bytes) = &text.kind {
            let len = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
            return Ok(self.iconst(len as i64));
        }
        let size = self.unit.layout(&text.ty).size();
        let place = self.memory_of(text)?;
        let done = self.b.create_block();
        let result = self.b.append_block_param(done, I64);
        self.repeat(size, |f, index, _| {
            let byte = f.byte_at(place, index);
            let next = f.b.create_block();
            f.b.ins().brif(byte, next, &[], done, &[index.into()]);
            f.enter(next);
            Ok(())
        })?;
        let all = self.iconst(i64::from(size));
        self.b.ins().jump(done, &[all.into()]);
        self.enter(done);
        Ok(result)
    }

    /// 0 if the first `len` bytes are the same, else 1.
    fn strncmp(&mut self, left: &Expr, right: &Expr, len: u64) -> Result<Value, Error> {
        if let (other, ExprKind::Str(text)) | (ExprKind::Str(text), other) =
            (&left.kind, &right.kind)
        {
            let side = if matches!(other, ExprKind::Str(_)) || std::ptr::eq(other, &left.kind) {
                left
            } else {
                right
            };
            let size = self.unit.layout(&side.ty).size();
            let mut wanted = text.clone();
            wanted.push(0);
            wanted.truncate(usize::try_from(len).unwrap_or(usize::MAX));
            if wanted.len() as u32 > size {
                return Ok(self.iconst(1));
            }
            let place = self.memory_of(side)?;
            let same = self.same_as_bytes(place, &wanted, size)?;
            return Ok(self.b.ins().bxor_imm_s(same, 1));
        }
        self.strncmp_memory(left, right, len)
    }

    fn strncmp_memory(&mut self, left: &Expr, right: &Expr, len: u64) -> Result<Value, Error> {
        let shorter = self.unit.layout(&left.ty).size().min(self.unit.layout(&right.ty).size());
        let count = u32::try_from(len).unwrap_or(u32::MAX).min(shorter);
        let l = self.memory_of(left)?;
        let r = self.memory_of(right)?;
        let done = self.b.create_block();
        let result = self.b.append_block_param(done, I64);
        let (zero, one) = (self.iconst(0), self.iconst(1));
        self.repeat(count, |f, index, _| {
            let a = f.byte_at(l, index);
            let b = f.byte_at(r, index);
            let matching = f.b.create_block();
            let next = f.b.create_block();
            let differ = f.b.ins().icmp(IntCC::NotEqual, a, b);
            f.b.ins().brif(differ, done, &[one.into()], matching, &[]);
            f.enter(matching);
            f.b.ins().brif(a, next, &[], done, &[zero.into()]);
            f.enter(next);
            Ok(())
        })?;
        self.b.ins().jump(done, &[zero.into()]);
        self.enter(done);
        Ok(result)
    }

    /// Whether a text occurs in another: tries every start.
    fn str_contains(&mut self, haystack: &Expr, needle: &Expr) -> Result<Value, Error> {
        let ExprKind::Str(text) = &needle.kind else {
            return Err(self.bug("a search for a text that is no constant"));
        };
        let size = self.unit.layout(&haystack.ty).size();
        let text: Vec<u8> = text.iter().copied().take_while(|&b| b != 0).collect();
        if text.is_empty() {
            return Ok(self.iconst(1));
        }
        let Some(starts) = size.checked_sub(text.len() as u32) else { return Ok(self.iconst(0)) };
        let place = self.memory_of(haystack)?;
        let done = self.b.create_block();
        let result = self.b.append_block_param(done, I64);
        let (no, yes) = (self.iconst(0), self.iconst(1));
        self.repeat(starts + 1, |f, index, _| {
            let next = f.b.create_block();
            for (i, &wanted) in text.iter().enumerate() {
                let at = f.b.ins().iadd_imm_s(index, i as i64);
                let byte = f.byte_at(place, at);
                let matching = f.b.create_block();
                if i == 0 {
                    let going_on = f.b.create_block();
                    f.b.ins().brif(byte, going_on, &[], done, &[no.into()]);
                    f.enter(going_on);
                }
                let is = f.b.ins().icmp_imm_s(IntCC::Equal, byte, i64::from(wanted));
                f.b.ins().brif(is, matching, &[], next, &[]);
                f.enter(matching);
            }
            f.b.ins().jump(done, &[yes.into()]);
            f.enter(next);
            Ok(())
        })?;
        self.b.ins().jump(done, &[no.into()]);
        self.enter(done);
        Ok(result)
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

/// `fn(map, key, value, counter: &mut u64) -> 0` that adds one to the counter.
fn counting_callback(name: &str) -> Function {
    let mut ir = ir::Function::with_name_signature(UserFuncName::testcase(name), signature(4));
    let block = ir.dfg.make_block();
    let params: Vec<Value> = (0..4).map(|_| ir.dfg.append_block_param(block, I64)).collect();
    let mut cursor = FuncCursor::new(&mut ir);
    cursor.insert_block(block);
    let flags = MemFlagsData::new();
    let old = cursor.ins().load(I64, flags, params[3], 0);
    let new = cursor.ins().iadd_imm_s(old, 1);
    cursor.ins().store(flags, new, params[3], 0);
    let zero = cursor.ins().iconst(I64, 0);
    cursor.ins().return_(&[zero]);
    Function { name: name.into(), role: Role::Subprogram, ir }
}
