//! What is too deep for the parser as a whole. An object is rejected; the elements of an array or
//! an envelope may well not be too deep themselves, and are read each for itself.

use std::ops::Range;

use crate::outcome::Reason;

use super::super::parse::reader::{Fault, Reader};
use super::super::parse::repair::Repair;
use super::super::parse::scan::{self, Shape};
use super::{Out, Piece, Shares, Taken};

const TOO_DEEP: &str = "objects and arrays are nested deeper than 64 levels";

/// Puts out what the piece holds.
///
/// # Errors
///
/// It is not well-formed: nothing was put out.
pub(super) fn take(
    piece: &Piece<'_>,
    reader: &mut Reader,
    elements: &mut Vec<Range<usize>>,
    out: &mut Out<'_>,
) -> Result<Taken, &'static str> {
    const MALFORMED: &str = "nested deeper than 64 levels, and not well-formed";
    // The scan looks at the structure alone, so the strings are looked at first.
    if piece.repair.is_none() && Repair::default().run(piece.text) {
        return Err(MALFORMED);
    }
    let shape = scan::shape(piece.text, elements).ok_or(MALFORMED)?;
    match shape {
        Shape::Envelope | Shape::Array if !piece.is_source => {
            take_elements(piece, reader, elements, out);
        }
        Shape::Object | Shape::Envelope => {
            out.reject(Reason::TooDeep, TOO_DEEP, piece.place.clone());
        }
        Shape::Array | Shape::Scalar => {
            out.reject(Reason::NotAnObject, "an array", piece.place.clone());
        }
    }
    Ok(Taken::Done)
}

fn take_elements(
    piece: &Piece<'_>,
    reader: &mut Reader,
    elements: &[Range<usize>],
    out: &mut Out<'_>,
) {
    let mut shares = Shares::new(piece);
    for (number, range) in elements.iter().enumerate() {
        let share = shares.next(range.clone(), number + 1 == elements.len());
        let text = piece.text.get(range.clone()).unwrap_or_default();
        let Err(fault) = reader.read(text, |parsed| share.put(parsed, out)) else { continue };
        let (reason, detail) = match (fault, text.first()) {
            (Fault::TooDeep, Some(b'{')) => (Reason::TooDeep, TOO_DEEP),
            (Fault::TooDeep, _) => (Reason::NotAnObject, "an array"),
            // The scan found the whole well-formed; should the two ever differ, nothing is lost.
            (Fault::Malformed(detail), _) => (Reason::NotJson, detail),
        };
        out.reject(reason, detail, share.origin);
    }
}
