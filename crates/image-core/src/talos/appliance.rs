//! The machine that a virtual appliance puts around a disk: as small as Talos runs on.

use crate::formats::ova::{Appliance, Property};

/// The name of the files in the archive, before the dot.
pub const FILE_STEM: &str = "disk";
/// The controller that the disk is said to hang on. The machine has another, which VMware's tools
/// do not look at here.
pub const ADAPTER: &str = "lsilogic";

/// The machine. `uefi` has UEFI start it: only where nothing of the disk starts on a BIOS, since
/// an appliance that says nothing takes the hardware's default, and runs on both.
pub const fn appliance(uefi: bool) -> Appliance<'static> {
    Appliance {
        name: "talos",
        product: "Talos Virtual Appliance",
        properties: &[Property {
            key: "talos.config",
            label: "Talos config data",
            description: "Inline Talos config",
        }],
        os: (101, "other3xLinux64Guest"),
        hardware: "vmx-15",
        uefi,
        cpus: 2,
        memory_mib: 2048,
        network: "VM Network",
        settings: &[("nvram", "talos.nvram"), ("disk.EnableUUID", "true")],
    }
}
