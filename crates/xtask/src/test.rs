//! `cargo xtask test`: everything, on real parts, against foreign tools.

use crate::{cargo, parts, step, talos_image, tools};
use anyhow::{Context as _, Result};
use std::env;
use system_tests::{COMMAND_VARIABLE, PARTS_VARIABLE};

pub(crate) fn run() -> Result<()> {
    let say = |line: &str| println!("test: {line}");
    tools::ensure(&say)?;
    let parts = parts::get(&say).context("the tests need real boot parts")?;
    // The tests run whatever the lints say: their result is what the last lines are for.
    let format = step(cargo().args(["fmt", "--all", "--check"]));
    let lints =
        step(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    let documentation = step(
        cargo()
            .args(["doc", "--quiet", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    );
    let command = talos_image()?;

    let mut path = vec![parts.join("bin")];
    path.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    // An ordinary user's PATH lacks these; mkfs and sgdisk lie there.
    path.extend(["/usr/sbin", "/sbin"].map(Into::into));
    let tests = step(
        cargo()
            .args(["test", "--workspace", "--no-fail-fast"])
            .env("PATH", env::join_paths(path)?)
            .env(PARTS_VARIABLE, parts)
            .env(COMMAND_VARIABLE, command),
    );
    format.and(lints).and(documentation).and(tests)
}
