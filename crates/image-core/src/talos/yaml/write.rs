//! YAML as Talos's tools write it, to the byte: a schematic is named by the hash of its YAML,
//! and machines compare the rest as text.
//!
//! The tools use go-yaml v4 without folding of long lines. What YAML 1.2 leaves open, it decides
//! so: block style; mappings and lists start on the next multiple of the indent, but what stands
//! in a list item stands right behind its dash; single quotes where plain text would break the
//! syntax; double quotes where it would be another type or has characters to escape; literal
//! blocks for text of several lines. What quotes stand around a boolean, a merge key or a number
//! in base 60 of YAML 1.1 differs between its versions: see [`Words`].

use super::scalar::{self, Scalar};
use std::fmt::Write as _;

/// A value to write.
#[derive(Clone, Debug)]
pub(crate) enum Yaml {
    /// A string, quoted as it needs.
    Text(String),
    /// A number, a boolean or null, as it stands.
    Bare(String),
    /// A sequence.
    List(Vec<Yaml>),
    /// A mapping, in the order given.
    Map(Vec<(Yaml, Yaml)>),
}

/// The quotes around what YAML 1.1 takes for a boolean, a merge key or a number in base 60.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    /// Single, as release candidates 5 and 6 of go-yaml v4 have them, with which Talos is built.
    Single,
    /// Double, as all releases before and after have them, and with them Image Factory.
    Double,
}

/// How a document is set.
#[derive(Clone, Copy)]
struct Style {
    /// Spaces to a level.
    indent: usize,
    words: Words,
}

impl Yaml {
    /// A mapping of those entries that have a value.
    pub(crate) fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Option<Yaml>)>) -> Self {
        let present =
            entries.into_iter().filter_map(|(key, value)| Some((Self::text(key), value?)));
        Self::Map(present.collect())
    }

    /// A string.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The document as Talos writes it, `indent` spaces to a level.
    pub(crate) fn document(&self, indent: usize) -> String {
        self.document_with(indent, Words::Single)
    }

    /// The document, `indent` spaces to a level.
    pub(crate) fn document_with(&self, indent: usize, words: Words) -> String {
        let style = Style { indent, words };
        let mut text = String::new();
        match self {
            Self::Map(entries) if !entries.is_empty() => style.map(&mut text, entries, 0),
            Self::List(items) if !items.is_empty() => style.list(&mut text, items, 0),
            other => style.value(&mut text, other, 0),
        }
        text
    }
}

impl Style {
    /// Writes entries at column `at`; the first stands where the text has got to.
    fn map(self, text: &mut String, entries: &[(Yaml, Yaml)], at: usize) {
        let below = (at + self.indent) / self.indent * self.indent;
        for (nth, (key, entry)) in entries.iter().enumerate() {
            if nth > 0 {
                spaces(text, at);
            }
            match key {
                Yaml::Bare(key) => text.push_str(key),
                Yaml::Text(key) => text.push_str(&self.line(key, below)),
                // No mapping is made with such a key.
                Yaml::List(_) | Yaml::Map(_) => text.push('?'),
            }
            text.push(':');
            match entry {
                Yaml::Map(entries) if !entries.is_empty() => {
                    text.push('\n');
                    spaces(text, below);
                    self.map(text, entries, below);
                }
                Yaml::List(items) if !items.is_empty() => {
                    text.push('\n');
                    spaces(text, below);
                    self.list(text, items, below);
                }
                entry => {
                    text.push(' ');
                    self.value(text, entry, below);
                }
            }
        }
    }

    /// Writes items at column `at`; the first stands where the text has got to.
    fn list(self, text: &mut String, items: &[Yaml], at: usize) {
        for (nth, item) in items.iter().enumerate() {
            if nth > 0 {
                spaces(text, at);
            }
            text.push_str("- ");
            match item {
                Yaml::Map(entries) if !entries.is_empty() => self.map(text, entries, at + 2),
                Yaml::List(items) if !items.is_empty() => self.list(text, items, at + 2),
                item => self.value(text, item, at + 2),
            }
        }
    }

    /// Writes what is no block collection, and ends the line. `below` is the column of the lines
    /// after the first.
    fn value(self, text: &mut String, value: &Yaml, below: usize) {
        match value {
            Yaml::Text(content) if is_literal(content) => {
                self.literal(text, content, below);
                if content.ends_with(BREAKS) {
                    return;
                }
            }
            Yaml::Text(content) => text.push_str(&self.line(content, below)),
            Yaml::Bare(bare) => text.push_str(bare),
            Yaml::List(_) => text.push_str("[]"),
            Yaml::Map(_) => text.push_str("{}"),
        }
        text.push('\n');
    }

    /// Writes a literal block (YAML 1.2.2, 8.1.2) at column `at`.
    fn literal(self, text: &mut String, content: &str, at: usize) {
        text.push('|');
        if content.starts_with(' ') {
            // Two columns too many in a list item: what go-yaml writes there nobody can read.
            let _ = write!(text, "{}", self.indent);
        }
        let mut backwards = content.chars().rev().map(|letter| BREAKS.contains(&letter));
        text.push_str(match (backwards.next(), backwards.next()) {
            (Some(true), Some(false)) => "",
            (Some(true), _) => "+",
            _ => "-",
        });
        text.push('\n');
        lines(text, content, at, true);
    }

    /// Text on one line: plain, or in the quotes it needs. A line break of YAML 1.1 ends the line
    /// all the same, and the next stands at column `below`.
    fn line(self, content: &str, below: usize) -> String {
        let word = is_yaml_1_1(content);
        let several = content.contains(BREAKS);
        if content.contains(is_escaped)
            || (several && (content.contains('\n') || is_spaced(content)))
            || (word && self.words == Words::Double)
            || !matches!(scalar::plain(content), Scalar::Text(_))
        {
            return double_quoted(content);
        }
        if word || several || breaks_syntax(content) {
            let mut quoted = "'".to_owned();
            lines(&mut quoted, &content.replace('\'', "''"), below, false);
            return quoted + "'";
        }
        content.to_owned()
    }
}

/// Writes content whose lines, after the first or with it, stand at column `at`.
fn lines(text: &mut String, content: &str, at: usize, with_first: bool) {
    let mut starts = with_first;
    for letter in content.chars() {
        let ends = BREAKS.contains(&letter);
        if starts && !ends {
            spaces(text, at);
        }
        text.push(letter);
        starts = ends;
    }
}

fn spaces(text: &mut String, count: usize) {
    text.extend(std::iter::repeat_n(' ', count));
}

/// What go-yaml takes for a line break and can print: that of YAML 1.2, and two of YAML 1.1.
const BREAKS: [char; 3] = ['\n', '\u{2028}', '\u{2029}'];

/// Whether text of several lines can stand as it is.
fn is_literal(content: &str) -> bool {
    content.contains('\n')
        && content.chars().any(|letter| !letter.is_whitespace())
        && !content.ends_with(' ')
        && !is_pair(content, |letter, next| letter == ' ' && BREAKS.contains(&next))
        && content.chars().all(|letter| letter == '\t' || !is_escaped(letter))
}

/// Whether a space stands beside a line break.
fn is_spaced(content: &str) -> bool {
    let pair = |a, b| a == ' ' && BREAKS.contains(&b);
    is_pair(content, |letter, next| pair(letter, next) || pair(next, letter))
}

fn is_pair(content: &str, test: impl Fn(char, char) -> bool) -> bool {
    content.chars().zip(content.chars().skip(1)).any(|(letter, next)| test(letter, next))
}

/// Whether the character stands escaped: what is not printable (YAML 1.2.2, 5.1), and what lies
/// outside the Basic Multilingual Plane.
fn is_escaped(letter: char) -> bool {
    !matches!(letter, '\n' | ' '..='~' | '\u{a0}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Whether plain text would be read as something else than text (YAML 1.2.2, 7.3.3).
fn breaks_syntax(content: &str) -> bool {
    let first = content.chars().next().unwrap_or(' ');
    let alone = content.chars().nth(1).is_none_or(|next| next == ' ');
    "#,[]{}&*!|>'\"%@` ".contains(first)
        || ("?:-".contains(first) && alone)
        || content.starts_with("---")
        || content.starts_with("...")
        || content.ends_with([' ', ':'])
        || content.contains(": ")
        || content.contains(" #")
}

/// Whether YAML 1.1 reads the text as a boolean, a merge key, or a number in base 60.
fn is_yaml_1_1(content: &str) -> bool {
    const WORDS: &[&str] = &[
        "<<", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off",
        "Off", "OFF",
    ];
    if WORDS.contains(&content) {
        return true;
    }
    let unsigned = content.strip_prefix(['+', '-']).unwrap_or(content);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let mut places = whole.split(':');
    let first = places.next().unwrap_or("");
    let mut count = 0;
    first.starts_with(|letter: char| letter.is_ascii_digit())
        && digits(first)
        && digits(fraction)
        && places.all(|place| {
            count += 1;
            place.len() <= 2 && digits(place) && place.parse().is_ok_and(|place: u8| place < 60)
        })
        && count > 0
}

/// In double quotes, escaped (YAML 1.2.2, 5.7).
fn double_quoted(content: &str) -> String {
    let mut text = String::from("\"");
    // To go-yaml, with a byte order mark in front every character is one.
    let all = content.starts_with('\u{feff}');
    for letter in content.chars() {
        let escape = match letter {
            '\0' => '0',
            '\x07' => 'a',
            '\x08' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\x0b' => 'v',
            '\x0c' => 'f',
            '\r' => 'r',
            '\x1b' => 'e',
            '"' | '\\' => letter,
            '\u{85}' => 'N',
            '\u{a0}' if all => '_',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            _ if !is_escaped(letter) && !all => {
                text.push(letter);
                continue;
            }
            _ => {
                let code = u32::from(letter);
                // Writing to a string cannot fail.
                let _ = match code {
                    0..=0xff => write!(text, "\\x{code:02X}"),
                    0x100..=0xffff => write!(text, "\\u{code:04X}"),
                    _ => write!(text, "\\U{code:08X}"),
                };
                continue;
            }
        };
        text.push('\\');
        text.push(escape);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { indent: 4, words: Words::Single };

    fn document(content: &str) -> String {
        let text = || Yaml::text(content);
        let inner = Yaml::map([("v", Some(text())), ("s", Some(Yaml::List(vec![text()])))]);
        Yaml::map([("k", Some(inner))]).document(4)
    }

    /// Parted by tabs. As go-yaml writes them.
    const PLAIN: &str = "a\ttRue\tNaN\t0xg\t1.2.3\t=\ta:b\ta#b\t-a\t?a\t:a\ta,b\ta'b\ta\"b\t\
        a\\b\té\t日本\t\u{a0}\t0b2\t0o8\t_1\t+\t1-2\t1 2\t1.5.\t2024-13-01\t\
        2023-02-29\t1e999\t6.12.0-talos\t-.x";
    const SINGLE: &str = "a: b\ta:\t a\ta \ta #b\t#a\t- a\t-\t--- a\t...\t?\t: a\t[a]\t{a}\t,a\t\
        &a\t*a\t!a\t|a\t>a\t%a\t@a\t`a\t\"a\ty\tYes\ton\tOFF\t<<\t1:30\t\
        -1:30:00.5\t>= v1.5.0";
    const DOUBLE: &str = "\t~\tNull\ttrue\t.inf\t-.INF\t0\t-0\t007\t08\t0o7\t0x1F\t0b101\t1_000\t\
        1e3\t1.\t.5\t.5_4\t+1\t12345678901234567890\t99999999999999999999\t\
        2024-1-1\t2024-02-29\t2024-01-01T00:00:00Z\t2024-01-01 1:02:03.5\t\
        20250512";

    #[test]
    fn text_on_one_line() {
        for (contents, quote) in [(PLAIN, ""), (SINGLE, "'"), (DOUBLE, "\"")] {
            for content in contents.split('\t') {
                let line = format!("{quote}{content}{quote}");
                let expected = format!("k:\n    v: {line}\n    s:\n        - {line}\n");
                assert_eq!(document(content), expected);
            }
        }
        for (content, expected) in [
            ("'a", "'''a'"),
            ("tab\t\"\\", r#""tab\t\"\\""#),
            ("\n \n", r#""\n \n""#),
            ("\u{feff}a\u{a0}\n", r#""\uFEFF\x61\_\n""#),
            ("a\u{2028}b", "'a\u{2028}b'"),
            ("a\u{2028} b", r#""a\L b""#),
            ("a \nb", r#""a \nb""#),
            ("a\r\n\0\x07\x1b\x7f\u{85}\u{feff}😀", r#""a\r\n\0\a\e\x7F\N\uFEFF\U0001F600""#),
        ] {
            assert_eq!(STYLE.line(content, 0), expected);
            assert!(!is_literal(content));
        }
    }

    #[test]
    fn words_of_yaml_1_1() {
        let double = Style { words: Words::Double, ..STYLE };
        for word in ["y", "OFF", "<<", "1:30"] {
            assert_eq!(STYLE.line(word, 0), format!("'{word}'"));
            assert_eq!(double.line(word, 0), format!("\"{word}\""));
        }
        assert_eq!(double.line("a: b", 0), "'a: b'");
    }

    #[test]
    fn text_of_several_lines() {
        for (content, value, item) in [
            ("a\nb", "|-\n        a\n        b", "|-\n          a\n          b"),
            ("a\n", "|\n        a", "|\n          a"),
            ("\na\n\n", "|+\n\n        a\n", "|+\n\n          a\n"),
            ("a\tb\n c", "|-\n        a\tb\n         c", "|-\n          a\tb\n           c"),
            (" a\nb", "|4-\n         a\n        b", "|4-\n           a\n          b"),
        ] {
            assert_eq!(
                document(content),
                format!("k:\n    v: {value}\n    s:\n        - {item}\n")
            );
        }
    }

    #[test]
    fn collections() {
        let text = |text| Some(Yaml::text(text));
        let below = Yaml::map([("d", text("e"))]);
        let item = Yaml::map([("a", text("b")), ("c", Some(below)), ("f", None)]);
        let lists = Yaml::List(vec![Yaml::List(vec![item.clone(), item]), Yaml::List(vec![])]);
        let whole = Yaml::map([("l", Some(lists)), ("no", Some(Yaml::Map(vec![])))]);
        let expected = "\
l:
    - - a: b
        c:
            d: e
      - a: b
        c:
            d: e
    - []
'no': {}
";
        assert_eq!(whole.document(4), expected);
        assert_eq!(Yaml::Map(vec![]).document(4), "{}\n");
    }
}
