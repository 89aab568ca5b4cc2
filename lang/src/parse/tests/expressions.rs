use super::*;
use crate::span::Span;

#[test]
fn precedence_is_that_of_c() {
    for (text, dump) in [
        ("a + b * c", "(a + (b * c))"),
        ("a * b + c", "((a * b) + c)"),
        ("a - b - c", "((a - b) - c)"),
        ("a / b % c", "((a / b) % c)"),
        ("a << b + c", "(a << (b + c))"),
        ("a < b << c", "(a < (b << c))"),
        ("a == b < c", "(a == (b < c))"),
        ("a & b == c", "(a & (b == c))"),
        ("a ^ b & c", "(a ^ (b & c))"),
        ("a | b ^ c", "(a | (b ^ c))"),
        ("a && b | c", "(a && (b | c))"),
        ("a || b && c", "(a || (b && c))"),
        ("a || b ? c : d", "((a || b) ? c : d)"),
        ("a ? b : c ? d : e", "(a ? b : (c ? d : e))"),
        ("a ? b ? c : d : e", "(a ? (b ? c : d) : e)"),
        ("a ?: b", "(a ? a : b)"),
        ("a >= b != c > d", "((a >= b) != (c > d))"),
        ("a >> b >= c", "((a >> b) >= c)"),
        ("(a + b) * c", "((a + b) * c)"),
    ] {
        assert_eq!(expr(text), dump, "{text}");
    }
}

#[test]
fn unary_operators_bind_tighter_than_binary_and_looser_than_postfix() {
    for (text, dump) in [
        ("-a + b", "((-a) + b)"),
        ("!a && !b", "((!a) && (!b))"),
        ("- -1", "(-(-1))"),
        ("!!a", "(!(!a))"),
        ("~a.b", "(~a.b)"),
        ("*$p + 1", "((*$p) + 1)"),
        ("**$p", "(*(*$p))"),
        ("*a.b[1]", "(*a.b[1])"),
        ("a * *b", "(a * (*b))"),
        ("&$x", "(&$x)"),
        ("a & &$x", "(a & (&$x))"),
        ("$x++ + 1", "($x++ + 1)"),
        ("++$x - --@y[1]", "(++$x - --@y[1])"),
        ("comptime a + b", "((comptime a) + b)"),
    ] {
        assert_eq!(expr(text), dump, "{text}");
    }
}

#[test]
fn postfixes() {
    for (text, dump) in [
        ("args.filename", "args.filename"),
        ("args->filename", "args->filename"),
        ("$t.0.1", "$t.0.1"),
        ("$p->a.b->c[2].d", "$p->a.b->c[2].d"),
        ("f(1).x", "f(1).x"),
        ("(1, 2).1", "tuple(1, 2).1"),
        ("(a)[1]", "a[1]"),
        ("$x . y", "$x.y"),
        ("args.if", "args.if"),
    ] {
        assert_eq!(expr(text), dump, "{text}");
    }
}

#[test]
fn casts_and_parentheses() {
    for (text, dump) in [
        ("(uint8)x", "((uint8)x)"),
        ("(uint8)x + 1", "(((uint8)x) + 1)"),
        ("(uint8)-1", "((uint8)(-1))"),
        ("-(int8)$x.y", "(-((int8)$x.y))"),
        ("(int8)(int16)1", "((int8)((int16)1))"),
        ("(struct foo *)arg0", "((struct foo *)arg0)"),
        ("((struct foo *)arg0)->bar", "((struct foo *)arg0)->bar"),
        ("(struct foo **)arg0", "((struct foo **)arg0)"),
        ("(union u)1", "((union u)1)"),
        ("(enum e)1", "((enum e)1)"),
        ("(int32[4])x", "((int32[4])x)"),
        ("(int8[])x", "((int8[])x)"),
        ("(char *[2])x", "((char *[2])x)"),
        ("(typeof($x))1", "((typeof($x))1)"),
        ("(unsigned  long)1", "((unsigned long)1)"),
        ("(a)", "a"),
        ("(a).b", "a.b"),
        ("(a * b)", "(a * b)"),
        // As bpftrace: a bare name is a type, unless it is a builtin.
        ("(myident)*$a", "((myident)(*$a))"),
        ("(pid)*tid", "(pid * tid)"),
        ("(pid) - 1", "(pid - 1)"),
        ("(args) & 1", "(args & 1)"),
        ("(arg0) * 2", "(arg0 * 2)"),
        ("(a) && b", "(a && b)"),
        ("(a) != b", "(a != b)"),
        ("(a) / b", "(a / b)"),
    ] {
        assert_eq!(expr(text), dump, "{text}");
    }
}

#[test]
fn tuples_and_records() {
    for (text, dump) in [
        ("()", "tuple()"),
        ("(1,)", "tuple(1)"),
        ("(1, 2,)", "tuple(1, 2)"),
        ("((1, 2), \"a\")", "tuple(tuple(1, 2), \"a\")"),
        ("(a=1, b=(c=2))", "record(a = 1, b = record(c = 2))"),
        ("(a == 1)", "(a == 1)"),
    ] {
        assert_eq!(expr(text), dump, "{text}");
    }
}

#[test]
fn literals_names_and_calls() {
    for (text, dump) in [
        ("1_000 + 0x10", "(1000 + 16)"),
        ("10ms", "10000000"),
        ("'a'", "97"),
        ("\"a\\n\\x01\\xff\\\"ü\"", "\"a\\n\\x01\\xff\\\"ü\""),
        ("true ? 1 : false", "(true ? 1 : false)"),
        ("@", "@"),
        ("@x", "@x"),
        ("@x[1]", "@x[1]"),
        ("@x[a, b]", "@x[tuple(a, b)]"),
        ("@x[(a, b)]", "@x[tuple(a, b)]"),
        ("@x[1][2]", "@x[1][2]"),
        ("@[tid]", "@[tid]"),
        ("$1 + $# + ${2:-7}", "(($1 + $#) + ${2:-7})"),
        ("f()", "f()"),
        ("f(a, g(b), (c, d))", "f(a, g(b), tuple(c, d))"),
        ("f!(a)", "f(a)"),
        ("f(typeof(uint8), -1)", "f(typeof(type uint8), (-1))"),
        ("iffy", "iffy"),
        ("_", "_"),
    ] {
        assert_eq!(expr(text), dump, "{text}");
    }
}

#[test]
fn questions_about_types() {
    for (text, dump) in [
        ("sizeof(struct foo)", "sizeof(type struct foo)"),
        ("sizeof(uint8[4])", "sizeof(type uint8[4])"),
        ("sizeof((x)[1])", "sizeof(x[1])"),
        ("sizeof(args.x)", "sizeof(args.x)"),
        ("sizeof($x)", "sizeof($x)"),
        ("sizeof(args)", "sizeof(args)"),
        ("sizeof(typeof($x + 1))", "sizeof(type typeof(($x + 1)))"),
        ("offsetof(struct foo, a.b)", "offsetof(type struct foo, a.b)"),
        ("offsetof(*$p, a)", "offsetof((*$p), a)"),
        ("typeinfo(x + 1).base_ty", "typeinfo((x + 1)).base_ty"),
    ] {
        assert_eq!(expr(text), dump, "{text}");
    }
}

#[test]
fn blocks_and_ifs_have_values() {
    assert_eq!(expr("{ 1 }"), "{ 1 }");
    assert_eq!(expr("{ $a = 1; $a + 1 }"), "{\n  $a = 1\n  value ($a + 1)\n}");
    assert_eq!(expr("if a { 1 } else { 2 }"), "(a ? { 1 } : { 2 })");
    assert_eq!(
        expr("if (a) { 1 } else if (b) { 2 } else { 3 }"),
        "(a ? { 1 } : (b ? { 2 } : { 3 }))"
    );
    assert_eq!(expr("{ if (a) { 1 } else { 2 } }"), "{ (a ? { 1 } : { 2 }) }");
    // No value: a branch has none, or a semicolon ends it.
    assert_eq!(expr("{ if (a) { 1 } }"), "{\n  if a\n    1\n}");
    assert_eq!(expr("{ { 1 }; }"), "{\n  block\n    1\n}");
}

#[test]
fn spans_cover_what_was_written() {
    let text = "f( a ) + /* c */ (b * 2) ";
    let whole = ok(text, parse_expression);
    let at = |span: Span| text.get(span.start as usize..span.end as usize).unwrap_or_default();
    assert_eq!(at(whole.span), "f( a ) + /* c */ (b * 2)");
    let ExprKind::Binary { left, right, .. } = whole.kind else { panic!("not a sum") };
    assert_eq!(at(left.span), "f( a )");
    assert_eq!(at(right.span), "(b * 2)");
    let ExprKind::Call { args, .. } = left.kind else { panic!("not a call") };
    assert_eq!(at(args[0].span), "a");
}
