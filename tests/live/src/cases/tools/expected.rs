//! What tools need that a machine may not have.

/// The kernels that are known: those of the virtual machines, as `--kernel` names them.
const KERNELS: &[&str] = &["6.1", "6.12", "7.2"];

/// What a tool lacks on some kernels.
pub struct Lack {
    version: &'static str,
    tool: &'static str,
    /// The known kernels where it lacks all of them.
    on: &'static [&'static str],
    /// What the messages name: probes, or the field of a structure.
    pub names: &'static [&'static str],
    /// What becomes of it without them.
    pub then: Then,
}

/// What becomes of a tool without some of its probes, if `missing_probes` is `ignore`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It runs with those that are there.
    Runs,
    /// Nothing of use is left of it.
    Useless,
}

const BLK_ACCOUNT: &[&str] = &["__blk_account_io_start", "__blk_account_io_done"];

const OPENSSL: &[&str] = &["rsa_ossl_public_encrypt", "ossl_ecdsa_sign"];

const LACKS: &[Lack] = &[
    // The tracepoints are of 6.5.
    lack("sid", "biosnoop", &["6.1"], &["block_io_start", "block_io_done"], Then::Useless),
    lack("sid", "biostacks", &["6.1"], &["block_io_start"], Then::Useless),
    // The field was called nr_running before 6.14.
    lack("sid", "runqlen", &["6.1", "6.12"], &["nr_queued"], Then::Useless),
    lack("bookworm", "runqlen", &["7.2"], &["nr_running"], Then::Useless),
    // Each names functions of several kernels; which the compiler has inlined differs.
    lack("bookworm", "biolatency", KERNELS, BLK_ACCOUNT, Then::Useless),
    lack("bookworm", "biosnoop", KERNELS, BLK_ACCOUNT, Then::Useless),
    lack("bookworm", "biostacks", KERNELS, &["blk_start_request"], Then::Useless),
    lack("bookworm", "swapin", &["6.12", "7.2"], &["swap_readpage"], Then::Useless),
    // Functions of OpenSSL that only its debug symbols tell of.
    lack("bookworm", "ssllatency", KERNELS, OPENSSL, Then::Runs),
    lack("bookworm", "sslsnoop", KERNELS, OPENSSL, Then::Runs),
    // Part of the C library since its version 2.34.
    lack("bookworm", "threadsnoop", KERNELS, &["libpthread"], Then::Useless),
    lack("bookworm", "threadsnoop", &[], &["pthread_create"], Then::Useless),
    // A kernel without CONFIG_KALLSYMS_ALL tells of no variables, one without md of no functions.
    lack("sid", "loads", &[], &["avenrun"], Then::Useless),
    lack("bookworm", "loads", &[], &["avenrun"], Then::Useless),
    lack("sid", "mdflush", &[], &["md_flush_request"], Then::Useless),
    lack("bookworm", "mdflush", &[], &["md_flush_request"], Then::Useless),
];

/// Versions, names and kernels of tools that allow for missing probes and find none there, so that
/// nothing or only a timer is attached; and of those that are nothing but a timer.
const IDLE: &[(&str, &str, &[&str])] = &[
    // Not to be traced, though among the kernel's symbols.
    ("sid", "biolatency-kp", KERNELS),
    ("sid", "loads", KERNELS),
    ("bookworm", "loads", KERNELS),
];

const fn lack(
    version: &'static str,
    tool: &'static str,
    on: &'static [&'static str],
    names: &'static [&'static str],
    then: Then,
) -> Lack {
    Lack { version, tool, on, names, then }
}

/// What a tool lacks on a known kernel.
pub fn on(kernel: &str, version: &str, tool: &str) -> Option<&'static Lack> {
    of(version, tool).find(|lack| lack.on.contains(&kernel))
}

/// Whether a tool attaches to no event on a known kernel.
pub fn is_idle(kernel: &str, version: &str, tool: &str) -> bool {
    IDLE.iter().any(|(of, name, on)| (*of, *name) == (version, tool) && on.contains(&kernel))
}

/// All that a tool may lack on a kernel that nothing is known of.
pub fn anywhere(version: &str, tool: &str) -> Vec<&'static str> {
    of(version, tool).flat_map(|lack| lack.names).copied().collect()
}

fn of(version: &str, tool: &str) -> impl Iterator<Item = &'static Lack> {
    LACKS.iter().filter(move |lack| lack.version == version && lack.tool == tool)
}

/// The tools of which something is said here.
pub fn tools(version: &str) -> impl Iterator<Item = &'static str> {
    LACKS.iter().filter(move |lack| lack.version == version).map(|lack| lack.tool)
}
