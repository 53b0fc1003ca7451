//! `talos-image man`

use super::write;
use crate::{
    cli::{Cli, Man},
    render::{Render, What},
};
use clap::{Command, CommandFactory};
use image_core::blob::Blob;

/// What stands at the foot of every page.
const SOURCE: &str = concat!("talos-image ", env!("CARGO_PKG_VERSION"));

/// Writes the page of the command itself and one for each of its commands.
pub(crate) fn run(args: &Man, render: &dyn Render) -> anyhow::Result<()> {
    write::directory(&args.dir)?;
    let mut command = Cli::command();
    command.build();
    pages(&command, args, render)
}

/// The page of a command, and those of its commands.
fn pages(command: &Command, args: &Man, render: &dyn Render) -> anyhow::Result<()> {
    page(command, args, render)?;
    command.get_subcommands().try_for_each(|command| pages(command, args, render))
}

fn page(command: &Command, args: &Man, render: &dyn Render) -> anyhow::Result<()> {
    let man = clap_mangen::Man::new(command.clone()).source(SOURCE);
    let name = man.get_filename();
    let mut text = Vec::new();
    man.render(&mut text)?;
    write::file(&Blob::from(text), &name, What::Page(&args.dir.join(&name)), render)?;
    Ok(())
}
