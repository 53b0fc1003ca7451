//! The many ways to write one document.

use super::{Dice, Tree};
use std::fmt::Write as _;

/// JSON (RFC 8259); what has no form there is a text.
pub(super) fn json(text: &mut String, tree: &Tree) {
    match tree {
        Tree::Text(content) => *text += &escaped(content, false),
        Tree::Anchor(_, named) => json(text, named),
        Tree::Bare(bare) => match bare.as_str() {
            "null" | "true" | "false" | "0" | "10" | "255" | "256" | "4096" | "-1" | "1.5" => {
                *text += bare;
            }
            _ => *text += &escaped(bare, false),
        },
        Tree::List(items) => {
            *text += "[";
            for (nth, item) in items.iter().enumerate() {
                *text += if nth > 0 { ", " } else { "" };
                json(text, item);
            }
            *text += "]";
        }
        Tree::Map(entries) => {
            *text += "{";
            for (nth, (key, value)) in entries.iter().enumerate() {
                *text += if nth > 0 { ",\n " } else { "" };
                let (Tree::Bare(key) | Tree::Text(key)) = key else { panic!() };
                *text += &escaped(key, false);
                *text += ": ";
                json(text, value);
            }
            *text += "}";
        }
    }
}

/// A collection in one line (YAML 1.2.2, 7.4).
pub(super) fn flow(dice: &mut Dice, text: &mut String, tree: &Tree) {
    match tree {
        Tree::Text(content) => *text += &line(dice, content),
        Tree::Bare(bare) => *text += bare,
        Tree::Anchor(name, named) => {
            text.extend(["&", name, " "]);
            flow(dice, text, named);
        }
        Tree::List(items) => {
            *text += "[";
            for item in items {
                flow(dice, text, item);
                *text += dice.of(&[", ", " , ", ",\n  "]);
            }
            *text += "]";
        }
        Tree::Map(entries) => {
            *text += "{";
            for (key, value) in entries {
                flow(dice, text, key);
                *text += ": ";
                flow(dice, text, value);
                *text += dice.of(&[", ", " , ", ",\n  "]);
            }
            *text += "}";
        }
    }
}

/// Block collections (YAML 1.2.2, 8.2), the first line standing where the text has got to.
pub(super) fn block(dice: &mut Dice, text: &mut String, tree: &Tree, at: usize) {
    match tree {
        Tree::List(items) if !items.is_empty() => {
            for (nth, item) in items.iter().enumerate() {
                if nth > 0 {
                    *text += &" ".repeat(at);
                }
                *text += "- ";
                match item {
                    Tree::Anchor(..) => {
                        flow(dice, text, item);
                        *text += "\n";
                    }
                    Tree::List(_) | Tree::Map(_) => block(dice, text, item, at + 2),
                    item => scalar(dice, text, item, at),
                }
            }
        }
        Tree::Map(entries) if !entries.is_empty() => {
            for (nth, (key, value)) in entries.iter().enumerate() {
                if nth > 0 {
                    if dice.once_in(20) {
                        *text += "# a comment\n";
                    }
                    *text += &" ".repeat(at);
                }
                match key {
                    Tree::Text(key) => *text += &line(dice, key),
                    Tree::Bare(key) => *text += key,
                    _ => panic!(),
                }
                *text += ":";
                if matches!(value, Tree::Anchor(..)) {
                    *text += " ";
                }
                let value = anchored(text, value);
                match value {
                    Tree::List(items) if !items.is_empty() => {
                        *text += "\n";
                        let at = at + dice.below(3);
                        *text += &" ".repeat(at);
                        block(dice, text, value, at);
                    }
                    Tree::Map(entries) if !entries.is_empty() => {
                        *text += "\n";
                        let at = at + 1 + dice.below(4);
                        *text += &" ".repeat(at);
                        block(dice, text, value, at);
                    }
                    value => {
                        *text += " ";
                        scalar(dice, text, value, at);
                    }
                }
            }
        }
        other => scalar(dice, text, other, at),
    }
}

/// What an anchor names, once it is written; a list or mapping behind one starts a line anywhere.
fn anchored<'a>(text: &mut String, tree: &'a Tree) -> &'a Tree {
    match tree {
        Tree::Anchor(name, named) => {
            text.extend(["&", name, " "]);
            named
        }
        tree => tree,
    }
}

/// What is no block collection, and the end of its line.
fn scalar(dice: &mut Dice, text: &mut String, tree: &Tree, at: usize) {
    match tree {
        Tree::Text(content) if content.contains('\n') && is_printable(content) => {
            literal(dice, text, content, at);
        }
        Tree::Text(content) => *text += &line(dice, content),
        Tree::Bare(bare) => *text += bare,
        Tree::List(_) => *text += "[]",
        Tree::Map(_) => *text += "{}",
        Tree::Anchor(..) => panic!("{tree:?}"),
    }
    if !text.ends_with('\n') {
        *text += dice.of(&["\n", "\n", "\n", " # a comment\n", "  \n", "\r\n"]);
    }
}

fn literal(dice: &mut Dice, text: &mut String, content: &str, at: usize) {
    if dice.once_in(3) {
        *text += &line(dice, content);
        return;
    }
    let inner = 1 + dice.below(4);
    // Folded it is another text; which, is for the reader to find.
    *text += dice.of(&["|", "|", "|", ">"]);
    if dice.once_in(2) || content.trim_start_matches('\n').starts_with([' ', '\t']) {
        write!(text, "{inner}").unwrap();
    }
    let body = content.trim_end_matches('\n');
    *text += match content.len() - body.len() {
        0 => "-",
        1 if !body.is_empty() => "",
        _ => "+",
    };
    *text += dice.of(&["\n", "\n", " \n", " # a comment\n"]);
    let end = dice.of(&["\n", "\n", "\n", "\r\n"]);
    for part in content.split_inclusive('\n') {
        let line = part.trim_end_matches('\n');
        if !line.is_empty() {
            *text += &" ".repeat(at + inner);
        }
        *text += line;
        *text += end;
    }
}

fn is_printable(content: &str) -> bool {
    content.chars().all(|letter| match letter {
        '\n' | '\t' => true,
        '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => false,
        other => !other.is_control() && !matches!(other, '\u{fffe}' | '\u{ffff}'),
    })
}

/// Text on one line, in quotes, or without where that is the same.
fn line(dice: &mut Dice, content: &str) -> String {
    let simple = !content.is_empty()
        && content.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/=.-_".contains(&byte))
        && content.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    if simple && dice.once_in(2) {
        // May be a number or a date: text all the same where a text is wanted.
        return content.to_owned();
    }
    if is_printable(content) && !content.contains(['\n', '\t']) && dice.once_in(2) {
        return format!("'{}'", content.replace('\'', "''"));
    }
    if is_printable(content) && content.contains('\n') && dice.once_in(4) {
        // Folded too.
        let lines = content.replace('\'', "''").replace('\n', "\n                      ");
        return format!("'{lines}'");
    }
    escaped(content, true)
}

/// In double quotes, escaped as JSON and YAML both read it, or as YAML alone does.
fn escaped(content: &str, yaml: bool) -> String {
    let mut text = "\"".to_owned();
    for letter in content.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '\n' => text += "\\n",
            '\t' => text += "\\t",
            '\r' => text += "\\r",
            '\0' if yaml => text += "\\0",
            '\x1b' if yaml => text += "\\e",
            '\u{85}' if yaml => text += "\\N",
            '\u{a0}' if yaml => text += "\\_",
            '\u{2028}' if yaml => text += "\\L",
            '\u{2029}' if yaml => text += "\\P",
            letter if is_printable(letter.encode_utf8(&mut [0; 4])) => text.push(letter),
            letter => {
                let code = u32::from(letter);
                // A noncharacter beyond the first plane has no escape in JSON that go-yaml reads.
                write!(text, "\\u{code:04x}").unwrap();
            }
        }
    }
    text + "\""
}
