//! Writing what runs to a script that runs the same.

use rbtrace_lang::ast::{AttachPiece, Expr, ExprKind, Item, Param};
use rbtrace_lang::expand::visit::{self, VisitMut};
use rbtrace_lang::parse::parse;
use rbtrace_lang::span::{Sources, Span};

/// One script out of several.
pub fn joined(texts: &[String]) -> String {
    let mut script = String::from("#!/usr/bin/env rbtrace\n");
    for text in texts {
        script.push('\n');
        for line in text.lines().filter(|line| !line.starts_with("#!")) {
            script.push_str(line);
            script.push('\n');
        }
    }
    script
}

/// The script with the parameters it was given as their defaults: `$1` becomes `${1:-lo}`.
pub fn with_defaults(text: &str, params: &[String]) -> String {
    let mut found = Found(Vec::new());
    let mut sources = Sources::default();
    let file = sources.add("", text);
    // It ran, so it parses.
    let Ok(mut script) = parse(&sources, file) else { return text.to_owned() };
    for item in &script.items {
        let Item::Probe(probe) = item else { continue };
        let parts = probe.attach_points.iter().flat_map(|point| &point.parts);
        for piece in parts.flat_map(|part| &part.pieces) {
            if let AttachPiece::Param(param) = piece {
                found.add(param);
            }
        }
    }
    found.script(&mut script);
    found.0.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
    let mut result = text.to_owned();
    for (span, number) in found.0 {
        let Some(value) = (number as usize).checked_sub(1).and_then(|at| params.get(at)) else {
            continue;
        };
        let place = span.start as usize..span.end as usize;
        // A brace would end the default.
        if !value.contains('}') && result.get(place.clone()).is_some() {
            result.replace_range(place, &format!("${{{number}:-{value}}}"));
        }
    }
    result
}

/// Places of parameters, and their numbers.
struct Found(Vec<(Span, u32)>);

impl Found {
    fn add(&mut self, param: &Param) {
        self.0.push((param.span, param.number));
    }
}

impl VisitMut for Found {
    fn expr(&mut self, it: &mut Expr) {
        if let ExprKind::Param(param) = &it.kind {
            self.add(param);
        }
        visit::expr(self, it);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_defaults() {
        let text = "xdp:${1:-*}:$2 { printf(\"$1 %d\\n\", $3); }";
        let given = ["lo".to_owned(), "generic".to_owned()];
        let saved = with_defaults(text, &given);
        assert_eq!(saved, "xdp:${1:-lo}:${2:-generic} { printf(\"$1 %d\\n\", $3); }");
    }

    #[test]
    fn one_first_line_for_all() {
        let texts = ["#!/usr/bin/rbtrace\nBEGIN { }".to_owned(), "END { }".to_owned()];
        assert_eq!(joined(&texts), "#!/usr/bin/env rbtrace\n\nBEGIN { }\n\nEND { }\n");
    }
}
