//! `talos-image extract`

use super::write;
use crate::{
    cli::Extract,
    render::{Render, What},
};
use anyhow::Context;
use image_core::{
    blob::{Blob, Scratch},
    error::{Error, ErrorKind},
    events::Event,
    examine::{self, Part, Parts},
    nearest::nearest,
    tree::TreePath,
};

/// Lists the parts of a medium, or writes the chosen ones down.
pub(crate) fn run(args: &Extract, render: &dyn Render) -> anyhow::Result<()> {
    let medium = || args.file.display().to_string();
    let file = Blob::open(&args.file).map_err(Error::from)?;
    let scratch = Scratch::new(std::env::temp_dir());
    let Parts { parts, flaws, .. } = examine::parts(&file, &scratch).with_context(medium)?;
    for message in &flaws {
        render.on(&Event::Warning { subject: &medium(), message });
    }
    if args.parts.is_empty() && !args.all {
        return Ok(render.parts(&parts)?);
    }
    let chosen = choose(&parts, args).with_context(medium)?;
    if args.stdout {
        return match chosen[..] {
            [part] => Ok(write::stdout(&part.blob, render)?),
            _ => {
                Err(input(format!("--stdout takes one part, {} were chosen", chosen.len())).into())
            }
        };
    }
    // Every name is seen to stay inside the directory before the first file is written.
    let paths = chosen
        .iter()
        .map(|part| TreePath::new(&part.name).map_err(|error| input(error.to_string())))
        .collect::<Result<Vec<_>, _>>()
        .with_context(medium)?;
    for (part, path) in chosen.into_iter().zip(paths) {
        let path = args.output.join(path.as_str());
        let _made = write::directory(path.parent().unwrap_or(&args.output))?;
        write::file(&part.blob, &part.name, What::Part(&path), render)?;
    }
    Ok(())
}

/// The parts that were asked for, in the medium's order, each once.
fn choose<'a>(parts: &'a [Part], args: &Extract) -> Result<Vec<&'a Part>, Error> {
    for asked in &args.parts {
        if !parts.iter().any(|part| names(asked, part)) {
            let all = parts.iter().map(|part| part.name.as_str());
            return Err(input(match nearest(asked, all) {
                Some(meant) => format!("there is no part {asked:?}: did you mean {meant:?}?"),
                None => format!("there is no part {asked:?}: without one, extract lists them"),
            }));
        }
    }
    let is_asked = |part: &&Part| args.all || args.parts.iter().any(|asked| names(asked, part));
    Ok(parts.iter().filter(is_asked).collect())
}

/// Whether `asked` is the part, or a directory it stands in.
fn names(asked: &str, part: &Part) -> bool {
    let asked = asked.trim_end_matches('/');
    part.name.strip_prefix(asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn input(what: String) -> Error {
    Error::new(ErrorKind::Input, what)
}
