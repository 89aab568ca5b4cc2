//! Functions with a scalar value.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{self, InstBuilder, MemFlagsData, UserFuncName, Value};
use cranelift_frontend::Variable;
use rbtrace_lang::hir::{Call, Expr, ExprKind, Int, MapId, Type};
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
        let sizes = [left, right].map(|side| self.unit.layout(&side.ty).size());
        let l = self.memory_of(left)?;
        let r = self.memory_of(right)?;
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let shorter = sizes[0].min(sizes[1]);
        let mut differences = self.differences(l, r, len.min(shorter))?;
        if sizes[0] != sizes[1] && len > shorter {
            let longer = if sizes[0] > shorter { l } else { r };
            let next = self.load(longer.plus(shorter), Int { size: 1, signed: false });
            differences = self.b.ins().bor(differences, next);
        }
        let differ = self.b.ins().icmp_imm_s(IntCC::NotEqual, differences, 0);
        Ok(self.b.ins().uextend(I64, differ))
    }

    /// Whether a text occurs in another: lets its bytes pass through a window as long as the text
    /// looked for, rather than comparing at each place, which would be many paths for the verifier.
    fn str_contains(&mut self, haystack: &Expr, needle: &Expr) -> Result<Value, Error> {
        let ExprKind::Str(text) = &needle.kind else {
            return Err(self.bug("a search for a text that is no constant"));
        };
        let size = self.unit.layout(&haystack.ty).size();
        let text: Vec<u8> = text.iter().copied().take_while(|&b| b != 0).collect();
        if text.is_empty() {
            return Ok(self.iconst(1));
        }
        if text.len() as u32 > size {
            return Ok(self.iconst(0));
        }
        let place = self.memory_of(haystack)?;
        let wanted = window(&text);
        let unused = (8 * wanted.len() - text.len()) as i64;
        let zero = self.iconst(0);
        let words: Vec<Variable> = wanted.iter().map(|_| self.b.declare_var(I64)).collect();
        for &word in &words {
            self.b.def_var(word, zero);
        }
        let done = self.b.create_block();
        let result = self.b.append_block_param(done, I64);
        let (no, yes) = (zero, self.iconst(1));
        self.repeat(size, |f, index, _| {
            let byte = f.byte_at(place, index);
            f.shift_in(&words, byte);
            let differences = f.window_differences(&words, &wanted, unused);
            let differ = f.b.create_block();
            let next = f.b.create_block();
            f.b.ins().brif(differences, differ, &[], done, &[yes.into()]);
            f.enter(differ);
            f.b.ins().brif(byte, next, &[], done, &[no.into()]);
            f.enter(next);
            Ok(())
        })?;
        self.b.ins().jump(done, &[no.into()]);
        self.enter(done);
        Ok(result)
    }

    /// Shifts a byte into the last word of a window, and the first byte of the first one out.
    fn shift_in(&mut self, words: &[Variable], byte: Value) {
        let mut entering = byte;
        for &word in words.iter().rev() {
            let old = self.b.use_var(word);
            let rest = self.b.ins().ushr_imm_u(old, 8);
            let top = self.b.ins().ishl_imm_u(entering, 56);
            let new = self.b.ins().bor(rest, top);
            self.b.def_var(word, new);
            entering = old;
        }
    }

    /// 0 if the words of a window are the wanted ones but for the first `unused` bytes.
    fn window_differences(&mut self, words: &[Variable], wanted: &[u64], unused: i64) -> Value {
        let mut differences = None;
        for (&word, &wanted) in words.iter().zip(wanted) {
            let mut word = self.b.use_var(word);
            let mut wanted = wanted;
            if differences.is_none() && unused > 0 {
                word = self.b.ins().ushr_imm_u(word, 8 * unused);
                wanted >>= 8 * unused;
            }
            let wanted = self.iconst(wanted as i64);
            let difference = self.b.ins().bxor(word, wanted);
            differences = Some(match differences {
                None => difference,
                Some(so_far) => self.b.ins().bor(so_far, difference),
            });
        }
        differences.unwrap_or_else(|| self.iconst(0))
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

/// A text as the last bytes of so many little-endian words.
fn window(text: &[u8]) -> Vec<u64> {
    let mut bytes = vec![0; text.len().next_multiple_of(8) - text.len()];
    bytes.extend_from_slice(text);
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| u64::from_le_bytes(*word)).collect()
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
