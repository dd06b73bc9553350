//! Large and hostile messages: none may cost more than a time in proportion to its size. What
//! goes over it again for each part would take hours here.

use super::framed;

const BYTES: usize = 1_000_000;

fn repeated(part: &[u8]) -> Vec<u8> {
    part.repeat(BYTES / part.len())
}

fn parts(payload: &[u8]) -> usize {
    framed(payload).len()
}

#[test]
fn large_events() {
    let body = "x\\n\u{e9}".repeat(BYTES);
    let object = format!("{{\"request_body\":\"{body}\"}}");
    assert_eq!(framed(object.as_bytes())[0].0, "event");
    let odd = object.replace("\\n", "\u{1}").into_bytes();
    assert_eq!(framed(&odd)[0].0, "repaired");
}

#[test]
fn many_small_parts() {
    let count = BYTES / 8;
    assert_eq!(parts(&repeated(b"{\"a\":1}\n")), count);
    assert_eq!(parts(&repeated(b"{\"a\xff\":1}\n")), BYTES / 9);
    let list = |element: &[u8]| [&b"["[..], &repeated(element), b"{}]"].concat();
    assert_eq!(parts(&list(b"{\"a\":1},")), count + 1);
    assert_eq!(parts(&list(b"{\"\xff\":1},")), count + 1);
    assert_eq!(parts(&list(b"1,")), BYTES / 2 + 1);
    let deep = format!("[{}{}{}]", "{\"a\":1},".repeat(count), "[".repeat(70), "]".repeat(70));
    assert_eq!(parts(deep.as_bytes()), count + 1);
}

#[test]
fn hostile_messages() {
    for part in [
        &b"["[..],
        b"{\"a\":",
        b"\xff",
        b"\"",
        b"\\",
        b"\n",
        b"\0",
        b"[\n",
        b"}\n",
        b"{\n",
        b"{}",
        b"\"\xff\"",
        b"\xff,",
        b"1e999",
        b"9",
        b"-",
        b"{\"index\":{}}\n",
        b"[]\n",
        b"x\n",
    ] {
        parts(&repeated(part));
        parts(&[&b"{\"a\":"[..], &repeated(part), b"}"].concat());
        parts(&[&b"{\"a\":\""[..], &repeated(part), b"\"}"].concat());
    }
    let levels = BYTES;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let balanced = format!("{}1{}", open.repeat(levels), close.repeat(levels));
        assert_eq!(parts(balanced.as_bytes()), 1);
        assert_eq!(parts(open.repeat(levels).as_bytes()), 1);
    }
    let numbers = format!("[{}1]", "1e999,".repeat(BYTES / 6));
    assert_eq!(parts(numbers.as_bytes()), BYTES / 6 + 1);
}
