//! `talos-image schematic`

use crate::{cli::Schematic, profile_args::schematic, render::Render};

/// Names a schematic, or says what it does.
pub(crate) fn run(args: &Schematic, render: &dyn Render) -> anyhow::Result<()> {
    match args {
        Schematic::Id(args) => {
            let (_, schematic) = schematic::read(&args.file)?;
            Ok(render.schematic_id(&args.file, &schematic.id())?)
        }
        Schematic::Show(args) => {
            let (_, schematic) = schematic::read(&args.file)?;
            Ok(render.schematic(&args.file, &schematic)?)
        }
    }
}
