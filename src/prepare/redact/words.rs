//! Words of secret names that mean something else beside others. `code` alone is what a server gives
//! out for a token; `country.code` is not.

use super::names::{PREFIXES, letters};

/// Beside one of these a `code` is a secret.
const CODE_OF: [&[u8]; 12] = [
    b"auth",
    b"authorization",
    b"callback",
    b"cb",
    b"code",
    b"grant",
    b"login",
    b"oauth",
    b"oauth2",
    b"otp",
    b"sms",
    b"token",
];

/// Whether a part of a name is no secret for what stands beside it: `page.token`, `filter[code]`.
pub(super) fn is_harmless<'a>(part: &[u8], mut parts: impl Iterator<Item = &'a [u8]>) -> bool {
    match &*word(part) {
        b"code" => parts.any(|other| {
            let other = word(other);
            let is_index = other.iter().all(u8::is_ascii_digit);
            !is_index && !CODE_OF.contains(&&*other)
        }),
        b"token" => parts.any(|other| word(other).ends_with(b"page")),
        _ => false,
    }
}

/// `http_code`, `x_code`: the prefixes that say nothing of other names do here.
pub(super) fn is_prefixed_code(name: &[u8]) -> bool {
    let name = word(name);
    let mut rest = &*name;
    while let Some(next) = PREFIXES.iter().find_map(|prefix| rest.strip_prefix(*prefix)) {
        rest = next;
    }
    rest.len() < name.len() && rest == b"code"
}

fn word(part: &[u8]) -> Box<[u8]> {
    letters(&String::from_utf8_lossy(part))
}
