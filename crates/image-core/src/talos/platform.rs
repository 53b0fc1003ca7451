//! The platforms Talos runs on, and what each adds to the kernel command line.

use super::{Arch, Error, Quirk, Result, TalosVersion};
use crate::nearest::nearest;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// Where a machine runs: which metadata service it asks, which consoles it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "they are names")]
pub enum Platform {
    Akamai,
    AlibabaCloud,
    Aws,
    Azure,
    CloudStack,
    Container,
    DigitalOcean,
    EquinixMetal,
    Exoscale,
    Gcp,
    Hcloud,
    Metal,
    NoCloud,
    OpenNebula,
    OpenStack,
    Oracle,
    Scaleway,
    UpCloud,
    VMware,
    Vultr,
}

impl Platform {
    /// Every platform.
    pub const ALL: [Self; 20] = [
        Self::Akamai,
        Self::AlibabaCloud,
        Self::Aws,
        Self::Azure,
        Self::CloudStack,
        Self::Container,
        Self::DigitalOcean,
        Self::EquinixMetal,
        Self::Exoscale,
        Self::Gcp,
        Self::Hcloud,
        Self::Metal,
        Self::NoCloud,
        Self::OpenNebula,
        Self::OpenStack,
        Self::Oracle,
        Self::Scaleway,
        Self::UpCloud,
        Self::VMware,
        Self::Vultr,
    ];

    /// The name in profiles, file names and `talos.platform=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Akamai => "akamai",
            Self::AlibabaCloud => "alibabacloud",
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::CloudStack => "cloudstack",
            Self::Container => "container",
            Self::DigitalOcean => "digital-ocean",
            Self::EquinixMetal => "equinixMetal",
            Self::Exoscale => "exoscale",
            Self::Gcp => "gcp",
            Self::Hcloud => "hcloud",
            Self::Metal => "metal",
            Self::NoCloud => "nocloud",
            Self::OpenNebula => "opennebula",
            Self::OpenStack => "openstack",
            Self::Oracle => "oracle",
            Self::Scaleway => "scaleway",
            Self::UpCloud => "upcloud",
            Self::VMware => "vmware",
            Self::Vultr => "vultr",
        }
    }

    /// Its kernel arguments, in order.
    pub fn kernel_args(self, arch: Arch, version: &TalosVersion) -> &'static [&'static str] {
        match self {
            Self::Akamai | Self::DigitalOcean => {
                &["console=ttyS0", "console=tty0", "console=tty1", "net.ifnames=0"]
            }
            Self::Aws if version.has(Quirk::NvmeTimeoutOnAwsOnly) => &[
                "console=tty1",
                "console=ttyS0",
                "net.ifnames=0",
                "nvme_core.io_timeout=4294967295",
            ],
            Self::AlibabaCloud
            | Self::Aws
            | Self::CloudStack
            | Self::Exoscale
            | Self::Hcloud
            | Self::NoCloud
            | Self::OpenNebula
            | Self::OpenStack => &["console=tty1", "console=ttyS0", "net.ifnames=0"],
            Self::Azure => &[
                "console=ttyS0,115200n8",
                "earlyprintk=ttyS0,115200",
                "rootdelay=300",
                "net.ifnames=0",
                "talos.dashboard.disabled=1",
                "sysctl.kernel.kexec_load_disabled=1",
            ],
            Self::Container => &[],
            Self::EquinixMetal => match arch {
                Arch::Amd64 => &["console=ttyS1,115200n8"],
                Arch::Arm64 => &["console=ttyAMA0,115200"],
            },
            Self::Gcp => &[
                "console=ttyS0",
                "net.ifnames=0",
                "talos.dashboard.disabled=1",
                "sysctl.kernel.kexec_load_disabled=1",
            ],
            Self::Metal => match arch {
                Arch::Amd64 if version.has(Quirk::NoSerialConsoleOnMetal) => &["console=tty0"],
                Arch::Amd64 => &["console=ttyS0", "console=tty0"],
                Arch::Arm64 => &["console=ttyAMA0", "console=tty0"],
            },
            Self::Oracle | Self::Scaleway => {
                &["console=tty1", "console=ttyS0", "net.ifnames=0", "talos.dashboard.disabled=1"]
            }
            Self::UpCloud | Self::Vultr => &["net.ifnames=0"],
            Self::VMware => match arch {
                Arch::Amd64 => &[
                    "talos.config=guestinfo",
                    "console=tty0",
                    "console=ttyS0",
                    "earlyprintk=ttyS0,115200",
                    "net.ifnames=0",
                ],
                Arch::Arm64 => {
                    &["talos.config=guestinfo", "console=tty0", "console=ttyAMA0", "net.ifnames=0"]
                }
            },
        }
    }
}

impl FromStr for Platform {
    type Err = Error;

    /// Reads a platform's name; `packet` is the former name of `equinixMetal`.
    fn from_str(text: &str) -> Result<Self> {
        let name = if text == "packet" { "equinixMetal" } else { text };
        Self::ALL.into_iter().find(|platform| platform.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            Error::input(match nearest(text, names) {
                Some(meant) => format!("platform {text:?} is unknown: did you mean {meant:?}?"),
                None => format!("platform {text:?} is unknown: one of {}", names.join(", ")),
            })
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
