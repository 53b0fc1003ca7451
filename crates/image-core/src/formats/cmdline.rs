//! Linux kernel command lines (kernel documentation, admin-guide/kernel-parameters).

use serde::{Serialize, Serializer};
use std::fmt;

/// Kernel arguments by key, in the order in which the keys first stood, each with its values.
///
/// A key that stands several times prints all its values together, at its first place. There is
/// no quoting: as in the boot tools this has to agree with, every run of white space parts two
/// arguments, also between quotation marks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cmdline(Vec<Parameter>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parameter {
    key: String,
    /// Without a value (`quiet`), or with an empty one, it is the empty text; both print alike.
    values: Vec<String>,
}

impl Cmdline {
    /// Reads a command line.
    pub fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        // A lone "=" is neither a key nor a value.
        for argument in text.split_whitespace().filter(|&argument| argument != "=") {
            let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
            parsed.append(key, value);
        }
        parsed
    }

    /// Adds `value` to those of `key`.
    pub fn append(&mut self, key: &str, value: &str) {
        let value = value.to_owned();
        match self.0.iter_mut().find(|parameter| parameter.key == key) {
            Some(parameter) => parameter.values.push(value),
            None => self.0.push(Parameter { key: key.to_owned(), values: vec![value] }),
        }
    }

    /// Adds all arguments of `other`, each to its key.
    pub fn append_all(&mut self, other: &Self) {
        for Parameter { key, values } in &other.0 {
            for value in values {
                self.append(key, value);
            }
        }
    }

    /// Adds all arguments of `other`; a key that is there already loses its old values.
    pub fn set_all(&mut self, other: &Self) {
        for parameter in &other.0 {
            match self.0.iter_mut().find(|old| old.key == parameter.key) {
                Some(old) => old.values.clone_from(&parameter.values),
                None => self.0.push(parameter.clone()),
            }
        }
    }

    /// Adds the arguments a user wishes: `-key` takes a key away, `-key=value` one value of it,
    /// the keys in `single` lose their old values, all other arguments are added.
    pub fn customize(&mut self, wishes: &Self, single: &[&str]) {
        for wish in &wishes.0 {
            // A lone "-" is an argument: what follows it is for init.
            match wish.key.strip_prefix('-') {
                Some(key) if !key.is_empty() => self.remove(key, &wish.values),
                _ if single.contains(&wish.key.as_str()) => {
                    self.set_all(&Self(vec![wish.clone()]));
                }
                _ => self.append_all(&Self(vec![wish.clone()])),
            }
        }
    }

    /// Takes `key` away if the first of `values` is empty, else those values of it. A key
    /// that lost all values keeps its place, for what may be added later.
    fn remove(&mut self, key: &str, values: &[String]) {
        if values.first().is_none_or(String::is_empty) {
            self.0.retain(|parameter| parameter.key != key);
        } else if let Some(parameter) = self.0.iter_mut().find(|parameter| parameter.key == key) {
            parameter.values.retain(|value| !values.contains(value));
        }
    }

    /// The values of `key`, in order; an argument without a value has the empty one.
    pub fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |parameter| parameter.key == key)
            .flat_map(|parameter| parameter.values.iter().map(String::as_str))
    }
}

impl fmt::Display for Cmdline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        for Parameter { key, values } in &self.0 {
            for value in values {
                let equals = if value.is_empty() { "" } else { "=" };
                write!(f, "{gap}{key}{equals}{value}")?;
                gap = " ";
            }
        }
        Ok(())
    }
}

impl<'a> FromIterator<&'a str> for Cmdline {
    /// Joins texts of arguments.
    fn from_iter<T: IntoIterator<Item = &'a str>>(texts: T) -> Self {
        let mut joined = Self::default();
        for text in texts {
            joined.append_all(&Self::parse(text));
        }
        joined
    }
}

impl Serialize for Cmdline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn customized(line: &str, wishes: &str) -> String {
        let mut cmdline = Cmdline::parse(line);
        cmdline.customize(&Cmdline::parse(wishes), &["console"]);
        cmdline.to_string()
    }

    #[test]
    fn values_of_a_key_print_at_its_first_place() {
        let line = " console=a  quiet console=b\tx= x=a=b\n";
        assert_eq!(Cmdline::parse(line).to_string(), "console=a console=b quiet x x=a=b");
        let mut line = Cmdline::parse("a=1 b=2");
        line.set_all(&Cmdline::parse("c a=3 a=4"));
        assert_eq!(line.to_string(), "a=3 a=4 b=2 c");
        assert_eq!(line.values("a").collect::<Vec<_>>(), ["3", "4"]);
    }

    #[test]
    fn wishes() {
        for (line, wishes, expected) in [
            (
                "console=tty0 a=1",
                "console=ttyS0 console=ttyS1 a=2",
                "console=ttyS0 console=ttyS1 a=1 a=2",
            ),
            ("a=1 b=2 a=3", "-a", "b=2"),
            ("a=1 b=2 a=3", "-a=1", "a=3 b=2"),
            ("a=1 b=2", "-a=1 a=5", "a=5 b=2"),
            ("a=1 b=2", "-a a=5", "b=2 a=5"),
            ("quiet a", "-quiet -none -none=1 -", "a -"),
            ("a=1 a", "-a=1 -a", ""),
            ("a=1 b", "-a=1", "b"),
        ] {
            assert_eq!(customized(line, wishes), expected, "{line} + {wishes}");
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_reads(line in "[-abc= \"\t\u{85}é]{0,40}", wishes in "[-abc= ]{0,20}") {
            let parsed = Cmdline::parse(&line);
            prop_assert_eq!(Cmdline::parse(&parsed.to_string()), parsed.clone());
            let mut customized = parsed;
            customized.customize(&Cmdline::parse(&wishes), &["a"]);
            let printed = customized.to_string();
            prop_assert_eq!(Cmdline::parse(&printed).to_string(), printed);
        }
    }
}
