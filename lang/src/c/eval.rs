//! Constant expressions, in C's arithmetic.

use pest::Parser;

use crate::catalog::ctypes::CType;
use crate::parse::literals;

use super::number::{Number, binary, literal};
use super::typing::Typing;
use super::{Failure, Grammar, Node, Rule};

type Result<T> = std::result::Result<T, Failure>;

/// The truth of the expression of an `#if`, in which no names are left.
pub(super) fn condition(text: &str) -> Result<bool> {
    let nothing = crate::catalog::Nothing;
    let store = super::store::Store::default();
    let typing = Typing { store: &store, types: &nothing };
    typing.expression(text).map(|number| number.value != 0)
}

impl Typing<'_> {
    /// The value of a text that is an expression.
    pub fn expression(&self, text: &str) -> Result<Number> {
        super::split::check_nesting(text)?;
        let mut pairs = Grammar::parse(Rule::expression_only, text)
            .map_err(|error| Failure::syntax(&error, text))?;
        let pair = pairs.next().and_then(|pair| pair.into_inner().next());
        self.conditional(pair.ok_or_else(Failure::internal)?)
    }

    /// The bytes of a text that is one string or several.
    pub fn string(&self, text: &str) -> Option<Vec<u8>> {
        super::split::check_nesting(text).ok()?;
        let pair = Grammar::parse(Rule::expression_only, text).ok()?.next()?.into_inner().next()?;
        let parts: Vec<Node> = single(pair)?.into_inner().collect();
        let mut bytes = Vec::new();
        for part in &parts {
            if part.as_rule() != Rule::string {
                return None;
            }
            let (mut more, errors) = literals::string(part.as_str());
            if !errors.is_empty() {
                return None;
            }
            bytes.append(&mut more);
        }
        Some(bytes)
    }

    /// The value of a `conditional`.
    pub fn conditional(&self, pair: Node) -> Result<Number> {
        let mut parts = pair.into_inner();
        let condition = self.binary(parts.next().ok_or_else(Failure::internal)?)?;
        if parts.next().is_none() {
            return Ok(condition);
        }
        let branches: Vec<Node> = parts.collect();
        match (branches.as_slice(), condition.value != 0) {
            ([then, _], true) => self.conditional(then.clone()),
            ([_], true) => Ok(condition),
            ([_, otherwise] | [otherwise], false) => self.conditional(otherwise.clone()),
            _ => Err(Failure::internal()),
        }
    }

    /// Operands and operators in a row. What `&&` and `||` do not need is not looked at.
    fn binary(&self, pair: Node) -> Result<Number> {
        let mut operators: Vec<Node> = Vec::new();
        let mut values: Vec<Result<Number>> = Vec::new();
        let mut parts = pair.into_inner().peekable();
        while let Some(part) = parts.next() {
            if part.as_rule() != Rule::operator {
                // `(u32) -1` looks like a subtraction.
                let cast = self.parenthesized_type(&part);
                let sign = parts.peek().map(|next| next.as_str().to_owned());
                match (cast, sign.as_deref()) {
                    (Some(ty), Some(sign @ ("+" | "-"))) => {
                        parts.next();
                        let operand = parts.next().ok_or_else(Failure::internal)?;
                        let at = part.as_span();
                        let value = self.unary(operand).map(|n| n.signed_by(sign));
                        values.push(value.and_then(|n| self.convert(n, &ty, at.start()..at.end())));
                    }
                    _ => values.push(self.unary(part)),
                }
                continue;
            }
            while let Some(before) = operators.last() {
                if precedence(before.as_str()) < precedence(part.as_str()) {
                    break;
                }
                reduce(&mut operators, &mut values)?;
            }
            operators.push(part);
        }
        while !operators.is_empty() {
            reduce(&mut operators, &mut values)?;
        }
        values.pop().unwrap_or_else(|| Err(Failure::internal()))
    }

    /// The type that a lone name in parentheses is.
    fn parenthesized_type(&self, pair: &Node) -> Option<CType> {
        let postfix = pair.clone().into_inner().next()?;
        let mut parts = postfix.into_inner();
        let group = parts.next().filter(|part| part.as_rule() == Rule::group)?;
        let inner = single(group.into_inner().next()?)?;
        let name = inner.into_inner().next().filter(|part| part.as_rule() == Rule::name)?;
        if parts.next().is_some() || self.store.enumerators.contains_key(name.as_str()) {
            return None;
        }
        self.named(&name).ok()
    }

    /// The value of a `unary`.
    fn unary(&self, pair: Node) -> Result<Number> {
        let at = pair.as_span();
        let at = at.start()..at.end();
        let mut parts = pair.into_inner();
        let first = parts.next().ok_or_else(Failure::internal)?;
        match first.as_rule() {
            Rule::sign => {
                let operand = self.unary(parts.next().ok_or_else(Failure::internal)?)?;
                match first.as_str() {
                    "*" | "&" => Err(Failure::constant(at, "this is not known before it runs")),
                    sign => Ok(operand.signed_by(sign)),
                }
            }
            Rule::cast => {
                let mut parts = first.into_inner();
                let ty = self.type_name(parts.next().ok_or_else(Failure::internal)?)?;
                let operand = self.unary(parts.next().ok_or_else(Failure::internal)?)?;
                self.convert(operand, &ty, at)
            }
            Rule::sizeof => self.sizeof(first),
            Rule::alignof => {
                let ty =
                    self.type_name(first.into_inner().next().ok_or_else(Failure::internal)?)?;
                Ok(Number::size(self.layout(&ty, at)?.align))
            }
            Rule::offsetof => self.offsetof(first),
            Rule::postfix => self.postfix(first),
            _ => Err(Failure::internal()),
        }
    }

    fn postfix(&self, pair: Node) -> Result<Number> {
        let at = pair.as_span();
        let at = at.start()..at.end();
        let mut parts = pair.into_inner();
        let first = parts.next().ok_or_else(Failure::internal)?;
        if parts.next().is_some() {
            return Err(Failure::constant(at, "this is not known before it runs"));
        }
        match first.as_rule() {
            Rule::number => literal(first.as_str()).map_err(|text| Failure::constant(at, text)),
            Rule::char => {
                let (bytes, _) = literals::string(first.as_str());
                match bytes.first() {
                    // Plain `char` has a sign.
                    Some(byte) => Ok(Number::int((*byte as i8).into())),
                    None => Err(Failure::constant(at, "there is no character in these quotes")),
                }
            }
            Rule::name => match self.store.enumerators.get(first.as_str()) {
                Some(variant) => Ok(Number::variant(variant.value)),
                None => match self.types.kernel_enumerator(first.as_str()) {
                    Some((_, value)) => Ok(Number::variant(value)),
                    None => {
                        let message = format!("there is no constant called `{}`", first.as_str());
                        Err(Failure::constant(at, message))
                    }
                },
            },
            Rule::group => {
                self.conditional(first.into_inner().next().ok_or_else(Failure::internal)?)
            }
            _ => Err(Failure::constant(at, "a text is no number")),
        }
    }

    fn convert(&self, number: Number, ty: &CType, at: std::ops::Range<usize>) -> Result<Number> {
        match self.resolved(ty) {
            CType::Bool => Ok(Number::new((number.value != 0).into(), 1, false)),
            CType::Char => Ok(Number::new(number.value, 1, true)),
            CType::Int { size, signed } => Ok(Number::new(number.value, size, signed)),
            CType::Enum(of) => Ok(Number::new(number.value, of.size, of.signed)),
            CType::Pointer(_) => Ok(Number::new(number.value, 8, false)),
            _ => Err(Failure::constant(at, "only numbers and pointers are constants")),
        }
    }

    fn sizeof(&self, pair: Node) -> Result<Number> {
        let at = pair.as_span();
        let at = at.start()..at.end();
        let operand = pair.into_inner().last().ok_or_else(Failure::internal)?;
        let ty = match operand.as_rule() {
            Rule::type_name => self.type_name(operand)?,
            Rule::name if self.store.enumerators.contains_key(operand.as_str()) => {
                return Ok(Number::size(4));
            }
            Rule::name => self.named(&operand)?,
            _ => self.type_of_unary(operand)?,
        };
        // GCC gives `void` and functions a size, and headers rely on it.
        if matches!(self.resolved(&ty), CType::Void | CType::Function) {
            return Ok(Number::size(1));
        }
        Ok(Number::size(self.layout(&ty, at)?.size))
    }

    fn offsetof(&self, pair: Node) -> Result<Number> {
        let mut parts = pair.into_inner();
        let mut ty = self.type_name(parts.next().ok_or_else(Failure::internal)?)?;
        let mut offset = 0;
        for part in parts {
            let at = part.as_span();
            let at = at.start()..at.end();
            let (bits, inner) = match part.as_rule() {
                Rule::name => self.member(&ty, part.as_str(), at)?,
                Rule::step => {
                    let name = part.into_inner().next().ok_or_else(Failure::internal)?;
                    self.member(&ty, name.as_str(), at)?
                }
                _ => {
                    let index = part.into_inner().next().ok_or_else(Failure::internal)?;
                    let index = self.conditional(index)?.value;
                    let CType::Array { elem, .. } = self.resolved(&ty) else {
                        return Err(Failure::constant(at, "this is not an array"));
                    };
                    let size = self.layout(&elem, at)?.size;
                    ((index as u64).wrapping_mul(size).wrapping_mul(8), *elem)
                }
            };
            offset += bits / 8;
            ty = inner;
        }
        Ok(Number::size(offset))
    }

    /// The type of a `unary`.
    fn type_of_unary(&self, pair: Node) -> Result<CType> {
        let at = pair.as_span();
        let at = at.start()..at.end();
        let mut parts = pair.clone().into_inner();
        let first = parts.next().ok_or_else(Failure::internal)?;
        match (first.as_rule(), first.as_str()) {
            (Rule::sign, "*") => {
                let inner = self.type_of_unary(parts.next().ok_or_else(Failure::internal)?)?;
                self.target(&inner, at)
            }
            (Rule::sign, "&") => {
                let inner = self.type_of_unary(parts.next().ok_or_else(Failure::internal)?)?;
                Ok(CType::Pointer(Box::new(inner)))
            }
            (Rule::cast, _) => {
                self.type_name(first.into_inner().next().ok_or_else(Failure::internal)?)
            }
            (Rule::postfix, _) => self.type_of_postfix(first),
            _ => self.unary(pair).map(|number| number.ty()),
        }
    }

    fn type_of_postfix(&self, pair: Node) -> Result<CType> {
        let mut parts = pair.clone().into_inner();
        let first = parts.next().ok_or_else(Failure::internal)?;
        let mut ty = match first.as_rule() {
            Rule::group => {
                let inner = first.into_inner().next().ok_or_else(Failure::internal)?;
                match lone_unary(inner.clone()) {
                    Some(unary) => self.type_of_unary(unary)?,
                    None => self.conditional(inner)?.ty(),
                }
            }
            Rule::string => {
                let text = self.string(pair.as_str()).unwrap_or_default();
                CType::Array { elem: Box::new(CType::Char), len: text.len() as u32 + 1 }
            }
            _ => return self.postfix(pair).map(|number| number.ty()),
        };
        for part in parts {
            let at = part.as_span();
            let at = at.start()..at.end();
            if part.as_rule() == Rule::index {
                ty = self.target(&ty, at)?;
                continue;
            }
            let arrow = part.as_str().starts_with("->");
            let record = if arrow { self.target(&ty, at.clone())? } else { ty };
            let name = part.into_inner().next().ok_or_else(Failure::internal)?;
            ty = self.member(&record, name.as_str(), at)?.1;
        }
        Ok(ty)
    }

    /// What a pointer points to, or an array consists of.
    fn target(&self, ty: &CType, at: std::ops::Range<usize>) -> Result<CType> {
        match self.resolved(ty) {
            CType::Pointer(to) => Ok(*to),
            CType::Array { elem, .. } => Ok(*elem),
            _ => Err(Failure::constant(at, "this is neither a pointer nor an array")),
        }
    }
}

/// The `unary` that a `conditional` is, if it is nothing else.
fn lone_unary(pair: Node) -> Option<Node> {
    let mut parts = pair.into_inner();
    let binary = parts.next().filter(|_| parts.next().is_none())?;
    let mut parts = binary.into_inner();
    parts.next().filter(|_| parts.next().is_none())
}

/// The `postfix` that a `conditional` is, if it is nothing else.
fn single(pair: Node) -> Option<Node> {
    let first = lone_unary(pair)?.into_inner().next()?;
    (first.as_rule() == Rule::postfix).then_some(first)
}

fn precedence(operator: &str) -> u8 {
    match operator {
        "||" => 0,
        "&&" => 1,
        "|" => 2,
        "^" => 3,
        "&" => 4,
        "==" | "!=" => 5,
        "<" | "<=" | ">" | ">=" => 6,
        "<<" | ">>" => 7,
        "+" | "-" => 8,
        _ => 9,
    }
}

/// Does the operation on top.
fn reduce(operators: &mut Vec<Node>, values: &mut Vec<Result<Number>>) -> Result<()> {
    let (Some(operator), Some(right), Some(left)) = (operators.pop(), values.pop(), values.pop())
    else {
        return Err(Failure::internal());
    };
    let at = operator.as_span();
    let value = left.and_then(|left| match (operator.as_str(), left.value != 0) {
        ("&&", false) => Ok(Number::int(0)),
        ("||", true) => Ok(Number::int(1)),
        ("&&" | "||", _) => right.map(|right| Number::int((right.value != 0).into())),
        (operator, _) => binary(operator, left, right?)
            .map_err(|message| Failure::constant(at.start()..at.end(), message)),
    });
    values.push(value);
    Ok(())
}
