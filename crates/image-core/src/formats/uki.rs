//! Unified kernel images: a UEFI stub program with a kernel, an initrd and what belongs to them
//! as further sections.
//!
//! Specification: UAPI.5 "Unified Kernel Image (UKI)"; profiles and the order of measurement as
//! systemd-stub(7) of systemd 257 has them.

use super::{
    Error, Result,
    pe::{self, NewSection},
};
use crate::blob::Blob;
use std::{collections::BTreeMap, fmt, io};

const UKI: &str = "UKI";

/// How much text a section may hold that is read as text, in bytes.
const TEXT_LIMIT: u64 = 64 << 10;

/// The sections with a meaning, in the order in which the stub measures them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// The kernel.
    Linux,
    /// `os-release` of what is booted.
    OsRelease,
    /// The kernel command line.
    Cmdline,
    /// The initrd.
    Initrd,
    /// Microcode, as an initrd that comes first.
    Ucode,
    /// A picture (BMP) shown while booting.
    Splash,
    /// A devicetree.
    Dtb,
    /// The kernel's release, as `uname -r` prints it.
    Uname,
    /// What Secure Boot revokes stubs by.
    Sbat,
    /// Signatures of the expected PCR values: of what is measured, hence not measured itself.
    PcrSignature,
    /// The public key those signatures are by.
    PcrPublicKey,
    /// Starts a profile, and describes it.
    Profile,
    /// A devicetree for some machines only; can repeat.
    DtbAuto,
    /// Hardware ids that choose among those.
    HwIds,
}

/// Sections by kind; iterates in the order of measurement.
pub type Sections = BTreeMap<Section, Blob>;

impl Section {
    /// All of them, in the order of measurement.
    pub const ALL: [Self; 14] = [
        Self::Linux,
        Self::OsRelease,
        Self::Cmdline,
        Self::Initrd,
        Self::Ucode,
        Self::Splash,
        Self::Dtb,
        Self::Uname,
        Self::Sbat,
        Self::PcrSignature,
        Self::PcrPublicKey,
        Self::Profile,
        Self::DtbAuto,
        Self::HwIds,
    ];

    /// Its name in the section table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linux => ".linux",
            Self::OsRelease => ".osrel",
            Self::Cmdline => ".cmdline",
            Self::Initrd => ".initrd",
            Self::Ucode => ".ucode",
            Self::Splash => ".splash",
            Self::Dtb => ".dtb",
            Self::Uname => ".uname",
            Self::Sbat => ".sbat",
            Self::PcrSignature => ".pcrsig",
            Self::PcrPublicKey => ".pcrpkey",
            Self::Profile => ".profile",
            Self::DtbAuto => ".dtbauto",
            Self::HwIds => ".hwids",
        }
    }

    /// The section of this name, if it has a meaning.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.name() == name)
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a unified kernel image is made of. An empty part is as an absent one, to the stub too.
#[derive(Clone, Debug)]
pub struct Uki {
    /// The UEFI program that boots the rest, systemd-stub. Its `.sbat` becomes the image's.
    pub stub: Blob,
    /// The text of `os-release`.
    pub os_release: String,
    /// The kernel command line.
    pub cmdline: String,
    /// The kernel's release.
    pub uname: Option<String>,
    /// A picture (BMP) shown while booting.
    pub splash: Option<Blob>,
    /// The public key (PEM) of PCR signatures.
    pub pcr_public_key: Option<Blob>,
    /// Signatures of PCR values, one for each of [`Contents::boots`]; or none at all.
    pub pcr_signatures: Vec<Blob>,
    /// The kernel.
    pub linux: Blob,
    /// The initrd.
    pub initrd: Blob,
    /// What the boot menu offers. The first is the default; with none, the parts above boot.
    pub profiles: Vec<Profile>,
    /// Bytes of the blocks in which something else is to share the kernel and the initrd, a power
    /// of two: they lie a multiple of it from each other in the file. 1 if nothing is.
    pub block: u64,
}

/// A variant of the image: an entry of its own in the boot menu.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// By which boot loader entries name it.
    pub id: Option<String>,
    /// How the menu calls it.
    pub title: Option<String>,
    /// The kernel command line in place of the image's.
    pub cmdline: Option<String>,
}

impl Profile {
    /// The text of its `.profile` section: lines of os-release(5), without quotes, and without a
    /// newline at the end.
    fn text(&self) -> Result<String> {
        let fields = [("ID", &self.id), ("TITLE", &self.title)];
        let mut lines = Vec::new();
        for (key, value) in fields {
            let Some(value) = value else { continue };
            if value.contains(['\n', '\r', '\0']) {
                let what = format!("profile {key} {value:?}: it has to be one line");
                return Err(Error::invalid(UKI, what));
            }
            lines.push(format!("{key}={value}"));
        }
        if lines.is_empty() {
            return Err(Error::invalid(UKI, "a profile has neither an ID nor a title"));
        }
        Ok(lines.join("\n"))
    }
}

/// Joins the parts: the stub's own sections, then those of [`Uki`] in the order of its fields,
/// then the profiles, after each its PCR signatures. `timestamp` (seconds since 1970) goes into
/// the header.
///
/// What is signed is known once the rest is: assemble without the signatures, which copies
/// nothing, read that, [predict](super::pcr::predict) its PCR 11 and assemble again.
///
/// # Errors
/// As [`pe::append_sections`]; `Invalid` if the stub has no `.sbat`, if it is an image itself,
/// if a profile cannot be written, or if there are PCR signatures and not one for each boot.
pub fn assemble(uki: &Uki, timestamp: u32) -> Result<Blob> {
    let own = pe::Image::parse(&uki.stub)?.sections;
    let known = |section: &pe::Section| Section::from_name(&section.name);
    if let Some(taken) = own.iter().filter_map(known).find(|&known| known != Section::Sbat) {
        let what = format!("the stub has a {taken} already: it is no stub but an image");
        return Err(Error::invalid(UKI, what));
    }
    if !own.iter().any(|section| known(section) == Some(Section::Sbat)) {
        return Err(Error::invalid(UKI, "the stub has no .sbat: firmware could refuse the image"));
    }

    let text = |text: &Option<String>| Blob::from(text.clone().unwrap_or_default());
    let mut sections = vec![
        (Section::OsRelease, Blob::from(uki.os_release.clone())),
        (Section::Cmdline, uki.cmdline.clone().into()),
        (Section::Uname, text(&uki.uname)),
        (Section::Splash, uki.splash.clone().unwrap_or_else(Blob::empty)),
        (Section::PcrPublicKey, uki.pcr_public_key.clone().unwrap_or_else(Blob::empty)),
        (Section::Linux, uki.linux.clone()),
        (Section::Initrd, uki.initrd.clone()),
    ];
    let boots = uki.profiles.len().max(1);
    if ![0, boots].contains(&uki.pcr_signatures.len()) {
        let count = uki.pcr_signatures.len();
        let what = format!("there are {count} PCR signatures, for {boots} boots");
        return Err(Error::invalid(UKI, what));
    }
    let mut signatures = uki.pcr_signatures.iter().cloned();
    for profile in &uki.profiles {
        sections.push((Section::Profile, profile.text()?.into()));
        sections.push((Section::Cmdline, text(&profile.cmdline)));
        sections.extend(signatures.next().map(|signature| (Section::PcrSignature, signature)));
    }
    sections.extend(signatures.map(|signature| (Section::PcrSignature, signature)));
    let sections: Vec<_> = sections
        .into_iter()
        .filter(|(_, content)| !content.is_empty())
        .map(|(section, content)| {
            let align = if section == Section::Linux { uki.block } else { 1 };
            NewSection { name: section.name(), content, align }
        })
        .collect();
    pe::append_sections(&uki.stub, &sections, timestamp)
}

/// What a UEFI program holds of the sections with a meaning.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The program, with all its sections.
    pub image: pe::Image,
    /// The sections before the first profile.
    pub base: Sections,
    /// The profiles, in the order in which boot loaders number them from 0.
    pub profiles: Vec<ProfileContents>,
}

/// A profile as it was read.
#[derive(Clone, Debug)]
pub struct ProfileContents {
    /// By which boot loader entries name it.
    pub id: Option<String>,
    /// How the menu calls it.
    pub title: Option<String>,
    /// Its sections, its `.profile` among them.
    pub sections: Sections,
}

/// Reads the sections of any UEFI program: an image, but also a stub or a boot loader, which
/// [`Contents::is_uki`] tells apart. Where a section repeats, the first counts, as for the stub.
///
/// # Errors
/// As [`pe::Image::parse`]; `Corrupt` if a `.profile` is no text.
pub fn read(file: &Blob) -> Result<Contents> {
    let image = pe::Image::parse(file)?;
    let mut base = Sections::new();
    let mut profiles: Vec<ProfileContents> = Vec::new();
    for row in &image.sections {
        let Some(section) = Section::from_name(&row.name) else { continue };
        let content = image.content(row);
        if section == Section::Profile {
            let text = text(&content, row.raw_offset.into(), section.name())?;
            let field = |key: &str| field(&text, key);
            profiles.push(ProfileContents {
                id: field("ID"),
                title: field("TITLE"),
                sections: Sections::new(),
            });
        }
        let sections = profiles.last_mut().map_or(&mut base, |profile| &mut profile.sections);
        sections.entry(section).or_insert(content);
    }
    Ok(Contents { image, base, profiles })
}

impl Contents {
    /// Whether this is a unified kernel image, not just some UEFI program (UAPI.5, "UKI
    /// Components": only `.linux` is required).
    pub fn is_uki(&self) -> bool {
        self.base.contains_key(&Section::Linux)
    }

    /// What each profile boots with, in their order: its own sections, and those of the base it
    /// does not bring. Just the base if there are no profiles.
    pub fn boots(&self) -> Vec<Sections> {
        let with_base = |profile: &ProfileContents| {
            let mut sections = self.base.clone();
            sections.extend(profile.sections.clone());
            sections
        };
        match &*self.profiles {
            [] => vec![self.base.clone()],
            profiles => profiles.iter().map(with_base).collect(),
        }
    }

    /// Which program of systemd this is and of which version, as its `.sdmagic` tells boot
    /// loaders: `systemd-stub 257.13`.
    ///
    /// # Errors
    /// `Corrupt` if the section is no text.
    pub fn systemd_program(&self) -> Result<Option<String>> {
        let Some(row) = self.image.sections.iter().find(|row| row.name == ".sdmagic") else {
            return Ok(None);
        };
        let text = text(&self.image.content(row), row.raw_offset.into(), ".sdmagic")?;
        let inner = text.trim_end_matches('\0').strip_prefix("#### LoaderInfo: ");
        Ok(inner.and_then(|inner| inner.strip_suffix(" ####")).map(str::to_owned))
    }
}

/// A section's text; `at` is where it lies in the file.
fn text(content: &Blob, at: u64, name: &str) -> Result<String> {
    let bytes = content.to_vec(TEXT_LIMIT).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => Error::corrupt(UKI, at, format!("{name}: {error}")),
        _ => Error::io(UKI, error),
    })?;
    String::from_utf8(bytes).map_err(|_| Error::corrupt(UKI, at, format!("{name}: it is no UTF-8")))
}

/// The value of `key` among lines of os-release(5), without its quotes.
fn field(text: &str, key: &str) -> Option<String> {
    let value =
        text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?.trim();
    let unquoted = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(value);
    Some(unquoted.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::pe::{Machine, fake};

    fn profile(id: &str, title: Option<&str>, cmdline: Option<&str>) -> Profile {
        let own = |text: &str| text.to_owned();
        Profile { id: Some(own(id)), title: title.map(own), cmdline: cmdline.map(own) }
    }

    fn uki() -> Uki {
        Uki {
            stub: fake::stub(Machine::Amd64).into(),
            os_release: "NAME=\"Fake\"\n".to_owned(),
            cmdline: "console=tty0".to_owned(),
            uname: Some("6.12.1".to_owned()),
            splash: None,
            pcr_public_key: None,
            pcr_signatures: Vec::new(),
            linux: "kernel".into(),
            initrd: Blob::zeros(5000),
            block: 1,
            profiles: vec![
                profile("main", None, None),
                profile("reset", Some("Reset it all"), Some("console=tty0 wipe")),
            ],
        }
    }

    fn strings(sections: &Sections) -> BTreeMap<&str, String> {
        let string = |blob: &Blob| String::from_utf8(blob.to_vec(9000).unwrap()).unwrap();
        sections.iter().map(|(section, blob)| (section.name(), string(blob))).collect()
    }

    #[test]
    fn what_is_assembled_reads_back_in_order_and_by_profile() {
        let contents = read(&assemble(&uki(), 7).unwrap()).unwrap();
        assert!(contents.is_uki());
        assert_eq!(contents.image.timestamp, 7);
        let names: Vec<_> = contents.image.sections.iter().map(|row| row.name.as_str()).collect();
        let own = [".text", ".sbat", ".sdmagic"];
        let base = [".osrel", ".cmdline", ".uname", ".linux", ".initrd"];
        let profiles = [".profile", ".profile", ".cmdline"];
        assert_eq!(names, [&own[..], &base, &profiles].concat());
        let program = contents.systemd_program().unwrap();
        assert_eq!(program.as_deref(), Some("systemd-stub 257.13"));

        let [main, reset] = &*contents.profiles else { panic!() };
        assert_eq!((main.id.as_deref(), main.title.as_deref()), (Some("main"), None));
        assert_eq!(reset.title.as_deref(), Some("Reset it all"));
        let [main, reset] = &*contents.boots() else { panic!() };
        let (main, reset) = (strings(main), strings(reset));
        assert_eq!(main[".profile"], "ID=main");
        assert_eq!(main[".cmdline"], "console=tty0");
        assert_eq!(reset[".profile"], "ID=reset\nTITLE=Reset it all");
        assert_eq!(reset[".cmdline"], "console=tty0 wipe");
        assert_eq!(reset[".linux"], "kernel");
        assert!(reset[".sbat"].starts_with("sbat,1,"));
        assert_eq!(reset[".initrd"].len(), 5000);
    }

    #[test]
    fn absent_and_empty_parts_leave_no_section() {
        let none = Uki { uname: None, profiles: Vec::new(), cmdline: String::new(), ..uki() };
        let contents = read(&assemble(&none, 0).unwrap()).unwrap();
        let names: Vec<_> = contents.base.keys().map(|section| section.name()).collect();
        assert_eq!(names, [".linux", ".osrel", ".initrd", ".sbat"]);
        assert_eq!(contents.boots().len(), 1);
        assert!(!read(&uki().stub).unwrap().is_uki());
    }

    #[test]
    fn what_cannot_be_an_image_is_refused() {
        let refuse = |uki: Uki| assemble(&uki, 0).unwrap_err().to_string();
        let twice = Uki { stub: assemble(&uki(), 0).unwrap(), ..uki() };
        assert!(refuse(twice).contains("has a .osrel already"));
        let bare = fake::image(Machine::Amd64, &[(".text", b"x")]).into();
        assert!(refuse(Uki { stub: bare, ..uki() }).contains("no .sbat"));
        let two_lines = vec![profile("a", Some("b\nID=c"), None)];
        assert!(refuse(Uki { profiles: two_lines, ..uki() }).contains("one line"));
        let nameless = vec![Profile::default()];
        assert!(refuse(Uki { profiles: nameless, ..uki() }).contains("neither"));
    }

    #[test]
    fn profile_fields_are_read_as_os_release_quotes_them() {
        let text = "# ID=no\nID='a b'\r\n  TITLE=\"x\"\nID=late";
        assert_eq!(field(text, "ID").as_deref(), Some("a b"));
        assert_eq!(field(text, "TITLE").as_deref(), Some("x"));
        assert_eq!(field(text, "IDX"), None);
    }
}
