//! The closed set of ends that an event can have. The name of a variant is the metric's label and,
//! for [`Reason`], the dead letter's reason.

/// Declares a closed enum whose variants have fixed label names.
macro_rules! labels {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident => $label:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vmeta])* $variant,)+ }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];
            /// How many variants there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in metrics, headers and logs.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// The place in [`Self::ALL`].
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.label())
            }
        }
    };
}
pub(crate) use labels;

labels! {
    /// Why an event is in the dead-letter topic.
    Reason {
        /// No JSON, also after repair.
        NotJson => "not_json",
        /// JSON, but no object.
        NotAnObject => "not_an_object",
        /// Objects and arrays nested deeper than 64.
        TooDeep => "too_deep",
        /// A bulk action line that no source line follows.
        BulkSourceMissing => "bulk_source_missing",
        /// Our own code failed on this event.
        Internal => "internal",
        /// The index refused the document for good.
        IndexRefused => "index_refused",
        /// The index refused the request that held this document alone.
        RequestRefused => "request_refused",
        /// The document alone is larger than the index takes.
        TooLarge => "too_large",
        /// The index stayed closed or blocked for `blocked_index_wait`.
        IndexBlocked => "index_blocked",
        /// The document was still refused after `item_retry_max` while others were accepted.
        RetryExhausted => "retry_exhausted",
    }
}

labels! {
    /// Why an event was counted and went nowhere.
    Skip {
        /// A message without a value.
        Tombstone => "tombstone",
        /// A message of no bytes, or of white space alone.
        Empty => "empty",
        /// The log policy is `none`: the gateway's owner asked for no record.
        PolicyNone => "policy_none",
        /// Older than the index keeps, where the setting asks for it.
        Expired => "expired",
        /// A drop rule of the pipeline.
        Dropped => "dropped",
    }
}

/// The outcomes of some events, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub created: u64,
    pub duplicate: u64,
    pub dead_lettered: [u64; Reason::COUNT],
    pub skipped: [u64; Skip::COUNT],
    /// Given back unsettled because the partition was lost.
    pub handed_over: u64,
}

impl Tally {
    /// How many events it counts.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.created
            + self.duplicate
            + self.dead_lettered.iter().sum::<u64>()
            + self.skipped.iter().sum::<u64>()
            + self.handed_over
    }

    pub fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.duplicate += other.duplicate;
        self.handed_over += other.handed_over;
        add_each(&mut self.dead_lettered, &other.dead_lettered);
        add_each(&mut self.skipped, &other.skipped);
    }
}

fn add_each(into: &mut [u64], from: &[u64]) {
    for (into, from) in into.iter_mut().zip(from) {
        *into += from;
    }
}
