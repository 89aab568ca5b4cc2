//! Keeps the function that the demo traces visible in the finished program.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // A stripped program has only the symbols of its dynamic table.
    println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol=rbtrace_demo_work");
}
