//! The plan: every index, size and name in it can be used without a second look.

use super::ReadError;
use crate::plan::{Action, Interface, MapRole, Period, Plan, Target};
use crate::record::HEADER_SIZE;
use crate::types::{Field, Record, Stack, Type};

/// Bytes of a key, a value or a record's argument: the largest ring buffer record is far below.
const MAX_BYTES: u64 = 1 << 28;
/// Bits of a histogram's resolution.
const MAX_HIST_BITS: u8 = 5;

type Checked = Result<(), ReadError>;

fn wrong<T>(reason: impl Into<String>) -> Result<T, ReadError> {
    Err(ReadError::InconsistentPlan(reason.into()))
}

fn ensure(condition: bool, reason: &str) -> Checked {
    if condition { Ok(()) } else { wrong(reason) }
}

/// Checks the whole plan.
pub fn check(plan: &Plan) -> Checked {
    ensure((1..=8192).contains(&plan.target.cpus), "the number of CPUs is impossible")?;
    let rings = plan.maps.iter().filter(|m| m.role == MapRole::Ring).count();
    ensure(rings <= 1, "there are two ring buffers")?;
    for map in &plan.maps {
        check_type(plan, &map.key)?;
        check_type(plan, &map.value)?;
        check_name(&map.symbol)?;
        ensure(map.max_entries > 0, "a map has no entries")?;
    }
    for program in &plan.programs {
        let known = program.probes.iter().all(|&i| (i as usize) < plan.probes.len());
        ensure(known, "a program names a probe that is not there")?;
        check_name(&program.symbol)?;
    }
    plan.probes.iter().try_for_each(|p| check_target(&p.target))?;
    plan.actions.iter().try_for_each(|a| check_action(plan, a))?;
    ensure(!plan.config.license.contains('\0'), "the licence holds a NUL")
}

fn check_name(name: &str) -> Checked {
    ensure(!name.is_empty() && !name.contains('\0'), "a symbol has no name")
}

/// Bytes of a type, checked; nothing in it may overflow [`Type::size`] or [`Type::align`].
fn check_type(plan: &Plan, ty: &Type) -> Result<u64, ReadError> {
    let bytes = match ty {
        Type::Int { size, .. } | Type::Enum { size, .. } => {
            ensure(matches!(size, 1 | 2 | 4 | 8), "an integer has an impossible size")?;
            u64::from(*size)
        }
        Type::Str { size } => u64::from(*size),
        Type::Buf { size } => u64::from(*size) + 4,
        Type::Array { elem, len } => {
            // An element is at most 2^28 bytes: no overflow.
            check_type(plan, elem)? * u64::from(*len)
        }
        Type::Record(record) => check_record(plan, record)?,
        Type::KStack(stack) | Type::UStack(stack) => check_stack(plan, stack)?,
        Type::Hist { bits } => {
            ensure(*bits <= MAX_HIST_BITS, "a histogram is too fine")?;
            u64::from(ty.size())
        }
        Type::Lhist { min, max, step } => {
            let span = max.checked_sub(*min).filter(|s| *s > 0 && *step > 0);
            let Some(span) = span else {
                return wrong("a histogram has impossible bounds");
            };
            let buckets = span.unsigned_abs().div_ceil(step.unsigned_abs());
            buckets.saturating_add(2).saturating_mul(8)
        }
        _ => u64::from(ty.size()),
    };
    if bytes > MAX_BYTES { wrong("a type is too large") } else { Ok(bytes) }
}

fn check_record(plan: &Plan, record: &Record) -> Result<u64, ReadError> {
    for field in &record.fields {
        let end = check_type(plan, &field.ty)? + u64::from(field.offset);
        ensure(end <= u64::from(record.size), "a field lies outside its record")?;
        check_bits(field)?;
    }
    Ok(record.size.into())
}

fn check_bits(field: &Field) -> Checked {
    let Some((first, width)) = field.bits else {
        return Ok(());
    };
    let size = field.ty.size();
    let integer = matches!(field.ty, Type::Int { .. } | Type::Enum { .. } | Type::Bool);
    let inside = u32::from(first) + u32::from(width) <= size * 8;
    ensure(integer && width > 0 && inside, "a bitfield lies outside its integer")
}

fn check_stack(plan: &Plan, stack: &Stack) -> Result<u64, ReadError> {
    let map = plan.maps.get(stack.map as usize);
    ensure(map.is_some_and(|m| m.role == MapRole::Stacks), "a stack has no map")?;
    Ok(16)
}

/// An argument of a record.
fn check_argument(plan: &Plan, field: &Field) -> Checked {
    let end = check_type(plan, &field.ty)? + u64::from(field.offset);
    ensure(field.offset >= HEADER_SIZE && end <= MAX_BYTES, "an argument lies outside its record")?;
    check_bits(field)
}

fn check_action(plan: &Plan, action: &Action) -> Checked {
    let args = |fields: &[Field]| fields.iter().try_for_each(|f| check_argument(plan, f));
    let map = |index: u32| {
        ensure((index as usize) < plan.maps.len(), "an action names a map that is not there")
    };
    match action {
        Action::Printf { args: a, .. }
        | Action::Errorf { args: a, .. }
        | Action::Join { args: a, .. }
        | Action::Cat { args: a, .. }
        | Action::System { args: a, .. } => args(a),
        Action::PrintValue { value: field } | Action::HelperError { result: field, .. } => {
            args(std::slice::from_ref(field))
        }
        Action::PrintMap { map: m, .. } | Action::Clear { map: m } | Action::Zero { map: m } => {
            map(*m)
        }
        Action::PrintEntry { map: m, key, value, .. } => {
            map(*m)?;
            args(std::slice::from_ref(key))?;
            args(value.as_slice())
        }
        Action::Exit { code } => {
            let integer = code.as_ref().is_none_or(|f| matches!(f.ty, Type::Int { .. }));
            ensure(integer, "an exit status is no integer")?;
            args(code.as_slice())
        }
        Action::Unwatch { address } => args(std::slice::from_ref(address)),
        Action::Packet { .. } | Action::Time { .. } => Ok(()),
    }
}

/// Names end up in paths and in the kernel's own small languages: nothing in them may leave the
/// place that they are meant for.
fn check_target(target: &Target) -> Checked {
    let component = |name: &str| {
        let harmless = !name.is_empty() && name != "." && name != "..";
        let plain = !name.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control());
        ensure(harmless && plain, "a probe has an impossible name")
    };
    let text = |name: &str| {
        ensure(!name.is_empty() && !name.contains(['\0', '\n']), "a probe has an impossible name")
    };
    match target {
        Target::Begin | Target::End => Ok(()),
        Target::Signal { signal } => text(signal),
        Target::Test { name } | Target::Bench { name } => text(name),
        Target::Software { event, count } | Target::Hardware { event, count } => {
            text(event)?;
            ensure(*count > 0, "a probe counts nothing")
        }
        Target::Watchpoint(w) => {
            ensure(matches!(w.length, 1 | 2 | 4 | 8), "a watchpoint has an impossible length")
        }
        Target::Interval { nanoseconds: n }
        | Target::Profile(Period::Nanoseconds(n) | Period::Hertz(n)) => {
            ensure(*n > 0, "a probe has no period")
        }
        Target::Kprobe(f) | Target::Kretprobe(f) => {
            f.module.iter().try_for_each(|m| component(m))?;
            if f.function.is_empty() { Ok(()) } else { component(&f.function) }
        }
        Target::Tracepoint { category, name } => component(category).and_then(|()| component(name)),
        Target::Fentry(f) | Target::Fexit(f) => {
            f.module.iter().try_for_each(|m| component(m))?;
            component(&f.function)
        }
        Target::ProgramEntry(f) | Target::ProgramExit(f) => component(&f.function),
        Target::Iter { object, pin } => {
            component(object)?;
            pin.iter().try_for_each(|p| text(p))
        }
        Target::Lsm { hook } => component(hook),
        Target::RawTracepoint { module, name } => {
            module.iter().try_for_each(|m| component(m))?;
            component(name)
        }
        Target::Usdt(probe) => {
            text(&probe.binary)?;
            text(&probe.provider)?;
            text(&probe.name)
        }
        Target::Uprobe(f) | Target::Uretprobe(f) => {
            text(&f.binary)?;
            f.symbol.iter().try_for_each(|s| text(s))
        }
        Target::Xdp { interface, .. }
        | Target::Tc { interface, .. }
        | Target::Socket { interface } => match interface {
            Interface::Named(name) => component(name),
            Interface::Matching { pattern, .. } => component(pattern),
        },
        Target::CgroupSkb { path, .. } => text(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Config, Probe, VERSION};
    use crate::profile::TargetProfile;
    use crate::types::{RecordKind, StackMode};

    fn empty() -> Plan {
        Plan {
            version: VERSION,
            compiler: String::new(),
            target: TargetProfile::REFERENCE,
            maps: vec![],
            programs: vec![],
            probes: vec![],
            actions: vec![],
            config: Config::default(),
            globals: vec![],
            losses: None,
        }
    }

    fn prints(ty: Type) -> Plan {
        let value = Field { name: String::new(), offset: HEADER_SIZE, ty, bits: None };
        Plan { actions: vec![Action::PrintValue { value }], ..empty() }
    }

    #[test]
    fn types_that_would_overflow_are_refused() {
        let record = |size, offset| {
            let ty = Type::Int { size: 4, signed: false };
            let fields = vec![Field { name: "a".into(), offset, ty, bits: Some((30, 3)) }];
            Type::Record(Record { kind: RecordKind::Struct, name: String::new(), size, fields })
        };
        let array = |len| Type::Array { elem: Box::new(Type::Str { size: 1 << 20 }), len };
        for ty in [
            Type::Hist { bits: 200 },
            Type::Int { size: 3, signed: false },
            Type::Lhist { min: i64::MIN, max: i64::MAX, step: 1 },
            Type::Lhist { min: 0, max: 10, step: 0 },
            Type::Buf { size: u32::MAX },
            Type::KStack(Stack { mode: StackMode::Raw, limit: 1, map: 7 }),
            record(4, 1),
            record(4, 0),
            array(u32::MAX),
        ] {
            assert!(check(&prints(ty.clone())).is_err(), "{ty:?}");
        }
        check(&prints(Type::Hist { bits: 5 })).unwrap();
        check(&prints(array(2))).unwrap();
    }

    #[test]
    fn indices_and_names_are_checked() {
        let bad_map = Plan { actions: vec![Action::Clear { map: 0 }], ..empty() };
        assert!(check(&bad_map).is_err());
        let probe =
            |target| Plan { probes: vec![Probe { name: String::new(), target }], ..empty() };
        let tracepoint =
            |category: &str| Target::Tracepoint { category: category.into(), name: "x".into() };
        assert!(check(&probe(tracepoint("../.."))).is_err());
        assert!(check(&probe(tracepoint("sched"))).is_ok());
        assert!(check(&probe(Target::Profile(Period::Hertz(0)))).is_err());
    }
}
