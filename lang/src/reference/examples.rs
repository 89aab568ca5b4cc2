//! Examples in Markdown: fenced blocks whose first word is `rbtrace`, marked with what tests do
//! with them.
//!
//! | marker                | what the tests do                                                    |
//! |-----------------------|----------------------------------------------------------------------|
//! | `rbtrace run WORD...` | compile and run it; it prints the `output` block that follows        |
//! | `rbtrace compile WORD...` | compile it for the fixed machine of the golden tests             |
//! | `rbtrace wrong CODE`  | compile it, which fails with this code                               |
//!
//! Words are further arguments of the command line. A run's `output` is standard output without
//! blank lines at its ends; `errors` is standard error without the line `Attached N probes`, and there
//! is nothing on it where the block is missing. Blocks marked `text` or `sh` and those that are
//! indented are no scripts: they have no braces.

/// What is done with an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// It is run and prints this.
    Run {
        /// On standard output.
        output: String,
        /// On standard error.
        errors: String,
    },
    /// It is compiled.
    Compile,
    /// It is compiled, and fails with this code.
    Wrong(String),
}

/// An example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Line of the document where its script begins, from 1.
    pub line: usize,
    /// The script.
    pub script: String,
    /// What follows it on the command line.
    pub words: Vec<String>,
    /// What is done with it.
    pub how: How,
}

/// A fenced block.
struct Block<'a> {
    line: usize,
    marker: &'a str,
    text: String,
}

/// The examples of a document.
///
/// # Errors
///
/// A block that nothing would be done with, with its line.
pub fn examples(document: &str) -> Result<Vec<Example>, String> {
    let mut found: Vec<Example> = Vec::new();
    // Whether what comes next may be what the last example prints.
    let mut after_run = false;
    for block in blocks(document)? {
        let Block { line, marker, text } = block;
        let wrong = |what: &str| Err(format!("line {line}: {what}"));
        let mut words = marker.split_whitespace();
        let (kind, what) = (words.next(), words.next());
        let words: Vec<String> = words.map(str::to_owned).collect();
        match (kind, what) {
            (Some("output" | "errors"), None) => match found.last_mut().map(|it| &mut it.how) {
                Some(How::Run { output, errors }) if after_run => {
                    *(if kind == Some("output") { output } else { errors }) = text;
                }
                _ => return wrong("this follows no block marked `rbtrace run`"),
            },
            (Some("rbtrace"), Some(what)) => {
                let (words, how) = match what {
                    "run" => (words, How::Run { output: String::new(), errors: String::new() }),
                    "compile" => (words, How::Compile),
                    "wrong" if words.len() == 1 => (Vec::new(), How::Wrong(words.concat())),
                    _ => return wrong("mark an example with run, compile or wrong CODE"),
                };
                after_run = matches!(how, How::Run { .. });
                found.push(Example { line: line + 1, script: text, words, how });
            }
            (Some("rbtrace"), None) => {
                return wrong("mark the example with what is done with it: run, compile or wrong");
            }
            (Some("text" | "sh"), None) if !text.contains('{') => after_run = false,
            (Some("text" | "sh"), None) => {
                return wrong("this looks like a script: mark it with rbtrace run or compile");
            }
            _ => return wrong("the block has no known marker"),
        }
    }
    match found.iter().find(|it| matches!(&it.how, How::Run { output, errors } if output.is_empty() && errors.is_empty())) {
        Some(silent) => Err(format!("line {}: no block `output` follows this", silent.line)),
        None => Ok(found),
    }
}

/// The fenced blocks of a document.
fn blocks(document: &str) -> Result<Vec<Block<'_>>, String> {
    let mut found = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (at, line) in document.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(marker), None) => {
                open = Some(Block { line: at + 1, marker, text: String::new() });
            }
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) if line.starts_with("    ") && line.contains('{') => {
                return Err(format!("line {}: a script in an indented block is no test", at + 1));
            }
            (None, None) => {}
        }
    }
    match open {
        Some(block) => Err(format!("line {}: the block does not end", block.line)),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_done_and_printed() {
        let text = "Text.\n```rbtrace run --unsafe 7\nBEGIN { }\n```\n```output\n\n1\n```\n\
                    ```errors\nno\n```\n```rbtrace wrong bad-cast\nx\n```\n```text\nFORM\n```\n";
        let how = How::Run { output: "\n1\n".into(), errors: "no\n".into() };
        let words = vec!["--unsafe".to_owned(), "7".to_owned()];
        let run = Example { line: 3, script: "BEGIN { }\n".into(), words, how };
        let how = How::Wrong("bad-cast".into());
        let wrong = Example { line: 13, script: "x\n".into(), words: Vec::new(), how };
        assert_eq!(examples(text), Ok(vec![run, wrong]));
    }

    #[test]
    fn nothing_is_left_untested() {
        for text in [
            "```rbtrace\nBEGIN { }\n```",
            "```rbtrace dance\nBEGIN { }\n```",
            "```rbtrace run\nBEGIN { }\n```",
            "```rbtrace compile\nBEGIN { }\n```\n```output\n1\n```",
            "```\nBEGIN { }\n```",
            "```text\nBEGIN { }\n```",
            "```rbtrace compile\nBEGIN { }\n",
            "text:\n\n    BEGIN { }\n",
        ] {
            assert!(examples(text).is_err(), "{text}");
        }
    }
}
