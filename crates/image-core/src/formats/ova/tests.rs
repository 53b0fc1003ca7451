use super::*;

const APPLIANCE: Appliance<'static> = Appliance {
    name: "node",
    product: "A node",
    properties: &[Property { key: "node.config", label: "Configuration", description: "\"<&>\"" }],
    os: (101, "other3xLinux64Guest"),
    hardware: "vmx-15",
    uefi: false,
    cpus: 2,
    memory_mib: 2048,
    network: "VM Network",
    settings: &[("nvram", "node.nvram"), ("disk.EnableUUID", "true")],
};

fn packed(disk: &Blob, appliance: &Appliance<'_>) -> Blob {
    let package =
        Package { name: "disk", disk, capacity: 5 << 20, appliance, epoch: 1_700_000_000 };
    archive(&package).unwrap()
}

fn members(archive: &Blob) -> Vec<(String, Blob)> {
    let mut reader = tar::Reader::over(archive);
    let mut members = Vec::new();
    while let Some(member) = reader.next_member().unwrap() {
        let content = archive.slice(member.offset..member.offset + member.size);
        members.push((member.path, content));
    }
    members
}

fn text(blob: &Blob) -> String {
    String::from_utf8(blob.to_vec(1 << 20).unwrap()).unwrap()
}

#[test]
fn descriptor_manifest_and_disk_come_in_the_order_of_the_specification() {
    let disk_file = Blob::concat(["KDMV".into(), Blob::zeros(700)]);
    let made = packed(&disk_file, &APPLIANCE);
    assert_eq!(made.len() % 512, 0);
    assert!(is_archive(&made.slice(0..1024).to_vec(1024).unwrap()));
    assert_eq!(disk(&made).unwrap().digest().unwrap(), disk_file.digest().unwrap());
    let members = members(&made);
    let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["disk.ovf", "disk.mf", "disk.vmdk"]);
    let hex = |nth: usize| members[nth].1.digest().unwrap().hex();
    let manifest = format!("SHA256(disk.ovf)= {}\nSHA256(disk.vmdk)= {}\n", hex(0), hex(2));
    assert_eq!(text(&members[1].1), manifest);
}

#[test]
fn the_descriptor_names_disk_machine_and_settings() {
    let disk = Blob::zeros(1024);
    let of = |appliance: &Appliance<'_>| text(&members(&packed(&disk, appliance))[0].1);
    let bios = of(&APPLIANCE);
    let golden = include_str!("../../../tests/golden/appliance.ovf");
    assert!(bios == golden, "{bios}");
    let uefi = of(&Appliance { uefi: true, ..APPLIANCE });
    assert!(uefi.contains("vmw:key=\"firmware\" vmw:value=\"efi\""), "{uefi}");
}

#[test]
fn what_has_no_form_is_refused() {
    let refused = |name: &str, len| {
        let disk = Blob::zeros(len);
        let package = Package { name, disk: &disk, capacity: 512, appliance: &APPLIANCE, epoch: 0 };
        archive(&package).unwrap_err().to_string()
    };
    let expected = "OVA: the name \"a/b\": it can have up to 95 of A-Z a-z 0-9 - _ .";
    assert_eq!(refused("a/b", 1), expected);
    assert!(disk(&Blob::zeros(1024)).unwrap_err().to_string().contains("without a .vmdk"));
    assert_eq!(
        header("disk.vmdk", 8 << 30, 0).unwrap_err().to_string(),
        "OVA: disk.vmdk needs 8589934592 bytes, there is room for 8589934591: 1 too many"
    );
}
