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
        "intel-ucode" if !name.contains('/') => Some(Microcode::Intel),
        "amd-ucode" if !name.contains('/') => {
            (name.starts_with("microcode_amd") && name.ends_with(".bin")).then_some(Microcode::Amd)
        }
        _ => None,
    }
}
