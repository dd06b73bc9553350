//! What a session is given: what its client asks for, what all share, and what may come meanwhile.

use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::{Clock, Millis};
use crate::metrics::stream::StreamMetrics;
use crate::stream::catch_up::CatchUps;
use crate::stream::connections::Flow;
use crate::stream::end::End;
use crate::stream::frames::CursorText;
use crate::stream::place::Places;
use crate::stream::ring::Ring;
use crate::stream::shape::{Choice, Shape};

/// What a client does when it is slower than its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Slow {
    /// It gets from Kafka what the ring has dropped: nothing is lost.
    #[default]
    CatchUp,
    Disconnect,
}

/// Where a client begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// With what comes from now on.
    Tip,
    /// With the oldest event that Kafka holds.
    Earliest,
    /// With the first record that Kafka got at or after this time.
    Since(Millis),
    /// Where it was; what is gone since then is told as a gap.
    Places(Places),
}

/// What a client has asked for.
#[derive(Debug)]
pub struct Wish {
    pub area: Arc<str>,
    /// The area's partitions.
    pub lanes: Arc<[i32]>,
    pub from: From,
    pub shape: Arc<Shape>,
    pub choice: Choice,
    pub slow: Slow,
    /// It reads events only: Mashery's clients know neither status nor gap nor error.
    pub is_bare: bool,
}

/// What all listeners share.
#[derive(Debug)]
pub struct Shared {
    pub ring: Arc<Ring>,
    pub catch_ups: CatchUps,
    pub clock: Clock,
    pub metrics: StreamMetrics,
}

/// Makes the cursor of places in this listener's area, bound to its channel.
pub type Seal = Arc<dyn Fn(&Places) -> CursorText + Send + Sync>;

/// What may come from elsewhere while a listener listens.
#[derive(Debug)]
pub struct Signals {
    /// Set where the stream is to be closed.
    pub ending: watch::Receiver<Option<End>>,
    pub flow: Arc<Flow>,
}
