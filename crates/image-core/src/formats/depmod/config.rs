//! Which of several modules of one name counts: depmod.d(5).

use super::Result;
use crate::formats::Error;

const FORMAT: &str = "depmod configuration";

/// The place of modules that stand in no directory of the search list.
const BUILT_IN: &str = "built-in";

/// What depmod.d(5) lets one say, but for modules outside the kernel's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Directories, the first before all others; `built-in` is the rest.
    search: Vec<String>,
    /// Paths without an ending, the last one said before all others.
    overrides: Vec<Override>,
    /// Names that are passed over, with all below.
    exclude: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Override {
    /// None for all kernels.
    kernel: Option<String>,
    /// Directory and module, as in a path.
    path: String,
}

/// `search updates built-in`, as depmod has it where nothing is said.
impl Default for Config {
    fn default() -> Self {
        let search = ["updates", BUILT_IN].map(ToOwned::to_owned).to_vec();
        Self { search, overrides: Vec::new(), exclude: Vec::new() }
    }
}

impl Config {
    /// Reads the text of a configuration file.
    ///
    /// # Errors
    /// [`Fault::Corrupt`](crate::formats::Fault::Invalid), with the line, for a command that is
    /// none or lacks a word; `Unsupported` for `external`, and for an `override` with a pattern.
    pub fn parse(text: &str) -> Result<Self> {
        let mut config = Self { search: Vec::new(), ..Self::default() };
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let mut line = line.to_owned();
            while line.ends_with('\\') {
                line.pop();
                let Some((_, more)) = lines.next() else { break };
                line.push_str(more);
            }
            config.command(&line).map_err(|error| error.within(&format!("line {}", number + 1)))?;
        }
        if config.search.is_empty() {
            config.search = Self::default().search;
        }
        Ok(config)
    }

    fn command(&mut self, line: &str) -> Result<()> {
        if line.starts_with('#') {
            return Ok(());
        }
        let mut words = line.split_ascii_whitespace();
        let Some(command) = words.next() else { return Ok(()) };
        let mut words = words.map(ToOwned::to_owned);
        match command {
            "search" => self.search.extend(words),
            "exclude" => self.exclude.extend(words),
            "override" => {
                let (Some(module), Some(kernel), Some(directory)) =
                    (words.next(), words.next(), words.next())
                else {
                    let what = "override takes a module, a kernel or *, and a directory";
                    return Err(Error::corrupt(FORMAT, 0, what));
                };
                let literal = |c: char| c.is_ascii_alphanumeric() || ".+-_~".contains(c);
                let kernel = match kernel.as_str() {
                    "*" => None,
                    name if name.chars().all(literal) => Some(kernel),
                    pattern => {
                        let what = format!("override for kernels like {pattern:?}");
                        return Err(Error::unsupported(FORMAT, what));
                    }
                };
                self.overrides.push(Override { kernel, path: format!("{directory}/{module}") });
            }
            "external" => return Err(Error::unsupported(FORMAT, "external")),
            _ => {
                let what = format!("{command:?} is no command: search, override, exclude");
                return Err(Error::corrupt(FORMAT, 0, what));
            }
        }
        Ok(())
    }

    /// Whether files and directories of this name are passed over.
    pub(super) fn excludes(&self, name: &str) -> bool {
        // Links to where the kernel was built.
        ["build", "source"].contains(&name) || self.exclude.iter().any(|had| had == name)
    }

    /// Whether of two modules of one name the one at `new` counts, not the one at `old`, which
    /// was found earlier.
    pub(super) fn prefers(&self, kernel: &str, new: &str, old: &str) -> bool {
        let bare = |path: &'_ str| {
            let name_at = path.rfind('/').map_or(0, |slash| slash + 1);
            let end = path[name_at..].find('.').map_or(path.len(), |dot| name_at + dot);
            path[..end].to_owned()
        };
        let (bare_new, bare_old) = (bare(new), bare(old));
        for Override { kernel: only, path } in self.overrides.iter().rev() {
            if only.as_ref().is_none_or(|only| only == kernel) {
                if *path == bare_new {
                    return true;
                }
                if *path == bare_old {
                    return false;
                }
            }
        }
        let ((new, new_named), (old, _)) = (self.place(new), self.place(old));
        new < old || (new == old && new_named)
    }

    /// The place of a module in the search list, and whether its directory is named there.
    fn place(&self, path: &str) -> (usize, bool) {
        let inside = |directory: &String| {
            path.strip_prefix(directory.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        if let Some(place) = self.search.iter().position(inside) {
            return (place, true);
        }
        let rest = self.search.iter().position(|entry| entry == BUILT_IN);
        (rest.unwrap_or(self.search.len()), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the same modules, found in this order, counts under a configuration.
    fn chosen(text: &str) -> &'static str {
        const FOUND: [&str; 8] = [
            "extras/dup.ko",
            "extras/sub/dup.ko",
            "kernel/b/dup.ko",
            "kernel/updates/dup.ko",
            "kernel/c/dup.ko",
            "kernel/a/dup.ko",
            "updates/dup.ko",
            "extrasx/dup.ko",
        ];
        let config = Config::parse(text).unwrap();
        FOUND.into_iter().fold(
            FOUND[0],
            |old, new| {
                if config.prefers("6.1.0", new, old) { new } else { old }
            },
        )
    }

    /// As kmod 34.2 chose among these files, in the order its directory gave them.
    #[test]
    fn priorities() {
        for (text, expected) in [
            ("", "updates/dup.ko"),
            ("search extras built-in", "extras/sub/dup.ko"),
            ("search updates extras built-in", "updates/dup.ko"),
            ("search built-in", "extras/dup.ko"),
            ("search built-in updates", "extras/dup.ko"),
            ("search extras/sub built-in", "extras/sub/dup.ko"),
            ("search extrasx\nsearch updates built-in", "extrasx/dup.ko"),
            ("search updates built-in\nsearch extrasx", "updates/dup.ko"),
            ("search updates \\\nbuilt-in", "updates/dup.ko"),
            ("search extras updates", "extras/sub/dup.ko"),
            ("search nothere", "extras/dup.ko"),
            ("# search extras built-in\n\n  search kernel/a\tbuilt-in", "kernel/a/dup.ko"),
            ("override dup * kernel/b", "kernel/b/dup.ko"),
            ("override dup 6.1.0 kernel/c", "kernel/c/dup.ko"),
            ("override dup 6.2.0 kernel/c", "updates/dup.ko"),
            ("override dup * kernel", "updates/dup.ko"),
            ("override other * kernel/a", "updates/dup.ko"),
            ("override dup * kernel/a\noverride dup * extras", "extras/dup.ko"),
        ] {
            assert_eq!(chosen(text), expected, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text| Config::parse(text).unwrap_err().to_string();
        assert_eq!(
            error("search a\n\nserach b"),
            "depmod configuration: line 3: \"serach\" is no command: search, override, exclude"
        );
        assert!(error("override x *").contains("line 1: override takes"));
        assert!(error("override x 6.* extras").ends_with("is not supported"));
        assert!(error("external * /opt").contains("line 1: external"));
        let config = Config::parse("exclude kunit tests").unwrap();
        assert!(config.excludes("tests") && config.excludes("build") && !config.excludes("test"));
    }
}
