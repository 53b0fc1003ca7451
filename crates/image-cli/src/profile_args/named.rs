//! Texts as they are named: by a file, by `-` for stdin, a profile also by a base profile's name.

use super::input_error;
use anyhow::Context;
use image_core::{error::Error, talos::Profile};
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

/// Bytes a text may have. One with a machine configuration inside has some kilobytes.
const LIMIT: u64 = 4 << 20;

/// A base profile, or the content of a file or of stdin.
pub(super) fn profile(name: &str) -> anyhow::Result<Profile> {
    let path = Path::new(name);
    let is_file = path.extension().is_some_and(|it| it == "yaml" || it == "yml")
        || path.components().count() > 1;
    if !is_file && name != "-" {
        // Asked for now so that a mistyped name is told of before anything else.
        if let Err(error) = Profile::base(name) {
            let file =
                if path.is_file() { format!("; the file is ./{name}") } else { String::new() };
            return Err(input_error(format!("{error}{file}")).into());
        }
        return Ok(Profile { base_profile_name: name.to_owned(), ..Profile::default() });
    }
    let (name, text) = text(path)?;
    Profile::from_yaml(&text).map_err(Error::from).context(name)
}

/// What the file at `path` is called in messages, and its content; `-` is stdin.
pub(super) fn text(path: &Path) -> anyhow::Result<(String, String)> {
    /// Whether stdin was read: it holds one text.
    static READ: AtomicBool = AtomicBool::new(false);

    let (name, text) = if path == Path::new("-") {
        if READ.swap(true, Ordering::Relaxed) {
            let what = "stdin (-) is named twice, and holds one text: write the other to a file";
            return Err(input_error(what.to_owned()).into());
        }
        ("stdin".to_owned(), read(io::stdin().lock()))
    } else {
        (
            path.display().to_string(),
            File::open(path).map_err(Error::from).map_err(Into::into).and_then(read),
        )
    };
    Ok((name.clone(), text.context(name)?))
}

fn read(from: impl Read) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    from.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        let what = format!("more than {LIMIT} bytes, which no such text has");
        return Err(input_error(what).into());
    }
    // What of it is no text is not shown: there may be secrets in it.
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        input_error(format!("no UTF-8 text at byte {at}: save it as UTF-8")).into()
    })
}
