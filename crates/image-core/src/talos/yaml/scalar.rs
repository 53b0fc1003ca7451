//! What a scalar without quotes means (YAML 1.2.2, 10.3.2), to the letter as go-yaml reads it:
//! more bases of numbers than the core schema has, underscores in them, and times.

/// The meaning of a scalar.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above those.
    Large(u64),
    /// Any other number.
    Float(f64),
    /// A time, as RFC 3339 has it, in its own time zone.
    Time(String),
    /// Anything else.
    Text(String),
}

/// The meaning of `text` where it stands without quotes and tag.
pub(crate) fn plain(text: &str) -> Scalar {
    match text.bytes().next() {
        Some(b'0'..=b'9') => time(text).map_or_else(|| untimed(text), Scalar::Time),
        _ => untimed(text),
    }
}

/// The meaning of `text` where it is known to be no time.
pub(crate) fn untimed(text: &str) -> Scalar {
    let number = match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Scalar::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        "-0" | "-0.0" => return Scalar::Float(-0.0),
        _ => match text.bytes().next() {
            // Here, unlike below, an underscore is only taken between digits.
            Some(b'.') => {
                let parts = text.split('_').collect::<Vec<_>>();
                let digit = |letter: char| letter.is_ascii_digit();
                parts
                    .windows(2)
                    .all(|pair| pair[0].ends_with(digit) && pair[1].starts_with(digit))
                    .then(|| float(&parts.concat()))
                    .flatten()
            }
            Some(b'0'..=b'9' | b'+' | b'-') => {
                let digits = text.replace('_', "");
                integer(&digits).or_else(|| float(&digits))
            }
            _ => None,
        },
    };
    number.unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

/// An integer of 64 bits, in the base its prefix says.
fn integer(digits: &str) -> Option<Scalar> {
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
        return None;
    }
    let number = u64::from_str_radix(number, base).ok()?;
    match sign {
        Some(b'-') => 0i64.checked_sub_unsigned(number).map(Scalar::Int),
        // go-yaml reads no larger number with a plus.
        Some(_) => number.try_into().ok().map(Scalar::Int),
        None => Some(number.try_into().map_or(Scalar::Large(number), Scalar::Int)),
    }
}

/// Digits with at most one point, an exponent or none, and not infinite.
fn float(digits: &str) -> Option<Scalar> {
    let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
    let is_number = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let number = digits.parse::<f64>().ok().filter(|number| is_number && number.is_finite())?;
    Some(Scalar::Float(number))
}

/// A date (`2024-1-31`), or a date and a time; as RFC 3339 has it.
fn time(text: &str) -> Option<String> {
    let (year, rest) = text.split_once('-')?;
    let (month, rest) = rest.split_once('-')?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    let (day, time) = rest.split_at(end);
    if year.len() != 4 || month.len() > 2 || day.len() > 2 {
        return None;
    }
    let (year, month) = (number(year, 9999)?, number(month, 12)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        0 => return None,
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let day = number(day, days).filter(|&day| day > 0)?;
    let (clock, zone) = match time.chars().next() {
        None => ("00:00:00".to_owned(), "Z".to_owned()),
        Some(' ') => (clock(&time[1..])?, "Z".to_owned()),
        Some('T' | 't') => {
            let at = time.find(['Z', '+', '-'])?;
            (clock(&time[1..at])?, zone(&time[at..])?)
        }
        Some(_) => return None,
    };
    Some(format!("{year:04}-{month:02}-{day:02}T{clock}{zone}"))
}

/// `h:m:s`, with a fraction of a second or without; the fraction in nanoseconds at most.
fn clock(text: &str) -> Option<String> {
    let parts: Vec<_> = text.split(':').collect();
    let [hour, minute, second] = parts.as_slice() else { return None };
    let (second, fraction) = match second.split_once(['.', ',']) {
        Some((second, fraction)) => (second, Some(fraction)),
        None => (*second, None),
    };
    let short = |text: &str, most| number(text, most).filter(|_| text.len() <= 2);
    let (hour, minute, second) = (short(hour, 23)?, short(minute, 59)?, short(second, 59)?);
    let mut clock = format!("{hour:02}:{minute:02}:{second:02}");
    if let Some(fraction) = fraction {
        if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let fraction = fraction.get(..9).unwrap_or(fraction).trim_end_matches('0');
        if !fraction.is_empty() {
            clock = format!("{clock}.{fraction}");
        }
    }
    Some(clock)
}

/// `Z`, or the offset from it as `+hh:mm`.
fn zone(text: &str) -> Option<String> {
    if text == "Z" {
        return Some(text.to_owned());
    }
    let offset = &text[1..];
    let [_, _, b':', _, _] = offset.as_bytes() else { return None };
    let minutes = number(offset.get(..2)?, 24)? * 60 + number(offset.get(3..)?, 60)?;
    Some(match minutes {
        0 => "Z".to_owned(),
        _ => format!("{}{:02}:{:02}", &text[..1], minutes / 60, minutes % 60),
    })
}

/// Digits only, up to `most`.
fn number(text: &str, most: u32) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&number| digits && number <= most)
}

/// The shortest text that gives this number again, as Go writes it: `1.5`, `1e+06`, `.inf`.
pub(crate) fn float_text(number: f64) -> String {
    if number.is_nan() {
        return ".nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or_default() {
        -4..=5 => format!("{number}"),
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_all_bases() {
        for (text, expected) in [
            ("012", Scalar::Int(10)),
            ("0x1_F", Scalar::Int(31)),
            ("-0b11", Scalar::Int(-3)),
            ("+7", Scalar::Int(7)),
            ("-9223372036854775808", Scalar::Int(i64::MIN)),
            ("18446744073709551615", Scalar::Large(u64::MAX)),
            ("18446744073709551616", Scalar::Float(18_446_744_073_709_551_616.0)),
            ("08", Scalar::Float(8.0)),
            ("1.", Scalar::Float(1.0)),
            ("1:30", Scalar::Text("1:30".to_owned())),
            ("0x", Scalar::Text("0x".to_owned())),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, expected) in [
            ("2024-1-31", "2024-01-31T00:00:00Z"),
            ("2024-02-29 1:2:3.4500", "2024-02-29T01:02:03.45Z"),
            ("2001-12-14t21:59:43.10-05:30", "2001-12-14T21:59:43.1-05:30"),
            ("2001-12-14T21:59:43+00:00", "2001-12-14T21:59:43Z"),
            ("2001-12-14T21:59:43.1234567891Z", "2001-12-14T21:59:43.123456789Z"),
        ] {
            assert_eq!(plain(text), Scalar::Time(expected.to_owned()), "{text}");
        }
        for text in
            ["2024-001-01", "2024-13-01", "2023-02-29", "2024-1-31 ", "2024-1-1T1:2", "24-1-1"]
        {
            assert_eq!(plain(text), Scalar::Text(text.to_owned()));
        }
    }

    #[test]
    fn floats_as_go_writes_them() {
        for (number, expected) in [
            (1.0, "1"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.234567e+06"),
            (1e20, "1e+20"),
            (0.0001, "0.0001"),
            (0.000_012, "1.2e-05"),
            (f64::NAN, ".nan"),
            (f64::NEG_INFINITY, "-.inf"),
        ] {
            assert_eq!(float_text(number), expected);
        }
    }
}
