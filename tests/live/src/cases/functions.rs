//! Functions of texts, addresses and numbers: their values, against what they stand for.

use anyhow::{Context, Result};

use crate::ctx::Ctx;
use crate::features::Feature::{Btf, Root};
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("functions/search", &[Root], search),
    Test::new("functions/cut_and_concatenate", &[Root], cut_and_concatenate),
    Test::new("functions/buffers", &[Root], buffers),
    Test::new("functions/texts_of_numbers", &[Root], texts_of_numbers),
    Test::new("functions/addresses", &[Root], addresses),
    Test::new("functions/clocks", &[Root], clocks),
    Test::new("functions/loops_that_count", &[Root], loops_that_count),
    Test::new("functions/loops_in_loops", &[Root], loops_in_loops),
    Test::new("functions/ranges_of_arithmetic", &[Root], ranges_of_arithmetic),
    Test::new("functions/tuples_taken_apart", &[Root], tuples_taken_apart),
    Test::new("functions/variables_handed_over", &[Root], variables_handed_over),
    Test::new("functions/memory", &[Root], memory),
    Test::new("functions/known_when_compiled", &[Root, Btf], known_when_compiled),
    Test::new("functions/namespace_of_processes", &[Root], namespace_of_processes),
    Test::new("functions/unwatch", &[Root], unwatch),
    Test::new("functions/long_strings", &[Root], long_strings),
];

/// Fails unless what a `BEGIN` block prints are these lines.
fn prints(ctx: &Ctx, body: &str, expected: &[&str]) -> Result<()> {
    let script = format!("BEGIN {{ {body} exit(); }}");
    let out = ctx.script(&script).finish()?.success().with_context(|| script.clone())?;
    out.lines_are(expected)
}

fn search(ctx: &Ctx) -> Result<()> {
    let body = r#"$h = "xbarfbarx"; $n = "bar"; $long = "longer than the haystack";
        print((strstr($h, "bar"), strstr($h, $n), strstr("aaab", "aab"), strstr($n, $h)));
        $a = "aaab"; $b = "aab"; $none = "";
        print((strstr($a, $b), strstr($a, $n), strstr($h, $none), strstr($none, $n)));
        $cut = "wo\0rld";
        print((strcontains("hello world", $cut), strcontains($h, $long), strcontains($none, "")));
        print((strncmp($a, $b, 2), strncmp($a, $b, 3), strncmp("ab", "ab", 9)));"#;
    prints(ctx, body, &["(1, 1, 1, -1)", "(1, -1, 0, -1)", "(true, false, true)", "(0, 1, 0)"])
}

fn cut_and_concatenate(ctx: &Ctx) -> Result<()> {
    let body = r#"$s = "hello"; $n = 3; $zero = 0; $more = 20;
        printf("%s|%s|%s|%s\n", str($s, $n), str($s, $zero), str($s, $more), str($s));
        $both = str_concat(str_concat($s, ", "), "world");
        print($both);
        print((strlen($both), strcap($both), strcap("abc"), $both == "hello, world"));"#;
    prints(ctx, body, &["he||hello|hello", "hello, world", "(12, 1024, 4, true)"])
}

fn buffers(ctx: &Ctx) -> Result<()> {
    let body = r#"$n = 2; $b = buf("ab\x01", 3);
        printf("%r %rx %rh\n", $b, $b, $b);
        printf("%r %r\n", buf("abc", $n), nsecs ? buf("hi", 2) : buf("bye", 3));
        @b[buf("abc", 2), 1] = buf("de", 2);
        print(@b); clear(@b);"#;
    let lines = [r"ab\x01 \x61\x62\x01 61 62 01", "ab hi", "@b[ab, 1]: de"];
    prints(ctx, body, &lines)
}

fn texts_of_numbers(ctx: &Ctx) -> Result<()> {
    let body = r#"print(strerror(2)); print((strerror(-2), strerror(9999), strerror(0)));
        print((signal_name(9), signal_name(64), signal_name(65)));
        print((syscall_name(-1), strerror(1) == "Operation not permitted"));"#;
    let lines = [
        "No such file or directory",
        "(No such file or directory, Unknown error, Success)",
        "(Killed, Real-time signal 30, N/A)",
        "(Unknown syscall, true)",
    ];
    prints(ctx, body, &lines)
}

fn addresses(ctx: &Ctx) -> Result<()> {
    let body = r#"$four = ntop(pton("192.0.2.1")); $six = ntop(pton("2001:db8::1"));
        printf("%s %s %s\n", $four, $six, ntop(10, pton("::1")));"#;
    prints(ctx, body, &["192.0.2.1 2001:db8::1 ::1"])
}

/// The two clocks of atomic time agree to a millisecond.
fn clocks(ctx: &Ctx) -> Result<()> {
    // Whatever time passes between the readings, one clock is read between two of the other.
    let body = r#"$a = nsecs(sw_tai); $b = nsecs(tai); $c = nsecs(sw_tai); $off = 1ms;
        print(($a <= $b + $off, $b <= $c + $off, jiffies > 0, numaid < 1024));"#;
    prints(ctx, body, &["(true, true, true, true)"])
}

fn loops_that_count(ctx: &Ctx) -> Result<()> {
    let body = r#"@x[1] = 1; @x[2] = 2; @x[3] = 3; $n = 0; $t = (0, 0);
        for ($kv : @x) { $n++; $t = ($t.0 + $kv.1, $n); }
        for ($i : 0..1000) { $n += 1; }
        if ($n > 2 && len(@x) == 3) { print(($n, $t)); }
        clear(@x);"#;
    prints(ctx, body, &["(1003, (6, 3))"])
}

/// Loops that count in memory which a callback shares with its block, and in the block of an
/// expression in a program with no room on the stack.
fn loops_in_loops(ctx: &Ctx) -> Result<()> {
    let body = r#"@x[1] = 1; @x[2] = 2; $all = 0; $most = 4 + @x[1]; $i = 0;
        for ($kv : @x) {
            $j = 0; while ($j < 3) { $j++; $all += $kv.1; }
            $i = 0; while (true) { $i++; if ($i > 5) { break; } $all += 10; }
            for ($r : 0..$most) { $k = (int64)0; while ($k < 3) { $all += 100; $k++; } }
        }
        print(($all, $i)); clear(@x);"#;
    prints(ctx, body, &["(3109, 6)"])?;
    let texts: String = (0..12).map(|n| format!("$t{n} = (comm, {n}, $b); ")).collect();
    let uses: String = (0..12).map(|n| format!("@t[$t{n}, $t{n}.1] = $b; ")).collect();
    let body = format!(
        "$b = 1; {texts} for ($r : 0..$b) {{ {uses} $n = {{ let $i = 0; while ($i < 5) {{ $i++; $b++; }} $i }}; \
         print(($n, $b)); }} clear(@t);"
    );
    prints(ctx, &body, &["(5, 6)"])
}

/// Loops of which one call of a callback does many rounds, of every length around one and two calls.
fn ranges_of_arithmetic(ctx: &Ctx) -> Result<()> {
    let lengths = [0, 1, 2, 15, 16, 17, 31, 32, 33, 65, 66, 97, 100, 1000, 1024];
    let mut blocks = String::new();
    let mut expected = Vec::new();
    for (length, first) in lengths.iter().flat_map(|length| [(length, 0), (length, -7)]) {
        let last = first + length;
        let sum = (first..last).fold(5i64, |n, i| n.wrapping_mul(3).wrapping_add(i));
        let loops = [format!("{first}..{last}"), format!("{first}..$one * {last}")].map(|bounds| {
            expected.push(format!("({sum}, {length})"));
            format!(
                "$n = (int64)5; $rounds = 0; \
                 for $i : {bounds} {{ $j = $i; $n = $n * 3 + $j; $i += 9; $rounds++; }} \
                 print(($n, $rounds)); "
            )
        });
        blocks += &format!("BEGIN {{ $one = (int64)(nsecs > 0); {} }} ", loops.concat());
    }
    let out = ctx.script(&format!("{blocks} BEGIN {{ exit(); }}")).finish()?.success()?;
    out.lines_are(&expected.iter().map(String::as_str).collect::<Vec<_>>())?;
    let nested = r#"$n = (int64)0; $most = cpu + 70;
        for $i : 0..100 { for $j : 0..$most { $n += $j; } $n -= $most * ($most - 1) / 2; $n++; }
        print($n);"#;
    prints(ctx, nested, &["100"])
}

fn tuples_taken_apart(ctx: &Ctx) -> Result<()> {
    let body = r#"$t = (1, (int8)-1, "unread"); $t = ($t.0 + 1, (int8)-2, comm);
        $u = ((int64)3, (uint8)4); $u = ($u.1, (uint8)$u.0);
        $r = (a=5, b=(int16)-6); $e = (2, 3) == (2, 3); $never = ((uint16)0, 0);
        if (nsecs == 0) { $never = ((uint16)7, 8); }
        $i = 0; $w = (0, (int64)1);
        while ($i < 5) { $w = ($i, $w.1 * 2); $i++; }
        @x[1, 2] = 3; @x[4, 5] = 6; $sum = (int64)0; $keys = (int64)0;
        for $kv : @x { let $double = $kv.1 * 2; $sum += $double; $keys += $kv.0.0; }
        print(($t.0, $t.1, $u.0, $u.1, $r.a, $r.b, $e, $u == ((int64)4, (uint8)3)));
        print(($never.0, $never.1, $w.0, $w.1, $sum, $keys)); clear(@x);"#;
    prints(ctx, body, &["(2, -2, 4, 3, 5, -6, true, true)", "(0, 0, 4, 32, 18, 5)"])
}

/// Variables that the kernel gets as keys and values from where they are.
fn variables_handed_over(ctx: &Ctx) -> Result<()> {
    let body = r#"$s = "before"; @a[$s] = 1; @b[1] = $s; @c = $s;
        @b[{ $s = "during"; 2 }] = $s; $s = "after";
        $t = ("key", (int8)1); @d[$t] = $t; $t = ("yek", (int8)2); @d[$t] = $t;
        print((@a["before"], @a["after"], @b[1], @b[2], @c, @d["key", 1].1, @d["yek", 2].0));
        for $i : 0..100 { if ($i == 99) { @e[$s] = $s; } }
        print(@e["after"]); clear(@a); clear(@b); clear(@c); clear(@d); clear(@e);"#;
    prints(ctx, body, &[r#"(1, 0, before, before, before, 1, yek)"#, "after"])
}

fn memory(ctx: &Ctx) -> Result<()> {
    let body = r#"$n = 2; $a = (uint8)200; $b = (uint8)100;
        print((memcmp("abc", "abd", 3), memcmp("abc", "abd", $n), memcmp("abd", "abc", 3)));
        print((memcmp($a, $b, 1), memcmp("a", "abc", 3), memcmp((int64)256, (int64)512, 8)));
        print((memcmp((1, "ab"), (1, "ab"), 99), memcmp("abc", "xyz", 0), sizeof(memcmp(1, 2, 1))));
        $long = str_concat("left", "right"); $other = str_concat("left", "rights"); $most = 2000;
        print((memcmp($long, $other, 9), memcmp($long, $other, $most), strcap((int8[])"xyz")));"#;
    let lines = ["(-1, 0, 1)", "(-156, -98, -1)", "(0, 0, 4)", "(0, -115, 4)"];
    prints(ctx, body, &lines)?;
    // So many bytes are compared by a callback of the kernel's.
    let script = r#"config = { max_strlen=4000 } BEGIN { $a = str($1); $b = str($2); $most = 3000;
        print((memcmp($a, $b, 4000), memcmp($a, $b, $most), memcmp($b, $a, 3501))); exit(); }"#;
    let text = |end: char| format!("{}{end}", "x".repeat(3500));
    let out = ctx.script(script).args(&[&text('a'), &text('c')]).finish()?.success()?;
    out.lines_are(&["(-2, 0, 2)"])
}

fn known_when_compiled(ctx: &Ctx) -> Result<()> {
    let body = r#"print((kfunc_exist("vfs_read"), kfunc_exist("no_such_function")));
        if comptime (kfunc_exist("no_such_function")) { fail("it does not exist"); }
        print((kfunc_allowed("vfs_read"), kfunc_allowed("no_such_function")));
        print((has_cpid, has_cpid(), default_str_length, typeinfo(true).base_type));"#;
    let lines = ["(true, false)", "(false, false)", "(false, false, 1024, bool)"];
    prints(ctx, body, &lines)
}

/// In a PID namespace of its own rbtrace is process 1, or 2 where a shell is before it.
fn namespace_of_processes(ctx: &Ctx) -> Result<()> {
    let script =
        "BEGIN { print((pid < 10, tid == pid(curr_ns), pid(init) == tid(init))); exit(); }";
    let shell = format!("unshare -p -f {} -q -e '{script}'\n", ctx.rbtrace.display());
    let shell = ctx.file("run.sh", shell)?;
    let out = std::process::Command::new("sh").arg(shell).output().context("run a shell")?;
    let printed = String::from_utf8_lossy(&out.stdout).into_owned();
    let errors = String::from_utf8_lossy(&out.stderr);
    anyhow::ensure!(printed.contains("(true, true, true)"), "{printed:?}, {errors}");
    Ok(())
}

/// A watchpoint that nothing is left of leaves nothing to wait for.
fn unwatch(ctx: &Ctx) -> Result<()> {
    let script = "watchpoint:0x1000:8:w { } BEGIN { unwatch(0x2000); unwatch(0x1000); }";
    ctx.script(script).finish()?.success().map(drop)
}

/// More scratch memory than a per-CPU map has room for.
fn long_strings(ctx: &Ctx) -> Result<()> {
    let script = r#"config = { max_strlen=20000 } BEGIN {
        @m[str("abc")] = str("def"); $s = str($1); @long[$s] = $s;
        for ($kv : @long) { print((strlen($kv.0), $kv.0 == $kv.1, strstr($kv.0, $s))); }
        clear(@m); clear(@long); exit(); }"#;
    let long = "x".repeat(9999);
    let out = ctx.script(script).arg(&long).finish()?.success()?;
    out.lines_are(&["(9999, true, 0)"])
}
