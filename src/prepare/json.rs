//! Writing JSON text into a byte buffer.

/// Writes `text` as a JSON string with its quotes. Only what JSON demands is escaped.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    write_escaped(out, text.as_bytes());
    out.push(b'"');
}

/// Writes `text`, which must be UTF-8, escaped but without quotes.
pub fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(at) = first_to_escape(rest) {
        let (clean, tail) = rest.split_at(at);
        out.extend_from_slice(clean);
        let Some((&byte, tail)) = tail.split_first() else { return };
        write_escape(out, byte);
        rest = tail;
    }
    out.extend_from_slice(rest);
}

/// Writes an unsigned integer in decimal.
pub fn write_u64(out: &mut Vec<u8>, value: u64) {
    // 20 digits hold `u64::MAX`.
    let mut digits = [0_u8; 20];
    let mut rest = value;
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        used += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(20 - used..).unwrap_or_default());
}

/// Writes a signed integer in decimal.
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(out, value.unsigned_abs());
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Where the first byte stands that JSON wants escaped. The inner loops have no branch, so that the
/// compiler makes vector code of them.
fn first_to_escape(text: &[u8]) -> Option<usize> {
    let clean = clean_lanes::<32>(text);
    let clean = clean + clean_lanes::<8>(text.get(clean..).unwrap_or_default());
    let tail = text.get(clean..).unwrap_or_default();
    tail.iter().position(|&byte| needs_escape(byte)).map(|found| clean + found)
}

/// How many bytes at the start, in whole lanes, need no escape.
#[inline]
fn clean_lanes<const LANE: usize>(text: &[u8]) -> usize {
    let clean = |lane: &&[u8]| !lane.iter().fold(false, |any, &byte| any | needs_escape(byte));
    text.chunks_exact(LANE).take_while(clean).count() * LANE
}

fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut out = Vec::new();
        write_string(&mut out, text);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn strings() {
        check("", r#""""#);
        check("plain ä €", r#""plain ä €""#);
        check("a\"b\\c\n\u{1}", r#""a\"b\\c\n\u0001""#);
        for length in 0..100 {
            let long = "x".repeat(length);
            check(&format!("{long}\t{long}"), &format!("\"{long}\\t{long}\""));
        }
    }

    #[test]
    fn numbers() {
        for value in [0, 7, -1, 10, i64::MIN, i64::MAX] {
            let mut out = Vec::new();
            write_i64(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
