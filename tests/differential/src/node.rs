//! Pieces of generated scripts: trees that know where they can be made smaller.

/// What a piece can stand for: pieces of one kind can take each other's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An expression of any integer type.
    Int,
    /// A truth value.
    Bool,
    /// A string.
    Text,
    /// A tuple of the shape with this number.
    Tuple(usize),
    /// A statement.
    Stmt,
    /// Statements, each of which can go.
    Block,
}

/// A piece of a script.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it stands for.
    pub kind: Kind,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Node(Node),
}

impl Node {
    /// A piece without anything below it.
    pub fn leaf(kind: Kind, text: impl Into<String>) -> Self {
        Node { kind, parts: vec![Part::Text(text.into())] }
    }

    /// `template` with `children` in place of its `{}`, in order. Braces of the language are
    /// written `«` and `»`.
    ///
    /// # Panics
    ///
    /// If there are more children than places.
    pub fn new(kind: Kind, template: &str, children: Vec<Node>) -> Self {
        let mut texts = template.split("{}").map(|text| text.replace('«', "{\n").replace('»', "}"));
        let mut parts = vec![Part::Text(texts.next().unwrap_or_default())];
        for child in children {
            parts.push(Part::Node(child));
            parts.push(Part::Text(texts.next().expect("a place for each child")));
        }
        Node { kind, parts }
    }

    /// Statements in a row.
    pub fn block(stmts: Vec<Node>) -> Self {
        Node { kind: Kind::Block, parts: stmts.into_iter().map(Part::Node).collect() }
    }

    /// As the language writes it.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Node(node) => node.write(out),
            }
        }
    }

    /// Smaller trees of the same kind, each made by one step; the largest steps first.
    pub fn smaller(&self) -> Vec<Node> {
        let mut found = Vec::new();
        self.promote_descendants(&self.kind, &mut found);
        if self.kind == Kind::Block {
            for at in 0..self.parts.len() {
                let mut less = self.clone();
                less.parts.remove(at);
                found.push(less);
            }
        }
        if let Some(simplest) = simplest(&self.kind)
            && self.text().len() > simplest.len()
        {
            found.push(Node::leaf(self.kind.clone(), simplest));
        }
        for (at, part) in self.parts.iter().enumerate() {
            let Part::Node(child) = part else { continue };
            for smaller in child.smaller() {
                let mut less = self.clone();
                less.parts[at] = Part::Node(smaller);
                found.push(less);
            }
        }
        found
    }

    /// Every piece below this one that could stand in its place.
    fn promote_descendants(&self, kind: &Kind, found: &mut Vec<Node>) {
        for part in &self.parts {
            let Part::Node(child) = part else { continue };
            if child.kind == *kind {
                found.push(child.clone());
            } else {
                child.promote_descendants(kind, found);
            }
        }
    }
}

/// The simplest piece of a kind, for those of which there is one.
fn simplest(kind: &Kind) -> Option<&'static str> {
    match kind {
        Kind::Int => Some("$a"),
        Kind::Bool => Some("($a == 1)"),
        Kind::Text => Some("\"a\""),
        Kind::Tuple(_) | Kind::Stmt | Kind::Block => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smaller_trees_are_of_the_same_kind_and_shorter() {
        let sum = Node::new(
            Kind::Int,
            "({} + {})",
            vec![Node::leaf(Kind::Int, "$b"), Node::leaf(Kind::Int, "$long")],
        );
        let tree = Node::block(vec![Node::new(Kind::Stmt, "print({});", vec![sum])]);
        let texts: Vec<String> = tree.smaller().iter().map(Node::text).collect();
        assert_eq!(texts, ["", "print($b);", "print($long);", "print($a);", "print(($b + $a));"]);
    }
}
