//! Where a listener stands in the live topic.

use std::sync::Arc;

/// The next event that a listener wants: a record's offset, and the event's place in that record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub offset: i64,
    pub index: u32,
}

impl Place {
    /// The first event of a record.
    #[must_use]
    pub const fn of(offset: i64) -> Self {
        Self { offset, index: 0 }
    }
}

/// A place in each partition of an area, by lane: mostly there is one. Clones are cheap.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Places {
    One(Place),
    /// At least two.
    Many(Arc<[Place]>),
}

impl Places {
    /// The same place in so many lanes, at least one.
    #[must_use]
    pub fn all(lanes: usize, place: Place) -> Self {
        match lanes {
            0 | 1 => Self::One(place),
            _ => Self::Many(vec![place; lanes].into()),
        }
    }

    /// By lane; `None` of no lane.
    #[must_use]
    pub fn new(places: &[Place]) -> Option<Self> {
        match places {
            [] => None,
            [one] => Some(Self::One(*one)),
            many => Some(Self::Many(many.into())),
        }
    }

    #[must_use]
    pub fn as_slice(&self) -> &[Place] {
        match self {
            Self::One(place) => std::slice::from_ref(place),
            Self::Many(places) => places,
        }
    }

    /// The place in a lane; the beginning where there is no such lane.
    #[must_use]
    pub fn get(&self, lane: usize) -> Place {
        match self {
            Self::One(place) => *place,
            Self::Many(places) => places.get(lane).copied().unwrap_or(Place::of(0)),
        }
    }

    /// The same but for one lane.
    #[must_use]
    pub fn with(&self, lane: usize, place: Place) -> Self {
        let mut changed = self.clone();
        changed.set(lane, place);
        changed
    }

    pub fn set(&mut self, lane: usize, place: Place) {
        match self {
            Self::One(one) => *one = place,
            Self::Many(places) => {
                if let Some(one) = Arc::make_mut(places).get_mut(lane) {
                    *one = place;
                }
            }
        }
    }

    /// In each lane the later of both.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        self.each(|lane, place| place.max(other.get(lane)))
    }

    /// In each lane what is made of it.
    #[must_use]
    pub fn each(&self, mut change: impl FnMut(usize, Place) -> Place) -> Self {
        match self {
            Self::One(place) => Self::One(change(0, *place)),
            Self::Many(places) => {
                let places = places.iter().enumerate();
                Self::Many(places.map(|(lane, place)| change(lane, *place)).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_by_lane() {
        let at = Place::of;
        let one = Places::all(1, at(3));
        assert_eq!(
            (one.as_slice(), one.get(0), one.with(0, at(4)).get(0)),
            (&[at(3)][..], at(3), at(4))
        );
        let many = Places::all(3, at(3)).with(1, at(9));
        assert_eq!(many.as_slice(), [at(3), at(9), at(3)]);
        let other = Places::new(&[at(1), at(10), at(4)]).unwrap();
        assert_eq!(many.max(&other).as_slice(), [at(3), at(10), at(4)]);
        assert_eq!(Places::new(&[]), None);
        assert_eq!(Places::new(&[at(3)]), Some(one));
        // A copy is its own.
        let mut changed = many.clone();
        changed.set(2, at(0));
        assert_eq!((many.get(2), changed.get(2)), (at(3), at(0)));
    }
}
