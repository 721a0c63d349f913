//! Detach keys: `ctrl-p,ctrl-q`, or what `--detach-keys` says.

/// Reads `ctrl-p,ctrl-q,x` into the bytes that a terminal sends.
pub fn parse(text: &str) -> Result<Vec<u8>, String> {
    let mut keys = Vec::new();
    for key in text.split(',') {
        let fault = || format!("Unknown character: '{key}'");
        let byte = match key.strip_prefix("ctrl-") {
            Some(name) => match name.as_bytes() {
                [letter @ b'a'..=b'z'] => letter - b'a' + 1,
                [b'@'] => 0,
                [sign @ (b'[' | b'\\' | b']' | b'^' | b'_')] => sign - b'[' + 27,
                _ => return Err(fault()),
            },
            None => match key.as_bytes() {
                [byte] => *byte,
                _ => return Err(fault()),
            },
        };
        keys.push(byte);
    }
    Ok(keys)
}

/// Looks for the keys in what is typed. Bytes that began the sequence are held back until it is clear that
/// they are not part of it.
#[derive(Debug)]
pub struct Watch {
    keys: Vec<u8>,
    seen: usize,
}

impl Watch {
    /// A watch for `keys`; none are looked for where it is empty.
    pub fn new(keys: Vec<u8>) -> Watch {
        Watch { keys, seen: 0 }
    }

    /// Takes typed bytes; returns what goes to the container, and whether the keys were complete (bytes
    /// behind them are dropped).
    pub fn push(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        if self.is_idle() {
            return (typed.to_vec(), false);
        }
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            if *byte != self.keys[self.seen] {
                passed.extend_from_slice(&self.keys[..self.seen]);
                self.seen = 0;
            }
            if *byte == self.keys[self.seen] {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    self.seen = 0;
                    return (passed, true);
                }
            } else {
                passed.push(*byte);
            }
        }
        (passed, false)
    }

    /// Whether there is nothing to look for.
    pub fn is_idle(&self) -> bool {
        self.keys.is_empty()
    }

    /// Bytes that are held back, for when the input ends.
    pub fn held(&self) -> &[u8] {
        &self.keys[..self.seen]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_keys() {
        assert_eq!(parse("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(parse("ctrl-@,ctrl-[,ctrl-_,a"), Ok(vec![0, 27, 31, b'a']));
        assert_eq!(parse("foo"), Err("Unknown character: 'foo'".to_string()));
        assert_eq!(
            parse("ctrl-P"),
            Err("Unknown character: 'ctrl-P'".to_string())
        );
    }

    #[test]
    fn the_sequence_is_found_in_any_split_and_nothing_else_is_lost() {
        let mut watch = Watch::new(vec![16, 17]);
        assert_eq!(watch.push(b"ls\r"), (b"ls\r".to_vec(), false));
        assert_eq!(watch.push(&[b'x', 16]), (b"x".to_vec(), false));
        assert_eq!(watch.held(), [16]);
        assert_eq!(watch.push(&[16]), (vec![16], false));
        assert_eq!(watch.push(b"y"), (vec![16, b'y'], false));
        assert_eq!(watch.push(&[b'z', 16, 17, b'!']), (b"z".to_vec(), true));
        assert_eq!(
            Watch::new(Vec::new()).push(&[16, 17]),
            (vec![16, 17], false)
        );
    }
}
