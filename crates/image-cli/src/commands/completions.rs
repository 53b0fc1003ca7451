//! `talos-image completions`

use crate::cli::{Cli, Completions};
use clap::CommandFactory;
use std::io::{self, Write};

/// Prints the script of a shell.
pub(crate) fn run(args: &Completions) -> anyhow::Result<()> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    Ok(io::stdout().write_all(&script)?)
}
