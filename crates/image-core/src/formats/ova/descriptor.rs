//! The OVF descriptor: XML that says which machine the disk belongs to.

use serde::Serialize;
use std::fmt::Write;

/// A virtual machine with one disk and one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Appliance<'a> {
    /// The machine's name.
    pub name: &'a str,
    /// What the product is.
    pub product: &'a str,
    /// What can be set when it is deployed.
    pub properties: &'a [Property<'a>],
    /// The operating system: its number by `CIM_OperatingSystem.OsType`, and VMware's name.
    pub os: (u16, &'a str),
    /// VMware's virtual hardware, such as `vmx-15`.
    pub hardware: &'a str,
    /// Whether UEFI starts it; the default of the hardware is a BIOS.
    pub uefi: bool,
    /// Processors.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The name of the network.
    pub network: &'a str,
    /// VMware's further settings, by name (`vmw:ExtraConfig`).
    pub settings: &'a [(&'a str, &'a str)],
}

/// Text that can be given when the machine is deployed (section 9.5), passed through VMware's
/// guest information.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Property<'a> {
    /// Its name.
    pub key: &'a str,
    /// What it is called in a form.
    pub label: &'a str,
    /// What it does.
    pub description: &'a str,
}

/// Resource types of the virtual hardware (DSP0004, `CIM_ResourceAllocationSettingData`).
const OTHER: u16 = 1;
const PROCESSOR: u16 = 3;
const MEMORY: u16 = 4;
const SCSI_CONTROLLER: u16 = 6;
const ETHERNET: u16 = 10;
const DISK: u16 = 17;
const GRAPHICS: u16 = 24;

/// VMware's settings of each machine, none of which must be known.
const CONFIG: [(&str, &str); 7] = [
    ("powerOpInfo.suspendType", "soft"),
    ("tools.afterPowerOn", "true"),
    ("tools.afterResume", "true"),
    ("tools.beforeGuestShutdown", "true"),
    ("tools.beforeGuestStandby", "true"),
    ("tools.syncTimeWithHost", "false"),
    ("tools.toolsUpgradePolicy", "manual"),
];

/// And of its network card.
const CARD_CONFIG: [(&str, &str); 3] = [
    ("connectable.allowGuestControl", "false"),
    ("slotInfo.pciSlotNumber", "32"),
    ("wakeOnLanEnabled", "false"),
];

/// The descriptor of `machine` with the disk `file` of `size` bytes, of which a guest sees
/// `capacity`.
pub(super) fn descriptor(file: &str, size: u64, capacity: u64, machine: &Appliance<'_>) -> String {
    let mut xml = Xml::new();
    xml.open(
        "Envelope",
        &[
            ("xmlns", "http://schemas.dmtf.org/ovf/envelope/1"),
            ("xmlns:ovf", "http://schemas.dmtf.org/ovf/envelope/1"),
            (
                "xmlns:rasd",
                "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData",
            ),
            (
                "xmlns:vssd",
                "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData",
            ),
            ("xmlns:vmw", "http://www.vmware.com/schema/ovf"),
        ],
    );
    xml.open("References", &[]);
    let size = size.to_string();
    xml.empty("File", &[("ovf:href", file), ("ovf:id", "file1"), ("ovf:size", &size)]);
    xml.close();
    disks(&mut xml, capacity);
    xml.open("NetworkSection", &[]);
    xml.text("Info", "Networks");
    xml.open("Network", &[("ovf:name", machine.network)]);
    xml.text("Description", machine.network);
    xml.close();
    xml.close();
    xml.open("VirtualSystem", &[("ovf:id", "vm")]);
    xml.text("Info", "A virtual machine");
    xml.text("Name", machine.name);
    product(&mut xml, machine);
    let (os, os_name) = machine.os;
    xml.open("OperatingSystemSection", &[("ovf:id", &os.to_string()), ("vmw:osType", os_name)]);
    xml.text("Info", "The operating system");
    xml.close();
    hardware(&mut xml, machine);
    xml.close();
    xml.close();
    xml.done
}

/// Section 9.1.
fn disks(xml: &mut Xml, capacity: u64) {
    const MIB: u64 = 1 << 20;
    xml.open("DiskSection", &[]);
    xml.text("Info", "Virtual disks");
    let (capacity, unit) = match capacity % MIB {
        0 => (capacity / MIB, "byte * 2^20"),
        _ => (capacity, "byte"),
    };
    xml.empty(
        "Disk",
        &[
            ("ovf:capacity", &capacity.to_string()),
            ("ovf:capacityAllocationUnits", unit),
            ("ovf:diskId", "disk1"),
            ("ovf:fileRef", "file1"),
            (
                "ovf:format",
                "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized",
            ),
        ],
    );
    xml.close();
}

/// Section 9.5.
fn product(xml: &mut Xml, machine: &Appliance<'_>) {
    xml.open("ProductSection", &[("ovf:required", "false")]);
    xml.text("Info", machine.product);
    for Property { key, label, description } in machine.properties {
        let attributes = [
            ("ovf:key", *key),
            ("ovf:type", "string"),
            ("ovf:userConfigurable", "true"),
            ("ovf:value", ""),
        ];
        xml.open("Property", &attributes);
        xml.text("Label", label);
        xml.text("Description", description);
        xml.close();
    }
    xml.close();
}

/// Section 8.
fn hardware(xml: &mut Xml, machine: &Appliance<'_>) {
    xml.open("VirtualHardwareSection", &[("ovf:transport", "com.vmware.guestInfo")]);
    xml.text("Info", "Virtual hardware");
    xml.open("System", &[]);
    xml.text("vssd:ElementName", "Virtual Hardware Family");
    xml.text("vssd:InstanceID", "0");
    xml.text("vssd:VirtualSystemIdentifier", machine.name);
    xml.text("vssd:VirtualSystemType", machine.hardware);
    xml.close();
    let cpus = machine.cpus.to_string();
    let memory = machine.memory_mib.to_string();
    let settings = |fields: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        fields.iter().map(|&(name, value)| (name, value.to_owned())).collect()
    };
    item(
        xml,
        (PROCESSOR, 1, &format!("{cpus} virtual CPU(s)")),
        settings(&[
            ("AllocationUnits", "hertz * 10^6"),
            ("Description", "Number of Virtual CPUs"),
            ("VirtualQuantity", &cpus),
        ]),
        &[],
    );
    item(
        xml,
        (MEMORY, 2, &format!("{memory}MB of memory")),
        settings(&[
            ("AllocationUnits", "byte * 2^20"),
            ("Description", "Memory Size"),
            ("VirtualQuantity", &memory),
        ]),
        &[],
    );
    item(
        xml,
        (SCSI_CONTROLLER, 3, "scsiController0"),
        settings(&[
            ("Address", "0"),
            ("Description", "SCSI Controller"),
            ("ResourceSubType", "VirtualSCSI"),
        ]),
        &[],
    );
    item(
        xml,
        (DISK, 4, "disk0"),
        settings(&[("AddressOnParent", "0"), ("HostResource", "ovf:/disk/disk1"), ("Parent", "3")]),
        &[],
    );
    item(
        xml,
        (ETHERNET, 5, "ethernet0"),
        settings(&[
            ("AddressOnParent", "2"),
            ("AutomaticAllocation", "true"),
            ("Connection", machine.network),
            ("Description", &format!("VmxNet3 ethernet adapter on \"{}\"", machine.network)),
            ("ResourceSubType", "VmxNet3"),
        ]),
        &CARD_CONFIG,
    );
    item(xml, (GRAPHICS, 6, "video"), settings(&[("AutomaticAllocation", "false")]), &[]);
    item(
        xml,
        (OTHER, 7, "vmci"),
        settings(&[("AutomaticAllocation", "false"), ("ResourceSubType", "vmware.vmci")]),
        &[],
    );
    if machine.uefi {
        config(xml, "vmw:Config", "firmware", "efi");
    }
    for (key, value) in CONFIG {
        config(xml, "vmw:Config", key, value);
    }
    for (key, value) in machine.settings {
        config(xml, "vmw:ExtraConfig", key, value);
    }
    xml.close();
}

/// A piece of hardware: its type, its number, its name, and more. The fields of
/// `RASD_Type` come in the order of their names, as its schema has them.
fn item(
    xml: &mut Xml,
    (kind, number, name): (u16, u32, &str),
    mut fields: Vec<(&'static str, String)>,
    settings: &[(&str, &str)],
) {
    // Without either the machine runs as well.
    let optional = matches!(kind, GRAPHICS | OTHER);
    let attributes: &[_] = if optional { &[("ovf:required", "false")] } else { &[] };
    xml.open("Item", attributes);
    fields.push(("ElementName", name.to_owned()));
    fields.push(("InstanceID", number.to_string()));
    fields.push(("ResourceType", kind.to_string()));
    fields.sort_unstable();
    for (field, value) in &fields {
        xml.text(&format!("rasd:{field}"), value);
    }
    for (key, value) in settings {
        config(xml, "vmw:Config", key, value);
    }
    xml.close();
}

fn config(xml: &mut Xml, element: &str, key: &str, value: &str) {
    let attributes = [("ovf:required", "false"), ("vmw:key", key), ("vmw:value", value)];
    xml.empty(element, &attributes);
}

/// XML as it is written.
struct Xml {
    done: String,
    open: Vec<String>,
}

impl Xml {
    fn new() -> Self {
        let done = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
        Self { done, open: Vec::new() }
    }

    /// A new line with an element's start, as far as the bracket that closes it.
    fn start(&mut self, element: &str, attributes: &[(&str, &str)]) {
        let indent = self.open.len() * 2;
        // Writing to a String cannot fail.
        let _ = write!(self.done, "{:indent$}<{element}", "");
        for (name, value) in attributes {
            let _ = write!(self.done, " {name}=\"{}\"", escaped(value));
        }
    }

    fn open(&mut self, element: &str, attributes: &[(&str, &str)]) {
        self.start(element, attributes);
        self.done.push_str(">\n");
        self.open.push(element.to_owned());
    }

    fn close(&mut self) {
        let element = self.open.pop().unwrap_or_default();
        let indent = self.open.len() * 2;
        let _ = writeln!(self.done, "{:indent$}</{element}>", "");
    }

    fn empty(&mut self, element: &str, attributes: &[(&str, &str)]) {
        self.start(element, attributes);
        self.done.push_str("/>\n");
    }

    fn text(&mut self, element: &str, text: &str) {
        self.start(element, &[]);
        let _ = writeln!(self.done, ">{}</{element}>", escaped(text));
    }
}

/// XML 1.0 section 2.4; control characters have no form there.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            letter if letter.is_control() => {}
            letter => escaped.push(letter),
        }
    }
    escaped
}
