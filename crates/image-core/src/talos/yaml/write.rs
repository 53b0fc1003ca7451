//! YAML as Talos's tools write it, to the byte: a schematic is named by the hash of its YAML,
//! and machines compare the rest as text.
//!
//! The tools use go-yaml v4 (release candidate 6) without folding of long lines. What YAML 1.2
//! leaves open, it decides so: block style; mappings and lists start on the next multiple of
//! the indent, but what stands in a list item stands right behind its dash; single quotes where
//! plain text would break the syntax or be a boolean or a sexagesimal number in YAML 1.1; double
//! quotes where it would be another type or has characters to escape; literal blocks for text
//! of several lines.

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
    Map(Vec<(String, Yaml)>),
}

impl Yaml {
    /// A mapping of those entries that have a value.
    pub(crate) fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Option<Yaml>)>) -> Self {
        let present = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Self::Map(present.collect())
    }

    /// A string.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The document, `indent` spaces to a level.
    pub(crate) fn document(&self, indent: usize) -> String {
        let mut text = String::new();
        match self {
            Self::Map(entries) if !entries.is_empty() => map(&mut text, entries, 0, indent),
            Self::List(items) if !items.is_empty() => list(&mut text, items, 0, indent),
            other => value(&mut text, other, 0, indent),
        }
        text
    }
}

/// Writes entries at column `at`; the first stands where the text has got to.
fn map(text: &mut String, entries: &[(String, Yaml)], at: usize, indent: usize) {
    let below = (at + indent) / indent * indent;
    for (nth, (key, entry)) in entries.iter().enumerate() {
        if nth > 0 {
            spaces(text, at);
        }
        text.push_str(&line(key));
        text.push(':');
        match entry {
            Yaml::Map(entries) if !entries.is_empty() => {
                text.push('\n');
                spaces(text, below);
                map(text, entries, below, indent);
            }
            Yaml::List(items) if !items.is_empty() => {
                text.push('\n');
                spaces(text, below);
                list(text, items, below, indent);
            }
            entry => {
                text.push(' ');
                value(text, entry, at, below);
            }
        }
    }
}

/// Writes items at column `at`; the first stands where the text has got to.
fn list(text: &mut String, items: &[Yaml], at: usize, indent: usize) {
    for (nth, item) in items.iter().enumerate() {
        if nth > 0 {
            spaces(text, at);
        }
        text.push_str("- ");
        match item {
            Yaml::Map(entries) if !entries.is_empty() => map(text, entries, at + 2, indent),
            Yaml::List(items) if !items.is_empty() => list(text, items, at + 2, indent),
            item => value(text, item, at, at + 2),
        }
    }
}

/// Writes what is no block collection, and ends the line. `at` is the column of the collection
/// it stands in, `below` that of the lines of a literal block.
fn value(text: &mut String, value: &Yaml, at: usize, below: usize) {
    match value {
        Yaml::Text(content) if is_literal(content) => literal(text, content, below, below - at),
        Yaml::Text(content) => text.push_str(&line(content)),
        Yaml::Bare(bare) => text.push_str(bare),
        Yaml::List(_) => text.push_str("[]"),
        Yaml::Map(_) => text.push_str("{}"),
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
}

fn spaces(text: &mut String, count: usize) {
    text.extend(std::iter::repeat_n(' ', count));
}

/// Whether text of several lines can stand as it is.
fn is_literal(content: &str) -> bool {
    content.contains('\n')
        && content.chars().any(|letter| !letter.is_whitespace())
        && !content.ends_with(' ')
        && !content.contains(" \n")
        && content.chars().all(|letter| letter == '\t' || letter == '\n' || !is_escaped(letter))
}

/// Writes a literal block (YAML 1.2.2, 8.1.2), `relative` columns inside what it stands in.
fn literal(text: &mut String, content: &str, at: usize, relative: usize) {
    text.push('|');
    if content.starts_with(' ') {
        let _ = write!(text, "{relative}");
    }
    text.push_str(if !content.ends_with('\n') {
        "-"
    } else if content.ends_with("\n\n") {
        "+"
    } else {
        ""
    });
    text.push('\n');
    for line in content.split_inclusive('\n') {
        if line != "\n" {
            spaces(text, at);
        }
        text.push_str(line);
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
}

/// Text on one line: plain, or in the quotes it needs.
fn line(content: &str) -> String {
    if content.contains(is_escaped) || is_other_type(content) {
        return double_quoted(content);
    }
    if breaks_syntax(content) || is_yaml_1_1(content) {
        return format!("'{}'", content.replace('\'', "''"));
    }
    content.to_owned()
}

/// Whether the character stands escaped: what is not printable (YAML 1.2.2, 5.1), what YAML 1.1
/// takes for a line break, and what lies outside the Basic Multilingual Plane.
fn is_escaped(letter: char) -> bool {
    match letter {
        '\u{2028}' | '\u{2029}' => true,
        ' '..='~' | '\u{a0}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' => false,
        _ => true,
    }
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

/// Whether plain text would be a number, a boolean, null or a time.
fn is_other_type(content: &str) -> bool {
    const WORDS: &[&str] = &[
        "", "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", ".nan",
        ".NaN", ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf",
        "-.INF",
    ];
    if WORDS.contains(&content) {
        return true;
    }
    match content.bytes().next() {
        // Here, unlike below, an underscore is only taken between digits.
        Some(b'.') => {
            let parts = content.split('_').collect::<Vec<_>>();
            let digit = |letter: char| letter.is_ascii_digit();
            parts.windows(2).all(|pair| pair[0].ends_with(digit) && pair[1].starts_with(digit))
                && is_float(&parts.concat())
        }
        Some(b'0'..=b'9' | b'+' | b'-') => {
            let digits = content.replace('_', "");
            is_time(content) || is_integer(&digits) || is_float(&digits)
        }
        _ => false,
    }
}

/// A signed integer of 64 bits, in the base its prefix says.
fn is_integer(digits: &str) -> bool {
    let (sign, magnitude) = match digits.as_bytes() {
        [sign @ (b'+' | b'-'), ..] => (Some(*sign), &digits[1..]),
        _ => (None, digits),
    };
    let lower = magnitude.to_ascii_lowercase();
    let (base, number) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    if number.starts_with(['+', '-']) {
        return false;
    }
    let limit = match sign {
        None => u64::MAX,
        Some(b'-') => 1 << 63,
        Some(_) => (1 << 63) - 1,
    };
    u64::from_str_radix(number, base).is_ok_and(|number| number <= limit)
}

/// Digits with at most one point, an exponent or none, and not infinite.
fn is_float(digits: &str) -> bool {
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
        && digits.parse::<f64>().is_ok_and(f64::is_finite)
}

/// A date (`2024-1-31`), or a date and a time.
fn is_time(content: &str) -> bool {
    let Some((year, rest)) = content.split_once('-') else { return false };
    let Some((month, rest)) = rest.split_once('-') else { return false };
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let (day, time) = rest.split_at(end);
    let leap = year.len() == 4
        && year.parse::<u32>().is_ok_and(|y| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
    let days = match number(month, 12) {
        Some(2) => 28 + u32::from(leap),
        Some(4 | 6 | 9 | 11) => 30,
        Some(1..) => 31,
        _ => return false,
    };
    if year.len() != 4 || number(year, 9999).is_none() || number(day, days).is_none_or(|d| d == 0) {
        return false;
    }
    match time.chars().next() {
        None => true,
        Some(' ') => is_clock(&time[1..]),
        Some('T' | 't') => match time.split_once(['Z', '+', '-']) {
            Some((clock, zone)) => {
                let utc = time.ends_with('Z') && zone.is_empty();
                let offset = matches!(zone.as_bytes(), [_, _, b':', _, _])
                    && number(&zone[..2], 24).is_some()
                    && number(&zone[3..], 60).is_some();
                is_clock(&clock[1..]) && (utc || (offset && !time.contains('Z')))
            }
            None => false,
        },
        Some(_) => false,
    }
}

/// `h:m:s`, with a fraction of a second or without.
fn is_clock(text: &str) -> bool {
    let parts: Vec<_> = text.split(':').collect();
    let [hour, minute, second] = parts.as_slice() else { return false };
    let (second, fraction) = second.split_once(['.', ',']).unwrap_or((second, "0"));
    let short = |text: &str, most| text.len() <= 2 && number(text, most).is_some();
    short(hour, 23)
        && short(minute, 59)
        && short(second, 59)
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

/// Digits only, up to `most`.
fn number(text: &str, most: u32) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&number| digits && number <= most)
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
            place.len() <= 2 && number(place, 59).is_some()
        })
        && count > 0
}

/// In double quotes, escaped (YAML 1.2.2, 5.7).
fn double_quoted(content: &str) -> String {
    let mut text = String::from("\"");
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
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            _ if !is_escaped(letter) => {
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
            ("a \nb", r#""a \nb""#),
            ("a\r\n\0\x07\x1b\x7f\u{85}\u{feff}😀", r#""a\r\n\0\a\e\x7F\N\uFEFF\U0001F600""#),
        ] {
            assert_eq!(line(content), expected);
            assert!(!is_literal(content));
        }
    }

    #[test]
    fn text_of_several_lines() {
        for (content, value, item) in [
            ("a\nb", "|-\n        a\n        b", "|-\n          a\n          b"),
            ("a\n", "|\n        a", "|\n          a"),
            ("\na\n\n", "|+\n\n        a\n", "|+\n\n          a\n"),
            ("a\tb\n c", "|-\n        a\tb\n         c", "|-\n          a\tb\n           c"),
            // go-yaml writes |4 in a list too, and then reads something else.
            (" a\nb", "|4-\n         a\n        b", "|2-\n           a\n          b"),
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
