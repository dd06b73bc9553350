//! What an answer means: the table of verdicts, for items and for whole requests. Pure.

use super::Refusal;
use super::reply::{IndexError, ItemReply};
use crate::metrics::{ItemVerdict, RequestEnd};
use crate::outcome::Reason;

/// What the answer to one item leads to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Created,
    Duplicate,
    /// That item alone again. The error is told if the item is given up.
    Busy(IndexError),
    /// Its index is blocked or closed: again, for a while.
    Blocked(IndexError),
    /// The cluster's fault: again, for as long as it takes.
    Held(String),
    /// The request got no verdict on its items: all of them again.
    Unanswered,
    Refused(Refusal),
}

impl Answer {
    pub(super) fn is_accepted(&self) -> bool {
        matches!(self, Self::Created | Self::Duplicate)
    }

    pub(super) fn metric(&self) -> Option<ItemVerdict> {
        match self {
            Self::Created => Some(ItemVerdict::Created),
            Self::Duplicate => Some(ItemVerdict::Duplicate),
            Self::Busy(_) => Some(ItemVerdict::Retry),
            Self::Blocked(_) => Some(ItemVerdict::Blocked),
            Self::Held(_) => Some(ItemVerdict::Held),
            Self::Unanswered => None,
            Self::Refused(_) => Some(ItemVerdict::Refused),
        }
    }
}

/// The row of the table for one item.
pub(super) fn of_item(reply: ItemReply) -> Answer {
    let ItemReply { status, error, failure_store } = reply;
    let error = error.unwrap_or_default();
    let kind = error.kind.as_str();
    match status {
        _ if failure_store => {
            let kind = "failure_store_used".to_owned();
            let text = "the index put the document into its failure store".to_owned();
            Answer::Refused(refusal(
                Reason::IndexRefused,
                IndexError { kind, text, ..IndexError::default() },
            ))
        }
        200..=299 => Answer::Created,
        409 if matches!(kind, "version_conflict_engine_exception" | "") => Answer::Duplicate,
        _ if kind == "security_exception" => {
            Answer::Held("it may not write there (security_exception)".to_owned())
        }
        _ if kind == "index_not_found_exception" => Answer::Held(
            "the index does not exist and may not be made (index_not_found_exception)".to_owned(),
        ),
        400 if is_shard_limit(&error) => {
            Answer::Held("the cluster's limit of shards is reached".to_owned())
        }
        403 | 429 if kind == "cluster_block_exception" => Answer::Blocked(error),
        400 if kind == "index_closed_exception" => Answer::Blocked(error),
        408 | 429 => Answer::Busy(error),
        400..=499 => Answer::Refused(refusal(Reason::IndexRefused, error)),
        // 5xx, and what no server of ours sends.
        _ => Answer::Busy(error),
    }
}

/// A 400 of this type is about the cluster, not about the document: the index cannot be created.
fn is_shard_limit(error: &IndexError) -> bool {
    error.kind == "validation_exception" && error.reason.contains("this action would add [")
}

pub(super) fn refusal(reason: Reason, error: IndexError) -> Refusal {
    Refusal { reason, error_type: error.kind, error: error.text }
}

/// What the status of a request leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestVerdict {
    /// The items have their answers.
    Answered,
    /// Split and send again; alone, the item is refused for this reason.
    Split(Reason),
    /// Again, whole.
    Again { overloaded: bool },
    /// The cluster's fault, or that of what stands in front of it.
    Hold,
}

/// The row of the table for a request, and its label.
pub(super) fn of_request(status: u16) -> (RequestVerdict, RequestEnd) {
    match status {
        200..=299 => (RequestVerdict::Answered, RequestEnd::Answered),
        400 => (RequestVerdict::Split(Reason::RequestRefused), RequestEnd::BadRequest),
        413 => (RequestVerdict::Split(Reason::TooLarge), RequestEnd::TooLarge),
        401 | 403 => (RequestVerdict::Hold, RequestEnd::Unauthorized),
        408 => (RequestVerdict::Again { overloaded: false }, RequestEnd::Timeout),
        429 => (RequestVerdict::Again { overloaded: true }, RequestEnd::TooMany),
        500..=599 => (RequestVerdict::Again { overloaded: false }, RequestEnd::ServerError),
        // A wrong path or method: a proxy that leads elsewhere.
        _ => (RequestVerdict::Hold, RequestEnd::Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, kind: &str, reason: &str, expected: ItemVerdict) {
        let error = IndexError {
            kind: kind.to_owned(),
            reason: reason.to_owned(),
            ..IndexError::default()
        };
        let error = (!kind.is_empty()).then_some(error);
        let answer = of_item(ItemReply { status, error, failure_store: false });
        assert_eq!(answer.metric(), Some(expected), "{status} {kind}");
    }

    #[test]
    fn the_table_of_items() {
        use ItemVerdict as V;
        check(201, "", "", V::Created);
        check(200, "", "", V::Created);
        check(409, "version_conflict_engine_exception", "", V::Duplicate);
        check(429, "es_rejected_execution_exception", "", V::Retry);
        check(429, "circuit_breaking_exception", "", V::Retry);
        check(503, "unavailable_shards_exception", "", V::Retry);
        check(500, "exception", "", V::Retry);
        check(408, "process_cluster_event_timeout_exception", "", V::Retry);
        check(403, "cluster_block_exception", "", V::Blocked);
        check(429, "cluster_block_exception", "", V::Blocked);
        check(400, "index_closed_exception", "", V::Blocked);
        check(403, "security_exception", "", V::Held);
        check(404, "index_not_found_exception", "", V::Held);
        let limit = "Validation Failed: 1: this action would add [2] shards, but this cluster \
                     currently has [1000]/[1000] maximum normal shards open;";
        check(400, "validation_exception", limit, V::Held);
        check(400, "validation_exception", "something else", V::Refused);
        check(400, "document_parsing_exception", limit, V::Refused);
        check(400, "mapper_parsing_exception", "", V::Refused);
        check(400, "illegal_argument_exception", "", V::Refused);
        check(400, "strict_dynamic_mapping_exception", "", V::Refused);
        check(400, "invalid_index_name_exception", "", V::Refused);
        check(404, "document_missing_exception", "", V::Refused);
        check(409, "another_conflict", "", V::Refused);
        check(302, "", "", V::Retry);
    }

    #[test]
    fn a_failure_store_refuses() {
        let answer = of_item(ItemReply { status: 201, error: None, failure_store: true });
        let Answer::Refused(refusal) = answer else { panic!("{answer:?}") };
        assert_eq!(refusal.reason, Reason::IndexRefused);
    }

    #[test]
    fn the_table_of_requests() {
        use RequestVerdict as V;
        for (status, expected) in [
            (200, V::Answered),
            (400, V::Split(Reason::RequestRefused)),
            (413, V::Split(Reason::TooLarge)),
            (401, V::Hold),
            (403, V::Hold),
            (404, V::Hold),
            (301, V::Hold),
            (408, V::Again { overloaded: false }),
            (429, V::Again { overloaded: true }),
            (500, V::Again { overloaded: false }),
            (502, V::Again { overloaded: false }),
            (503, V::Again { overloaded: false }),
        ] {
            assert_eq!(of_request(status).0, expected, "{status}");
        }
    }
}
