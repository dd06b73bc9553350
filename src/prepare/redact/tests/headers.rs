//! Headers by their names and the form of their values.

use super::*;

#[test]
fn credentials() {
    for (value, expected) in [
        ("Bearer abc.def", "Bearer [redacted]"),
        ("bearer  abc", "bearer  [redacted]"),
        (" Basic dXNlcjpwYXNz", " Basic [redacted]"),
        ("Basic\tdXNlcjpwYXNz", "Basic\t[redacted]"),
        ("Basic abc, Bearer def", "Basic [redacted]"),
        ("Digest username=\"u\", response=\"r\"", "Digest [redacted]"),
        ("AWS4-HMAC-SHA256 Credential=AK/2024, Signature=s", "AWS4-HMAC-SHA256 [redacted]"),
        ("opaque", "[redacted]"),
        ("mysecret and more", "[redacted]"),
        ("Bearer:abc", "[redacted]"),
        ("Bearer\u{a0}abc", "[redacted]"),
        ("\"Bearer abc\"", "[redacted]"),
        ("Bearer", "Bearer"),
        ("Bearer ", "Bearer "),
        ("Negotiate", "Negotiate"),
        ("", ""),
        ("Bearer [redacted]", "Bearer [redacted]"),
        ("Bearer [redacted] abc", "Bearer [redacted]"),
        ("Bearer ä\0€", "Bearer [redacted]"),
    ] {
        header("authorization", value, expected);
        header("proxy-authorization", value, expected);
        header("Proxy_Authorization", value, expected);
    }
}

#[test]
fn cookies() {
    for (value, expected) in [
        ("a=1; b=2", "a=[redacted]; b=[redacted]"),
        ("a=1;b=2;", "a=[redacted];b=[redacted];"),
        ("a=b=c; d", "a=[redacted]; [redacted]"),
        ("nameless", "[redacted]"),
        ("=nameless", "=[redacted]"),
        ("SECRETbase64==", "[redacted]"),
        ("a=1; SECRETbase64== ; b=2", "a=[redacted]; [redacted] ; b=[redacted]"),
        ("c2VjcmV0LXNlY3I=", "[redacted]"),
        ("session_id=; ASP.NET_SessionId=", "session_id=; ASP.NET_SessionId="),
        ("a=; b=", "a=; b="),
        ("a=\"x; y=z\"; b=2", "a=[redacted]; b=[redacted]"),
        ("a=\"x\\\"; y=z\"w; b=2", "a=[redacted]; b=[redacted]"),
        ("a=\"never closed; b=2", "a=[redacted]"),
        ("a=1,b=2", "a=[redacted]"),
        ("a = 1 ; b=2", "a = [redacted] ; b=[redacted]"),
        ("a=[redacted]; b=2", "a=[redacted]; b=[redacted]"),
        ("a=ä; €=\0", "a=[redacted]; €=[redacted]"),
        ("", ""),
        (";;", ";;"),
    ] {
        header("cookie", value, expected);
    }
}

#[test]
fn set_cookies() {
    for (value, expected) in [
        ("a=1; Path=/; HttpOnly", "a=[redacted]; Path=/; HttpOnly"),
        (
            "a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Max-Age=-1; Domain=.x.org; SameSite=Lax",
            "a=[redacted]; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Max-Age=-1; Domain=.x.org; SameSite=Lax",
        ),
        (
            "a=1; secure;partitioned; priority=High",
            "a=[redacted]; secure;partitioned; priority=High",
        ),
        ("a=1; Path=/, b=2; HttpOnly", "a=[redacted]; Path=/, b=[redacted]; HttpOnly"),
        ("a=1; HttpOnly, b=2", "a=[redacted]; HttpOnly, b=[redacted]"),
        (
            "a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT, b=2; Path=/,c=3",
            "a=[redacted]; Expires=Wed, 21 Oct 2015 07:28:00 GMT, b=[redacted]; Path=/,c=[redacted]",
        ),
        // A comma in a value may be the value's own.
        ("a=1, b=2", "a=[redacted]"),
        ("a=1; Path=/, b=2, c=3; Secure", "a=[redacted]; Path=/, b=[redacted]; Secure"),
        ("a=1; Path=/x=y, b=2", "a=[redacted]; Path=[redacted]"),
        ("a=1; Path=/, secret", "a=[redacted]; Path=[redacted]"),
        ("a=1; Path=/, a secret=2", "a=[redacted]; Path=[redacted]"),
        ("a=1; Secure, secret", "a=[redacted]; [redacted]"),
        ("a=1; what=ever", "a=[redacted]; what=[redacted]"),
        ("a=\"x; Path=/\"; Path=/", "a=[redacted]; Path=/"),
        ("nameless; Path=/", "[redacted]; Path=/"),
        ("", ""),
    ] {
        header("set-cookie", value, expected);
    }
}

#[test]
fn names_however_they_are_spelt() {
    for name in [
        "authorization",
        "Authorization",
        "authorization:",
        " authorization\t",
        "\"authorization\"",
        "authorization\0",
        "\u{feff}authorization",
        "author\u{200b}ization",
        "authori\u{fffd}zation",
        "author\u{131}zation",
        "HTTP_AUTHORIZATION",
        "x-authorization",
        "ａuthorization",
    ] {
        header(name, "Bearer abc", "Bearer [redacted]");
    }
    header("coo\u{212a}ie", "a=1; b=2", "a=[redacted]; b=[redacted]");
    header("HTTP_COOKIE", "a=1; b=2", "a=[redacted]; b=[redacted]");
    header("HTTP_X_API_KEY", "abc", "[redacted]");
    header("authorization-server", "a", "a");
    header("cookies", "a=1", "a=1");
}

#[test]
fn other_headers() {
    header("x-api-key", "abc", "[redacted]");
    header("x_api_key", "Bearer abc", "[redacted]");
    header("x-ibm-client-secret", " ", "[redacted]");
    header("x-csrf-token", "", "");
    header("accept", "token=abc", "token=abc");
    header("x-forwarded-for", "1.2.3.4", "1.2.3.4");
    header("referer", "https://x/?token=abc", "https://x/?token=[redacted]");
    header(":path", "/p?token=abc", "/p?token=[redacted]");
    header("backend-url", "https://u:p@h/", "https://[redacted]@h/");
    header("location", "/cb#access_token=abc&x=1", "/cb#access_token=[redacted]&x=1");
    header("link", "<https://x/?sig=a>; rel=\"next\"", "<https://x/?sig=[redacted]; rel=\"next\"");
}
