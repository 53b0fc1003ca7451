//! Options of a disk format in one line of text, as qemu-img(1) takes them after `-o`.

use super::{Error, Result};

/// The options in `text`, in order: `key=value` or `key`, which stands for `key=on`, joined by
/// commas. An empty text has none.
pub(super) fn split(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let options = text.split(',').filter(|_| !text.is_empty());
    options.map(|option| option.split_once('=').unwrap_or((option, "on")))
}

/// A size in bytes: a number and perhaps `k`, `M`, `G` or `T`, counted in 1024s.
pub(super) fn size(value: &str) -> Option<u64> {
    let digits = value.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match &value[digits.len()..] {
        "" | "b" | "B" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// `key` is none of the options `known`.
pub(super) fn unknown(format: &'static str, key: &str, known: &[&str]) -> Error {
    Error::invalid(format, format!("there is no option {key:?} here; there are {}", list(known)))
}

/// The option `key` has no `value`; it has those of `known`.
pub(super) fn wrong(format: &'static str, key: &str, value: &str, known: &str) -> Error {
    Error::invalid(format, format!("the option {key} cannot be {value:?}; it can be {known}"))
}

/// Whether a switch is on.
pub(super) fn switch(format: &'static str, key: &str, value: &str) -> Result<bool> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(wrong(format, key, value, "on or off")),
    }
}

fn list(words: &[&str]) -> String {
    match words {
        [words @ .., last] if !words.is_empty() => format!("{} and {last}", words.join(", ")),
        words => words.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_sizes_are_told_as_qemu_img_tells_them() {
        assert_eq!(split("").count(), 0);
        let options: Vec<_> = split("subformat=fixed,force_size,a=b=c").collect();
        assert_eq!(options, [("subformat", "fixed"), ("force_size", "on"), ("a", "b=c")]);
        let sizes = ["8k", "65536", "2M", "512b", "", "8kk", "k", "-1", "1.5k", "99999999T"];
        let read: Vec<_> = sizes.iter().map(|value| size(value)).collect();
        let [some, none] = [&read[..4], &read[4..]];
        assert_eq!(some, [Some(8192), Some(65536), Some(2 << 20), Some(512)]);
        assert!(none.iter().all(Option::is_none), "{none:?}");
    }
}
