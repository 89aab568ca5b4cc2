//! Functions of texts, addresses and numbers: their values, against what they stand for.

use anyhow::{Context, Result};

use crate::ctx::Ctx;
use crate::features::Feature::Root;
use crate::runner::Test;

pub const TESTS: &[Test] = &[
    Test::new("functions/search", &[Root], search),
    Test::new("functions/cut_and_concatenate", &[Root], cut_and_concatenate),
    Test::new("functions/buffers", &[Root], buffers),
    Test::new("functions/texts_of_numbers", &[Root], texts_of_numbers),
    Test::new("functions/addresses", &[Root], addresses),
    Test::new("functions/clocks", &[Root], clocks),
    Test::new("functions/loops_that_count", &[Root], loops_that_count),
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
    let body = r#"$a = nsecs(sw_tai); $b = nsecs(tai); $c = nsecs(sw_tai);
        print((($b > $a ? $b - $a : $a - $b) < 1000000, $c >= $a, jiffies > 0, numaid < 1024));"#;
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
