//! The `talos-image` command: a thin hull over `image-core`.

mod cli;
mod commands;
mod exit;
mod profile_args;
mod render;
mod signing;

use clap::{Parser, error::ErrorKind};
use cli::{Cli, Command};
use exit::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return unread(&error),
    };
    let render = render::new(cli.global);
    let done = match cli.command {
        Command::Build(args) => commands::build::run(&args, cli.global, &*render),
        Command::Profile(args) => commands::profile::run(&args, &*render),
        Command::Schematic(args) => commands::schematic::run(&args, &*render),
        Command::Extensions(args) => commands::extensions::run(&args, &*render),
        Command::Inspect(args) => commands::inspect::run(&args, &*render),
        Command::Verify(args) => commands::verify::run(&args, &*render),
        Command::Extract(args) => commands::extract::run(&args, &*render),
        Command::Keys(args) => commands::keys::run(&args, &*render),
        Command::Completions(args) => commands::completions::run(&args),
        Command::Man(args) => commands::man::run(&args, &*render),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if exit::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = Failure::from(&error);
            render.failure(&failure);
            failure.exit()
        }
    }
}

/// Answers what clap stopped at: help and version were asked for, all else is a mistake.
fn unread(error: &clap::Error) -> ExitCode {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    match error.kind() {
        DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(if error.use_stderr() { 2 } else { 0 })
        }
        _ => {
            let failure = Failure::from(error);
            render::of_arguments().failure(&failure);
            failure.exit()
        }
    }
}
