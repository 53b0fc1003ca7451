//! The profiles of a unified kernel image: what systemd-boot's menu offers besides a plain start.

use super::{Quirk, TalosVersion, profile::OutputKind};
use crate::formats::cmdline::Cmdline;

/// The identifier of the plain start, which comes first.
pub const MAIN: &str = "main";

/// A further entry of the menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MenuEntry {
    /// `ID=` of its profile.
    pub id: &'static str,
    /// `TITLE=` of its profile.
    pub title: &'static str,
    /// What its command line has after the plain start's.
    argument: &'static str,
}

impl MenuEntry {
    /// Its `.cmdline` section, where the plain start has `cmdline`.
    pub fn cmdline(self, cmdline: &Cmdline) -> String {
        format!("{cmdline} {}", self.argument)
    }
}

/// The further entries on media of this kind and version. None at all, not even [`MAIN`], where
/// the version has no profiles ([`Quirk::UkiProfiles`]).
pub fn entries(kind: OutputKind, version: &TalosVersion) -> &'static [MenuEntry] {
    const RESET: MenuEntry = MenuEntry {
        id: "reset",
        title: "Reset system disk",
        argument: "talos.experimental.wipe=system",
    };
    const RESET_MAINTENANCE: MenuEntry = MenuEntry {
        id: "reset-maintenance",
        title: "Reset to maintenance mode",
        argument: "talos.experimental.wipe=system:EPHEMERAL,STATE",
    };
    match kind {
        _ if !version.has(Quirk::UkiProfiles) => &[],
        OutputKind::Iso => &[RESET],
        OutputKind::Image | OutputKind::Installer => &[RESET_MAINTENANCE],
        OutputKind::Uki | OutputKind::Kernel | OutputKind::Initramfs | OutputKind::Cmdline => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections() {
        let version = "1.11.0".parse().unwrap();
        let [reset] = entries(OutputKind::Iso, &version) else { panic!() };
        assert_eq!((reset.id, reset.title), ("reset", "Reset system disk"));
        let cmdline = reset.cmdline(&Cmdline::parse("a b"));
        assert_eq!(cmdline, "a b talos.experimental.wipe=system");
        assert!(entries(OutputKind::Uki, &version).is_empty());
        assert!(entries(OutputKind::Iso, &"1.9.0".parse().unwrap()).is_empty());
    }
}
