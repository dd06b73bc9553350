//! The text of JSON numbers: their grammar, and the ones that simd-json knows no value for.

/// How many bytes from the start of `text` can belong to a number. In well-formed JSON this is
/// the length of the number that begins there.
#[inline]
pub(crate) fn run_length(text: &[u8]) -> usize {
    let ends = |byte: &u8| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    text.iter().position(ends).unwrap_or(text.len())
}

/// The length of the JSON number at the start of `text`, or `None` where there is none. What
/// follows it is not looked at.
pub(crate) fn length(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let tail = text.get(from..).unwrap_or_default();
        let count = tail.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let whole = usize::from(text.first() == Some(&b'-'));
    let mut end = match text.get(whole) {
        Some(b'0') => whole + 1,
        _ => digits(whole)?,
    };
    if text.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'-' | b'+')));
        end = digits(end + 1 + sign)?;
    }
    Some(end)
}

/// Whether a text is a JSON number and nothing else.
pub(crate) fn is_number(text: &[u8]) -> bool {
    length(text) == Some(text.len())
}

/// Writes another number over each number whose value no `f64` can hold, since simd-json refuses
/// them; `text` keeps the digits. The other number is as large as can be, of the same sign, and
/// no longer than any number it stands for.
///
/// `tokens` are the places in `text` where tokens begin. Answers whether it wrote any; a token
/// that is no number by JSON's grammar stays as it is, and stays refused.
pub(crate) fn mask(copy: &mut [u8], text: &[u8], tokens: &[u32]) -> bool {
    let mut masked = false;
    for &start in tokens {
        let start = start as usize;
        let tail = text.get(start..).unwrap_or_default();
        if !matches!(tail.first(), Some(b'-' | b'0'..=b'9')) {
            continue;
        }
        let Some(token) = length(tail).and_then(|length| tail.get(..length)) else { continue };
        let value = std::str::from_utf8(token).ok().and_then(|token| token.parse::<f64>().ok());
        if !value.is_some_and(f64::is_infinite) {
            continue;
        }
        let stand_in: &[u8] = if token.first() == Some(&b'-') { b"-1e308" } else { b"1e308" };
        let Some(place) = copy.get_mut(start..start + token.len()) else { continue };
        for (at, byte) in place.iter_mut().enumerate() {
            *byte = stand_in.get(at).copied().unwrap_or(b' ');
        }
        masked = true;
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for good in ["0", "-0", "7", "10", "0.1000", "-1.5e+10", "1E5", "1e-400", "1e999", "0e1"] {
            assert_eq!(length(good.as_bytes()), Some(good.len()), "{good}");
            assert_eq!(run_length(format!("{good},").as_bytes()), good.len(), "{good}");
        }
        for bad in ["", "-", "+5", "1.", ".5", "1e", "1e+", "-a", "NaN"] {
            assert_eq!(length(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(length(b"007"), Some(1));
        assert_eq!(length(b"12,13"), Some(2));
    }

    #[test]
    fn only_what_is_beyond_every_float_is_masked() {
        let check = |text: &str, expected: &str| {
            let mut copy = text.as_bytes().to_vec();
            let masked = mask(&mut copy, text.as_bytes(), &[0]);
            assert_eq!(String::from_utf8(copy).unwrap(), expected);
            assert_eq!(masked, text != expected);
        };
        check("1e309", "1e308");
        check("-1e999 ", "-1e308 ");
        check("1e0000999", "1e308    ");
        check("1e308", "1e308");
        check("1e-999", "1e-999");
        check("1e999x", "1e308x");
        check("true", "true");
        let long = "9".repeat(400);
        check(&long, &format!("1e308{}", " ".repeat(395)));
    }
}
