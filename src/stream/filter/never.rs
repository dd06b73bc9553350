//! Contradictions among conditions that must all hold.

use super::known::is_status;
use super::number::Range;
use super::test::{CLASSES, Test, Value};
use super::{Fault, Node, Use};

/// `places` has for each node where its text begins.
pub(super) fn check(nodes: &[Node], places: &[usize], fields: &[Use]) -> Result<(), Fault> {
    let mut ranges: Vec<(&str, Range)> = Vec::new();
    for (number, (node, &place)) in nodes.iter().zip(places).enumerate() {
        let before = nodes.get(..number).unwrap_or_default();
        if before.iter().any(|other| is_negation(node, other) || is_negation(other, node)) {
            return Err(Fault::new(place, "this is the opposite of a condition before it"));
        }
        let Some((name, hull)) = range(node, fields) else { continue };
        let both = match ranges.iter_mut().find(|(other, _)| *other == name) {
            Some((_, range)) => {
                *range = range.and(&hull);
                *range
            }
            None => {
                ranges.push((name, hull));
                hull
            }
        };
        if both.is_empty() || is_status(name) && !both.has_integers() {
            return Err(Fault::new(place, format!("no value of `{name}` is in all its ranges")));
        }
    }
    Ok(())
}

/// A field, and what its one value is within if the node holds. A class is a range of the status
/// that it was made from.
fn range<'a>(node: &Node, fields: &'a [Use]) -> Option<(&'a str, Range)> {
    let Node::Test(field, test) = node else { return None };
    // A field of several values can have one within each range.
    let used = fields.get(*field).filter(|used| used.is_single)?;
    let [name] = &*used.path else { return None };
    if let Test::Ranges(parts) = test {
        return Some((name, parts.iter().copied().reduce(|hull, part| hull.hull(&part))?));
    }
    Some(("status", statuses(test)?)).filter(|_| **name == *"status_class")
}

/// From the least to the largest status of the classes that pass a test, if one does.
pub(super) fn statuses(test: &Test) -> Option<Range> {
    let ranges = CLASSES.iter().zip(1..).filter_map(|(class, digit)| {
        let value = Value::Text { start: 0, end: class.len() };
        let passes = matches!(test, Test::Exists) || test.passes(&[value], class.as_bytes());
        passes.then(|| Range::of_class(digit))
    });
    ranges.reduce(|hull, range| hull.hull(&range))
}

fn is_negation(node: &Node, other: &Node) -> bool {
    matches!(node, Node::Not(inner) if **inner == *other)
}
