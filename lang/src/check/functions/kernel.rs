//! Functions on objects of the kernel that its verifier has to know the type of: it follows the
//! arguments of a function that a program is on to what they point to, and no further.

use rbtrace_probes_ebpf::helpers;
use rbtrace_probes_ebpf::kinds::ProbeKind;

use crate::ast;
use crate::diag::Diagnostic;
use crate::hir::{Call, Expr, ExprKind, Type};

use super::super::builtins::function_of;
use super::super::{Checker, Stop, Typed, Value};
use super::{CallSite, Function};

pub(super) const TABLE: &[Function] = &[
    Function::new("path", 1, 2, "path(path[, bytes])", path),
    Function::new("skboutput", 4, 4, "skboutput(\"file\", skb, bytes, offset)", skb_output),
];

/// Functions in which the kernel lets programs ask for paths (`btf_allowlist_d_path` in
/// kernel/trace/bpf_trace.c).
const WITH_PATHS: &[&str] = &[
    "dentry_open",
    "filp_close",
    "security_file_open",
    "security_file_permission",
    "security_inode_getattr",
    "security_path_truncate",
    "vfs_fallocate",
    "vfs_getattr",
    "vfs_truncate",
];

/// Hooks of security modules in which it does, on some kernels only (`sleepable_lsm_hooks` in
/// kernel/bpf/bpf_lsm.c): those with a file or a path.
const HOOKS_WITH_PATHS: &[&str] = &[
    "file_ioctl",
    "file_lock",
    "file_open",
    "file_post_open",
    "file_receive",
    "inode_getattr",
    "kernel_read_file",
    "mmap_file",
    "path_chmod",
    "path_chown",
    "path_link",
    "path_mkdir",
    "path_notify",
    "path_rename",
    "path_rmdir",
    "path_symlink",
    "path_truncate",
    "path_unlink",
    "sb_mount",
];

/// Most bytes of a packet: what the flags of the helper have room for (`BPF_F_CTXLEN_MASK`).
const MOST_BYTES: u64 = (1 << 20) - 1;

/// The text of a path of the kernel.
fn path(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let Some(arg) = call.args.first() else { return Err(Stop::Reported) };
    knows_types(checker, call)?;
    checker.needs(&helpers::D_PATH, "path()", call.span)?;
    let size = match call.args.get(1) {
        Some(size) => length(checker, size)?,
        None => checker.settings.max_strlen,
    };
    let pointer = object(checker, call, arg, "path")?;
    warn_of_functions(checker, call);
    let kind = ExprKind::Call(Box::new(Call::Path(pointer)));
    Ok(Value::new(kind, Type::Str { size }, call.span))
}

/// Bytes that a path has room for.
fn length(checker: &mut Checker<'_>, arg: &ast::Expr) -> Typed<u32> {
    let most = checker.settings.max_strlen;
    let n = checker.literal_number("path", arg)?;
    u32::try_from(n).ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| {
        checker.error(
            Diagnostic::error("argument-range", arg.span, "a path cannot have so many bytes")
                .label(format!("expected 1 to {most}"))
                .help(
                    "raise `max_strlen` in the config block or BPFTRACE_MAX_STRLEN in the environment",
                ),
        )
    })
}

/// The kernel may refuse the program, and says why in terms of its own.
fn warn_of_functions(checker: &mut Checker<'_>, call: &CallSite<'_>) {
    let allowed = match checker.at.kind {
        ProbeKind::Lsm => HOOKS_WITH_PATHS,
        _ => WITH_PATHS,
    };
    // Iterators are on no function, and can ask for every path.
    let on = checker.at.probes.iter().filter_map(|(_, probe)| function_of(&probe.target));
    let refused = on.map(str::to_owned).find(|name| !allowed.contains(&name.as_str()));
    if let Some(function) = refused {
        checker.warn(
            Diagnostic::warning(
                "path-refused",
                call.span,
                format!("the kernel is not known to allow path() in probes of {function}"),
            )
            .note(format!("it allows it in {}", allowed.join(", "))),
        );
    }
}

/// Has user space write a packet to a file.
fn skb_output(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed {
    let [file, skb, len, offset] = call.args else { return Err(Stop::Reported) };
    knows_types(checker, call)?;
    checker.needs(&helpers::SKB_OUTPUT, "skboutput()", call.span)?;
    let file_name = checker.literal_text("skboutput", file)?;
    if file_name.is_empty() || file_name.contains('\0') {
        return Err(checker.error(Diagnostic::error(
            "argument-range",
            file.span,
            "no file can be called this",
        )));
    }
    let skb = object(checker, call, skb, "sk_buff")?;
    let len = match super::super::fold::int_literal(len) {
        Some(_) => {
            let n = checker.literal_number("skboutput", len)?;
            if n > MOST_BYTES {
                return Err(checker.error(
                    Diagnostic::error("argument-range", len.span, "no packet has so many bytes")
                        .label(format!("expected at most {MOST_BYTES}")),
                ));
            }
            Checker::uint64_constant(n, len.span)
        }
        None => checker.uint64(len, "skboutput")?,
    };
    let offset = checker.literal_number("skboutput", offset)?;
    let kind = ExprKind::Call(Box::new(Call::SkbOutput { file: file_name, skb, len, offset }));
    Ok(Value::new(kind, Type::I64, call.span))
}

/// An error unless the verifier knows the types of what the probe is handed.
fn knows_types(checker: &mut Checker<'_>, call: &CallSite<'_>) -> Typed<()> {
    if checker.at.kind.binds_at_load() {
        return Ok(());
    }
    let here = checker.at.spec().name;
    let function = &call.name.name;
    Err(checker.error(
        Diagnostic::error(
            "builtin-not-here",
            call.span,
            format!("{function}() does not work in `{here}` probes"),
        )
        .note(
            "the kernel must know the types of the arguments: fentry, fexit, iter and lsm probes",
        ),
    ))
}

/// The address of a struct of this name, given itself or by a pointer to it.
fn object(
    checker: &mut Checker<'_>,
    call: &CallSite<'_>,
    arg: &ast::Expr,
    name: &str,
) -> Typed<Expr> {
    let value = checker.value(arg)?;
    let wanted = format!("struct {name}");
    let is = |ty: &Type| checker.show(ty) == wanted;
    let pointer = match &value.expr.ty {
        Type::Ptr { to, .. } if is(to) => value.expr,
        ty @ Type::Record(_) if is(ty) => {
            let ty = ty.clone();
            checker.address(value.expr, ty, arg.span)?.expr
        }
        _ => {
            let expected = format!("a {wanted} or a pointer to one");
            return Err(checker.wrong_argument(&call.name.name, &value.expr, &expected));
        }
    };
    if read_from_memory(&pointer) {
        return Err(checker.error(
            Diagnostic::error(
                "unknown-to-kernel",
                arg.span,
                "the kernel does not know what this pointer points to",
            )
            .note("it follows an argument of the function to what it points to, and no further")
            .help("use a function that has it as an argument"),
        ));
    }
    Ok(pointer)
}

/// Whether a pointer was itself read from where another points.
fn read_from_memory(pointer: &Expr) -> bool {
    match &pointer.kind {
        ExprKind::Cast(inner) => read_from_memory(inner),
        ExprKind::Binary { left, .. } => read_from_memory(left),
        ExprKind::Load(_) | ExprKind::Field { .. } | ExprKind::Index { .. } => true,
        _ => false,
    }
}
