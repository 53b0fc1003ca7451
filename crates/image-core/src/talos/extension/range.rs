//! Ranges of Talos versions.

use crate::talos::{Error, Result, TalosVersion};
use semver::Version;
use std::{cmp::Ordering, str::FromStr};

/// A range such as `>= v1.5.0 <1.9.0 || 1.10.x`: comparisons side by side must all hold, of
/// those parted by `||` one side must.
///
/// The operators are `=`, `==` or none, `!` or `!=`, `<`, `<=`, `>`, `>=`. A last part `x` is
/// any number. A `v` before a number means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRange(Vec<Vec<Comparison>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparison {
    operator: Operator,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl VersionRange {
    /// Whether the range holds the release of `version`; a pre-release counts as its release.
    pub fn contains(&self, version: &TalosVersion) -> bool {
        let [major, minor, patch] = version.release();
        let release = Version::new(major, minor, patch);
        self.0.iter().any(|all| all.iter().all(|comparison| comparison.holds(&release)))
    }
}

impl Comparison {
    fn holds(&self, version: &Version) -> bool {
        let order = version.cmp_precedence(&self.version);
        match self.operator {
            Operator::Equal => order == Ordering::Equal,
            Operator::NotEqual => order != Ordering::Equal,
            Operator::Less => order == Ordering::Less,
            Operator::LessOrEqual => order != Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            Operator::GreaterOrEqual => order != Ordering::Less,
        }
    }
}

impl FromStr for VersionRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let fail = |why: String| Error::input(format!("version range {text:?}: {why}"));
        let mut any = Vec::new();
        let mut all = Vec::new();
        let mut operator = String::new();
        for word in text.split_whitespace().chain(["||"]) {
            if word == "||" {
                if all.is_empty() || !operator.is_empty() {
                    return Err(fail("a comparison is missing".to_owned()));
                }
                any.push(std::mem::take(&mut all));
                continue;
            }
            let at = word.find(|c| !"=!<>".contains(c)).unwrap_or(word.len());
            let (sign, number) = word.split_at(at);
            operator.push_str(sign);
            if !number.is_empty() {
                all.extend(compare(&std::mem::take(&mut operator), number).map_err(fail)?);
            }
        }
        Ok(Self(any))
    }
}

/// What `operator` before `number` demands: one comparison, or two if `number` is a series.
fn compare(operator: &str, number: &str) -> Result<Vec<Comparison>, String> {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};

    let operator = match operator {
        "" | "=" | "==" => Equal,
        "!" | "!=" => NotEqual,
        "<" => Less,
        "<=" => LessOrEqual,
        ">" => Greater,
        ">=" => GreaterOrEqual,
        other => return Err(format!("{other:?} is no comparison")),
    };
    let number = number.strip_prefix('v').unwrap_or(number);
    let parse = |part: &str| {
        part.parse::<u32>().map(u64::from).map_err(|error| format!("{part:?}: {error}"))
    };
    // A series is the versions from its start to before the start of the next.
    let (start, next) = match number.split('.').collect::<Vec<_>>().as_slice() {
        [major, "x"] | [major, "x", "x"] => {
            let major = parse(major)?;
            (Version::new(major, 0, 0), Version::new(major + 1, 0, 0))
        }
        [major, minor, "x"] => {
            let (major, minor) = (parse(major)?, parse(minor)?);
            (Version::new(major, minor, 0), Version::new(major, minor + 1, 0))
        }
        _ => {
            let version = Version::parse(number).map_err(|error| format!("{number:?}: {error}"))?;
            return Ok(vec![Comparison { operator, version }]);
        }
    };
    let at = |operator, version| Comparison { operator, version };
    Ok(match operator {
        Equal => vec![at(GreaterOrEqual, start), at(Less, next)],
        // Both must hold, so nothing does: an oddity of the range language's first
        // implementation, which Talos uses.
        NotEqual => vec![at(Less, start), at(GreaterOrEqual, next)],
        Less => vec![at(Less, start)],
        LessOrEqual => vec![at(Less, next)],
        Greater => vec![at(GreaterOrEqual, next)],
        GreaterOrEqual => vec![at(GreaterOrEqual, start)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(range: &str, version: &str) -> bool {
        range.parse::<VersionRange>().unwrap().contains(&version.parse().unwrap())
    }

    #[test]
    fn ranges() {
        for (range, inside, outside) in [
            (">= v1.5.0", "1.5.0-alpha.0", "1.4.9"),
            (">= 1.5.0 <1.9.0", "1.8.9", "1.9.0"),
            (">=1.5.0 <1.6.0 || > v1.10.0", "1.10.1", "1.10.0"),
            ("1.10.x", "1.10.7", "1.11.0"),
            ("1.x", "1.14.0", "2.0.0"),
            ("<= 1.10.x", "1.10.99", "1.11.0"),
            ("!= 1.10.1", "1.10.0", "1.10.1"),
            ("!1.10.1", "1.10.0", "1.10.1"),
            ("v1.10.0", "1.10.0", "1.10.1"),
            ("> 1.9.x", "1.10.0", "1.9.3"),
            (">= 1.11.0-beta.1", "1.11.0-alpha.0", "1.10.0"),
        ] {
            assert!(holds(range, inside), "{range} {inside}");
            assert!(!holds(range, outside), "{range} {outside}");
        }
        assert!(!holds("!= 1.10.x", "1.9.0"));
    }

    #[test]
    fn no_ranges() {
        for bad in [
            "",
            " ",
            "||",
            "1.0.0 ||",
            "|| 1.0.0",
            ">=",
            ">= || 1.0.0",
            "1.0",
            "=> 1.0.0",
            ">=1.0.0||<2.0.0",
            "~1.0.0",
            "99999999999.x",
        ] {
            assert!(bad.parse::<VersionRange>().is_err(), "{bad}");
        }
    }
}
