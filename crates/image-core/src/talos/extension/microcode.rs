//! Which of an extension's firmware is CPU microcode.

/// Whose processors a microcode file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Microcode {
    /// Intel's.
    Intel,
    /// AMD's.
    Amd,
}

/// Whether the file at `path`, below the firmware directory, is CPU microcode that the kernel
/// looks for before there is a file system.
pub fn microcode(path: &str) -> Option<Microcode> {
    let (directory, name) = path.split_once('/')?;
    match directory {
        _ if name.contains('/') => None,
        "intel-ucode" => Some(Microcode::Intel),
        "amd-ucode" => name
            .strip_prefix("microcode_amd")
            .and_then(|rest| rest.strip_suffix(".bin"))
            .map(|_| Microcode::Amd),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_kernel_looks_for_is_microcode() {
        for (path, whose) in [
            ("intel-ucode/06-55-04", Some(Microcode::Intel)),
            ("intel-ucode/old/06-55-04", None),
            ("intel-ucode", None),
            ("amd-ucode/microcode_amd.bin", Some(Microcode::Amd)),
            ("amd-ucode/microcode_amd_fam19h.bin", Some(Microcode::Amd)),
            ("amd-ucode/microcode_amd_fam19h.bin.asc", None),
            ("amd-ucode/README", None),
            ("iwlwifi/7265.ucode", None),
        ] {
            assert_eq!(microcode(path), whose, "{path}");
        }
    }
}
