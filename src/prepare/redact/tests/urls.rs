//! Queries and URLs: parameters, users, and JSON within.

use super::*;

#[test]
fn queries() {
    for (value, expected) in [
        ("", ""),
        ("a=1&b=2", "a=1&b=2"),
        ("token=abc", "token=[redacted]"),
        ("?a=1&token=abc&b=2", "?a=1&token=[redacted]&b=2"),
        ("a=1;token=abc;b=2", "a=1;token=[redacted];b=2"),
        ("token=abc;def&b=2", "token=[redacted]&b=2"),
        ("token=abc=def==&b", "token=[redacted]&b"),
        ("token=1&token=2&TOKEN=3", "token=[redacted]&token=[redacted]&TOKEN=[redacted]"),
        ("token&tokens=1&token=", "token&tokens=1&token="),
        ("acc%65ss_token=a", "acc%65ss_token=[redacted]"),
        ("access+token=a&api-key=b", "access+token=[redacted]&api-key=[redacted]"),
        ("%61cc%2565ss_token=a%26b", "%61cc%2565ss_token=[redacted]"),
        ("token[]=a&filter[token]=b", "token[]=[redacted]&filter[token]=[redacted]"),
        ("filter%5Btoken%5D=b", "filter%5Btoken%5D=[redacted]"),
        ("user.password=b&codes=1", "user.password=[redacted]&codes=1"),
        (
            "x-amz-signature=a&awsaccesskeyid=b",
            "x-amz-signature=[redacted]&awsaccesskeyid=[redacted]",
        ),
        ("a=1&amp;token=abc", "a=1&amp;token=[redacted]"),
        ("a=1?token=abc", "a=1?token=[redacted]"),
        ("state=token=abc", "state=token=[redacted]"),
        ("token=\0\u{1}é", "token=[redacted]"),
        ("tok\0en=a&\0token\0=b", "tok\0en=[redacted]&\0token\0=[redacted]"),
        ("a=%zz&%=1&token=%zz%", "a=%zz&%=1&token=[redacted]"),
        ("a=%e4%zz%3d&b=100%25", "a=%e4%zz%3d&b=100%25"),
        ("r=https://x/?token=abc", "r=https://x/?token=[redacted]"),
        (
            "r=https%3A%2F%2Fx%2F%3Ftoken%3Dabc%26b%3D1&c=2",
            "r=https%3A%2F%2Fx%2F%3Ftoken%3D[redacted]%26b%3D1&c=2",
        ),
        (
            "r=https%253A%252F%252Fx%253Fa%253D%25C3%25A4%2526token%253Dabc",
            "r=https%253A%252F%252Fx%253Fa%253D%25C3%25A4%2526token%253D[redacted]",
        ),
        ("%3Dcode%3D=%26", "%3Dcode%3D[redacted]"),
        ("r=https%3A%2F%2Fu%3Ap%40host%2F", "r=https%3A%2F%2F[redacted]%40host%2F"),
        ("mail=a%40b.org&url=//x", "mail=a%40b.org&url=//x"),
        (
            "to%0Aken=a&%u0074oken=b&token:=c",
            "to%0Aken=[redacted]&%u0074oken=[redacted]&token:=[redacted]",
        ),
        ("auth:token=a&accessToken=b", "auth:token=[redacted]&accessToken=[redacted]"),
        ("aws_access_key_id=a&x_api_key=b", "aws_access_key_id=[redacted]&x_api_key=[redacted]"),
        ("\"token\"=a&'token'=b", "\"token\"=[redacted]&'token'=[redacted]"),
        (
            "to\u{200b}ken=a&acce\u{17f}s_to\u{212a}en=b",
            "to\u{200b}ken=[redacted]&acce\u{17f}s_to\u{212a}en=[redacted]",
        ),
        // What is no escape may be one to another reader.
        (
            "toke%6=a&toke%u=b&%uff54oken=c",
            "toke%6=[redacted]&toke%u=[redacted]&%uff54oken=[redacted]",
        ),
        ("100%=a&%25=b&rate%25=c", "100%=a&%25=b&rate%25=c"),
        ("r=%u003ftoken%u003dabc%u0026b%3d1", "r=%u003ftoken%u003d[redacted]%u0026b%3d1"),
        ("a=%252525252525253D", GONE),
        ("a%2525252525253D=1", GONE),
    ] {
        query(value, expected);
        if !value.is_empty() && !value.starts_with('?') && expected != GONE {
            url(&format!("/p?{value}"), &format!("/p?{expected}"));
        }
    }
}

#[test]
fn words_and_hosts_beside_others() {
    for (value, expected) in [
        ("country.code=DE&zip.code=1&filter[code]=2", "country.code=DE&zip.code=1&filter[code]=2"),
        ("http_code=200&x_code=1&page.token=a", "http_code=200&x_code=1&page.token=a"),
        (
            "code[]=a&auth.code=b&user.token=c",
            "code[]=[redacted]&auth.code=[redacted]&user.token=[redacted]",
        ),
        ("url=https://x.com;email=joe@x.com", "url=https://x.com;email=joe@x.com"),
        ("url=https://u:p;a=b@x.com", "url=https://[redacted]@x.com"),
    ] {
        query(value, expected);
        url(&format!("/p?{value}"), &format!("/p?{expected}"));
    }
}

#[test]
fn json_in_queries() {
    for (value, expected) in [
        (r#"{"password":"x"}"#, r#"{"password":"[redacted]"}"#),
        (r#"q={"a":{"token": "x","b":1}}&c=2"#, r#"q={"a":{"token": "[redacted]","b":1}}&c=2"#),
        (r#"[{"code":1},{"code":"2"}]"#, r#"[{"code":[redacted]},{"code":"[redacted]"}]"#),
        (r#"{"password":null,"b":1}"#, r#"{"password":[redacted],"b":1}"#),
        (r#"{"password":"","b":1}"#, r#"{"password":"","b":1}"#),
        (r#"{"password":"a\"b","c":"d"}"#, r#"{"password":"[redacted]","c":"d"}"#),
        (r#"{"password":"never closed&b=1"#, r#"{"password":"[redacted]"#),
        (r#"{"password":["x","y"],"b":1}"#, r#"{"password":[redacted]"#),
        (r#"{"PassWord":"x","passwords":"y"}"#, r#"{"PassWord":"[redacted]","passwords":"y"}"#),
        (r#"{"\u0070assword":"x","\u00e4":"y"}"#, r#"{"\u0070assword":"[redacted]","\u00e4":"y"}"#),
        (r#"{"p%61ssword":"x"}"#, r#"{"p%61ssword":"[redacted]"}"#),
        (r#"{"password":%20"x"}"#, r#"{"password":%20"[redacted]"}"#),
        (r#"{"password"+:+"x"}"#, r#"{"password"+:+"[redacted]"}"#),
        (r#"{"a":"{\"token\":\"x\",\"b\":1}"}"#, r#"{"a":"{\"token\":\"[redacted]\",\"b\":1}"}"#),
        // Part of a member, part of a parameter or of an authority.
        (r#""token":;]%3D"#, r#""token":[redacted]]%3D"#),
        (r#""token":token/}=%"#, r#""token":[redacted]}=[redacted]"#),
        (r#""token":%3D%0a[redacted]%26"#, r#""token":[redacted]%26"#),
        (r#""token":=a b;c=d"#, r#""token":[redacted];c=d"#),
        ("{'password':'x'}", "{'password':'[redacted]'}"),
        ("q=%7B%22password%22:%22x%22%7D&b=1", "q=%7B%22password%22:%22[redacted]%22%7D&b=1"),
        (
            "%257B%2522token%2522%253A%2522x%2522%257D",
            "%257B%2522token%2522%253A%2522[redacted]%2522%257D",
        ),
        (r#"{"a":"https:\/\/u:SECRET@h\/p"}"#, r#"{"a":"https:\/\/[redacted]@h\/p"}"#),
        ("q=it's&b='a':1&c=\"d\"", "q=it's&b='a':1&c=\"d\""),
    ] {
        query(value, expected);
        url(&format!("/p?{value}"), &format!("/p?{expected}"));
    }
}

#[test]
fn urls() {
    for (value, expected) in [
        ("/a/b/c", "/a/b/c"),
        ("/a@b/c?d=e@f", "/a@b/c?d=e@f"),
        ("/a;token=abc/d?e=f", "/a;token=[redacted]/d?e=f"),
        ("/a;token=abc;v=1/d;x", "/a;token=[redacted];v=1/d;x"),
        ("/a;token=ab%2Fcd/d", "/a;token=[redacted]/d"),
        ("/a%3Btoken=abc/d", "/a%3Btoken=[redacted]/d"),
        ("/a/token=abc/d?b=c/d", "/a/token=[redacted]/d?b=c/d"),
        ("/Countries(code='DE')/Cities", "/Countries(code='DE')/Cities"),
        ("mailto:joe@example.com", "mailto:joe@example.com"),
        ("/a?b=1;token=ab/cd", "/a?b=1;token=[redacted]"),
        ("u@token=a", "[redacted]@token=[redacted]"),
        ("/a&token=ab/cd", "/a&token=[redacted]"),
        ("/x/{\"password\":\"a\"}/d", "/x/{\"password\":\"[redacted]\"}/d"),
        ("/x/%7B%22password%22%3A%22a%22%7D", "/x/%7B%22password%22%3A%22[redacted]%22%7D"),
        ("https://user:pass@host/p", "https://[redacted]@host/p"),
        ("https://pat@host:8/p?token=a#b", "https://[redacted]@host:8/p?token=[redacted]"),
        ("https://u:p@ss&x@host?a=b@c", "https://[redacted]@host?a=b@c"),
        ("//u:p@host/", "//[redacted]@host/"),
        ("u:p@host:80/x", "[redacted]@host:80/x"),
        ("/r?to=//u:p@host/&b=@", "/r?to=//[redacted]@host/&b=@"),
        ("/r?to=https://h&mail=a@b", "/r?to=https://h&mail=a@b"),
        ("/r?to=https:%2f%2fu:p@h", "/r?to=https:%2f%2f[redacted]@h"),
        ("/cb#access_token=a&state=b", "/cb#access_token=[redacted]&state=b"),
        ("/cb?code=a#state=b", "/cb?code=[redacted]#state=b"),
        ("/cb%3Fcode=a", "/cb%3Fcode=[redacted]"),
    ] {
        url(value, expected);
    }
}

#[test]
fn removed_parameters_go_with_one_separator() {
    let rule = |name: &str| (RedactTarget::QueryParameter(name.to_owned()), RedactAction::Remove);
    let redactor = Redactor::compile(&with(vec![rule("token"), rule("sig")])).unwrap();
    for (value, expected) in [
        ("a=1&token=x&b=2", "a=1&b=2"),
        ("token=x&b=2", "b=2"),
        ("?token=x&sig=y&b=2", "?b=2"),
        ("a=1&token=x&sig=y", "a=1"),
        ("a=1&token=x&token=y&b=2", "a=1&b=2"),
        ("token=x", GONE),
        ("token=", GONE),
        ("?token=x", "?"),
        ("a=token=x&b=2", "a=&b=2"),
        ("a=1;token=x;b=2", "a=1;b=2"),
        ("a=1#token=x&sig=y&b=1", "a=1#b=1"),
        ("r=%3Ftoken%3Dx%26b%3D1&c=2", "r=%3Fb%3D1&c=2"),
    ] {
        check(|value, out| redactor.query(value, out), value, expected);
    }
}
