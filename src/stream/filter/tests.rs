use super::*;
use crate::stream::lines::Lines;

mod properties;
mod refused;

fn known() -> Known {
    Known::new([
        ("h.user_agent", Type::Text),
        ("h.retries", Type::Long),
        ("h.cached", Type::Boolean),
        ("h.when", Type::Date),
        ("x", Type::Any),
    ])
}

fn matches(filter: &str, event: &str) -> bool {
    let filter = match Filter::parse(filter, &known()) {
        Ok(filter) => filter,
        Err(error) => panic!("{filter}: {error}"),
    };
    let mut table = Table::new();
    let matcher = table.compile(&filter).unwrap();
    let mut slots = Slots::new();
    Lines::new().read(event.as_bytes(), |event| slots.fill(&table, event)).unwrap();
    assert!(slots.serve(&matcher));
    matcher.matches(&slots)
}

fn check(filter: &str, event: &str, expected: bool) {
    assert_eq!(matches(filter, event), expected, "{filter} of {event}");
}

#[test]
fn texts() {
    let event = r#"{"api_name":"accounts","uri_path":"/v1/a b","tags":["slow","_unparsed"],
        "resource_id":"a*","status_code":"200 OK","api_version":7.10,"plan_name":"ÄÖ \"x\"\\"}"#;
    check("api_name = accounts", event, true);
    check("api_name == accounts", event, true);
    check("api_name:accounts", event, true);
    check(" api_name : \"accounts\" ", event, true);
    check("\"api_name\" = accounts", event, true);
    check("api_name = Accounts", event, false);
    check("api_name = account", event, false);
    check("api_name != accounts", event, false);
    check("api_name != other", event, true);
    check("not api_name = other", event, true);
    check("api_name in (a, accounts, b)", event, true);
    check("api_name in (a, b)", event, false);
    check("api_name IN accounts", event, true);
    check("api_name:(a or accounts)", event, true);
    check("api_name = (a, acc*)", event, true);
    check("api_name = (a, b, *oun*)", event, true);
    check("api_name not in (a, b)", event, true);
    check("api_name != (a, accounts)", event, false);
    check("api_name prefix acc", event, true);
    check("api_name prefix ACC", event, false);
    check("api_name prefix~ ACC", event, true);
    check("api_name not prefix acc", event, false);
    check("api_name prefix accounts1", event, false);
    check("api_name prefix~ accounts1", event, false);
    check("api_name contains oun", event, true);
    check("api_name contains OUN", event, false);
    check("api_name contains~ OUN", event, true);
    check("api_name:acc*", event, true);
    check("api_name:*oun*", event, true);
    check("api_name:*", event, true);
    check("app_name:*", event, false);
    check("api_name:\"acc*\"", event, false);
    check("resource_id:\"a*\"", event, true);
    check("tags = slow", event, true);
    check("tags = _unparsed", event, true);
    check("tags != slow", event, false);
    check("tags = fast", event, false);
    check("uri_path = \"/v1/a b\"", event, true);
    check("uri_path:/v1/*", event, true);
    check("status_code = \"200 OK\"", event, true);
    check("api_version = 7.10", event, true);
    check("api_version = 7.1", event, false);
    check("plan_name = \"ÄÖ \\\"x\\\"\\\\\"", event, true);
}

#[test]
fn absent() {
    let event = r#"{"api_name":null,"app_name":"","tags":[],"billing":{},"latency":{"a":[null]},
        "x":{"y":[{"z":0}]}}"#;
    check("api_name exists", event, false);
    check("api_name not exists", event, true);
    check("app_name exists", event, true);
    check("tags exists", event, false);
    check("billing exists", event, false);
    check("latency exists", event, false);
    check("org_id exists", event, false);
    check("org_id != a", event, true);
    check("org_id = a", event, false);
    check("bytes_sent < 5", event, false);
    check("not bytes_sent < 5", event, true);
    check("x exists", event, true);
    check("x.y exists", event, true);
    check("x.y.z = 0", event, true);
    check("x.y.q exists", event, false);
    check("h exists", event, false);
}

#[test]
fn numbers() {
    let event = r#"{"bytes_sent":"256","bytes_received":9007199254740993,"status":404,
        "status_class":"4xx","billing":{"amount":9.9900},"time_to_serve_request":1e3,
        "rateLimit":[{"count":2},{"count":8}],"h":{"retries":"3"},"x":"5"}"#;
    check("bytes_sent = 256", event, true);
    check("bytes_sent = 2.56e2", event, true);
    check("bytes_sent > 255", event, true);
    check("bytes_sent > 256", event, false);
    check("bytes_sent >= \"256\"", event, true);
    check("bytes_sent<256.5", event, true);
    check("bytes_received = 9007199254740993", event, true);
    check("bytes_received = 9007199254740992", event, false);
    check("status in (200, 404)", event, true);
    check("status not in (200, 404)", event, false);
    check("status = 4xx", event, true);
    check("status:4XX", event, true);
    check("status != 5xx", event, true);
    check("status in (5xx, 404)", event, true);
    check("status_class = 4xx", event, true);
    check("status_class:(5XX or 4XX)", event, true);
    check("status_class:4*", event, true);
    check("status >= 400 and status < 500", event, true);
    check("billing.amount = 9.99", event, true);
    check("billing.amount <= 9", event, false);
    check("time_to_serve_request = 1000", event, true);
    check("rateLimit.count > 5 and rateLimit.count < 3", event, true);
    check("rateLimit.count = 5", event, false);
    check("h.retries > 2", event, true);
    check("x = 5.0", event, true);
    check("x > 4", event, true);
    check("x = \"5.0\"", event, false);
    check("x = \"5\"", event, true);
    check("x:5*", event, true);
}

#[test]
fn times_and_flags() {
    let event = r#"{"datetime":"2026-01-15T11:00:00.5+01:00","@timestamp":1768471201500,
        "h":{"cached":true,"when":["2026-01-01T00:00:00Z","later"]}}"#;
    check("datetime = 2026-01-15T10:00:00.500Z", event, true);
    check("datetime:2026-01-15T10:00:00.500Z", event, true);
    check("datetime > 2026-01-15T10:00:00.499Z", event, true);
    check("datetime >= 2026-01-15 and datetime < 2026-01-16", event, true);
    check("datetime >= 2026-01-16", event, false);
    check("@timestamp = 2026-01-15T10:00:01.500Z", event, true);
    check("@timestamp >= 1768471201500", event, true);
    check("h.when < 2026-01-02", event, true);
    check("h.cached = true", event, true);
    check("h.cached:false", event, false);
    check("h exists", event, true);
}

#[test]
fn addresses() {
    let event =
        r#"{"client_ip":"10.1.2.3","gateway_ip":"2001:db8::1","immediate_client_ip":"hash:x"}"#;
    check("client_ip = 10.1.2.3", event, true);
    check("client_ip:10.0.0.0/8", event, true);
    check("client_ip in 10.0.0.0/8", event, true);
    check("client_ip in (192.168.0.0/16, 10.1.0.0/16)", event, true);
    check("client_ip != 10.0.0.0/8", event, false);
    check("client_ip:::ffff:10.1.2.3", event, true);
    check("gateway_ip:2001:db8::/32", event, true);
    check("gateway_ip = 2001:0db8:0:0::1", event, true);
    check("gateway_ip = 10.0.0.0/8", event, false);
    check("immediate_client_ip = ::/0", event, false);
    check("immediate_client_ip exists", event, true);
}

#[test]
fn parts() {
    let event = r#"{"latency_info":[{"task":"invoke","started":3},{"task":"result"}],
        "request_http_headers":{"user-agent":["curl/8","x"],"x.y":"z","and":"1"},
        "h":{"user_agent":"curl/8"},"client_geoip":{"country_code2":"DE","location":[13.4,52.5]},
        "unparsed":{"billing.amount":"many"},"source":{"event_id":"e"}}"#;
    check("latency_info.task = invoke", event, true);
    check("latency_info.task = result", event, true);
    check("latency_info.task = proxy", event, false);
    check("latency_info.started < 5", event, true);
    check("latency_info exists", event, true);
    check("request_http_headers.user-agent prefix curl", event, true);
    check("request_http_headers.User-Agent = x", event, true);
    check("request_http_headers.x.y = z", event, true);
    check("request_http_headers.and = 1", event, true);
    check("\"request_http_headers.and\" = 1", event, true);
    check("request_http_headers exists", event, true);
    check("response_http_headers exists", event, false);
    check("h.user_agent = \"curl/8\"", event, true);
    check("client_geoip.country_code2 in (DE, AT, CH)", event, true);
    check("client_geoip.location exists", event, true);
    check("unparsed.billing.amount = many", event, true);
    check("source.event_id = e", event, true);
}

#[test]
fn logic() {
    let event = r#"{"api_name":"a","app_name":"b","host":"c"}"#;
    check("api_name=a and app_name=b", event, true);
    check("api_name=a AND app_name=x", event, false);
    check("api_name=x or app_name=b", event, true);
    check("api_name=a or app_name=x and host=x", event, true);
    check("(api_name=a or app_name=x) and host=x", event, false);
    check("not api_name=x and host=c", event, true);
    check("not (api_name=x or host=c)", event, false);
    check("not not api_name=a", event, true);
    check("not(api_name=x)and(host=c)", event, true);
    check("((((host=c))))", event, true);
    check("api_name=\"a\"and host=c", event, true);
    check("api_name = \"and\" or host = \"c\"", event, true);
}

#[test]
fn one_table_serves_many_filters() {
    let parse = |text: &str| Filter::parse(text, &known()).unwrap();
    let mut table = Table::new();
    let first = table.compile(&parse("status = 200 and api_name = a")).unwrap();
    assert_eq!(table.slots(), 2);
    let mut slots = Slots::new();
    let fill = |slots: &mut Slots, table: &Table, event: &str| {
        Lines::new().read(event.as_bytes(), |event| slots.fill(table, event)).unwrap();
    };
    fill(&mut slots, &table, r#"{"status":200,"api_name":"a"}"#);
    assert!(first.matches(&slots));
    let same = table.compile(&parse("api_name = a")).unwrap();
    assert_eq!(table.slots(), 2);
    assert!(same.matches(&slots));
    let second = table.compile(&parse("api_name != b or api_name not exists")).unwrap();
    assert_eq!(table.slots(), 3);
    assert!(!slots.serve(&second));
    assert!(!second.matches(&slots), "what was not looked at is not shown");
    fill(&mut slots, &table, r#"{"status":200}"#);
    assert!(second.matches(&slots));
    assert!(!first.matches(&slots), "nothing stays of the event before");
    let mut other = Table::new();
    let elsewhere = other.compile(&parse("host != b and api_name != b")).unwrap();
    assert!(!elsewhere.matches(&slots), "slots of another table");
}

#[test]
fn a_full_table_stays_as_it_was() {
    let mut table = Table::new();
    let header = |number: usize| {
        let text = format!("request_http_headers.x-{number} = a");
        Filter::parse(&text, &known()).unwrap()
    };
    for number in 0..SLOTS_MAX {
        table.compile(&header(number)).unwrap();
    }
    assert_eq!(table.compile(&header(SLOTS_MAX)).unwrap_err(), TableFull);
    assert_eq!(table.slots(), SLOTS_MAX);
    table.compile(&header(7)).unwrap();
}

#[test]
fn fields_of_pipelines() {
    let spec = crate::config::pipeline::PipelineSpec {
        extra: vec!["backend".to_owned()],
        geo: vec![crate::config::pipeline::GeoPair {
            from: "immediate_client_ip".to_owned(),
            into: "proxy_geoip".to_owned(),
        }],
        ..crate::config::pipeline::PipelineSpec::new("p")
    };
    let known = Known::of_pipelines([&spec]);
    for text in [
        "h.user_agent exists",
        "h exists",
        "backend.status > 5",
        "proxy_geoip.country_code2 = DE",
        "proxy_geoip.latitude > 50",
        "proxy_geoip exists",
    ] {
        assert!(Filter::parse(text, &known).is_ok(), "{text}");
    }
    assert!(Filter::parse("backends = 5", &known).is_err());
}
