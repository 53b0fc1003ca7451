//! What a serial console says.

/// Printable ASCII and ends of lines, without the sequences that move a cursor and set colours,
/// which may come in pieces.
#[derive(Debug, Default)]
pub struct Console {
    text: String,
    escape: Escape,
}

/// How far into an escape sequence the console is (ECMA-48, 5.3 and 5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    Outside,
    /// After ESC.
    Started,
    /// After ESC [, until a character from @ to ~.
    Control,
}

impl Console {
    /// Hears more; gives back what that adds to the text.
    pub fn hear(&mut self, bytes: &[u8]) -> &str {
        let before = self.text.len();
        for &byte in bytes {
            self.escape = match (self.escape, byte) {
                (Escape::Outside, 0x1b) => Escape::Started,
                (Escape::Outside, _) => {
                    if matches!(byte, b' '..=b'~' | b'\n' | b'\t') {
                        self.text.push(char::from(byte));
                    }
                    Escape::Outside
                }
                (Escape::Started, b'[') => Escape::Control,
                (Escape::Started, _) | (Escape::Control, b'@'..=b'~') => Escape::Outside,
                (Escape::Control, _) => Escape::Control,
            };
        }
        &self.text[before..]
    }

    /// All it has said.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::Console;

    #[test]
    fn colours_go_even_in_pieces() {
        let bytes = b"\x1bc\x1b[?7l\x1b[2J\x1b[01;31mred\x1b[0m\r\nEXT \xe2\x96\x88a\r\n";
        for piece in 1..bytes.len() {
            let mut console = Console::default();
            for part in bytes.chunks(piece) {
                console.hear(part);
            }
            assert_eq!(console.text(), "red\nEXT a\n");
        }
    }
}
