//! Frames as a client sends them, right or wrong (RFC 6455, section 5.2).

/// One frame; what a test does wrong is said in its fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) is_last: bool,
    pub(crate) rsv: u8,
    pub(crate) opcode: u8,
    pub(crate) payload: &'a [u8],
}

pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Frame<'_> {
    Frame { is_last: true, rsv: 0, opcode, payload }
}

/// A frame that others of its message follow.
pub(crate) fn part(opcode: u8, payload: &[u8]) -> Frame<'_> {
    Frame { is_last: false, ..frame(opcode, payload) }
}

pub(crate) fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), reason].concat()
}

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) fn bytes(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for one in frames {
        out.push(u8::from(one.is_last) << 7 | one.rsv << 4 | one.opcode);
        match one.payload.len() {
            short @ 0..=125 => out.push(0x80 | u8::try_from(short).unwrap()),
            medium @ 126..=0xffff => {
                out.push(0x80 | 126);
                out.extend_from_slice(&u16::try_from(medium).unwrap().to_be_bytes());
            }
            long => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&MASK);
        out.extend(one.payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    }
    out
}
