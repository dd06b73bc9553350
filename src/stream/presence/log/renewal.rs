//! Renewals of the leases that this replica holds.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::interval;
use tracing::{info, warn};

use super::Shared;
use super::held::SLOTS;

/// Goes on for ever.
pub(super) async fn run(shared: &Shared) {
    let mut ticks = interval(shared.settings.renew_every / SLOTS);
    let mut written = FuturesUnordered::new();
    let mut is_failing = false;
    for slot in (0..SLOTS).cycle() {
        loop {
            let result = tokio::select! {
                _ = ticks.tick() => break,
                Some(result) = written.next() => result,
            };
            tell(result, &mut is_failing);
        }
        // The last one tells of all: those before it were written or given up earlier.
        match shared.renew(slot) {
            Ok(last) => written.extend(last),
            Err(reason) => tell(Err(reason), &mut is_failing),
        }
    }
}

fn tell(result: Result<(), String>, is_failing: &mut bool) {
    match (result, *is_failing) {
        (Err(reason), false) => warn!(reason, "leases are not renewed, streams go on"),
        (Ok(()), true) => info!("leases are renewed again"),
        (Err(_), true) => return,
        (Ok(()), false) => return,
    }
    *is_failing = !*is_failing;
}

impl Shared {
    /// Writes the renewals of one slot; answers the future of the last one.
    fn renew(
        &self,
        slot: u32,
    ) -> Result<Option<impl Future<Output = Result<(), String>> + Send + use<>>, String> {
        let due = self.held().due(slot);
        let mut last = None;
        for lease in due {
            // Locked until it is sent: a release must come behind it.
            let held = self.held();
            if let Some(renewal) = held.renewal(&lease) {
                last = Some(self.send(&renewal)?);
            }
        }
        Ok(last)
    }
}
