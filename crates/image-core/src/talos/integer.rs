//! Whole numbers as profiles and META keys write them.

/// Reads a whole number as Go's literals are written (The Go Programming Language Specification,
/// "Integer literals"): decimal, or in base 16, 8 or 2 after `0x`, `0o` or `0b`, in base 8 also
/// after a lone `0`. An underscore may stand between two digits, and between prefix and digits.
pub(super) fn parse(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    // Only after a prefix may the digits start with one.
    let digits = if base == 10 { digits } else { digits.strip_prefix('_').unwrap_or(digits) };
    let mut number = 0_u64;
    for group in digits.split('_') {
        if group.is_empty() {
            return None;
        }
        for digit in group.chars() {
            let digit = digit.to_digit(base)?;
            number = number.checked_mul(base.into())?.checked_add(digit.into())?;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    #[test]
    fn as_go_reads_them() {
        for (texts, expected) in [
            ("10 0xa 0XA 0o12 0O12 0b1010 0B1010 012 0_12 0x_a 1_0 0b_1010 00012 0_1_2 0x0_a", 10),
            ("0 00 0x0 0_0", 0),
            ("18446744073709551615 0xffff_ffff_ffff_ffff", u64::MAX),
        ] {
            for text in texts.split(' ') {
                assert_eq!(super::parse(text), Some(expected), "{text}");
            }
        }
        for text in ",_10,10_,1__0,0x,08,0o8,-1,+1, 10,a,0_,0__1,1e1,0xA_,18446744073709551616,0x-1"
            .split(',')
        {
            assert_eq!(super::parse(text), None, "{text}");
        }
    }
}
