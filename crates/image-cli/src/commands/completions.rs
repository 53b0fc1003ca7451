//! `talos-image completions`

use crate::cli::{Cli, Completions};
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::{self, Write};

/// Prints the script of a shell.
pub(crate) fn run(args: &Completions) -> anyhow::Result<()> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    if args.shell == Shell::Bash {
        script = one_spelling(&script);
    }
    Ok(io::stdout().write_all(&script)?)
}

/// `clap_complete` (to 4.6 at least) spells a name with a hyphen in two ways, one where its script
/// finds out which command is completed and one where it answers: bash offers nothing then.
fn one_spelling(script: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(script);
    text.replace("talos__subcmd__image", "talos__image").into_bytes()
}
