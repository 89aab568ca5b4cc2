//! Text in lines, put together from smaller ones.

/// Columns by which the content of brackets and braces is moved in.
pub(super) const INDENT: usize = 2;

/// Lines of text; the first one continues whatever they are put beside.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    lines: Vec<String>,
    /// There is a comment to the end of a line, so that the lines cannot become one.
    commented: bool,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// One line.
    pub(super) fn of(text: impl Into<String>) -> Self {
        Self { lines: vec![text.into()], commented: false }
    }

    /// Whether there is nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.iter().all(String::is_empty)
    }

    /// Whether everything is on one line, and something may follow it there.
    pub(super) fn is_one_line(&self) -> bool {
        self.lines.len() <= 1 && !self.commented
    }

    /// Whether the text begins with one of some characters.
    pub(super) fn begins_with<const N: usize>(&self, characters: [char; N]) -> bool {
        self.lines.first().is_some_and(|line| line.starts_with(characters))
    }

    /// Columns of the widest line.
    pub(super) fn width(&self) -> usize {
        self.lines.iter().map(|line| columns(line)).max().unwrap_or(0)
    }

    /// Adds to the last line.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.last().push_str(text);
        self
    }

    /// Puts lines beside the last one; those after the first begin in the column where the first
    /// does.
    pub(super) fn beside(self, other: Lines) -> Self {
        let column = self.lines.last().map_or(0, |line| columns(line));
        self.join(other, column)
    }

    /// Puts lines beside the last one; those after the first begin where they did.
    pub(super) fn flush(self, other: Lines) -> Self {
        self.join(other, 0)
    }

    fn join(mut self, other: Lines, column: usize) -> Self {
        self.commented |= other.commented;
        let mut lines = other.lines.into_iter();
        if let Some(first) = lines.next() {
            self.last().push_str(&first);
        }
        self.lines.extend(lines.map(|line| indented(&line, column)));
        self
    }

    /// Puts lines below, moved in, and begins a new line after them; nothing if there are none.
    pub(super) fn inside(mut self, other: Lines) -> Self {
        if other.is_empty() {
            return self;
        }
        self.commented |= other.commented;
        self.lines.extend(other.lines.iter().map(|line| indented(line, INDENT)));
        self.lines.push(String::new());
        self
    }

    /// Puts lines below.
    pub(super) fn below(mut self, other: Lines) -> Self {
        self.commented |= other.commented;
        self.lines.extend(other.lines);
        self
    }

    /// Puts a comment below that goes to the end of its line.
    pub(super) fn comment_below(mut self, comment: &str) -> Self {
        self.commented = true;
        self.lines.push(comment.to_owned());
        self
    }

    /// Puts a comment at the end of the last line.
    pub(super) fn comment_beside(mut self, comment: &str) -> Self {
        self.commented = true;
        let last = self.last();
        if !last.is_empty() && !last.ends_with(' ') {
            last.push(' ');
        }
        last.push_str(comment);
        self
    }

    /// Puts an empty line below.
    pub(super) fn blank_line(mut self) -> Self {
        self.lines.push(String::new());
        self
    }

    /// The whole, every line ended, without blanks at the ends.
    pub(super) fn finish(self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn last(&mut self) -> &mut String {
        if self.lines.is_empty() {
            self.lines.push(String::new());
        }
        let at = self.lines.len() - 1;
        &mut self.lines[at]
    }
}

fn columns(line: &str) -> usize {
    line.chars().count()
}

fn indented(line: &str, by: usize) -> String {
    if line.is_empty() { String::new() } else { format!("{}{line}", " ".repeat(by)) }
}
