//! Scripts in the standard layout: that of `bpftrace --fmt`, so that a script it has formatted stays
//! as it is. Comments that bpftrace would move or lose stay where they are.
//!
//! The syntax tree is printed anew. `lines` puts texts beside and below each other, `list` breaks
//! what is too long, `source` looks up what the tree does not have, and `comments` gives out the
//! comments in front of each part as it is printed.

mod comments;
mod expressions;
mod items;
mod lines;
mod list;
mod source;
mod statements;
mod types;

use crate::ast::Script;
use crate::diag::Diagnostic;
use crate::dump;
use crate::parse::{MAX_DEPTH, parse};
use crate::span::{Sources, Span};

use comments::{Comments, Place};
use lines::Lines;
use source::Source;

/// Columns in which lines fit where they can be broken; those of blocks have two less.
const WIDTH: usize = 90;

/// A script in the standard layout. It says the same as before, with every comment, and formatting it
/// again changes nothing.
///
/// # Errors
///
/// What is wrong with the script if it cannot be parsed. That it is too deeply nested, if it would be
/// so with the brackets that the layout puts around operators.
pub fn format(sources: &Sources, file: u32) -> Result<String, Vec<Diagnostic>> {
    let script = parse(sources, file)?;
    let text = sources.get(file).map_or("", |source| &source.text);
    let formatted = Printer::new(text, &script).script(&script);
    match compare(text, &script, &formatted) {
        Ok(()) => Ok(formatted),
        Err(diagnostic) => Err(vec![diagnostic]),
    }
}

/// Makes sure that the formatted text means what the script does.
fn compare(text: &str, script: &Script, formatted: &str) -> Result<(), Diagnostic> {
    let mut sources = Sources::default();
    let file = sources.add("formatted", formatted);
    let again = parse(&sources, file).map_err(|errors| {
        if errors.iter().any(|error| error.code == "nesting-too-deep") {
            too_deep()
        } else {
            internal("the formatted script could not be parsed")
        }
    })?;
    if dump::ast::script(script) != dump::ast::script(&again) {
        return Err(internal("formatting would change what the script says"));
    }
    if comments::words(text, &script.comments) != comments::words(formatted, &again.comments) {
        return Err(internal("formatting would change the script's comments"));
    }
    Ok(())
}

fn too_deep() -> Diagnostic {
    Diagnostic::general(
        "nesting-too-deep",
        format!("formatted, the script would be more than {MAX_DEPTH} levels deep"),
    )
    .note("the layout puts brackets around each operator inside another one")
    .help("give parts of long expressions names: `$part = ...;`")
}

fn internal(what: &str) -> Diagnostic {
    Diagnostic::general("internal", format!("{what}; it is left as it is"))
        .help("please report this script")
}

/// Prints a tree.
struct Printer<'a> {
    source: Source<'a>,
    comments: Comments<'a>,
}

impl<'a> Printer<'a> {
    fn new(text: &'a str, script: &Script) -> Self {
        let source = Source::new(text);
        Self { source, comments: Comments::new(source, &script.comments) }
    }

    /// The text of a span, as it is written.
    fn text(&self, span: Span) -> &'a str {
        self.source.between(span.start, span.end)
    }

    /// Puts the next thing below `above`, with the comments in front of it, and an empty line where
    /// there was one. `end` is where the last thing above ended in the source.
    fn next(
        &mut self,
        above: Lines,
        end: Option<u32>,
        start: u32,
        print: impl FnOnce(&mut Self) -> Lines,
    ) -> Lines {
        let above = self.comments_between(above, end, self.source.skip_brackets(start));
        let above = self.separated(above, start);
        above.below(print(self))
    }

    /// Puts the comments in front of a position where they belong: those on the line of what ends at
    /// `end` beside it, the others below.
    fn comments_between(&mut self, mut above: Lines, end: Option<u32>, start: u32) -> Lines {
        let mut beside = end;
        while let Some(comment) = self.comments.next_before(start) {
            let is_about = |end: u32| match comment.place {
                Place::Alone => false,
                Place::AfterCode => true,
                Place::BeforeCode => comment.start < end || comment.belongs_to_last(""),
            };
            let mut lines = comment.lines().into_iter();
            if beside.take().is_some_and(is_about) {
                above = match lines.next() {
                    Some(first) => above.comment_beside(&first),
                    None => above,
                };
            } else {
                above = self.separated(above, comment.start);
            }
            above = lines.fold(above, |above, line| above.comment_below(&line));
        }
        above
    }

    /// An empty line below `above` if there is one in front of a position, but not at the top of the
    /// script.
    fn separated(&self, above: Lines, position: u32) -> Lines {
        if self.source.blank_before(position) && !self.source.before(position).trim().is_empty() {
            above.blank_line()
        } else {
            above
        }
    }
}
