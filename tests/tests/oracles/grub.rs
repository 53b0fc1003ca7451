//! GRUB core images beside those of `grub-mkimage`, and in an ISO as `xorriso` places them.

use super::*;
use image_core::{
    formats::grub::{
        Contents, Directory, Platform, cd_image, cd_image_at, disk_image, efi_image,
        hybrid_boot_record, read,
    },
    talos,
};

/// What is asked for in Talos's own core images, and a configuration.
fn contents<'a>(modules: &'a [&'a str]) -> Contents<'a> {
    let config = Some("set timeout=0\necho hello\n");
    Contents { modules, prefix: talos::grub::DISK.prefix, config }
}

/// `grub-mkimage` always writes this day, 2015-01-01.
const TIMESTAMP: u32 = 0x54a4_8e00;

fn files(platform: Platform) -> PathBuf {
    part(&format!("grub/{platform}"))
}

fn directory(platform: Platform) -> Directory {
    let mut tree = Tree::new();
    for entry in fs::read_dir(files(platform)).unwrap() {
        let file = entry.unwrap().path();
        if file.is_file() {
            let name = file.file_name().unwrap().to_str().unwrap();
            tree.insert(path(name), Node::file(Blob::open(&file).unwrap(), 0o644));
        }
    }
    Directory::read(&tree, &TreePath::ROOT, platform).unwrap()
}

/// The image that `grub-mkimage` makes of `contents` for its own platform name.
fn theirs(platform: Platform, name: &str, contents: &Contents<'_>, dir: &Path) -> PathBuf {
    let (config, image) = (dir.join("config"), dir.join(format!("{name}.theirs")));
    fs::write(&config, contents.config.unwrap()).unwrap();
    let mut command = Command::new("grub-mkimage");
    command.args(["-O", name, "-p", contents.prefix, "-d"]).arg(files(platform));
    command.arg("-c").arg(config).arg("-o").arg(&image).args(contents.modules);
    finish(&mut command);
    image
}

/// What the loader at `offset` unpacks, by Python's LZMA.
fn unpacked(file: &Path, offset: usize) -> Vec<u8> {
    const SCRIPT: &str = "
import lzma, struct, sys
loader = open(sys.argv[1], 'rb').read()[int(sys.argv[2]):]
start = struct.unpack_from('<I', loader, loader.index(b'\\xbf\\0\\0\\x10\\0\\xbe') + 6)[0] - 0x8200
options = {'id': lzma.FILTER_LZMA1, 'lc': 3, 'lp': 0, 'pb': 2, 'dict_size': 1 << 16}
decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options])
length = struct.unpack_from('<I', loader, 12)[0]
sys.stdout.buffer.write(decompressor.decompress(loader[start:], length))
";
    let arguments = ["-c".as_ref(), SCRIPT.as_ref(), file.as_os_str()];
    let offset = offset.to_string();
    tool("/usr/bin/python3", &[&arguments[..], &[offset.as_ref()]].concat()).stdout
}

#[test]
fn bios_core_images_unpack_to_what_grub_mkimage_packs() {
    let dir = tempfile::tempdir().unwrap();
    let modules = talos::grub::DISK.modules(Platform::I386Pc);
    let contents = contents(&modules);
    let directory = directory(Platform::I386Pc);
    let made = [
        ("i386-pc", disk_image(&directory, &contents).unwrap(), 512),
        ("i386-pc-eltorito", cd_image(&directory, &contents).unwrap(), 2048 + 512),
    ];
    for (name, image, loader) in made {
        let theirs = theirs(Platform::I386Pc, name, &contents, dir.path());
        let ours = dir.path().join(name);
        image.persist(&ours, &mut |_| ()).unwrap();
        assert!(unpacked(&ours, loader) == unpacked(&theirs, loader), "{name}: other content");
        assert_eq!(read(&image).unwrap(), read(&Blob::open(&theirs).unwrap()).unwrap());
        // Apart from lengths, which depend on the compressor, the code before is the same.
        let code = |file: &Path| {
            let mut code = fs::read(file).unwrap();
            code.truncate(loader + 2048);
            code[loader - 4..loader - 2].fill(0);
            code[loader + 8..loader + 12].fill(0);
            code
        };
        assert!(code(&ours) == code(&theirs), "{name}: other code");
        let [ours, theirs] = [&ours, &theirs].map(|file| fs::metadata(file).unwrap().len());
        // It is compressed in less time.
        assert!(ours <= theirs + theirs / 10, "{name}: {ours} bytes, grub-mkimage {theirs}");
    }
}

#[test]
fn uefi_core_images_are_grub_mkimage_s() {
    let dir = tempfile::tempdir().unwrap();
    for platform in [Platform::X86_64Efi, Platform::Arm64Efi] {
        let modules = talos::grub::DISK.modules(platform);
        let contents = contents(&modules);
        let image = efi_image(&directory(platform), &contents, None, TIMESTAMP).unwrap();
        let theirs = theirs(platform, platform.name(), &contents, dir.path());
        let mut theirs = fs::read(theirs).unwrap();
        // The program for DOS, which ours has not.
        theirs[2..0x3c].fill(0);
        theirs[0x40..0x80].fill(0);
        assert!(image.to_vec(1 << 24).unwrap() == theirs, "{platform}: other bytes");
    }
}

#[test]
fn xorriso_places_a_core_image_as_we_do() {
    let dir = tempfile::tempdir().unwrap();
    let modules = ["biosdisk", "iso9660", "normal"];
    let contents = Contents { modules: &modules, prefix: "/boot/grub", config: None };
    let directory = directory(Platform::I386Pc);
    let image = cd_image(&directory, &contents).unwrap();
    let (root, iso) = (dir.path().join("root"), dir.path().join("iso"));
    fs::create_dir_all(&root).unwrap();
    image.persist(&root.join("core"), &mut |_| ()).unwrap();
    let mut command = Command::new("xorriso");
    command.args(["-as", "mkisofs", "-quiet", "-b", "core", "-no-emul-boot", "-boot-info-table"]);
    command.args(["-boot-load-size", "4", "--grub2-boot-info", "--grub2-mbr"]);
    command.arg(files(Platform::I386Pc).join("boot_hybrid.img")).arg("-o").arg(&iso).arg(&root);
    finish(&mut command);

    let arguments = ["-indev", iso.to_str().unwrap(), "-report_el_torito", "plain"];
    let said = text("xorriso", &arguments);
    let line = said.lines().find(|line| line.starts_with("El Torito boot img :")).unwrap();
    let block: u32 = line.split_whitespace().last().unwrap().parse().unwrap();
    let iso = Blob::open(&iso).unwrap();
    let placed = cd_image_at(&image, block).unwrap();
    let start = u64::from(block) * 2048;
    let theirs = iso.slice(start..start + placed.len());
    assert_eq!(placed.digest().unwrap(), theirs.digest().unwrap());
    let record: [u8; 512] = iso.array(0).unwrap();
    let mut blank = record;
    blank[..0x1b8].fill(0);
    assert_eq!(hybrid_boot_record(&directory, block, &blank).unwrap(), record);
}
