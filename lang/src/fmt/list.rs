//! Lists: arguments, keys, operands of an operator. Those that do not fit a line are broken into as
//! few as possible, the last of which is as long as possible.

use super::Printer;
use super::comments::{Comment, Place, in_front};
use super::lines::Lines;

/// How a list is printed.
#[derive(Clone, Copy)]
pub(super) struct List<'s> {
    /// Between two elements, with the blanks around it.
    pub(super) separator: &'s str,
    /// Columns that there are.
    pub(super) width: usize,
    /// Where the list's bracket ends in the source, if it has one.
    pub(super) end: Option<u32>,
}

/// An element and the comments around it.
#[derive(Default)]
struct Element {
    above: Vec<String>,
    printed: Lines,
    beside: Vec<String>,
}

impl Printer<'_> {
    /// Prints a list of things, of which `start_of` says where they begin in the source.
    pub(super) fn list<T>(
        &mut self,
        list: List,
        things: &[T],
        start_of: impl Fn(&T) -> u32,
        print: impl Fn(&mut Self, &T, usize) -> Lines,
    ) -> Lines {
        let mut elements: Vec<Element> = Vec::with_capacity(things.len());
        for (at, thing) in things.iter().enumerate() {
            let is_last = at + 1 == things.len();
            let start = self.source.skip_brackets(start_of(thing));
            let (above, in_line) = self.comments_in_list(list, elements.last_mut(), start);
            let printed = print(self, thing, list.width.saturating_sub(usize::from(!is_last)));
            let printed = Lines::of(in_line).beside(printed);
            elements.push(Element { above, printed, beside: Vec::new() });
        }
        let end = list.end.unwrap_or(0);
        while let Some(comment) = self.comments.next_if(end, |c| c.ends_list()) {
            if elements.is_empty() {
                elements.push(Element::default());
            }
            if let Some(last) = elements.last_mut() {
                last.add_in_line(&comment);
            }
        }
        if let Some((_, separated)) = elements.split_last_mut() {
            for element in separated {
                let printed = std::mem::take(&mut element.printed);
                element.printed = printed.text(list.separator);
            }
        }
        arrange(elements, list.width)
    }

    /// The comments in front of an element: those above it, and those in its line. Others are about
    /// the element before.
    fn comments_in_list(
        &mut self,
        list: List,
        last: Option<&mut Element>,
        start: u32,
    ) -> (Vec<String>, String) {
        if let Some(last) = last {
            let mark = list.separator.trim();
            let is_about_last = |comment: &Comment| {
                comment.place == Place::AfterCode || comment.belongs_to_last(mark)
            };
            while let Some(comment) = self.comments.next_if(start, is_about_last) {
                last.add(&comment);
            }
        }
        in_front(&self.comments.before(start))
    }
}

impl Element {
    /// Adds a comment that stands after the element.
    fn add(&mut self, comment: &Comment) {
        if comment.place == Place::AfterCode || !self.beside.is_empty() {
            self.beside.extend(comment.lines());
        } else {
            self.add_in_line(comment);
        }
    }

    fn add_in_line(&mut self, comment: &Comment) {
        let printed = std::mem::take(&mut self.printed);
        let blank = if printed.is_empty() { "" } else { " " };
        self.printed = printed.text(blank).text(&comment.in_line());
    }
}

/// Puts elements into lines; comments end theirs.
fn arrange(elements: Vec<Element>, width: usize) -> Lines {
    let mut all = Lines::new();
    let mut line = Vec::new();
    for element in elements {
        if !element.above.is_empty() {
            all = all.below(fill(std::mem::take(&mut line), width));
        }
        for comment in element.above {
            all = all.comment_below(&comment);
        }
        line.push(element.printed);
        let mut beside = element.beside.into_iter();
        if let Some(comment) = beside.next() {
            all = all.below(fill(std::mem::take(&mut line), width)).comment_beside(&comment);
        }
        all = beside.fold(all, |all, comment| all.comment_below(&comment));
    }
    all.below(fill(line, width))
}

/// Breaks between elements until they fit; nowhere if one of them does not.
fn fill(elements: Vec<Lines>, width: usize) -> Lines {
    let widths: Vec<usize> = elements.iter().map(Lines::width).collect();
    let mut breaks = Vec::new();
    if widths.iter().all(|one| *one <= width) {
        let mut used = 0;
        for (at, one) in widths.iter().enumerate().rev() {
            used += one;
            if used > width {
                breaks.push(at + 1);
                used = *one;
            }
        }
    }
    let mut lines = Lines::new();
    for (at, element) in elements.into_iter().enumerate() {
        lines = if breaks.contains(&at) { lines.below(element) } else { lines.beside(element) };
    }
    lines
}
