//! The cases of Autobahn's test suite (crossbario/autobahn-testsuite) by their numbers, against the
//! stream server itself. It echoes nothing, so a message that is taken shows in a ping behind it
//! that is answered. `foreign/autobahn.rs` runs the suite itself against an echo of the same parts.
//!
//! Groups: 1 messages, 2 pings and pongs, 3 reserved bits, 4 opcodes, 5 fragments, 6 UTF-8,
//! 7 closing, 9 sizes. 10 asks for an echo in pieces, 12 and 13 for compression, which is never
//! agreed on.

use super::wire::{Frame, bytes, close, frame, part};
use super::*;

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const MORE: u8 = 0;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What the server does.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Then {
    /// It answers these pings and goes on.
    Pongs(Vec<Vec<u8>>),
    /// It closes with this code.
    Closes(u16),
    /// It answers the client's close with the same code.
    Answers(Option<u16>),
}

fn taken() -> Then {
    Then::Pongs(Vec::new())
}

fn pongs(payloads: &[&[u8]]) -> Then {
    Then::Pongs(payloads.iter().map(|payload| payload.to_vec()).collect())
}

/// Sends the frames whole, and octet by octet in a segment each; both come to the same.
async fn check(rig: &Rig, number: &str, frames: &[Frame<'_>], expected: &Then) {
    let sent = bytes(frames);
    for chop in [usize::MAX, 1] {
        // Larger ones say nothing new octet by octet.
        if chop == 1 && sent.len() > 1_000 {
            continue;
        }
        let mut client = rig.client("websocket", "key=good").await;
        for piece in sent.chunks(chop.min(sent.len())) {
            // The server may have closed by now, as it is to.
            client.try_send(piece).await;
        }
        let case = format!("case {number}, in pieces of {chop}");
        match expected {
            Then::Pongs(payloads) => {
                for payload in payloads {
                    assert_eq!(client.answer().await, (PONG, payload.clone()), "{case}");
                }
                client.send(&bytes(&[frame(PING, b"still there")])).await;
                assert_eq!(client.answer().await, (PONG, b"still there".to_vec()), "{case}");
                client.send(&bytes(&[frame(CLOSE, &close(1000, b""))])).await;
                assert_eq!(client.close_code().await, Some(1000), "{case}");
            }
            Then::Closes(code) => assert_eq!(client.close_code().await, Some(*code), "{case}"),
            Then::Answers(code) => assert_eq!(client.close_code().await, *code, "{case}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_sizes() {
    let rig = Rig::start(1 << 20).await;
    // 4 KiB is the bound of this server (N3).
    let cases = [
        ("1", 0, taken()),
        ("2", 125, taken()),
        ("3", 126, taken()),
        ("4", 127, taken()),
        ("5", 128, taken()),
        ("of 4 KiB", 4_096, taken()),
        ("over 4 KiB", 4_097, Then::Closes(1009)),
        ("6", 65_535, Then::Closes(1009)),
        ("7", 65_536, Then::Closes(1009)),
    ];
    for (number, length, expected) in cases {
        let payload = vec![b'*'; length];
        check(&rig, &format!("1.1.{number}"), &[frame(TEXT, &payload)], &expected).await;
        check(
            &rig,
            &format!("1.2.{number}"),
            &[frame(BINARY, &[0xfe; 65_536][..length])],
            &expected,
        )
        .await;
    }
    // 9.3 and 9.4: a large message in small fragments is refused where it becomes too large.
    let piece = [b'*'; 64];
    let mut fragments = vec![part(TEXT, &piece)];
    fragments.extend([part(MORE, &piece); 64]);
    check(&rig, "9.3.1", &fragments, &Then::Closes(1009)).await;
    fragments[0] = part(BINARY, &piece);
    check(&rig, "9.4.1", &fragments, &Then::Closes(1009)).await;
    // Its header alone is enough.
    for length in [256 << 10, 16 << 20] {
        let mut client = rig.client("websocket", "key=good").await;
        let header = [&[0x82, 0xff][..], &u64::to_be_bytes(length)].concat();
        client.send(&header).await;
        assert_eq!(client.close_code().await, Some(1009), "case 9.2 of {length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_and_pongs() {
    let rig = Rig::start(1 << 20).await;
    let octets = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    let ten: Vec<_> = (0..10).map(|n| format!("payload-{n}").into_bytes()).collect();
    let ten_pings: Vec<_> = ten.iter().map(|payload| frame(PING, payload)).collect();
    let cases = [
        ("2.1", vec![frame(PING, b"")], pongs(&[b""])),
        ("2.2", vec![frame(PING, b"Hello, world!")], pongs(&[b"Hello, world!"])),
        ("2.3", vec![frame(PING, &octets)], pongs(&[&octets])),
        ("2.4, 2.6", vec![frame(PING, &[0xfe; 125])], pongs(&[&[0xfe; 125]])),
        ("2.5", vec![frame(PING, &[0xfe; 126])], Then::Closes(1002)),
        ("2.7", vec![frame(PONG, b"")], taken()),
        ("2.8", vec![frame(PONG, b"unsolicited")], taken()),
        ("2.9", vec![frame(PONG, b"unsolicited"), frame(PING, b"ping")], pongs(&[b"ping"])),
        ("2.10, 2.11", ten_pings, Then::Pongs(ten.clone())),
    ];
    for (number, frames, expected) in cases {
        check(&rig, number, &frames, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_bits_and_opcodes() {
    let rig = Rig::start(1 << 20).await;
    let hello = b"Hello, world!";
    let with_bits = |rsv, one| Frame { rsv, ..one };
    let cases = [
        ("3.1", vec![with_bits(1, frame(TEXT, hello))]),
        ("3.2", vec![frame(TEXT, hello), with_bits(2, frame(TEXT, hello)), frame(PING, b"")]),
        ("3.3", vec![frame(TEXT, hello), with_bits(3, frame(TEXT, hello)), frame(PING, b"")]),
        // What a client sends that believes in permessage-deflate.
        ("3.4", vec![frame(TEXT, hello), with_bits(4, frame(TEXT, hello)), frame(PING, b"")]),
        ("3.5", vec![with_bits(5, frame(BINARY, hello))]),
        ("3.6", vec![with_bits(6, frame(PING, hello))]),
        ("3.7", vec![with_bits(7, frame(CLOSE, b""))]),
    ];
    for (number, frames) in cases {
        check(&rig, number, &frames, &Then::Closes(1002)).await;
    }
    for (group, opcodes) in [("4.1", 3..=7), ("4.2", 11..=15)] {
        for opcode in opcodes {
            let frames = [frame(TEXT, hello), frame(opcode, hello), frame(PING, b"")];
            check(&rig, &format!("{group}, opcode {opcode}"), &frames[1..], &Then::Closes(1002))
                .await;
            check(&rig, &format!("{group}, opcode {opcode}"), &frames, &Then::Closes(1002)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments() {
    let rig = Rig::start(1 << 20).await;
    let (one, two) = (b"fragment1", b"fragment2");
    let cases = [
        ("5.1", vec![part(PING, one), frame(MORE, two)], Then::Closes(1002)),
        ("5.2", vec![part(PONG, one), frame(MORE, two)], Then::Closes(1002)),
        ("5.3 to 5.5", vec![part(TEXT, one), frame(MORE, two)], taken()),
        (
            "5.6 to 5.8",
            vec![part(TEXT, one), frame(PING, b"ping"), frame(MORE, two)],
            pongs(&[b"ping"]),
        ),
        ("5.9 to 5.11", vec![frame(MORE, one), frame(TEXT, two)], Then::Closes(1002)),
        ("5.12 to 5.14", vec![part(MORE, one), frame(TEXT, two)], Then::Closes(1002)),
        (
            "5.15",
            vec![part(TEXT, one), frame(MORE, two), part(MORE, one), frame(TEXT, two)],
            Then::Closes(1002),
        ),
        ("5.16", vec![part(MORE, one), part(TEXT, one), frame(MORE, two)], Then::Closes(1002)),
        ("5.17", vec![frame(MORE, one), part(TEXT, one), frame(MORE, two)], Then::Closes(1002)),
        ("5.18", vec![part(TEXT, one), frame(TEXT, two)], Then::Closes(1002)),
        (
            "5.19, 5.20",
            vec![
                part(TEXT, one),
                part(MORE, two),
                frame(PING, b"pongme 1!"),
                part(MORE, one),
                part(MORE, two),
                frame(PING, b"pongme 2!"),
                frame(MORE, one),
            ],
            pongs(&[b"pongme 1!", b"pongme 2!"]),
        ),
    ];
    for (number, frames, expected) in cases {
        check(&rig, number, &frames, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn utf8() {
    let rig = Rig::start(1 << 20).await;
    let greek = "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}".as_bytes();
    let surrogate = b"\xed\xa0\x80edited";
    let bad = [greek, surrogate].concat();
    let (first, last) = greek.split_at(greek.len() - 1);
    let octets = greek.iter().enumerate().map(|(at, octet)| {
        let octet = std::slice::from_ref(octet);
        let is_last = at + 1 == greek.len();
        Frame { is_last, ..frame(if at == 0 { TEXT } else { MORE }, octet) }
    });
    let octets = octets.collect();
    let cases = [
        ("6.1.1", vec![frame(TEXT, b"")], taken()),
        ("6.1.2", vec![part(TEXT, b""), part(MORE, b""), frame(MORE, b"")], taken()),
        ("6.1.3", vec![part(TEXT, b""), part(MORE, b"x"), frame(MORE, b"")], taken()),
        ("6.2.1", vec![frame(TEXT, greek)], taken()),
        ("6.2.2", vec![part(TEXT, first), frame(MORE, last)], taken()),
        ("6.2.3, 6.2.4", octets, taken()),
        ("6.3.1", vec![frame(TEXT, &bad)], Then::Closes(1007)),
        ("6.3.2", vec![part(TEXT, greek), frame(MORE, surrogate)], Then::Closes(1007)),
        // At once: the last fragment never comes.
        ("6.4.1", vec![part(TEXT, greek), part(MORE, b"\xf4\x90\x80\x80")], Then::Closes(1007)),
        (
            "6.4.2",
            vec![part(TEXT, greek), part(MORE, b"\xf4"), part(MORE, b"\x90")],
            Then::Closes(1007),
        ),
        ("6.6.1", vec![frame(TEXT, b"\xce")], Then::Closes(1007)),
        ("6.6.3", vec![frame(TEXT, b"\xce\xba\xe1")], Then::Closes(1007)),
        ("6.9.4", vec![frame(TEXT, b"\xf4\x8f\xbf\xbf")], taken()),
        ("6.14.1", vec![frame(TEXT, b"\xf8\x88\x80\x80\x80")], Then::Closes(1007)),
        ("6.16.1", vec![frame(TEXT, b"\xc0\xaf")], Then::Closes(1007)),
        ("6.19.1", vec![frame(TEXT, b"\xed\xa0\x80")], Then::Closes(1007)),
        ("6.21.1", vec![frame(TEXT, b"\xed\xa0\x80\xed\xb0\x80")], Then::Closes(1007)),
        ("6.22.1", vec![frame(TEXT, b"\xef\xbf\xbe")], taken()),
    ];
    for (number, frames, expected) in cases {
        check(&rig, number, &frames, &expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing() {
    let rig = Rig::start(1 << 20).await;
    let normal = close(1000, b"");
    let farewell = frame(CLOSE, &normal);
    let (hello, longest, long) =
        (close(1000, b"Hello World!"), close(1000, &[b'*'; 123]), close(1000, &[b'*'; 124]));
    let bad = close(1000, b"\xce\xba\xed\xa0\x80edited");
    let answered = Then::Answers(Some(1000));
    let cases = [
        ("7.1.1", vec![frame(TEXT, b"Hello World!"), farewell], answered.clone()),
        ("7.1.2", vec![farewell, frame(CLOSE, b"")], answered.clone()),
        ("7.1.3", vec![farewell, frame(PING, b"")], answered.clone()),
        ("7.1.4", vec![farewell, frame(TEXT, b"Hello World!")], answered.clone()),
        ("7.1.5", vec![part(TEXT, b"1"), farewell, frame(MORE, b"2")], answered.clone()),
        ("7.3.1", vec![frame(CLOSE, b"")], Then::Answers(None)),
        ("7.3.2", vec![frame(CLOSE, b"a")], Then::Closes(1002)),
        ("7.3.3", vec![farewell], answered.clone()),
        ("7.3.4", vec![frame(CLOSE, &hello)], answered.clone()),
        ("7.3.5", vec![frame(CLOSE, &longest)], answered),
        ("7.3.6", vec![frame(CLOSE, &long)], Then::Closes(1002)),
        ("7.5.1", vec![frame(CLOSE, &bad)], Then::Closes(1007)),
    ];
    for (number, frames, expected) in cases {
        check(&rig, number, &frames, &expected).await;
    }
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        let payload = close(code, b"");
        check(
            &rig,
            &format!("7.7 of {code}"),
            &[frame(CLOSE, &payload)],
            &Then::Answers(Some(code)),
        )
        .await;
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        let payload = close(code, b"");
        check(
            &rig,
            &format!("7.9 and 7.13 of {code}"),
            &[frame(CLOSE, &payload)],
            &Then::Closes(1002),
        )
        .await;
    }
}
