//! Names that are secret, found among many that are not.
//!
//! Nearly every name that is asked for is no secret, so the first test is one bit: is there any
//! secret name of this first letter and this length? Names are compared without regard to letter
//! case and to the character that joins words (`-`, `_`, `.`, space and `+`), because writers and
//! frameworks differ in it.

/// First letters, folded onto the five low bits of ASCII.
const LETTERS: usize = 32;

/// A small map from names to what becomes of their values.
#[derive(Debug)]
pub(super) struct Names<T> {
    /// For each first letter the lengths of its names, one bit each; the last bit is for longer.
    lengths: [u64; LETTERS],
    /// Ordered by length.
    entries: Vec<(Box<[u8]>, T)>,
}

impl<T> Names<T> {
    pub(super) fn new() -> Self {
        Self { lengths: [0; LETTERS], entries: Vec::new() }
    }

    /// Changes the value of a name, which is the default where the name is new.
    pub(super) fn change(&mut self, name: &str, change: impl FnOnce(&mut T))
    where
        T: Default,
    {
        let name: Box<[u8]> = trim(name.as_bytes()).iter().copied().map(fold).collect();
        if let Some((_, value)) = self.entries.iter_mut().find(|(known, _)| *known == name) {
            return change(value);
        }
        if let Some(lengths) = self.lengths.get_mut(letter(&name)) {
            *lengths |= length_bit(&name);
        }
        let mut value = T::default();
        change(&mut value);
        let at = self.entries.partition_point(|(known, _)| known.len() <= name.len());
        self.entries.insert(at, (name, value));
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        let name = trim(name);
        let lengths = self.lengths.get(letter(name))?;
        if lengths & length_bit(name) == 0 {
            return None;
        }
        let first = self.entries.partition_point(|(known, _)| known.len() < name.len());
        self.entries
            .get(first..)?
            .iter()
            .take_while(|(known, _)| known.len() == name.len())
            .find(|(known, _)| known.iter().zip(name).all(|(&known, &byte)| known == fold(byte)))
            .map(|(_, value)| value)
    }
}

/// Without what stands around a name by accident: white space, control bytes, `+` for a space.
fn trim(mut name: &[u8]) -> &[u8] {
    let padding = |byte: u8| byte <= b' ' || byte == b'+';
    while let Some((&first, rest)) = name.split_first()
        && padding(first)
    {
        name = rest;
    }
    while let Some((&last, rest)) = name.split_last()
        && padding(last)
    {
        name = rest;
    }
    name
}

fn fold(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' => byte | 0x20,
        b'-' | b'.' | b' ' | b'+' => b'_',
        _ => byte,
    }
}

fn letter(name: &[u8]) -> usize {
    usize::from(name.first().copied().map_or(0, fold)) % LETTERS
}

fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_meant_and_nothing_else() {
        let mut names = Names::new();
        for name in ["X-Api-Key", "token", "tokem", "code", &"x".repeat(70), &"y".repeat(64)] {
            names.change(name, |()| ());
        }
        for name in ["x-api-key", "X_API_KEY", "token", "TOKEN", " token", "token\0", "x api.key"] {
            assert!(names.get(name.as_bytes()).is_some(), "{name}");
        }
        assert!(names.get("x".repeat(70).as_bytes()).is_some());
        for name in ["", "x-api-kez", "tokens", "toke", "xapikey", "+", &"x".repeat(71), "ä"] {
            assert!(names.get(name.as_bytes()).is_none(), "{name}");
        }
    }

    #[test]
    fn one_name_has_one_value() {
        let mut names = Names::new();
        names.change("a-b", |value| *value += 1);
        names.change("A_B", |value| *value += 2);
        assert_eq!(names.get(b"a-b"), Some(&3));
    }
}
