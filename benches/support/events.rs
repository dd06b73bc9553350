//! Header events of about 2 KB, with two addresses to look up, all of them different.

/// How many addresses there are; the frequent ones are chosen by Zipf's law.
const ADDRESSES: u64 = 1_000_000;

/// The same events in every run, without end.
pub(crate) struct Events {
    number: u64,
    random: u64,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { number: 0, random: 88_172_645_463_325_252 }
    }
}

impl Iterator for Events {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let event = event(self.number, self.random);
        self.number += 1;
        Some(event)
    }
}

/// By Zipf's law with exponent 1: the logarithm of the rank is even.
fn address(random: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are plenty")]
    let even = (random >> 11) as f64 / (1_u64 << 53) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    let rank = (ADDRESSES as f64).powf(even) as u32;
    let [_, b, c, d] = rank.wrapping_mul(2_654_435_761).to_be_bytes();
    // Public ranges that geo databases know.
    let a = [3, 8, 9, 13, 52, 81, 93, 145][rank as usize % 8];
    format!("{a}.{b}.{c}.{d}")
}

fn event(number: u64, random: u64) -> String {
    let second = number % 60;
    let spent = random % 900;
    let agent = [
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "okhttp/4.12.0",
        "AcmeShop/7.3 (iPhone; iOS 18.1; Scale/3.00)",
        "python-requests/2.32.3",
    ][(number % 4) as usize];
    format!(
        r#"{{"datetime":"2026-11-25T10:11:{second:02}.{:03}Z","latency_info":[{{"task":"Start","started":3}},{{"task":"security-appID","started":8}},{{"task":"Plan Limit","started":84}},{{"task":"activity-log","started":86}},{{"task":"proxy","started":88}}],"api_version":"1.0.0","api_id":"accountservice:1.0.0","product_version":"1.0.0","product_name":"retail","plan_version":"1.0.0","uri_path":"/macs-shack/sb/AccountService/{number}","request_method":"POST","log_policy":"header","request_protocol":"https","query_string":"page={}&api_key=abcdef0123456789","request_body":"","response_body":"","bytes_received":{},"bytes_sent":{},"time_to_serve_request":{},"status_code":"200 OK","request_http_headers":[{{"Host":"apimanager.host.com"}},{{"User-Agent":"{agent}"}},{{"Accept":"application/xml"}},{{"Accept-Language":"en-US,en;q=0.5"}},{{"Accept-Encoding":"gzip, deflate"}},{{"Authorization":"Bearer {random:032x}"}},{{"Content-Type":"text/xml"}},{{"SOAPAction":"getBalance"}},{{"Referer":"https://apimanager.host.com/apim/"}},{{"Content-Length":"256"}},{{"Origin":"https://apimanager.host.com"}},{{"Via":"1.1 AwAAABaygGU-"}},{{"X-Client-IP":"9.79.12.126"}},{{"X-Global-Transaction-ID":"{number}"}}],"response_http_headers":[{{"Content-Type":"text/xml; charset=ISO-8859-1"}},{{"Date":"Thu, 29 Sep 2016 22:53:46 GMT"}},{{"X-Powered-By":"Servlet/3.0"}},{{"X-Vcap-Request-Id":"452d95be-0304-4f73-7429-{random:016x}"}},{{"X-Global-Transaction-ID":"{number}"}},{{"Access-Control-Allow-Origin":"https://apimanager.host.com"}},{{"Access-Control-Allow-Methods":"POST"}},{{"Access-Control-Allow-Credentials":"true"}}],"org_id":"5a1f00","org_name":"macs-shack","api_name":"accountservice","catalog_name":"sb","resource_path":"post","plan_name":"default","developer_org_name":"macs-shack","billing":{{"trial_period_days":"0","amount":"0","currency":"USD","model":"free","provider":"none"}},"client_ip":"{}","gateway_ip":"9.79.12.126","transaction_id":"{random}"}}"#,
        number % 1_000,
        random % 97,
        random % 2_000,
        random % 20_000,
        100 + spent,
        address(random),
    )
}
