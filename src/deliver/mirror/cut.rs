//! The slow path of one event that is larger than a live record may be: its bodies go, marked.
//!
//! The line is JSON that we wrote ourselves, an object; members are copied as they stand, so that
//! numbers keep their digits.

use std::ops::Range;

/// Tells readers that the live copy is not the whole event.
const TAG: &[u8] = b"\"_live_truncated\"";
const BODIES: [&[u8]; 2] = [b"request_body", b"response_body"];
/// Where an event is too large without its bodies too, longer members go as well.
const MEMBER_BYTES_MAX: usize = 4_096;

/// The event without its bodies, and without its longer members where that is not enough.
pub(super) fn cut(line: &[u8], bytes_max: usize) -> Vec<u8> {
    let members = members(line);
    let without_bodies = write(line, &members, |member| !is_body(line, member), usize::MAX);
    if without_bodies.len() <= bytes_max {
        return without_bodies;
    }
    let is_short = |member: &Member| member.whole.len() <= MEMBER_BYTES_MAX;
    write(line, &members, |member| !is_body(line, member) && is_short(member), bytes_max)
}

/// One member of the object: name with its quotes, and name to value.
struct Member {
    name: Range<usize>,
    value: Range<usize>,
    whole: Range<usize>,
}

fn is_body(line: &[u8], member: &Member) -> bool {
    BODIES.contains(&name(line, member))
}

fn name<'a>(line: &'a [u8], member: &Member) -> &'a [u8] {
    let quoted = line.get(member.name.clone()).unwrap_or_default();
    quoted.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\"")).unwrap_or(quoted)
}

fn write(
    line: &[u8],
    members: &[Member],
    keep: impl Fn(&Member) -> bool,
    bytes_max: usize,
) -> Vec<u8> {
    // Room for the tag: its name, brackets and commas.
    let room = bytes_max.saturating_sub(TAG.len() + 16);
    let mut out = vec![b'{'];
    let mut tagged = false;
    for member in members.iter().filter(|member| keep(member)) {
        if out.len() + member.whole.len() > room {
            continue;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        let value = line.get(member.value.clone()).unwrap_or_default();
        match value.strip_suffix(b"]") {
            Some(list) if name(line, member) == b"tags" => {
                tagged = true;
                out.extend_from_slice(b"\"tags\":");
                out.extend_from_slice(list);
                if list.trim_ascii() != b"[" {
                    out.push(b',');
                }
                out.extend_from_slice(TAG);
                out.push(b']');
            }
            _ => out.extend_from_slice(line.get(member.whole.clone()).unwrap_or_default()),
        }
    }
    if !tagged {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(b"\"tags\":[");
        out.extend_from_slice(TAG);
        out.push(b']');
    }
    out.push(b'}');
    out
}

/// The members of the outermost object.
fn members(line: &[u8]) -> Vec<Member> {
    let mut members = Vec::new();
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let (mut start, mut colon) = (None, None);
    for (at, &byte) in line.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b':' if depth == 1 => colon = Some(at),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let ends = (byte == b',' && depth == 1) || (byte == b'}' && depth == 0);
        if ends && let (Some(from), Some(colon)) = (start.take(), colon.take()) {
            members.push(Member { name: from..colon, value: colon + 1..at, whole: from..at });
        }
        if byte == b'"' && depth == 1 && start.is_none() {
            start = Some(at);
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, bytes_max: usize, expected: &str) {
        let found = cut(line.as_bytes(), bytes_max);
        assert_eq!(std::str::from_utf8(&found).unwrap(), expected);
    }

    #[test]
    fn bodies_go_and_the_rest_stays_to_the_digit() {
        check(
            r#"{"a":"x\",{","request_body":"b\"}","n":0.1000,"o":{"request_body":[1]},"response_body":null}"#,
            1_000,
            r#"{"a":"x\",{","n":0.1000,"o":{"request_body":[1]},"tags":["_live_truncated"]}"#,
        );
        check(
            r#"{"tags":["one"],"request_body":"b"}"#,
            1_000,
            r#"{"tags":["one","_live_truncated"]}"#,
        );
        check(r#"{"tags":[],"request_body":"b"}"#, 1_000, r#"{"tags":["_live_truncated"]}"#);
        check(r#"{"request_body":"b"}"#, 1_000, r#"{"tags":["_live_truncated"]}"#);
    }

    #[test]
    fn longer_members_go_where_that_is_not_enough() {
        let line = format!(r#"{{"event_id":"x","huge":"{}","b":2}}"#, "h".repeat(5_000));
        check(&line, 1_000, r#"{"event_id":"x","b":2,"tags":["_live_truncated"]}"#);
        check(&line, 50, r#"{"event_id":"x","tags":["_live_truncated"]}"#);
    }
}
