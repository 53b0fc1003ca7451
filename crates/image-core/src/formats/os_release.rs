//! os-release(5): what system this is.

use super::{Error, Result};
use std::collections::BTreeMap;

const FORMAT: &str = "os-release";

/// The lines of an os-release file, in the order given. The identifiers, `ID` and `…_ID`, stand
/// bare where a shell takes them as one word; all else stands in double quotes.
pub fn write<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        let identifier = name == "ID" || name.ends_with("_ID");
        let quote = if identifier && value.chars().all(is_plain) { "" } else { "\"" };
        text.push_str(name);
        text.push('=');
        text.push_str(quote);
        for letter in value.chars() {
            if "\"\\$`".contains(letter) {
                text.push('\\');
            }
            text.push(letter);
        }
        text.push_str(quote);
        text.push('\n');
    }
    text
}

/// Reads an os-release file: each variable with its value, quoting undone. Comments and empty
/// lines are passed over; of two lines for one variable the last counts.
///
/// # Errors
/// A line assigns nothing, or has an open quote or something after the closing one.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>> {
    let mut fields = BTreeMap::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let start = at;
        at += line.len() as u64;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let corrupt = |what| Error::corrupt(FORMAT, start, format!("line {line:?} {what}"));
        let (name, value) = line.split_once('=').ok_or_else(|| corrupt("assigns nothing"))?;
        let value = unquote(value).ok_or_else(|| corrupt("is not quoted as a shell reads it"))?;
        fields.insert(name.to_owned(), value);
    }
    Ok(fields)
}

fn is_plain(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-._+~:/".contains(letter)
}

/// What a shell makes of an assignment's right side; none if it is not one word.
fn unquote(word: &str) -> Option<String> {
    let Some(quote @ ('"' | '\'')) = word.chars().next() else {
        return word.chars().all(|letter| !"\"'\\$` \t".contains(letter)).then(|| word.to_owned());
    };
    let inside = word[1..].strip_suffix(quote)?;
    if quote == '\'' {
        return (!inside.contains('\'')).then(|| inside.to_owned());
    }
    let mut value = String::new();
    let mut letters = inside.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => return None,
            '\\' => match letters.next()? {
                special @ ('"' | '\\' | '$' | '`') => value.push(special),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_what_it_reads() {
        let fields = [
            ("NAME", "A \"B\" $c\\"),
            ("ID", "ab"),
            ("VERSION_ID", "v1.0-rc.1"),
            ("BUILD_ID", "a b"),
            ("URL", "https://x/"),
        ];
        let text = write(fields);
        assert_eq!(
            text,
            "NAME=\"A \\\"B\\\" \\$c\\\\\"\nID=ab\nVERSION_ID=v1.0-rc.1\nBUILD_ID=\"a b\"\nURL=\"https://x/\"\n"
        );
        let read = parse(&text).unwrap();
        assert!(fields.iter().all(|(name, value)| read[*name] == *value));
        assert_eq!(read.len(), fields.len());
    }

    #[test]
    fn reads_what_others_write() {
        let read = parse("# c\n\n A='x $y' \nB=bare\nB=\"\\n\"\nC=").unwrap();
        let expected = [("A", "x $y"), ("B", "\\n"), ("C", "")];
        assert!(read.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected));
        for bad in ["A", "A=\"x", "A=\"x\"y\"", "A='x'y'", "A=\"x\\\"", "A=a b", "A=\"", "A=$x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_value_comes_back(value in "[^\n\r]{0,20}", id in "[ -~]{0,12}", text in "\\PC{0,40}") {
            let written = write([("NAME", value.as_str()), ("ID", &id)]);
            let read = parse(&written).unwrap();
            prop_assert_eq!((&read["NAME"], &read["ID"]), (&value, &id));
            let _ = parse(&text);
        }
    }
}
