//! The base profiles, as they are.

use crate::measured::{Planned, key};
use image_core::{
    blob::Scratch,
    examine,
    plan::Output,
    talos::{Arch, Profile},
};

/// All are planned, for both architectures; the disks of virtual machines are
/// made, and open again.
#[test]
fn every_base_profile_has_its_medium() {
    let key = key();
    let mut made = Vec::new();
    for base in Profile::base_names() {
        for arch in Arch::ALL {
            let request = format!(
                "baseProfileName: {base}\narch: {arch}\nversion: v1.11.0\noutput: {{outFormat: raw}}"
            );
            let planned = Planned::new(&request, &key).unwrap();
            assert_eq!(planned.plan.warnings, [""; 0], "{base}");
            let Output::Disk(disk) = &planned.plan.output else { continue };
            if disk.format.is_raw() {
                continue;
            }
            let scratch = tempfile::tempdir().unwrap();
            let scratch = Scratch::new(scratch.path());
            let medium = planned.build(&key, Some(&key), &scratch).unwrap();
            let parts = examine::parts(&medium, &scratch).unwrap();
            assert_eq!(parts.flaws, [""; 0], "{base}");
            for name in ["kernel", "initramfs", "partitions/EFI", "partitions/META"] {
                assert!(parts.parts.iter().any(|part| part.name == name), "{base}: {name}");
            }
            if arch == Arch::Amd64 {
                made.push(planned.plan.file_name);
            }
        }
    }
    let expected = [
        "alibabacloud-amd64.qcow2",
        "azure-amd64.vhd",
        "exoscale-amd64.qcow2",
        "oracle-amd64.qcow2",
        "azure-amd64-secureboot.vhd",
        "vmware-amd64-secureboot.ova",
        "vmware-amd64.ova",
    ];
    assert_eq!(made, expected);
}
