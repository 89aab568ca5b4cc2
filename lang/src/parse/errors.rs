//! What to say about text that the grammar does not fit.

use pest::error::{Error, ErrorVariant, InputLocation};

use crate::diag::Diagnostic;
use crate::span::Span;

use super::prescan::{Before, Brackets, before};
use super::{MAX_NESTING, Rule};

/// The message for pest's error.
pub(super) fn describe(
    error: &Error<Rule>,
    text: &str,
    file: u32,
    brackets: &Brackets,
) -> Diagnostic {
    let place = match error.location {
        InputLocation::Pos(place) | InputLocation::Span((place, _)) => place,
    };
    let ErrorVariant::ParsingError { positives, .. } = &error.variant else {
        // pest's own limits: the stack it has, for one.
        let span = Span { start: 0, end: 0, file };
        return Diagnostic::error("nesting-too-deep", span, "the script is nested too deeply")
            .note(format!("brackets may be nested {MAX_NESTING} levels deep"));
    };
    let Before { token_end, open } = before(text, place);
    let failure = Failure { text, file, place, token_end, open, expected: positives, brackets };
    failure.known_mistake().unwrap_or_else(|| failure.general())
}

/// For what cannot happen unless the grammar and the builder disagree.
pub(super) fn internal(file: u32) -> Diagnostic {
    Diagnostic::error(
        "internal",
        Span { start: 0, end: 0, file },
        "the parser does not understand its own grammar here; please report this script",
    )
}

struct Failure<'a> {
    text: &'a str,
    file: u32,
    place: usize,
    /// Where the token before the place ends.
    token_end: usize,
    /// The innermost bracket open at the place.
    open: Option<usize>,
    expected: &'a [Rule],
    brackets: &'a Brackets,
}

impl Failure<'_> {
    fn span(&self, start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32, file: self.file }
    }

    fn rest(&self) -> &str {
        self.text.get(self.place..).unwrap_or_default()
    }

    fn before(&self) -> &str {
        self.text.get(..self.token_end).unwrap_or_default()
    }

    fn expects(&self, rule: Rule) -> bool {
        self.expected.contains(&rule)
    }

    /// The token at the place: its length in bytes, 0 at the end.
    fn token_len(&self) -> usize {
        const MARKS: &[&str] = &[
            "<<=", ">>=", "...", "==", "!=", "<=", ">=", "&&", "||", "<<", ">>", "->", "++", "--",
            "..", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "::",
        ];
        let rest = self.rest();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let word: usize = rest
            .char_indices()
            .take_while(|&(i, c)| is_word(c) || i == 0 && matches!(c, '$' | '@'))
            .map(|(_, c)| c.len_utf8())
            .sum();
        if word > 0 {
            return word;
        }
        MARKS
            .iter()
            .find(|m| rest.starts_with(**m))
            .map_or_else(|| rest.chars().next().map_or(0, char::len_utf8), |m| m.len())
    }

    fn token(&self) -> &str {
        self.rest().get(..self.token_len()).unwrap_or_default()
    }

    fn token_span(&self) -> Span {
        if self.rest().trim().is_empty() {
            return self.span(self.token_end, self.token_end);
        }
        self.span(self.place, self.place + self.token_len())
    }

    /// The innermost bracket open at the place.
    fn open_bracket(&self) -> Option<&str> {
        self.open.and_then(|place| self.text.get(place..=place))
    }

    /// A mistake often made, where the text tells it.
    fn known_mistake(&self) -> Option<Diagnostic> {
        self.open_string()
            .or_else(|| self.fancy_character())
            .or_else(|| self.unclosed())
            .or_else(|| self.mismatched())
            .or_else(|| self.unclosed_here())
            .or_else(|| self.assigned_in_expression())
            .or_else(|| self.declared_like_c())
            .or_else(|| self.body_without_braces())
            .or_else(|| self.missing_semicolon())
    }

    fn open_string(&self) -> Option<Diagnostic> {
        if !self.rest().starts_with('"') {
            return None;
        }
        let line = self.rest().lines().next().unwrap_or_default();
        if line.get(1..)?.contains('"') {
            return None;
        }
        let span = self.span(self.place, self.place + line.trim_end().len());
        Some(
            Diagnostic::error("unterminated-string", span, "this string has no end on its line")
                .help("end it with `\"`; a line break in a string is written `\\n`"),
        )
    }

    fn fancy_character(&self) -> Option<Diagnostic> {
        let c = self.rest().chars().next()?;
        if c.is_ascii() && !c.is_ascii_control() {
            return None;
        }
        let plain = match c {
            '“' | '”' | '„' | '«' | '»' => Some('"'),
            '‘' | '’' => Some('\''),
            '–' | '—' | '−' => Some('-'),
            '\u{a0}' | '\u{2003}' | '\u{200b}' | '\u{feff}' => Some(' '),
            _ => None,
        };
        let span = self.span(self.place, self.place + c.len_utf8());
        let diagnostic = Diagnostic::error(
            "invalid-character",
            span,
            format!("the character {}U+{:04X} has no meaning here", shown(c), u32::from(c)),
        );
        Some(match plain {
            Some(plain) => diagnostic.help(format!("write `{plain}`")),
            None => diagnostic.note("outside strings and comments, scripts are ASCII text"),
        })
    }

    /// The text ends, and brackets are open.
    fn unclosed(&self) -> Option<Diagnostic> {
        let opened = *self.brackets.unclosed.last()?;
        if !self.rest().is_empty() && self.place >= opened {
            return None;
        }
        let bracket = self.text.get(opened..=opened)?;
        let closing = closing(bracket);
        let end = before(self.text, self.text.len()).token_end;
        Some(
            Diagnostic::error(
                "unclosed-bracket",
                self.span(opened, opened + 1),
                format!("this `{bracket}` is never closed"),
            )
            .also(self.span(end, end), format!("`{closing}` is missing, here at the latest")),
        )
    }

    /// A closing bracket that closes nothing, or something else than was opened.
    fn mismatched(&self) -> Option<Diagnostic> {
        let (stray, opened) = self.brackets.mismatch?;
        if stray != self.place {
            return None;
        }
        let found = self.text.get(stray..=stray)?;
        let span = self.span(stray, stray + 1);
        let Some(opened) = opened else {
            return Some(Diagnostic::error(
                "unopened-bracket",
                span,
                format!("this `{found}` closes nothing"),
            ));
        };
        let bracket = self.text.get(opened..=opened)?;
        let closing = closing(bracket);
        Some(
            Diagnostic::error(
                "unclosed-bracket",
                span,
                format!("expected `{closing}`, found `{found}`"),
            )
            .label(format!("`{closing}` is missing before this"))
            .also(self.span(opened, opened + 1), "to close this"),
        )
    }

    /// Something that cannot follow within a bracket that is not closed where it should be.
    fn unclosed_here(&self) -> Option<Diagnostic> {
        let (_, Some(opened)) = self.brackets.mismatch? else { return None };
        let bracket = self.open_bracket().filter(|_| self.open == Some(opened))?;
        let (closing, rule) = match bracket {
            "(" => (')', Rule::close_paren),
            _ => (']', Rule::close_bracket),
        };
        if !self.expects(rule) {
            return None;
        }
        Some(
            Diagnostic::error(
                "unclosed-bracket",
                self.token_span(),
                format!("expected `{closing}`, found {}", self.found()),
            )
            .label(format!("`{closing}` is missing before this"))
            .also(self.span(opened, opened + 1), "to close this"),
        )
    }

    /// `if ($x = 1)`
    fn assigned_in_expression(&self) -> Option<Diagnostic> {
        let is_operand_done = self.expects(Rule::op_eq);
        if self.token() != "=" || !is_operand_done || self.expects(Rule::assign_op) {
            return None;
        }
        Some(
            Diagnostic::error(
                "syntax-error",
                self.token_span(),
                "`=` assigns, and this is an expression",
            )
            .label("assignments are statements of their own")
            .help("to compare, write `==`"),
        )
    }

    /// `int x = 1;`, `u64 $x = 1;`
    fn declared_like_c(&self) -> Option<Diagnostic> {
        const TYPES: &[&str] = &[
            "int", "long", "short", "char", "unsigned", "bool", "string", "void", "auto", "var",
            "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "int8", "int16", "int32",
            "int64", "uint8", "uint16", "uint32", "uint64", "size_t",
        ];
        let before = self.before();
        let word = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        let next = self.token();
        let is_name =
            next.trim_start_matches('$').starts_with(|c: char| c.is_alphabetic() || c == '_');
        if !self.expects(Rule::semicolon) || !TYPES.contains(&word) || !is_name {
            return None;
        }
        let name = next.trim_start_matches('$');
        let start = before.len() - word.len();
        Some(
            Diagnostic::error(
                "syntax-error",
                self.span(start, self.place + next.len()),
                "variables are not declared as in C",
            )
            .help(format!("write `let ${name}: {word} = ...;` or just `${name} = ...;`")),
        )
    }

    /// `if (c) f();`
    fn body_without_braces(&self) -> Option<Diagnostic> {
        let blocks = [Rule::open_brace, Rule::block];
        if !self.expected.iter().any(|r| blocks.contains(r)) || self.expects(Rule::semicolon) {
            return None;
        }
        let before = self.before();
        let line = before.rsplit(['\n', ';', '{', '}']).next()?.trim_start();
        let word = ["if", "else", "while", "for", "unroll"].into_iter().find(|w| {
            line.strip_prefix(*w).is_some_and(|r| !r.starts_with(|c: char| c.is_alphanumeric()))
        })?;
        Some(
            Diagnostic::error(
                "syntax-error",
                self.token_span(),
                format!("expected `{{`, found {}", self.found()),
            )
            .help(format!("the body of `{word}` is always in braces")),
        )
    }

    /// A statement that ends without `;`, and another one begins.
    fn missing_semicolon(&self) -> Option<Diagnostic> {
        if !self.expects(Rule::semicolon) {
            return None;
        }
        let first = self.rest().chars().next()?;
        if !(first.is_alphanumeric() || matches!(first, '_' | '$' | '@' | '"' | '{')) {
            return None;
        }
        let end = self.before().len();
        let on_next_line = self.text.get(end..self.place).is_some_and(|s| s.contains('\n'));
        let is_statement = first.is_alphabetic() || matches!(first, '_' | '$' | '@');
        if !on_next_line && !is_statement {
            return None;
        }
        let diagnostic = Diagnostic::error(
            "missing-semicolon",
            self.span(end, end),
            "expected `;` at the end of the statement",
        )
        .label("`;` is missing");
        Some(if on_next_line {
            diagnostic.also(self.token_span(), "the next statement begins here")
        } else {
            diagnostic
        })
    }

    fn general(&self) -> Diagnostic {
        let expected = self.expected_words();
        let found = self.found();
        let message = match expected.as_slice() {
            [] => format!("{found} does not belong here"),
            words => format!("expected {}, found {found}", join(words)),
        };
        let diagnostic = Diagnostic::error("syntax-error", self.token_span(), message);
        match self.advice() {
            Some(help) => diagnostic.help(help),
            None => diagnostic,
        }
    }

    fn found(&self) -> String {
        match self.token() {
            "" => "the end of the script".to_owned(),
            token => format!("`{token}`"),
        }
    }

    fn expected_words(&self) -> Vec<&'static str> {
        let mut ranked: Vec<(u8, &'static str)> =
            self.expected.iter().filter_map(|&rule| words(rule)).collect();
        if self.expects(Rule::angle_close) && self.open.is_some() {
            ranked.retain(|&(_, words)| words != ANGLE_CLOSE);
            ranked.push((1, "`}`"));
        }
        if self.before().ends_with("import") && self.expects(Rule::string) {
            return vec!["a string"];
        }
        // Expressions and statements begin in many ways: one word is enough.
        let is_operand = self.expects(Rule::integer) && self.expects(Rule::map);
        let is_value = is_operand || ranked.iter().any(|&(_, words)| words == AN_EXPRESSION);
        if is_value && self.expects(Rule::semicolon) && !self.before().ends_with("return") {
            return match self.open {
                Some(_) => vec!["a statement", "`}`"],
                None => vec!["a statement", ANGLE_CLOSE],
            };
        }
        if is_operand {
            ranked.retain(|&(_, words)| words != "`(`" && words != "`{`");
            ranked.push((EXPRESSION, AN_EXPRESSION));
        }
        ranked.sort_unstable();
        ranked.dedup();
        let is_expression = ranked.iter().any(|&(_, words)| words == AN_EXPRESSION);
        let has_better = ranked.iter().any(|&(rank, _)| rank < OPERATOR);
        ranked.retain(|&(rank, words)| {
            (!has_better || rank < OPERATOR)
                && (!is_expression || rank < EXPRESSION || words == AN_EXPRESSION)
        });
        ranked.into_iter().map(|(_, words)| words).collect()
    }

    fn advice(&self) -> Option<String> {
        const LOOPS: &str = "loops are `for ($i : 0..10) { ... }`, `for ($kv : @map) { ... }` and `while (...) { ... }`";
        const PROBE: &str = "a probe is an event and a block: `kprobe:vfs_read { @reads++; }`";
        let token = self.token();
        let is_word = token.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let before = self.before();
        if self.expects(Rule::for_colon)
            || self.expects(Rule::variable) && before.ends_with("for (")
        {
            return Some(LOOPS.to_owned());
        }
        if self.expects(Rule::variable) && !self.expects(Rule::integer) && is_word {
            return Some(format!("variables begin with `$`: `${token}`"));
        }
        if before.ends_with("let") && self.expects(Rule::map) && self.open.is_none() {
            return Some("outside probes only maps are declared: `let @x = hash(100);`".to_owned());
        }
        if before.ends_with("import") && self.expects(Rule::string) {
            return Some(format!("write `import \"{token}\";`"));
        }
        if self.expects(Rule::predicate) && token == "(" {
            return Some("statements stand in the block of a probe: `BEGIN { ... }`".to_owned());
        }
        if self.expects(Rule::predicate) && is_word {
            return Some(
                "the parts of an event are joined by colons, without blanks: `kprobe:vfs_read`"
                    .to_owned(),
            );
        }
        if [Rule::open_angle, Rule::predicate, Rule::script, Rule::attach_point, Rule::attach_type]
            .iter()
            .any(|&rule| self.expects(rule))
        {
            return Some(PROBE.to_owned());
        }
        None
    }
}

/// A character in front of its number, if it can be seen.
fn shown(c: char) -> String {
    if c.is_control() || c.is_whitespace() || c == '\u{200b}' || c == '\u{feff}' {
        return String::new();
    }
    format!("`{c}` ")
}

fn closing(bracket: &str) -> char {
    match bracket {
        "(" => ')',
        "[" => ']',
        _ => '}',
    }
}

/// Words of this rank and above are left out if there are others.
const OPERATOR: u8 = 9;

/// For what has many beginnings.
const AN_EXPRESSION: &str = "an expression";
const ANGLE_CLOSE: &str = "the closing `>`";

/// Rank of expressions and of what an expression may begin with.
const EXPRESSION: u8 = 4;

/// What a rule is called in messages, with the rank in which it is named.
fn words(rule: Rule) -> Option<(u8, &'static str)> {
    Some(match rule {
        Rule::semicolon | Rule::stmt_word => (1, "`;`"),
        Rule::close_paren => (1, "`)`"),
        Rule::close_bracket => (1, "`]`"),
        Rule::close_brace => (1, "`}`"),
        Rule::angle_close => (2, ANGLE_CLOSE),
        Rule::open_brace | Rule::block | Rule::angle_block => (1, "`{`"),
        Rule::open_paren => (1, "`(`"),
        Rule::open_bracket => (8, "`[`"),
        Rule::equals => (2, "`=`"),
        Rule::slash_end => (2, "`/`"),
        Rule::for_colon | Rule::ternary_colon => (2, "`:`"),
        Rule::range => (3, "`..`"),
        Rule::predicate => (3, "a predicate"),
        Rule::variable => (EXPRESSION, "a variable"),
        Rule::map => (EXPRESSION, "a map"),
        Rule::integer => (EXPRESSION, "a number"),
        Rule::string => (EXPRESSION, "a string"),
        Rule::expr | Rule::name | Rule::parens | Rule::prefix_op | Rule::expr_stmt => {
            (EXPRESSION, AN_EXPRESSION)
        }
        Rule::type_or_expr => (EXPRESSION, "a type or an expression"),
        Rule::macro_param => (EXPRESSION, "a parameter (`$x`, `@x` or `x`)"),
        Rule::function_param => (EXPRESSION, "a parameter (`$x: int64`)"),
        Rule::ident | Rule::config_name | Rule::type_word => (5, "a name"),
        Rule::field => (5, "the name of a field"),
        Rule::type_ | Rule::type_name => (5, "a type"),
        Rule::config_value | Rule::config_word => (5, "a value"),
        Rule::config_entry => (5, "a setting"),
        Rule::param_number => (5, "the number of a parameter"),
        Rule::script
        | Rule::probe
        | Rule::attach_point
        | Rule::attach_type
        | Rule::attach_type_text => (6, "a probe"),
        Rule::record_name | Rule::record_field => (6, "the name of a field"),
        Rule::op_add | Rule::op_mul | Rule::op_eq | Rule::op_rel => (OPERATOR, "an operator"),
        Rule::assign_op => (OPERATOR, "an assignment"),
        _ => return None,
    })
}

/// `a`, `a or b`, `a, b or c`
fn join(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [rest @ .., last] => format!("{} or {last}", rest.join(", ")),
    }
}
