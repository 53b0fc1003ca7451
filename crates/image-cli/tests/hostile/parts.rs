//! Boot assets that are not what they should be.

use super::*;

#[test]
fn parts_that_are_not_what_they_should_be() {
    let rig = Rig::new();
    let (amd, arm) = (pe::fake::stub(Machine::Amd64), pe::fake::stub(Machine::Arm64));
    rig.put("empty", "");
    rig.put("text", "hello\n");
    rig.put("program", amd.clone());
    rig.put("cut-program", amd[..100].to_vec());
    rig.put("arm-program", arm);
    rig.put("arm-kernel", image_core::formats::linux::fake::arm64_image("6.12"));
    rig.put("bz2", "BZh91AY&SY");
    rig.put("gzip", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]);
    rig.put("zstd", vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0]);
    let initramfs = fake::initramfs().unwrap();
    rig.put("cut-cpio", initramfs.slice(0..200));
    let mut bytes = initramfs.to_vec(1 << 20).unwrap();
    bytes[60] = b'z';
    rig.put("bad-cpio", bytes);
    // As large as you like: it is a hole.
    let mut tree = Tree::new();
    tree.insert(path("big"), Node::file(Blob::zeros(3 << 30), 0o644));
    rig.put("big", cpio::archive(&tree, 0).unwrap());
    tree.insert(path("bigger"), Node::file(Blob::zeros(3 << 30), 0o644));
    rig.put("bigger", cpio::archive(&tree, 0).unwrap());
    rig.refuses(&[
        ("build iso --kernel {dir}/empty", 2, &["kernel", "/empty"]),
        ("build iso --kernel {dir}/text", 2, &["kernel", "/text"]),
        ("build iso --kernel {dir}/program", 2, &["kernel", "/program"]),
        ("build iso --kernel {dir}/arm-kernel", 2, &["/arm-kernel", "arm64", "--arch"]),
        ("build iso --kernel {dir}", 2, &["kernel", "directory"]),
        ("build iso --kernel /dev/zero", 2, &["kernel", "/dev/zero"]),
        ("build iso --sd-stub {dir}/text", 2, &["/text", "systemd-stub"]),
        ("build iso --sd-stub {dir}/cut-program", 2, &["/cut-program"]),
        ("build iso --sd-stub {dir}/arm-program", 2, &["/arm-program", "arm64", "--arch"]),
        ("build iso --sd-boot {dir}/text", 2, &["/text", "systemd-boot"]),
        ("build iso --initramfs {dir}/empty", 2, &["initramfs", "/empty"]),
        ("build iso --initramfs {dir}/text", 2, &["initramfs", "/text"]),
        ("build iso --initramfs {dir}/bz2", 3, &["initramfs", "/bz2", "bzip2"]),
        ("build iso --initramfs {dir}/gzip", 2, &["initramfs", "/gzip"]),
        ("build iso --initramfs {dir}/zstd", 2, &["initramfs", "/zstd"]),
        ("build iso --initramfs {dir}/cut-cpio", 2, &["initramfs", "/cut-cpio"]),
        ("build iso --initramfs {dir}/bad-cpio", 2, &["initramfs", "/bad-cpio"]),
        ("build iso --splash {dir}/text", 2, &["splash", "/text", "BMP"]),
        ("build metal --initramfs {dir}/big", 7, &["EFI system partition", "too many"]),
        ("build iso --initramfs {dir}/bigger", 7, &["UKI"]),
        ("inspect {dir}/empty", 2, &["/empty"]),
        ("inspect {dir}/text", 2, &["/text"]),
        ("inspect {dir}", 6, &["directory"]),
        ("inspect /dev/zero", 6, &["/dev/zero"]),
        ("extract {dir}/text", 2, &["/text"]),
        ("extract {dir}/program", 2, &["/program"]),
    ]);
}
