//! `talos-image man`

use super::write;
use crate::{
    cli::{Cli, Man},
    render::{Render, What},
};
use clap::{Arg, Command, CommandFactory};
use image_core::blob::Blob;

/// What stands at the foot of every page.
const SOURCE: &str = concat!("talos-image ", env!("CARGO_PKG_VERSION"));

/// Writes the page of the command itself and one for each of its commands.
pub(crate) fn run(args: &Man, render: &dyn Render) -> anyhow::Result<()> {
    let _made = write::directory(&args.dir)?;
    let mut command = explained(Cli::command());
    command.build();
    pages(&command, args, render)
}

/// What is hidden from `--help` is written out here: a page takes its words from the long help
/// alone, which what is said in one line does not have.
fn explained(command: Command) -> Command {
    let args = |arg: Arg| match (arg.get_long_help(), arg.get_help().cloned()) {
        (None, Some(help)) => arg.long_help(help),
        _ => arg,
    };
    command.mut_args(args).mut_subcommands(explained)
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
