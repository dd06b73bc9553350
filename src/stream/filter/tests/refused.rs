use super::*;

/// Checks the error of a text: the character that it is about, and all that it says.
fn check(text: &str, character: usize, expected: &str) {
    let error = Filter::parse(text, &known()).expect_err(text);
    assert_eq!(error.to_string(), format!("character {character}: {expected}"), "{text}");
}

#[test]
fn grammar() {
    check("", 1, "expected a field, `not` or `(`, found the end");
    check("   ", 4, "expected a field, `not` or `(`, found the end");
    check("and", 1, "expected a field, `not` or `(`, found `and`");
    check("status = 200 and", 17, "expected a field, `not` or `(`, found the end");
    check("status = 200 status = 300", 14, "expected `and`, `or` or the end, found `status`");
    check("(status = 200", 14, "expected `and`, `or` or `)`, found the end");
    check("status = 200)", 13, "expected `and`, `or` or the end, found `)`");
    let operators = "`=`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `prefix`, `contains` or `exists`";
    check("status", 7, &format!("expected {operators}, found the end"));
    check("api_name like a", 10, &format!("expected {operators}, found `like`"));
    check("status not = 5", 12, "expected `in`, `prefix`, `contains` or `exists`, found `=`");
    let value = "(what is no plain word is written in double quotes)";
    check("api_name =", 11, &format!("expected a value, found the end {value}"));
    check("api_name = or", 12, &format!("expected a value, found `or` {value}"));
    check("api_name === a", 12, &format!("expected a value, found `=` {value}"));
    check("api_name = 'a'", 12, "quotes are double quotes");
    check("api_name = \"a", 12, "the quote is not closed");
    check(
        "api_name = \"ä\\n\"",
        14,
        "`\\` stands only before `\"` or `\\` (write `\\\\` for one backslash)",
    );
    check("api_name in ()", 14, "nothing is in an empty list");
    check("api_name in (a b)", 16, "expected `,`, `or` or `)`, found `b`");
    check("api_name in (a", 15, "expected `,`, `or` or `)`, found the end");
}

#[test]
fn fields() {
    check("api_nam = a", 1, "no field `api_nam` (did you mean `api_name`?)");
    check("api_name = ä or stauts = 1", 17, "no field `stauts` (did you mean `status`?)");
    check("h.user_agnet = a", 1, "no field `h.user_agnet` (did you mean `h.user_agent`?)");
    check("billing.amont = 1", 1, "no field `billing.amont` (did you mean `billing.amount`?)");
    check("zzz = 1", 1, "no field `zzz`");
    let object = "is an object: it has no value of its own \
                  (name one of its parts, or ask whether it `exists`)";
    check("billing = 1", 11, &format!("`billing` {object}"));
    check("request_http_headers contains a", 31, &format!("`request_http_headers` {object}"));
    check("h > 1", 5, &format!("`h` {object}"));
}

#[test]
fn never() {
    check("api_name > 5", 12, "`api_name` has no order that `<` could ask for");
    check(
        "status_code >= 400",
        16,
        "`status_code` has no order that `<` could ask for (`status` is the number)",
    );
    check("bytes_sent = many", 14, "expected a number for `bytes_sent`, found `many`");
    check("bytes_sent = 5*", 14, "expected a number for `bytes_sent`, found `5*`");
    check("bytes_sent prefix 5", 19, "`bytes_sent` is no text (compare it with `<` or `>`)");
    let status = "`status` is never so (it is a whole number within 100 and 999)";
    check("status = 99", 10, status);
    check("status in (200, 2000)", 17, status);
    check("status > 999", 10, status);
    check("status = 404.5", 10, status);
    check("status < 100", 10, status);
    let class = "`status_class` is never so (it is one of `1xx` to `9xx`)";
    check("status_class:40*", 14, class);
    check("status_class prefix 0", 21, class);
    check("status_class prefix 4X", 21, class);
    check("status_class contains~ error", 24, class);
    check("status_class in (4xx, 50*)", 23, class);
    check(
        "billing.trial_period_days > 2147483648",
        29,
        "`billing.trial_period_days` is never so (it has 32 bits)",
    );
    check("bytes_sent = 1e19", 14, "`bytes_sent` is never so (it has 64 bits)");
    check("billing.amount = 1e999", 18, "`billing.amount` is never so (no number is so large)");
    check(
        "status > 4xx",
        10,
        "expected a number for `status`, found `4xx` (a class of status goes with `=`)",
    );
    check(
        "status_class = 404",
        16,
        "expected a class of status for `status_class`, found `404` (as in `4xx`)",
    );
    check("h.cached = yes", 12, "expected `true` or `false` for `h.cached`, found `yes`");
    let address = "(as in `10.1.2.3`, `10.0.0.0/8` or `2001:db8::/32`)";
    check(
        "client_ip = 10.0.0.0/33",
        13,
        &format!("expected an address or a network for `client_ip`, found `10.0.0.0/33` {address}"),
    );
    check(
        "client_ip in (10.0.0.1, host)",
        25,
        &format!("expected an address or a network for `client_ip`, found `host` {address}"),
    );
    check(
        "client_ip prefix 10.",
        18,
        "`client_ip` is no text (a network goes with `=`, as in `10.0.0.0/8`)",
    );
    check(
        "datetime > soon",
        12,
        "expected a time for `datetime`, found `soon` (as in `2026-01-15T10:00:00Z`)",
    );
    check(
        "datetime > 2026-01-15",
        12,
        "a day alone goes only with `>=` and `<` (as in `2026-01-15T00:00:00Z`)",
    );
    check(
        "api_name:a*b",
        10,
        "`*` stands only at the end, or at both ends (in quotes it means itself)",
    );
}

#[test]
fn contradictions() {
    let ranges = |field: &str| format!("no value of `{field}` is in all its ranges");
    check("bytes_sent > 5 and bytes_sent < 3", 20, &ranges("bytes_sent"));
    check("bytes_sent > 5 and (host = a and bytes_sent < 3)", 20, &ranges("bytes_sent"));
    check("status = 4xx and status = 500", 18, &ranges("status"));
    check(
        "host = a or status = 4xx and status in (200, 500) and status < 300",
        55,
        &ranges("status"),
    );
    check("status > 404 and status < 405", 18, &ranges("status"));
    check("status_class = 4xx and status_class = 5xx", 24, &ranges("status"));
    check("status_class in (2xx, 3xx) and status >= 400", 32, &ranges("status"));
    check("status < 400 and status_class:5*", 18, &ranges("status"));
    check("datetime < 2026-01-01 and datetime >= 2026-01-01", 27, &ranges("datetime"));
    let opposite = "this is the opposite of a condition before it";
    check("host = a and host != a", 14, opposite);
    check("not host:a* and host:a*", 17, opposite);
    check("host exists and host not exists", 17, opposite);
    // Of several values, each can be in another range.
    for fine in [
        "rateLimit.count > 5 and rateLimit.count < 3",
        "h.retries = 5 and h.retries = 6",
        "host = a and host = b",
        "bytes_sent > 5 or bytes_sent < 3",
        "bytes_sent > 5 and not bytes_sent > 7",
        // Statuses beyond those of HTTP come from gateways, and are events like others.
        "status_class = 9xx and status >= 950",
        "status_class contains~ X and status > 404 and status <= 405",
        "status_class:* and status_class != 4xx",
    ] {
        assert!(Filter::parse(fine, &known()).is_ok(), "{fine}");
    }
}

#[test]
fn bounds() {
    let parse = |text: &str| Filter::parse(text, &known()).map(|_| ());
    let long = format!("host = {}", "a".repeat(TEXT_BYTES_MAX - 7));
    assert_eq!(parse(&long), Ok(()));
    check(&format!("{long}a"), TEXT_BYTES_MAX + 1, "the filter is longer than 4096 bytes");
    let nested = |levels: usize| format!("{}host=a{}", "(".repeat(levels), ")".repeat(levels));
    assert_eq!(parse(&nested(DEPTH_LEVELS_MAX)), Ok(()));
    check(&nested(DEPTH_LEVELS_MAX + 1), DEPTH_LEVELS_MAX + 1, "nested deeper than 32 levels");
    let nots = format!("{}host=a", "not ".repeat(DEPTH_LEVELS_MAX + 1));
    check(&nots, 4 * DEPTH_LEVELS_MAX + 1, "nested deeper than 32 levels");
    let many = |count: usize| vec!["host=a"; count].join(" or ");
    assert_eq!(parse(&many(COMPARISONS_MAX)), Ok(()));
    check(&many(COMPARISONS_MAX + 1), 10 * COMPARISONS_MAX + 1, "more than 64 comparisons");
    let list = |count: usize| format!("host in ({})", vec!["a"; count].join(","));
    assert_eq!(parse(&list(VALUES_MAX)), Ok(()));
    check(&list(VALUES_MAX + 1), 10 + 2 * VALUES_MAX, "more than 256 values");
}
