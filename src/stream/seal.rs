//! Cursors of this life of the live topic.

use super::cursor::{self, CursorError, Position};
use super::frames::CursorText;
use super::place::Places;
use super::request::Problem;
use super::server::Cursors;

/// Cursors under a key, for one generation of the topic.
#[derive(Clone)]
pub struct LiveCursors {
    cursors: cursor::Cursors,
    generation: u32,
}

impl std::fmt::Debug for LiveCursors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveCursors").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl LiveCursors {
    #[must_use]
    pub fn new(cursors: cursor::Cursors, generation: u32) -> Self {
        Self { cursors, generation }
    }
}

impl Cursors for LiveCursors {
    fn seal(&self, channel: &str, partition: i32, places: &Places) -> CursorText {
        let position = Position::new(self.generation, partition, places.clone());
        // Kafka's numbers are far within the bounds; a place beyond them has no cursor.
        position.map_or(CursorText::none(), |position| self.cursors.seal(channel, &position))
    }

    fn open(&self, channel: &str, cursor: &str) -> Result<(i32, Places), Problem> {
        match self.cursors.open(channel, cursor, self.generation) {
            Ok(position) => Ok((position.partition(), position.places().clone())),
            Err(error) => {
                let (status, kind) = match error {
                    CursorError::Malformed | CursorError::Forged => (400, "bad-cursor"),
                    CursorError::OtherVersion(_) | CursorError::OtherGeneration => {
                        (409, "cursor-of-another-topic")
                    }
                };
                let detail = format!("{error}: go on with `earliest`, or without a cursor");
                Err(Problem::new(status, kind, detail))
            }
        }
    }
}
