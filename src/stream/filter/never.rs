//! Contradictions among conditions that must all hold.

use super::number::Range;
use super::test::Test;
use super::{Fault, Node, Use};

/// `places` has for each node where its text begins.
pub(super) fn check(nodes: &[Node], places: &[usize], fields: &[Use]) -> Result<(), Fault> {
    let mut ranges: Vec<(usize, Range)> = Vec::new();
    for (number, (node, &place)) in nodes.iter().zip(places).enumerate() {
        let before = nodes.get(..number).unwrap_or_default();
        if before.iter().any(|other| is_negation(node, other) || is_negation(other, node)) {
            return Err(Fault::new(place, "this is the opposite of a condition before it"));
        }
        // A field of several values can have one within each range.
        let Node::Test(field, Test::Ranges(parts)) = node else { continue };
        let Some(used) = fields.get(*field).filter(|used| used.is_single) else { continue };
        let Some(hull) = parts.iter().copied().reduce(|hull, part| hull.hull(&part)) else {
            continue;
        };
        let both = match ranges.iter_mut().find(|(other, _)| other == field) {
            Some((_, range)) => {
                *range = range.and(&hull);
                *range
            }
            None => {
                ranges.push((*field, hull));
                hull
            }
        };
        if both.is_empty() {
            let message = format!("no value of `{}` is in all its ranges", used.path.join("."));
            return Err(Fault::new(place, message));
        }
    }
    Ok(())
}

fn is_negation(node: &Node, other: &Node) -> bool {
    matches!(node, Node::Not(inner) if **inner == *other)
}
