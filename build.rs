//! How the finished program is linked.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A stripped program has only the symbols of its dynamic table: the demo traces this function.
    println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol=rbtrace_demo_work");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|is| is == value);
    if is("PROFILE", "release")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
    {
        // The linker that comes with Rust there keeps one of several functions with the same code.
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
        if std::env::var("HOST") == std::env::var("TARGET") && relocates_packed() {
            println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}

/// Whether the C library that is linked in can start a program whose relative relocations are packed:
/// glibc since 2.36.
fn relocates_packed() -> bool {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = said.unwrap_or_default();
    let mut numbers = version.trim().rsplit(' ').next().unwrap_or_default().split('.');
    let mut number = || numbers.next().and_then(|number| number.parse::<u32>().ok());
    number().zip(number()).is_some_and(|version| version >= (2, 36))
}
