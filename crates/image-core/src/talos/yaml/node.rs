//! A YAML document as a tree that knows where in the text each part stands, and how a scalar was
//! written: what `serde` hides, and what a number in an overlay's options turns into.

use super::{
    at,
    read::shown,
    scalar::{self, Scalar},
};
use crate::talos::{Error, Result};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag, options};
use std::{collections::BTreeMap, rc::Rc};

/// How deep mappings and lists may stand in each other.
const DEEPEST: usize = 64;
/// How many nodes a document may have, those behind aliases counted each time.
const MOST: usize = 10_000;

/// A part of a document.
#[derive(Debug)]
pub(crate) struct Node {
    /// The line it starts on, from 1.
    pub(crate) line: usize,
    /// The column it starts at, from 1.
    pub(crate) column: usize,
    /// What it is.
    pub(crate) content: Content,
    /// Its tag, `!!` standing for YAML's own.
    tag: Option<String>,
    /// How many nodes it has, with itself.
    nodes: usize,
    /// How many levels of lists and mappings stand in it.
    levels: usize,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Content {
    /// A scalar.
    Scalar {
        /// As it reads once quotes and escapes are gone.
        text: String,
        /// Whether it stands without quotes.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Rc<Node>>),
    /// A mapping, in its order, merge keys and all.
    Map(Vec<Entry>),
}

/// A key and its value.
pub(crate) type Entry = (Rc<Node>, Rc<Node>);

impl Node {
    /// Reads the one document of a text; none if there is none. Aliases stand for what they
    /// refer to.
    ///
    /// # Errors
    /// The text is no YAML, or has a second document, or is nested too deep or grows too large by
    /// its aliases. The message is one line and names the place.
    pub(crate) fn read(what: &str, text: &str) -> Result<Option<Rc<Self>>> {
        let options = options! {
            emit_comments: false,
            // As go-yaml has it: what ends without a line feed has none.
            block_scalar_eof_without_line_feed: true,
        };
        let parser = Parser::new_from_str_with_options(text, options);
        Reader { what, parser, anchors: BTreeMap::new() }
            .document(text)
            .map_err(|Fault { line, column, message }| at(what, Some((line, column)), &message))
    }

    /// What is wrong with this node.
    pub(crate) fn error(&self, what: &str, fault: impl std::fmt::Display) -> Error {
        at(what, Some((self.line, self.column)), &fault.to_string())
    }

    /// What a scalar means; nothing for lists and mappings.
    ///
    /// # Errors
    /// It has a tag that does not fit.
    #[expect(clippy::cast_precision_loss, reason = "the tag asks for it")]
    pub(crate) fn scalar(&self) -> Result<Option<Scalar>, String> {
        let Content::Scalar { text, plain } = &self.content else { return Ok(None) };
        let tag = match self.tag.as_deref() {
            None if *plain => return Ok(Some(scalar::plain(text))),
            None | Some("!!str") => return Ok(Some(Scalar::Text(text.clone()))),
            Some("!!binary") => return Err("!!binary is not supported: write text".to_owned()),
            Some(tag) => tag,
        };
        let value = match tag {
            "!!timestamp" => scalar::plain(text),
            _ => scalar::untimed(text),
        };
        let value = match (tag, value) {
            ("!!float", Scalar::Int(number)) => Scalar::Float(number as f64),
            ("!!float", Scalar::Large(number)) => Scalar::Float(number as f64),
            (_, value) => value,
        };
        match (tag, &value) {
            ("!!null", Scalar::Null)
            | ("!!bool", Scalar::Bool(_))
            | ("!!int", Scalar::Int(_) | Scalar::Large(_))
            | ("!!float", Scalar::Float(_))
            | ("!!timestamp", Scalar::Time(_)) => Ok(Some(value)),
            ("!!null" | "!!bool" | "!!int" | "!!float" | "!!timestamp", _) => {
                Err(format!("what stands here is no {tag}"))
            }
            _ => Ok(Some(Scalar::Text(text.clone()))),
        }
    }

    /// Whether this is a key that merges a mapping into the one it stands in: `<<`.
    pub(crate) fn is_merge(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true } if text == "<<")
            && self.tag.as_deref().is_none_or(|tag| tag == "!!merge")
    }

    /// Whether all keys of this mapping are texts, those that merge aside.
    pub(crate) fn has_text_keys(&self) -> bool {
        let Content::Map(entries) = &self.content else { return false };
        entries
            .iter()
            .all(|(key, _)| key.is_merge() || matches!(key.scalar(), Ok(Some(Scalar::Text(_)))))
    }

    fn is_missing(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true } if text.is_empty())
            && self.tag.is_none()
    }

    /// Two keys that no mapping may have both.
    fn is_same_key(&self, other: &Self) -> bool {
        match (&self.content, &other.content) {
            (Content::Scalar { text, .. }, Content::Scalar { text: other, .. }) => text == other,
            _ => false,
        }
    }

    /// The entries of a mapping and of those it merges, for the later of two to count: its own
    /// go before the merged, the first merged before the next. As in go-yaml, keys are the same
    /// if they mean the same, where a merged one is taken as text if `texts` says so. None for
    /// lists and scalars.
    ///
    /// # Errors
    /// A key stands twice or is missing, or what is merged is no mapping.
    pub(crate) fn entries(&self, what: &str, texts: bool) -> Result<Option<Vec<Entry>>> {
        let Content::Map(entries) = &self.content else { return Ok(None) };
        for (nth, (key, _)) in entries.iter().enumerate() {
            if key.is_missing() {
                return Err(key.error(what, "no key stands before the colon"));
            }
            if entries[..nth].iter().any(|(earlier, _)| earlier.is_same_key(key)) {
                let name = match &key.content {
                    Content::Scalar { text, .. } => text,
                    _ => "",
                };
                return Err(key.error(what, format!("{} stands twice", shown(name))));
            }
        }
        let (merged, mut own): (Vec<_>, Vec<_>) =
            entries.iter().cloned().partition(|(key, _)| key.is_merge());
        if merged.is_empty() {
            return Ok(Some(own));
        }
        let meaning = |key: &Self, texts| match (&key.content, key.scalar()) {
            (Content::Scalar { text, .. }, _) if texts => Some(Scalar::Text(text.clone())),
            (_, scalar) => scalar.ok().flatten(),
        };
        let mut known: Vec<_> = own.iter().map(|(key, _)| meaning(key, false)).collect();
        for (_, value) in merged {
            let sources = match &value.content {
                Content::List(items) => items.clone(),
                _ => vec![value],
            };
            for source in sources {
                let Some(entries) = source.entries(what, texts)? else {
                    return Err(source.error(what, ONLY_MAPPINGS));
                };
                for entry in entries {
                    let key = meaning(&entry.0, texts);
                    // As text, `~` is no key.
                    let is_none = texts && matches!(entry.0.scalar(), Ok(Some(Scalar::Null)));
                    if !is_none && !known.contains(&key) {
                        known.push(key);
                        own.push(entry);
                    }
                }
            }
        }
        Ok(Some(own))
    }
}

const ONLY_MAPPINGS: &str = "only a mapping can be merged by \"<<\"";

/// What is wrong, and where.
struct Fault {
    line: usize,
    column: usize,
    message: String,
}

impl Fault {
    fn new(span: &Span, message: impl Into<String>) -> Self {
        Self { line: span.start.line(), column: span.start.col() + 1, message: message.into() }
    }
}

struct Reader<'a> {
    what: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, Rc<Node>>,
}

impl<'a> Reader<'a> {
    fn document(mut self, text: &str) -> Result<Option<Rc<Node>>, Fault> {
        // YAML 1.1 takes these for line breaks and YAML 1.2 does not, so that one text would be
        // two schematics.
        if let Some(at) = text.find(['\u{85}', '\u{2028}', '\u{2029}']) {
            let before = text[..at].rsplit('\n').next().unwrap_or_default();
            let letter = text[at..].chars().next().unwrap_or_default();
            return Err(Fault {
                line: text[..at].matches('\n').count() + 1,
                column: before.chars().count() + 1,
                message: format!(
                    "U+{0:04X} stands here: write it as \"\\u{0:04x}\"",
                    u32::from(letter)
                ),
            });
        }
        let mut root = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(root),
                (Event::DocumentStart(..), span) if root.is_some() => {
                    return Err(Fault::new(&span, "a second document starts: leave it out"));
                }
                (Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd, _) => {}
                (event, span) => root = Some(self.node(event, &span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Fault> {
        self.parser.next().unwrap_or(Ok((Event::StreamEnd, Span::default()))).map_err(|error| {
            Fault {
                line: error.marker().line(),
                column: error.marker().col() + 1,
                message: error.info().replace('\n', " "),
            }
        })
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Rc<Node>, Fault> {
        if depth > DEEPEST {
            return Err(too_deep(span));
        }
        let start = span.tag_start().unwrap_or(span.start);
        let (mut nodes, mut levels) = (1_usize, 0);
        let (content, anchor, tag) = match event {
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Fault::new(span, "this alias stands for itself"));
                };
                return if depth + node.levels > DEEPEST { Err(too_deep(span)) } else { Ok(node) };
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                // The parser puts `~` where nothing stands.
                let text = if plain && span.is_empty() { String::new() } else { text.into_owned() };
                (Content::Scalar { text, plain }, anchor, tag)
            }
            Event::SequenceStart(_, anchor, tag) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => {
                            let item = self.node(event, &span, depth + 1)?;
                            nodes += item.nodes;
                            levels = levels.max(item.levels + 1);
                            within(nodes, &span)?;
                            items.push(item);
                        }
                    }
                }
                (Content::List(items), anchor, tag)
            }
            Event::MappingStart(_, anchor, tag) => {
                let mut entries = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::MappingEnd) {
                        break;
                    }
                    let key = self.node(event, &span, depth + 1)?;
                    let (event, span) = self.next()?;
                    let aliased = matches!(event, Event::Alias(_));
                    let value = self.node(event, &span, depth + 1)?;
                    if aliased && key.is_merge() && !matches!(value.content, Content::Map(_)) {
                        return Err(Fault::new(&span, ONLY_MAPPINGS));
                    }
                    nodes += key.nodes + value.nodes;
                    levels = levels.max(key.levels.max(value.levels) + 1);
                    within(nodes, &span)?;
                    entries.push((key, value));
                }
                (Content::Map(entries), anchor, tag)
            }
            _ => return Err(Fault::new(span, format!("{} ends too early", self.what))),
        };
        let node = Rc::new(Node {
            line: start.line(),
            column: start.col() + 1,
            content,
            tag: tag.map(|tag| short(&tag)),
            nodes,
            levels,
        });
        if anchor > 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }
}

fn too_deep(span: &Span) -> Fault {
    Fault::new(span, format!("nested deeper than {DEEPEST} levels"))
}

fn within(nodes: usize, span: &Span) -> Result<(), Fault> {
    if nodes > MOST {
        return Err(Fault::new(span, format!("more than {MOST} values")));
    }
    Ok(())
}

fn short(tag: &Tag) -> String {
    let whole = format!("{}{}", tag.handle(), tag.suffix());
    whole.strip_prefix("tag:yaml.org,2002:").map_or(whole.clone(), |name| format!("!!{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        Node::read("it", text).unwrap_err().to_string()
    }

    #[test]
    fn faults_have_a_place() {
        assert_eq!(
            fault("a: 1\n---\nb"),
            "it: line 2 column 1: a second document starts: leave it out"
        );
        assert_eq!(fault("a: &x [*x]"), "it: line 1 column 8: this alias stands for itself");
        assert_eq!(
            fault("a: 1\nb: \u{2028}"),
            "it: line 2 column 4: U+2028 stands here: write it as \"\\u2028\""
        );
        assert!(fault(&"[".repeat(80)).contains("line 1 column"), "{}", fault(&"[".repeat(80)));
        let bomb = (1..9).fold("0: &a0 1\n".to_owned(), |bomb, n| {
            let nine = vec![format!("*a{}", n - 1); 9].join(", ");
            format!("{bomb}{n}: &a{n} [{nine}]\n")
        });
        assert!(fault(&bomb).contains("more than 10000 values"), "{}", fault(&bomb));
        let [open, close] = ["[", "]"].map(|bracket| bracket.repeat(40));
        let deep = format!("a: &a {open}{close}\nb: {open}*a{close}\n");
        assert_eq!(fault(&deep), "it: line 2 column 44: nested deeper than 64 levels");
        assert!(fault("a: {b: 1").starts_with("it: line "), "{}", fault("a: {b: 1"));
        assert!(Node::read("it", "# nothing").unwrap().is_none());
    }

    #[test]
    fn merged_mappings_fill_gaps() {
        let text = "[&a {x: 1, y: 2}, &b {y: 3, z: 4}, {<<: [*a, *b], x: 0}]";
        let root = Node::read("it", text).unwrap().unwrap();
        let Content::List(items) = &root.content else { panic!() };
        let entries = items[2].entries("it", true).unwrap().unwrap();
        let values: Vec<_> = entries
            .iter()
            .map(|(key, value)| (key.scalar().unwrap().unwrap(), value.scalar().unwrap().unwrap()))
            .collect();
        let text = |text: &str| Scalar::Text(text.to_owned());
        assert_eq!(
            values,
            [(text("x"), Scalar::Int(0)), (text("y"), Scalar::Int(2)), (text("z"), Scalar::Int(4))]
        );
        let twice = Node::read("it", "{a: 1, 'a': 2}").unwrap().unwrap();
        let error = twice.entries("it", true).unwrap_err().to_string();
        assert_eq!(error, "it: line 1 column 8: key \"a\" stands twice");
    }
}
