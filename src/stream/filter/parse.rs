//! From a filter's text to its tree.

use super::compare::{self, Asked, Part};
use super::known::{Field, Known};
use super::lex::{Lexer, Word};
use super::number::Order;
use super::test::Test;
use super::{
    COMPARISONS_MAX, DEPTH_LEVELS_MAX, Fault, Node, Reads, TEXT_BYTES_MAX, Use, VALUES_MAX, never,
};

const OPERATORS: &str = "`=`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `prefix`, `contains` or `exists`";

/// Reads a whole filter.
pub(super) fn filter(text: &str, known: &Known) -> Result<(Node, Vec<Use>), Fault> {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("the filter is longer than {TEXT_BYTES_MAX} bytes");
        return Err(Fault::new(TEXT_BYTES_MAX, message));
    }
    let lexer = Lexer::new(text);
    let mut parser =
        Parser { lexer, known, fields: Vec::new(), levels: 0, comparisons: 0, values: 0 };
    let root = parser.any()?;
    if parser.lexer.is_at_end() {
        return Ok((root, parser.fields));
    }
    Err(parser.expected("`and`, `or` or the end"))
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    known: &'a Known,
    fields: Vec<Use>,
    levels: usize,
    comparisons: usize,
    values: usize,
}

enum Operator {
    Equal,
    NotEqual,
    Ordered(Order),
    In,
    Part(Part),
    Exists,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Node, Fault> {
        let mut nodes = vec![self.all()?];
        while self.lexer.keyword("or") {
            nodes.push(self.all()?);
        }
        Ok(one_or(nodes, Node::Any))
    }

    fn all(&mut self) -> Result<Node, Fault> {
        let mut nodes = Vec::new();
        let mut places = Vec::new();
        loop {
            let place = self.lexer.place();
            match self.one()? {
                Node::All(inner) => nodes.extend(inner),
                node => nodes.push(node),
            }
            places.resize(nodes.len(), place);
            if !self.lexer.keyword("and") {
                break;
            }
        }
        never::check(&nodes, &places, &self.fields)?;
        Ok(one_or(nodes, Node::All))
    }

    fn one(&mut self) -> Result<Node, Fault> {
        let at = self.lexer.place();
        let is_not = self.lexer.keyword("not");
        if !is_not && !self.lexer.symbol("(") {
            return self.comparison();
        }
        self.levels += 1;
        if self.levels > DEPTH_LEVELS_MAX {
            let message = format!("nested deeper than {DEPTH_LEVELS_MAX} levels");
            return Err(Fault::new(at, message));
        }
        let node = if is_not { not(self.one()?) } else { self.any()? };
        if !is_not && !self.lexer.symbol(")") {
            return Err(self.expected("`and`, `or` or `)`"));
        }
        self.levels -= 1;
        Ok(node)
    }

    fn comparison(&mut self) -> Result<Node, Fault> {
        let Some(word) = self.lexer.field()? else {
            return Err(self.expected("a field, `not` or `(`"));
        };
        self.comparisons += 1;
        if self.comparisons > COMPARISONS_MAX {
            let message = format!("more than {COMPARISONS_MAX} comparisons");
            return Err(Fault::new(word.at, message));
        }
        let field = self.known.field(&word)?;
        let is_not = self.lexer.keyword("not");
        let operator = self.operator(is_not)?;
        let tests = match operator {
            Operator::Equal | Operator::NotEqual | Operator::In => self.operand(&field)?,
            Operator::Ordered(order) => vec![compare::ordered(&field, order, &self.value()?)?],
            Operator::Part(part) => vec![compare::part(&field, part, &self.value()?)?],
            Operator::Exists => vec![(Reads::Presence, Test::Exists)],
        };
        let mut nodes = Vec::new();
        for (reads, test) in tests {
            let place = self.field(&field, reads);
            nodes.push(Node::Test(place, test));
        }
        let node = one_or(nodes, Node::Any);
        let is_negated = is_not || matches!(operator, Operator::NotEqual);
        Ok(if is_negated { not(node) } else { node })
    }

    /// Behind `not` only words are operators.
    fn operator(&mut self, is_behind_not: bool) -> Result<Operator, Fault> {
        let words = [
            ("in", Operator::In),
            ("exists", Operator::Exists),
            ("prefix", Operator::Part(Part::Prefix { in_either_case: false })),
            ("prefix~", Operator::Part(Part::Prefix { in_either_case: true })),
            ("contains", Operator::Part(Part::Contains { in_either_case: false })),
            ("contains~", Operator::Part(Part::Contains { in_either_case: true })),
        ];
        // The longer ones first.
        let symbols = [
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::Ordered(Order::LessEqual)),
            (">=", Operator::Ordered(Order::GreaterEqual)),
            ("=", Operator::Equal),
            (":", Operator::Equal),
            ("<", Operator::Ordered(Order::Less)),
            (">", Operator::Ordered(Order::Greater)),
        ];
        for (word, operator) in words {
            if self.lexer.keyword(word) {
                return Ok(operator);
            }
        }
        if is_behind_not {
            return Err(self.expected("`in`, `prefix`, `contains` or `exists`"));
        }
        for (symbol, operator) in symbols {
            if self.lexer.symbol(symbol) {
                return Ok(operator);
            }
        }
        Err(self.expected(OPERATORS))
    }

    /// One value, or a list of them.
    fn operand(&mut self, field: &Field) -> Result<Vec<Asked>, Fault> {
        if !self.lexer.symbol("(") {
            return Ok(vec![compare::equal(field, &self.value()?)?]);
        }
        let at = self.lexer.place();
        if self.lexer.symbol(")") {
            return Err(Fault::new(at, "nothing is in an empty list"));
        }
        let mut tests = Vec::new();
        loop {
            tests.push(compare::equal(field, &self.value()?)?);
            if self.lexer.symbol(")") {
                return Ok(compare::join(tests));
            }
            if !self.lexer.symbol(",") && !self.lexer.keyword("or") {
                return Err(self.expected("`,`, `or` or `)`"));
            }
        }
    }

    fn value(&mut self) -> Result<Word, Fault> {
        let Some(word) = self.lexer.value()? else {
            let fault = self.expected("a value");
            return Err(fault.hint("what is no plain word is written in double quotes"));
        };
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(Fault::new(word.at, format!("more than {VALUES_MAX} values")));
        }
        Ok(word)
    }

    /// The place of a field that is read in one way.
    fn field(&mut self, field: &Field, reads: Reads) -> usize {
        let used = field.used(reads);
        match self.fields.iter().position(|known| *known == used) {
            Some(place) => place,
            None => {
                self.fields.push(used);
                self.fields.len() - 1
            }
        }
    }

    fn expected(&mut self, what: &str) -> Fault {
        let at = self.lexer.place();
        Fault::new(at, format!("expected {what}, found {}", self.lexer.shown()))
    }
}

fn not(node: Node) -> Node {
    match node {
        Node::Not(inner) => *inner,
        node => Node::Not(Box::new(node)),
    }
}

fn one_or(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    match nodes.pop() {
        Some(node) if nodes.is_empty() => node,
        last => {
            nodes.extend(last);
            many(nodes)
        }
    }
}
