//! Damaged media, inspected and taken apart.

use super::*;

#[test]
fn damaged_media_are_told_of_and_never_panic() {
    let rig = Rig::new();
    let extension = "--system-extension-image siderolabs/intel-ucode:20251111";
    // A linear congruence (Knuth): the same bytes are damaged in every run.
    let mut seed = 1u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for (kind, line) in [
        ("iso", format!("build iso {extension}")),
        ("uki", format!("build metal-uki {extension}")),
        ("disk", format!("build metal {extension}")),
        ("qcow2", format!("build metal --disk-format qcow2 {extension}")),
        (
            "packed qcow2",
            format!(
                "build metal --disk-format qcow2 --disk-format-options compression_type=zstd \
                 {extension}"
            ),
        ),
        ("vhd", format!("build metal --disk-format vhd {extension}")),
        ("ova", format!("build metal --disk-format ova {extension}")),
        ("initramfs", format!("build iso --output-kind initramfs {extension}")),
        ("kernel", "build iso --output-kind kernel".to_owned()),
        ("cmdline", "build iso --output-kind cmdline".to_owned()),
    ] {
        let (name, len) = rig.built(&line);
        let file = rig.out().join(&name);
        let look = |what: &dyn Debug| {
            for command in ["inspect", "extract"] {
                if matches!((kind, command), ("disk" | "vhd", "inspect")) {
                    // It would hash gibibytes of zeros.
                    continue;
                }
                let output =
                    rig.in_shell("ulimit -v 524288", &format!("{command} {{dir}}/out/{name}"));
                let code = output.status.code();
                let said = || format!("{kind} {what:?} {command}: {output:?}");
                assert!(matches!(code, Some(0 | 2 | 3)), "{}", said());
                let named = refusal(&output).contains(&format!("{name}: "));
                assert!(code == Some(0) || named, "{}", said());
            }
        };
        let medium = fs::File::options().read(true).write(true).open(&file).unwrap();
        for round in 0..12 {
            let mut changed = BTreeMap::new();
            for _ in 0..8 {
                // Headers stand in front; so does all that has content.
                let at = random(len.min([1 << 12, 1 << 16, 1 << 22][round % 3]));
                let mut byte = [0];
                medium.read_exact_at(&mut byte, at).unwrap();
                changed.entry(at).or_insert(byte[0]);
                byte[0] ^= 1 << random(8);
                medium.write_all_at(&byte, at).unwrap();
            }
            look(&changed.keys());
            for (at, byte) in changed {
                medium.write_all_at(&[byte], at).unwrap();
            }
        }
        for cut in [len - 1, len / 2, len / 3, 32769, 2048, 512, 511, 1, 0] {
            if cut < len {
                medium.set_len(cut).unwrap();
                look(&cut);
            }
        }
    }
}
