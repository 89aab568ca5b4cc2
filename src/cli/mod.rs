//! The command line: one definition a flag, from which the help, the man page and the
//! completions come.

mod generate;
mod invocation;

use std::path::PathBuf;

use clap::{ArgAction, Parser, ValueEnum};

use crate::catalog::Headers;

pub use generate::{completions, manual};
pub use invocation::{Action, Input, Invocation, Output, input, parse};

const EXAMPLES: &str = "\
Examples:
  rbtrace -e 'tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }'
          count system calls by program
  rbtrace -e 'kprobe:do_sys_openat2 { printf(\"%s %s\\n\", comm, str(arg1)); }'
          print the files that programs open
  rbtrace -e 'uprobe:libc:malloc { @bytes = hist(arg0); }' -c 'ls -l'
          a histogram of what a command allocates
  rbtrace latency /usr/bin/myapp myfunc
          how long a function takes, by the built-in script
  rbtrace -l 'tracepoint:*open*'
          the probes that a pattern names
  rbtrace --fmt old.bt -o old.bt
          a script in the standard layout
  rbtrace --demo
          see it work, with nothing to choose

Words instead of FILE:
  rbtrace scripts            list the built-in scripts
  rbtrace explain WORD       what an error code means, or a function or builtin does
  rbtrace completions SHELL  completions for bash, zsh, fish, elvish or powershell
  rbtrace man                this manual as a man page
A file with the same name goes first.

Environment:
  RBTRACE_MAX_STRLEN=64      a setting, as in a config block, and so on for the others
  RBTRACE_PATH               folders in which imports are looked for, separated by colons
  RBTRACE_COLOR              always, never or auto
  RBTRACE_NOTIFY_ATTACHED    a line to print once the probes are attached
  NOTIFY_SOCKET              the service manager's socket (sd_notify(3)), set by systemd
Settings and colours are also taken from bpftrace's variables, such as BPFTRACE_MAX_STRLEN.";

/// Traces Linux with bpftrace-style scripts, compiled to eBPF without LLVM
#[derive(Debug, Default, Parser)]
#[command(
    name = "rbtrace",
    version,
    override_usage = "rbtrace [OPTIONS] FILE [PARAM]...\n       \
                      rbtrace [OPTIONS] -e PROGRAM [PARAM]...\n       \
                      rbtrace [OPTIONS] -l [PATTERN|FILE]\n       \
                      rbtrace --fmt [-o FILE] FILE | --fmt --check FILE...\n       \
                      rbtrace --repl | --demo | --info",
    after_help = EXAMPLES,
    max_term_width = 100,
)]
pub struct Cli {
    /// A script, an object made by --emit-elf, a built-in script or `-` for standard input;
    /// then what stands for $1, $2 ... in it. Parameters that begin with `-` go after `--`
    #[arg(value_name = "FILE|PARAM")]
    pub words: Vec<String>,

    /// Run this program instead of a file
    #[arg(short = 'e', value_name = "PROGRAM")]
    pub program: Option<String>,

    /// List the probes that a pattern, or a program, names; all of them without one
    #[arg(short = 'l', long = "list")]
    pub list: bool,

    /// Ask line by line; also what `rbtrace` alone does on a terminal
    #[arg(long, conflicts_with_all = ["program", "list", "words", "demo", "info"])]
    pub repl: bool,

    /// Show what rbtrace does, on a workload that it starts itself
    #[arg(long, conflicts_with_all = ["program", "list", "words", "info"])]
    pub demo: bool,

    /// Tell what this kernel can do
    #[arg(long)]
    pub info: bool,

    /// Print the script in the standard layout; with -o, write it to a file, which may be the
    /// script's own
    #[arg(long, conflicts_with_all = ["list", "repl", "demo", "info"])]
    pub fmt: bool,

    /// With --fmt, print instead the names of the FILEs that have another layout; the exit status is
    /// 1 if there are any
    #[arg(long, requires = "fmt", conflicts_with = "output")]
    pub check: bool,

    /// Only events of this process; the run ends with it
    #[arg(short = 'p', long = "pid", value_name = "PID", help_heading = "What is traced")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=0x40_0000), allow_negative_numbers = true)]
    pub pid: Option<u32>,

    /// Start this command once the probes are attached; the run ends with it
    #[arg(short = 'c', long = "cmd", value_name = "COMMAND", help_heading = "What is traced")]
    #[arg(conflicts_with = "pid")]
    pub cmd: Option<String>,

    /// Only what happens in this cgroup (version 2) and those below it: a folder, or a path from the
    /// root of the hierarchy
    #[arg(long, value_name = "PATH", help_heading = "What is traced")]
    pub cgroup: Option<PathBuf>,

    /// Only what happens in this container: its id or the beginning of it, or what its cgroup is called
    #[arg(long, value_name = "ID", help_heading = "What is traced", conflicts_with = "cgroup")]
    pub container: Option<String>,

    /// Read the unwind data of this process for dw_ustack(), and of those that it starts; may be given
    /// several times. That of -p and -c is always read
    #[arg(long = "dwarf-pid", value_name = "PID", help_heading = "What is traced")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=0x40_0000), allow_negative_numbers = true)]
    pub dwarf_pids: Vec<u32>,

    /// Allow system() and what else can do damage
    #[arg(long = "unsafe", help_heading = "What is traced")]
    pub allow_unsafe: bool,

    /// Functions that can be probed, instead of tracefs' available_filter_functions
    #[arg(long, value_name = "FILE", help_heading = "What is traced")]
    pub traceable_functions: Option<PathBuf>,

    /// Look for C headers here before the system's folders; may be given several times
    #[arg(short = 'I', value_name = "DIR", help_heading = "What is traced")]
    pub include_dirs: Vec<PathBuf>,

    /// Include this C header before those that the script includes; may be given several times
    #[arg(long = "include", value_name = "FILE", help_heading = "What is traced")]
    pub include_files: Vec<String>,

    /// Write what the script prints to FILE
    #[arg(short = 'o', long = "output", value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Print as text, or as one JSON object a line
    #[arg(short = 'f', value_name = "FORMAT", default_value = "text", help_heading = "Output")]
    pub format: Format,

    /// Write after each line, when a buffer is full, or at once
    #[arg(short = 'B', value_name = "MODE", default_value = "line", help_heading = "Output")]
    pub buffering: Buffering,

    /// No messages of rbtrace's own
    #[arg(short = 'q', long = "quiet", help_heading = "Output")]
    pub quiet: bool,

    /// Say what is loaded and attached, and at the end how often each program ran and what it
    /// lost; with -l, the arguments of probes
    #[arg(short = 'v', long = "verbose", help_heading = "Output", action = ArgAction::Count)]
    pub verbose: u8,

    /// At the end, tell how often each program ran, how long it took and what it lost
    #[arg(long, help_heading = "Output")]
    pub stats: bool,

    /// Warn when a read of memory fails, or of an entry that a map does not have; that a map is full
    /// is always told
    #[arg(short = 'k', long = "warnings", help_heading = "Output", conflicts_with = "no_warnings")]
    #[arg(overrides_with = "warnings")]
    pub warnings: bool,

    /// No warnings
    #[arg(long, help_heading = "Output")]
    pub no_warnings: bool,

    /// Attach everything, then end
    #[arg(long, help_heading = "Looking inside")]
    pub dry_run: bool,

    /// Write the compiled program to FILE, or to standard output for `-`, and end
    #[arg(long, value_name = "FILE", help_heading = "Looking inside")]
    pub emit_elf: Option<PathBuf>,

    /// Print what a stage of the compiler made, and end: ast, expand, hir, clif, clif-opt, bpf,
    /// elf, all of these, or what the kernel's verifier says: verifier
    #[arg(short = 'd', long = "debug", value_name = "STAGE", help_heading = "Looking inside")]
    #[arg(value_delimiter = ',')]
    pub stages: Vec<Stage>,

    /// Run the `test:` probes, and nothing else but `begin` and `end`
    #[arg(long, help_heading = "What is traced", conflicts_with_all = ["bench", "mode", "dry_run"])]
    pub test: bool,

    /// Measure the `bench:` probes, and run nothing else but `begin` and `end`
    #[arg(long, help_heading = "What is traced", conflicts_with_all = ["mode", "dry_run"])]
    pub bench: bool,

    /// Run the network blocks, `begin` and `end` on the packets of this capture (pcap or pcapng) and
    /// print each verdict; nothing is attached, and the interfaces need not be there
    #[arg(long, value_name = "FILE", help_heading = "What is traced", conflicts_with_all = [
        "bench", "cgroup", "cmd", "container", "demo", "dry_run", "dwarf_pids", "emit_elf", "fmt",
        "info", "list", "mode", "pid", "repl", "stages", "test",
    ])]
    pub test_packets: Option<PathBuf>,

    /// With --test-packets, write the packets that are not dropped to FILE, as blocks leave them
    #[arg(long, value_name = "FILE", help_heading = "Output", requires = "test_packets")]
    pub write_packets: Option<PathBuf>,

    /// With --test-packets, run each block N times on each packet, and tell how long a run takes
    #[arg(long, value_name = "N", help_heading = "What is traced", requires = "test_packets")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    pub repeat: Option<u32>,

    /// bpftrace's name for --test and --bench
    #[arg(long, value_name = "MODE", hide = true)]
    pub mode: Option<Mode>,

    /// Only probes in whose name this regular expression matches, and `begin` and `end`
    #[arg(long, value_name = "REGEX", help_heading = "What is traced")]
    pub probe_filter: Option<String>,

    /// Accepted for bpftrace's sake, without effect: rbtrace uses what the kernel has
    #[arg(long, value_name = "FEATURE", hide = true)]
    pub no_feature: Vec<String>,

    /// Accepted for bpftrace's sake, without effect: BTF is always used
    #[arg(short = 'b', long, hide = true)]
    pub btf: bool,

    /// Look for separate debug information in these folders first
    #[arg(long, value_name = "DIR[:DIR]")]
    pub debuginfo: Vec<String>,

    /// Accepted for bpftrace's sake, without effect
    #[arg(long, hide = true)]
    pub usdt_file_activation: bool,

    /// Accepted for bpftrace's sake: the IR is always verified
    #[arg(long, hide = true)]
    pub verify_llvm_ir: bool,

    /// End when the process that started this one does: what the demo starts
    #[arg(long, hide = true)]
    pub end_with_parent: bool,

    /// What the demo starts to have something to see
    #[arg(long, value_name = "NAME", hide = true)]
    pub demo_workload: Option<String>,
}

impl Cli {
    /// The headers of `-I` and `--include`.
    pub fn headers(&self) -> Headers {
        Headers::new(self.include_dirs.clone(), self.include_files.clone())
    }

    /// The folders of `--debuginfo`, each of which may name several.
    pub fn debug_folders(&self) -> Vec<PathBuf> {
        let folders = self.debuginfo.iter().flat_map(|folders| folders.split(':'));
        folders.filter(|folder| !folder.is_empty()).map(PathBuf::from).collect()
    }
}

/// What is run instead of tracing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// The tests
    Test,
    /// The benchmarks
    Bench,
}

/// How output is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// When output is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Buffering {
    /// After each line
    #[default]
    Line,
    /// When the buffer is full
    Full,
    /// At once
    None,
}

/// A stage whose result can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// The syntax tree
    Ast,
    /// The syntax tree, macros and parameters expanded
    Expand,
    /// The typed program
    Hir,
    /// Cranelift IR as lowered
    #[value(alias = "codegen")]
    Clif,
    /// Cranelift IR, optimized and legalized
    #[value(name = "clif-opt", alias = "codegen-opt")]
    ClifOpt,
    /// eBPF instructions
    #[value(alias = "dis")]
    Bpf,
    /// Sections and symbols of the object
    Elf,
    /// What the kernel's verifier says of each program
    Verifier,
    /// Each of them but the verifier's
    All,
}
