//! Schematics full of what YAML is hard at, the same ones each time.

mod spelling;

use spelling::{block, flow, json};

/// Random numbers (SplitMix64), good enough to choose by and the same everywhere.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// True once in `bound` times.
    pub(super) fn once_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(super) fn of<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }
}

/// What plain text may be taken for, and what breaks it.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "", "~", "null", "Null", "NULL", "nULL", "true", "True", "TRUE", "false", "FALSE", "y", "Y",
    "yes", "Yes", "YES", "n", "N", "no", "NO", "on", "On", "ON", "off", "Off", "OFF", "oN", "<<",
    "=", ".", "..", "...", "---", "--- a", "-", "- a", "-a", "?", "? a", "?a", ":", ": a", ":a",
    "a:", "a: b", "a:b", "a #b", "a#b", "#a", "#", "[", "]", "{", "}", "[a]", "{a}", "a, b", ",",
    "&a", "*a", "!a", "!!str", "|", ">", "|-", "%a", "@a", "`a", "'", "''", "'a'", "a'b", "\"",
    "\"a\"", "a\"b", "\\", "a\\b", "\\n", "0", "-0", "+0", "-0.0", "0.0", "00", "07", "08", "0o7",
    "0o8", "0x", "0xa", "0XFF", "0xg", "0b1", "0b2", "-0x1F", "+0x1", "1", "-1", "+1", "1_000",
    "_1", "1_", "1__0", "0_7", "12345678901234567890", "18446744073709551615",
    "18446744073709551616", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "-9223372036854775809", "1.0", "1.", ".5", "-.5", "+.5", "._5", ".5_4", "1_0.5", "1e3", "1E3",
    "1e+3", "1e-3", "1.5e300", "1e999", "-1e999", "1e-999", "1e", "e1", "0e0", "1.2.3", ".inf",
    ".Inf", ".INF", "-.inf", "+.inf", ".iNf", ".nan", ".NaN", ".NAN", "inf", "nan", "1:30",
    "-1:30", "+1:30:59", "1:60", "190:20:30.15", "1:5", "1:05:", "12:30:45.", "1:_5", "2024-01-31",
    "2024-1-1", "2024-13-01", "2023-02-29", "2024-02-29", "2024-01-01T00:00:00Z",
    "2024-01-01t1:2:3.45+02:00", "2024-01-01 01:02:03", "2024-01-01 1:2:3.5", "2024-01-01T00:00",
    "2001-12-14 21:59:43.10 -5", "2024-01-01T00:00:00.123456789123-05:30", "20250512", "1.11.0",
    "v1.11.0", "6.12.0-talos", "console=ttyS0,115200n8", "-lockdown", "lockdown=integrity",
    "net.ifnames=0", "siderolabs/gvisor", "siderolabs/intel-ucode:20250512", ">= 1.0.0", "1 2",
    "a  b", " a", "a ", "  ", "\t", "\ta", "a\t", "a\tb", "a\t#b", "a:\tb", "é", "ü: ö", "日本語",
    "\u{a0}", "\u{a0}a", "😀", "a😀b", "\u{feff}", "\u{feff}a", "a\u{feff}", "\u{85}", "a\u{85}b",
    "\u{2028}", "a\u{2028}b", "a\u{2029}", "\0", "\u{1}", "a\u{7}b", "\u{8}", "\u{b}", "\u{c}",
    "\u{1b}[0m", "\u{7f}", "\u{80}", "\u{9f}", "\u{ad}", "\u{200b}", "\u{d7ff}", "\u{e000}",
    "\u{fffd}", "\u{fffe}", "\u{ffff}", "\u{10000}", "\u{10ffff}", "a\u{301}",
];

/// What several lines are made of.
#[rustfmt::skip]
const LINES: &[&str] = &[
    "", "a", " a", "  a", "\ta", "a ", "a  ", "a\t", " ", "  ", "\t", "# a", "a # b", "- a", "---",
    "...", "a: b", "apiVersion: v1alpha1", "kind: HostnameConfig", "hostname: worker-33",
    "machine:", "  install:", "    disk: /dev/sda", "é", "😀", "\u{7f}", "\u{feff}a", "a\u{2028}b",
    "a\u{85}", "a\rb", "\"a\"", "'a'", "\\", "|", ">", "%YAML 1.2",
];

const KEYS: &[&str] = &[
    "a",
    "b",
    "A",
    "B",
    "a1",
    "a2",
    "a10",
    "a01",
    "a02",
    "a 1",
    "a-1",
    "a_1",
    "a.1",
    "1",
    "2",
    "10",
    "01",
    "010",
    "1a",
    "a1b",
    "a1b2",
    "a10b1",
    "a1-",
    "é",
    "ü",
    "日",
    "я",
    "-",
    "_",
    "dtb",
    "configTxt",
    "configTxtAppend",
    "y",
    "no",
    "true",
    "null",
    "0x10",
    "1.5",
    "a: b",
    "#a",
    "",
    "A1",
    "Z",
    "a00",
    "a0",
    "a000",
    "x100y",
    "x99y",
    "x9y10",
    "x9y9",
];

/// A text, most often one that is hard to write.
pub(super) fn text(dice: &mut Dice) -> String {
    match dice.below(10) {
        0..=4 => dice.of(WORDS).to_owned(),
        5 => {
            let parted = dice.of(&["", " ", ": ", " #", "\t", "\"", "'", "\n", "=", ","]);
            [dice.of(WORDS), dice.of(WORDS)].join(parted)
        }
        6..=7 => {
            let end = dice.of(&["\n", "\n", "\n", "\r\n"]);
            let count = 1 + dice.below(6);
            let lines: Vec<_> = (0..count).map(|_| dice.of(LINES)).collect();
            let last = dice.of(&["", end, "\n\n", " "]);
            lines.join(end) + last
        }
        8 => dice.of(&["a ", "ab", "é", "a: ", "\ta", "a\n"]).repeat(1 + dice.below(150)),
        _ => {
            let count = dice.below(8);
            (0..count)
                .map(|_| match dice.below(8) {
                    0 => char::from_u32(u32::try_from(dice.below(0x110_000)).unwrap())
                        .unwrap_or('\u{fffd}'),
                    1 => char::from(u8::try_from(dice.below(0x20)).unwrap()),
                    _ => char::from(u8::try_from(0x20 + dice.below(0x60)).unwrap()),
                })
                .collect()
        }
    }
}

/// A document: what is to be read, as a tree.
#[derive(Clone, Debug)]
enum Tree {
    /// A text, to be quoted as it needs.
    Text(String),
    /// Stands as it is.
    Bare(String),
    List(Vec<Tree>),
    Map(Vec<(Tree, Tree)>),
    /// `&name` and what it names.
    Anchor(&'static str, Box<Tree>),
}

impl Tree {
    /// Adds what is merged from an anchor, and aliases of it, to options.
    fn merged(dice: &mut Dice, entries: &mut Vec<(Self, Self)>) {
        let bare = |text: &str| Self::Bare(text.to_owned());
        let key = |text: &str| Self::Text(text.to_owned());
        let alias = || bare("*base");
        let anchor = |of: Self| Self::Anchor("base", Box::new(of));
        let named = if dice.once_in(8) { Self::value(dice, 2) } else { Self::options(dice, 2) };
        entries.insert(0, (key("base-0"), anchor(named)));
        let Self::Map(mut derived) = Self::options(dice, 2) else { panic!() };
        let from = match dice.below(4) {
            0 => Self::List(vec![Self::options(dice, 2), alias()]),
            1 => Self::List(vec![alias(), Self::options(dice, 2)]),
            _ => alias(),
        };
        derived.insert(dice.below(derived.len() + 1), (bare("<<"), from));
        entries.push((key("derived"), Self::Map(derived)));
        entries.push((key("again"), alias()));
        if dice.once_in(3) {
            entries.push((bare("<<"), alias()));
        }
    }

    fn text(dice: &mut Dice) -> Self {
        Self::Text(text(dice))
    }

    fn bare(dice: &mut Dice, words: &[&str]) -> Self {
        Self::Bare(dice.of(words).to_owned())
    }

    fn texts(dice: &mut Dice) -> Self {
        let count = dice.below(4);
        Self::List((0..count).map(|_| Self::text(dice)).collect())
    }

    fn map(entries: Vec<(&str, Self)>) -> Self {
        Self::Map(
            entries.into_iter().map(|(key, value)| (Self::Bare(key.to_owned()), value)).collect(),
        )
    }

    /// A value of an overlay's options.
    fn value(dice: &mut Dice, depth: usize) -> Self {
        #[rustfmt::skip]
        const NUMBERS: &[&str] = &[
            "~", "null", "true", "FALSE", "0", "-0", "007", "0x1F", "0b101", "0o17", "1_000", "-12",
            "+12", "18446744073709551615", "99999999999999999999", "-9223372036854775808", "1.0",
            "1.50", "-0.0", "1e3", "1e6", "123456.0", "1234567.0", "1e21", "1.5e-5", "0.0001",
            "0.00001", "1e300", "123456789012345678", "0.1", "1e-7", "100000.0", "1000000.0",
            "-1e5", ".5", "5.", ".inf", "-.INF", ".nan", "2024-01-31", "2024-1-2", "y", "off", "<<",
            "2024-01-01T01:02:03Z", "2024-01-01t01:02:03.4500+05:30", "2024-01-01 1:2:3.25", "1:30",
            "08", "0x", "1e999", "\"\"", "''", "plain", "1 2", "a: 1", "!!str 1", "!!float 1",
            "!!int \"7\"", "!!bool y", "!own a", "!!null ''", "!!timestamp 2024-01-01", "!!int 0x7",
        ];
        match dice.below(if depth < 3 { 12 } else { 9 }) {
            0..=5 => match Self::bare(dice, NUMBERS) {
                Self::Bare(text) if text == "a: 1" => {
                    Self::Map(vec![(Self::Bare("a".to_owned()), Self::Bare("1".to_owned()))])
                }
                other => other,
            },
            6..=8 => Self::text(dice),
            9 => {
                let count = dice.below(4);
                Self::List((0..count).map(|_| Self::value(dice, depth + 1)).collect())
            }
            _ => Self::options(dice, depth + 1),
        }
    }

    fn options(dice: &mut Dice, depth: usize) -> Self {
        let mut entries: Vec<(Self, Self)> = Vec::new();
        for _ in 0..dice.below(7) {
            let key = match dice.below(12) {
                0 => Self::bare(
                    dice,
                    &[
                        "1", "2", "10", "-3", "0x10", "1.5", "true", "false", "~", ".inf", "+7",
                        "2.0",
                    ],
                ),
                _ => Self::Text(dice.of(KEYS).to_owned()),
            };
            let name = |key: &Self| match key {
                Self::Bare(text) | Self::Text(text) => text.clone(),
                _ => String::new(),
            };
            let twice = entries.iter().any(|(known, _)| name(known) == name(&key));
            // A key that stands twice is refused, which makes it no use for the rest.
            if !twice || dice.once_in(40) {
                entries.push((key, Self::value(dice, depth)));
            }
        }
        if depth == 0 && dice.once_in(6) {
            Self::merged(dice, &mut entries);
        }
        Self::Map(entries)
    }

    fn schematic(dice: &mut Dice) -> Self {
        #[rustfmt::skip]
        const NUMBERS: &[&str] = &[
            "0", "10", "0xa", "0xA", "012", "0o14", "0b1010", "1_0", "+10", "10.0", "1e1", "255",
            "256", "-1", "\"10\"", "1.5", "ten", "~", "08", "4096", "512", "0x1000", "", "true",
            "18446744073709551615", "18446744073709551616", "-0", "1", "2", "6", "0x11", "10", "11",
        ];
        let mut custom = Vec::new();
        if dice.once_in(2) {
            custom.push(("extraKernelArgs", Self::texts(dice)));
        }
        if dice.once_in(3) {
            custom.push(("embeddedMachineConfiguration", Self::text(dice)));
        }
        if dice.once_in(3) {
            let count = dice.below(3);
            let meta = (0..count).map(|_| {
                let key = match dice.below(8) {
                    0 => Self::bare(dice, NUMBERS),
                    _ => Self::bare(dice, &["10", "0xa", "012", "12", "17"]),
                };
                Self::map(vec![("value", Self::text(dice)), ("key", key)])
            });
            let mut meta: Vec<_> = meta.collect();
            if let (Some(first), true) = (meta.pop(), dice.once_in(4)) {
                meta.insert(0, Self::Anchor("first", Box::new(first)));
                let first = Self::Bare("*first".to_owned());
                meta.push(Self::map(vec![("<<", first), ("value", Self::text(dice))]));
            }
            custom.push(("meta", Self::List(meta)));
        }
        if dice.once_in(3) {
            let names = Self::texts(dice);
            custom.push(("systemExtensions", Self::map(vec![("officialExtensions", names)])));
        }
        if dice.once_in(6) {
            let words = &["none", "sd-boot", "GRUB", "Dual-Boot", "auto", "~", "''", "None", "1"];
            custom.push(("bootloader", Self::bare(dice, words)));
        }
        if dice.once_in(6) {
            let flags = ["true", "True", "no", "on", "'yes'", "\"true\"", "~", "1", "oFF", "n"];
            custom.push((
                "secureboot",
                Self::map(vec![
                    ("enrollKeys", Self::text(dice)),
                    ("includeWellKnownCertificates", Self::bare(dice, &flags)),
                ]),
            ));
        }
        if dice.once_in(6) {
            custom.push(("diskImage", Self::map(vec![("sectorSize", Self::bare(dice, NUMBERS))])));
        }
        if dice.once_in(50) {
            custom.push(("extraKernelArg", Self::text(dice)));
        }
        let mut root = vec![("customization", Self::map(custom))];
        if dice.once_in(2) {
            let mut overlay = vec![("options", Self::options(dice, 0))];
            if dice.once_in(2) {
                overlay.push(("name", Self::text(dice)));
                overlay.push(("image", Self::text(dice)));
            }
            root.push(("overlay", Self::map(overlay)));
        }
        if dice.once_in(10) {
            root.push(("owner", Self::text(dice)));
        }
        Self::map(root)
    }
}

/// Document number `nth` of the corpus with this seed: YAML in blocks, YAML in one line, or JSON.
pub(super) fn document(seed: u64, nth: u64) -> String {
    let mut dice = Dice::new(seed ^ nth.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let tree = Tree::schematic(&mut dice);
    let mut text = String::new();
    match dice.below(4) {
        0 => json(&mut text, &tree),
        1 => flow(&mut dice, &mut text, &tree),
        _ => block(&mut dice, &mut text, &tree, 0),
    }
    if dice.once_in(8) {
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
    }
    text
}

/// A document as a slip of the keyboard leaves it.
pub(super) fn spoilt(seed: u64, nth: u64) -> String {
    #[rustfmt::skip]
    const SLIPS: &[&str] = &[
        " ", "  ", "\t", "\n", "\n\n", ":", ": ", "- ", "\n- ", "#", " # ", "'", "\"", "\\", "{",
        "}", "[", "]", ",", "|", ">", "&a ", "*a", "!", "!!str ", "%", "?", "? ", "---\n", "...\n",
        "\r", "\r\n", "<<: ", "~", "é", "\u{feff}", "0", "a", "@", "`", "-",
    ];
    let mut dice = Dice::new(seed.wrapping_add(1) ^ nth.wrapping_mul(0x2545_f491_4f6c_dd1d));
    let mut letters: Vec<char> = document(seed, nth).chars().collect();
    for _ in 0..=dice.below(3) {
        let at = dice.below(letters.len() + 1);
        match dice.below(3) {
            0 if at < letters.len() => {
                letters.remove(at);
            }
            1 => {
                let end = (at + 1 + dice.below(12)).min(letters.len());
                let part: Vec<_> = letters[at..end].to_vec();
                letters.splice(at..at, part);
            }
            _ => {
                letters.splice(at..at, dice.of(SLIPS).chars());
            }
        }
    }
    letters.into_iter().collect()
}
