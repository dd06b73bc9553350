//! Where the areas of these tests are in the live topic, and cursors that can be read.

use sluice::deliver::mirror::Spread;
use sluice::stream::frames::CursorText;
use sluice::stream::place::{Place, Places};
use sluice::stream::request::Problem;
use sluice::stream::server::Cursors;

use super::PARTITIONS;

/// Some areas are in two partitions or three: a third of those that end with a number.
pub(super) fn spread() -> Spread {
    let lanes = |n: u32| (format!("id:acme-{n}"), 2 + n % 2);
    Spread::new(PARTITIONS.unsigned_abs(), &(0..300).step_by(3).map(lanes).collect())
}

/// A cursor that can be read.
pub(super) struct Plain;

impl Cursors for Plain {
    fn seal(&self, _: &str, partition: i32, places: &Places) -> CursorText {
        let places = places.as_slice().iter();
        let places = places.map(|place| format!(".{:012}.{:014}", place.offset, place.index));
        format!("{partition:04}{}", places.collect::<String>()).into()
    }

    fn open(&self, _: &str, cursor: &str) -> Result<(i32, Places), Problem> {
        let forged = || Problem::new(409, "cursor", "no cursor of ours");
        let parts: Vec<i64> = cursor.split('.').filter_map(|part| part.parse().ok()).collect();
        let (partition, places) = parts.split_first().ok_or_else(forged)?;
        let places: Vec<_> = places
            .chunks_exact(2)
            .map(|place| Place { offset: place[0], index: u32::try_from(place[1]).unwrap() })
            .collect();
        let places = Places::new(&places).ok_or_else(forged)?;
        Ok((i32::try_from(*partition).unwrap(), places))
    }
}
