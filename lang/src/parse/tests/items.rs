use super::*;
use crate::ast::Item;

#[test]
fn attach_points() {
    for point in [
        "BEGIN",
        "end",
        "kprobe:vfs_read",
        "kprobe:mod:f+4",
        "k:vfs_*,kr:vfs_*",
        "tracepoint:syscalls:sys_enter_*",
        "t:*:sched_switch",
        "rawtracepoint:vmlinux:sched_switch",
        "fentry:bpf:bpf_prog_x::f",
        "uprobe:/lib/x86_64/libc.so.6:malloc",
        "uprobe:./a-b_c:sym+0x10",
        "uprobe:/usr/lib/*/libc.so*:mall*c",
        "uprobe:/bin/sh@readline.c:36",
        "u:/proc/1/root/bin/x:0x1234",
        "usdt:/bin/x:ns:name",
        "usdt::name",
        "watchpoint:0x1:8:rw",
        "interval:s:1",
        "i:1s",
        "profile:hz:99",
        "software:faults:100",
        "hardware:cache-misses:1e6",
        "iter:task:/sys/fs/bpf/list",
        "lsm:file_open",
        "xdp:eth0:native",
        "xdp:*",
        "tc:eth0:ingress",
        "cgroup_skb:/sys/fs/cgroup/a:egress",
        "self:signal:SIGUSR1",
        "*:vfs_read",
    ] {
        assert_eq!(
            script(&format!("{point} {{ }}")),
            format!("probe {}\n", point.replace(',', ", "))
        );
    }
}

#[test]
fn quoted_and_given_parts() {
    assert_eq!(
        script("uprobe:/lib/libc.so.6:\"foo(int)\" { }"),
        "probe uprobe:/lib/libc.so.6:\"foo(int)\"\n"
    );
    assert_eq!(script("u:./x:cpp:\"A::b\\\"\" { }"), "probe u:./x:cpp:\"A::b\\\"\"\n");
    assert_eq!(script("u:\"./a b,c\":f { }"), "probe u:\"./a b,c\":f\n");
    assert_eq!(
        script("uprobe:${1:-/lib/libc.so.6}:$2,i:$3:ms { }"),
        "probe uprobe:${1:-/lib/libc.so.6}:$2, i:$3:ms\n"
    );
    assert_eq!(script("uprobe:lib$1.so:f { }"), "probe uprobe:lib$1.so:f\n");
}

#[test]
fn several_attach_points_and_names() {
    assert_eq!(
        script("kprobe:a,\n  kprobe:b, // comment\n kprobe:c,\n{ }"),
        "probe kprobe:a, kprobe:b, kprobe:c\n"
    );
    assert_eq!(
        script("name=kprobe:a { } two = i:s:1 { }"),
        "probe name = kprobe:a\nprobe two = i:s:1\n"
    );
}

#[test]
fn predicates() {
    for text in [
        "kprobe:f /pid == 1/ { }",
        "kprobe:f\n/ pid == 1 /\n{ }",
        "kprobe:f/pid==1/{ }",
        "kprobe:f /pid == 1/ // comment\n { }",
        "kprobe:f /pid == 1/ < >",
    ] {
        assert_eq!(script(text), "probe kprobe:f\n  predicate (pid == 1)\n", "{text}");
    }
    assert_eq!(script("BEGIN/1/{ }"), "probe BEGIN\n  predicate 1\n");
    assert_eq!(
        script("u:/bin/sh:f /a / 2 > b/ { $x = 4 / 2; }"),
        "probe u:/bin/sh:f\n  predicate ((a / 2) > b)\n  $x = (4 / 2)\n"
    );
}

#[test]
fn angle_blocks() {
    assert_eq!(
        script("kprobe:f < printf(\"%s\\n\", comm); >"),
        "probe kprobe:f\n  printf(\"%s\\n\", comm)\n"
    );
    assert_eq!(script("kprobe:f < exit() >"), "probe kprobe:f\n  exit()\n");
    assert_eq!(script("i:s:1<exit()>"), "probe i:s:1\n  exit()\n");
    assert_eq!(script("BEGIN < >"), "probe BEGIN\n");
    assert_eq!(
        script(
            "kprobe:f < $x = a > b; if (c > d) { e(); } f(g > h) > // end\nkprobe:g < exit() > END { 1 }"
        ),
        "probe kprobe:f\n  $x = (a > b)\n  if (c > d)\n    e()\n  f((g > h))\nprobe kprobe:g\n  exit()\nprobe END\n  1\n"
    );
    assert_eq!(
        script("BEGIN < $x = a >\nuprobe:/x:f { }"),
        "probe BEGIN\n  $x = a\nprobe uprobe:/x:f\n"
    );
    assert_eq!(script("BEGIN < a >> b; c >= d > x = k:f { }").lines().count(), 4);
    assert_eq!(script("BEGIN < a > macro m() { 1 }"), "probe BEGIN\n  a\nmacro m()\n  value 1\n");
}

#[test]
fn macros_functions_and_maps() {
    assert_eq!(
        script("macro add($x, @y, z) { $x += z; @y }"),
        "macro add($x, @y, z)\n  $x += z\n  value @y\n"
    );
    assert_eq!(script("macro one { 1 }"), "macro one()\n  value 1\n");
    assert_eq!(
        script("fn add($a: int64, $b : struct s *): uint64 { return $a; }"),
        "fn add($a: int64, $b: struct s *): uint64\n  return $a\n"
    );
    assert_eq!(
        script("let @a = hash(10);\nlet @ = percpulruhash(1e3)\nBEGIN { }"),
        "map @a = hash(10)\nmap @ = percpulruhash(1000)\nprobe BEGIN\n"
    );
}

#[test]
fn settings_and_imports() {
    assert_eq!(
        script("config = { a = 1; b = \"x y\"; c = perf; d = true }\nimport \"x\";\nBEGIN { }"),
        "config a = 1\nconfig b = \"x y\"\nconfig c = perf\nconfig d = true\nimport \"x\"\nprobe BEGIN\n"
    );
    assert_eq!(script("config = { }\nBEGIN { }"), "probe BEGIN\n");
    assert_eq!(wrong("config = {} config = {} BEGIN { }")[0].0, "duplicate-config");
}

#[test]
fn c_definitions_are_kept() {
    let text = "#!/usr/bin/env rbtrace\n#include <linux/fs.h>\n#define A \\\n  1\n\
                struct a { int x; struct { char c; /* } */ } y; } __attribute__((packed, aligned(8)));\n\
                union u { int i; }\nenum e { A = '}', B };\ntypedef struct { int z; } t;\nstruct f;\n\
                struct __attribute__((packed)) p { int q; };\nBEGIN { }";
    let parsed = ok(text, parse);
    let texts: Vec<&str> = parsed.definitions.iter().map(|d| d.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "#include <linux/fs.h>",
            "#define A \\\n  1",
            "struct a { int x; struct { char c; /* } */ } y; } __attribute__((packed, aligned(8)));",
            "union u { int i; }",
            "enum e { A = '}', B };",
            "typedef struct { int z; } t;",
            "struct f;",
            "struct __attribute__((packed)) p { int q; };",
        ]
    );
    assert_eq!(parsed.items.len(), 1);
}

#[test]
fn comments_are_collected() {
    let text = "// one\nBEGIN /* two */ { $x = 1; // three\n /* four */ f(\"// no\" /* five */); }\n// six";
    let parsed = ok(text, parse);
    let comments: Vec<&str> =
        parsed.comments.iter().filter_map(|s| text.get(s.start as usize..s.end as usize)).collect();
    assert_eq!(comments, ["// one", "/* two */", "// three", "/* four */", "/* five */", "// six"]);
}

#[test]
fn spans_of_items() {
    let text = "  kprobe:f /1/ { } // c\n";
    let parsed = ok(text, parse);
    let [Item::Probe(probe)] = parsed.items.as_slice() else { panic!("not one probe") };
    let at = |span: Span| text.get(span.start as usize..span.end as usize).unwrap_or_default();
    assert_eq!(at(probe.span), "kprobe:f /1/ { }");
    assert_eq!(at(probe.attach_points[0].span), "kprobe:f");
    assert_eq!(at(probe.attach_points[0].parts[1].span), "f");
    assert_eq!(at(probe.body.span), "{ }");
}
