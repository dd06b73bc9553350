//! JSON with line breaks, for eyes. Only white space is added: numbers keep their digits and
//! strings their escapes, which a parser in between would not promise.

/// Indents a JSON text that has no white space of its own.
#[must_use]
pub fn indented(json: &[u8]) -> String {
    let mut out = Vec::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    let mut last = b' ';
    for &byte in json {
        if in_string {
            out.push(byte);
            in_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            last = byte;
            continue;
        }
        match byte {
            b'{' | b'[' => {
                break_after(last, depth, &mut out);
                depth += 1;
                out.push(byte);
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                // An empty one stays on its line.
                if !matches!(last, b'{' | b'[') {
                    line(depth, &mut out);
                }
                out.push(byte);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                break_after(last, depth, &mut out);
                out.push(byte);
                in_string = byte == b'"';
            }
        }
        last = byte;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A new line for the first thing behind an opening bracket or a comma.
fn break_after(last: u8, depth: usize, out: &mut Vec<u8>) {
    if matches!(last, b'{' | b'[' | b',') {
        line(depth, out);
    }
}

fn line(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b"  ", depth).flatten());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_is_added() {
        let check = |json: &str, expected: &str| {
            assert_eq!(indented(json.as_bytes()), expected);
        };
        check("{}", "{}");
        check("-0", "-0");
        check(r#"{"a":[],"b":{}}"#, "{\n  \"a\": [],\n  \"b\": {}\n}");
        check(r#"[1,"x",[0.1000]]"#, "[\n  1,\n  \"x\",\n  [\n    0.1000\n  ]\n]");
        check(r#"{"\"{[,:":"\\","é":1e999}"#, "{\n  \"\\\"{[,:\": \"\\\\\",\n  \"é\": 1e999\n}");
    }
}
