//! Seconds since 1970 as a calendar date in UTC, for the formats that store dates in parts.

use std::fmt;

/// A date and time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Utc {
    pub(crate) year: u64,
    /// 1 to 12.
    pub(crate) month: u8,
    /// 1 to 31.
    pub(crate) day: u8,
    pub(crate) hour: u8,
    pub(crate) minute: u8,
    pub(crate) second: u8,
}

impl Utc {
    /// `epoch` seconds after 1970-01-01T00:00:00Z, leap seconds not counted.
    pub(crate) fn new(epoch: u64) -> Self {
        let part = |value: u64| u8::try_from(value).unwrap_or(u8::MAX);
        let (days, seconds) = (epoch / 86_400, epoch % 86_400);
        // Counted from 0000-03-01, so that a leap day is the last of its year; an era is the 400
        // years after which the calendar repeats.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Self {
            year: era * 400 + year + carry,
            month: part(month),
            day: part(day),
            hour: part(seconds / 3_600),
            minute: part(seconds / 60 % 60),
            second: part(seconds % 60),
        }
    }
}

/// As RFC 3339 has it: `2026-11-23T02:17:20Z`.
impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        let date = |epoch| Utc::new(epoch).to_string();
        assert_eq!(date(0), "1970-01-01T00:00:00Z");
        assert_eq!(date(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(date(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(date(1_234_567_890), "2009-02-13T23:31:30Z");
        assert_eq!(date(1_735_689_599), "2024-12-31T23:59:59Z");
        assert_eq!(date(4_107_542_400), "2100-03-01T00:00:00Z");
    }
}
