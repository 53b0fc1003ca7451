//! A value of an overlay's options: of a form nobody fixed.

use crate::talos::{
    Result,
    yaml::{Content, Node, Scalar, Yaml, float_text},
};
use std::cmp::Ordering;

/// A value of an overlay's options, as Image Factory reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer above those.
    Large(u64),
    /// Any other number.
    Float(f64),
    /// A time, by RFC 3339.
    Time(String),
    /// A text.
    Text(String),
    /// Values in order.
    List(Vec<Value>),
    /// Values under keys, each key once.
    Map(Vec<(Value, Value)>),
}

/// The longest key that can be written on the line of its value (YAML 1.2.2 has 1024, go-yaml
/// this), in bytes.
const LONGEST_KEY: usize = 128;

impl Value {
    /// Reads a value; none where a merge key stands for one, which go-yaml passes over.
    pub(super) fn read(what: &str, node: &Node) -> Result<Option<Self>> {
        if node.is_merge() {
            return Ok(None);
        }
        if let Some(scalar) = node.scalar().map_err(|fault| node.error(what, fault))? {
            return Ok(Some(scalar.into()));
        }
        Ok(Some(match &node.content {
            Content::List(items) => {
                let items = items.iter().filter_map(|item| Self::read(what, item).transpose());
                Self::List(items.collect::<Result<_>>()?)
            }
            _ => Self::read_map(what, node)?,
        }))
    }

    /// Where all keys of a mapping are texts, those it merges become texts too.
    fn read_map(what: &str, node: &Node) -> Result<Self> {
        let texts = node.has_text_keys();
        let mut entries: Vec<(Self, Self)> = Vec::new();
        for (key, value) in node.entries(what, texts)?.unwrap_or_default() {
            let text = text_key(what, &key)?;
            let key = match (key.scalar().map_err(|fault| key.error(what, fault))?, text) {
                (Some(_), None) if texts => continue,
                (Some(_), Some(text)) if texts => Self::Text(text),
                (scalar, _) => scalar.unwrap_or(Scalar::Null).into(),
            };
            if matches!(&key, Self::Float(number) if number.is_nan()) {
                return Err(node.error(what, ".nan is no key: it is not the same as itself"));
            }
            let Some(value) = Self::read(what, &value)? else { continue };
            // Keys written differently may be one: `1` and `0x1`.
            match entries.iter_mut().find(|(known, _)| *known == key) {
                Some(entry) => entry.1 = value,
                None => entries.push((key, value)),
            }
        }
        Ok(Self::Map(entries))
    }

    pub(super) fn yaml(&self) -> Yaml {
        match self {
            Self::Null => Yaml::Bare("null".to_owned()),
            Self::Bool(value) => Yaml::Bare(value.to_string()),
            Self::Int(number) => Yaml::Bare(number.to_string()),
            Self::Large(number) => Yaml::Bare(number.to_string()),
            Self::Float(number) => Yaml::Bare(float_text(*number)),
            Self::Time(time) => Yaml::Bare(time.clone()),
            Self::Text(text) => Yaml::text(text),
            Self::List(items) => Yaml::List(items.iter().map(Self::yaml).collect()),
            Self::Map(entries) => {
                let entries = in_order(entries, |(key, _)| key);
                Yaml::Map(entries.iter().map(|(key, value)| (key.yaml(), value.yaml())).collect())
            }
        }
    }

    /// The value as JSON, for a profile's overlay: times and numbers JSON has not become text,
    /// and so do keys.
    pub(super) fn json(&self) -> serde_json::Value {
        use serde_json::Value as Json;

        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => (*value).into(),
            Self::Int(number) => (*number).into(),
            Self::Large(number) => (*number).into(),
            Self::Float(number) if number.is_finite() => (*number).into(),
            Self::Float(number) => float_text(*number).into(),
            Self::Time(text) | Self::Text(text) => text.as_str().into(),
            Self::List(items) => items.iter().map(Self::json).collect(),
            Self::Map(entries) => {
                let key = |key: &Self| match key.json() {
                    Json::String(text) => text,
                    other => other.to_string(),
                };
                entries.iter().map(|(name, value)| (key(name), value.json())).collect()
            }
        }
    }

    /// The place of its kind where keys of several kinds stand together.
    fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Large(_) => 11,
            Self::Float(_) => 14,
            Self::Null => 20,
            Self::Text(_) => 24,
            Self::Time(_) | Self::List(_) | Self::Map(_) => 25,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "that is how Go compares numbers of two kinds")]
    fn number(&self) -> Option<f64> {
        match self {
            Self::Bool(value) => Some(f64::from(u8::from(*value))),
            Self::Int(number) => Some(*number as f64),
            Self::Large(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether this key goes before another: numbers by size, texts so that digits in them count
    /// as numbers. It is no total order where letters and other characters mix.
    fn is_before(&self, other: &Self) -> bool {
        if let (Some(number), Some(others)) = (self.number(), other.number())
            && number.partial_cmp(&others) != Some(Ordering::Equal)
        {
            return number < others;
        }
        match (self, other) {
            (Self::Int(number), Self::Int(others)) => number < others,
            (Self::Large(number), Self::Large(others)) => number < others,
            (Self::Text(text), Self::Text(others)) => natural(text, others) == Ordering::Less,
            (Self::Time(time), Self::Time(others)) => time < others,
            _ => self.rank() < other.rank(),
        }
    }
}

impl From<Scalar> for Value {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Null => Self::Null,
            Scalar::Bool(value) => Self::Bool(value),
            Scalar::Int(number) => Self::Int(number),
            Scalar::Large(number) => Self::Large(number),
            Scalar::Float(number) => Self::Float(number),
            Scalar::Time(time) => Self::Time(time),
            Scalar::Text(text) => Self::Text(text),
        }
    }
}

/// A key as text, whatever it means; none for `~`.
pub(super) fn text_key(what: &str, node: &Node) -> Result<Option<String>> {
    let scalar = node.scalar().map_err(|fault| node.error(what, fault))?;
    match (scalar, &node.content) {
        (Some(Scalar::Null), _) => Ok(None),
        (Some(_), Content::Scalar { text, .. }) => {
            // A key that needs lines of its own.
            if text.len() > LONGEST_KEY
                || text.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
            {
                let fault = format!("a key has one line and at most {LONGEST_KEY} bytes");
                return Err(node.error(what, fault));
            }
            Ok(Some(text.clone()))
        }
        _ => Err(node.error(what, "a key is neither a list nor a mapping")),
    }
}

/// The entries by their keys. An insertion, since a sort may panic where there is no total order.
pub(super) fn in_order<T>(entries: &[T], key: impl Fn(&T) -> &Value) -> Vec<&T> {
    let mut sorted: Vec<&T> = Vec::with_capacity(entries.len());
    for entry in entries {
        let at = sorted.partition_point(|known| key(known).is_before(key(entry)));
        sorted.insert(at, entry);
    }
    sorted
}

/// Texts by their letters, and where they differ in digits by the numbers these form.
fn natural(a: &str, b: &str) -> Ordering {
    let [a, b] = [a, b].map(|text| text.chars().collect::<Vec<_>>());
    let Some(at) = a.iter().zip(&b).position(|(letter, other)| letter != other) else {
        return a.len().cmp(&b.len());
    };
    let (letter, other) = (a[at], b[at]);
    match (letter.is_alphabetic(), other.is_alphabetic()) {
        (true, true) => return letter.cmp(&other),
        (false, false) => {}
        (is_letter, _) => {
            let in_number = at > 0 && is_digit(a[at - 1]);
            return if is_letter == in_number { Ordering::Less } else { Ordering::Greater };
        }
    }
    // A zero counts where a number has begun, and does not where it would lead one.
    let begun = (letter == '0' || other == '0')
        && a[..at].iter().rev().take_while(|letter| is_digit(**letter)).any(|digit| *digit != '0');
    let number = |text: &[char]| {
        let digits = text[at..].iter().take_while(|letter| is_digit(**letter));
        let value = |number: i64, digit: &char| {
            let digit = i64::from(u32::from(*digit)) - i64::from(u32::from('0'));
            number.wrapping_mul(10).wrapping_add(digit)
        };
        (digits.clone().fold(i64::from(begun), value), digits.count())
    };
    number(&a).cmp(&number(&b)).then(letter.cmp(&other))
}

fn is_digit(letter: char) -> bool {
    letter.is_numeric()
}
