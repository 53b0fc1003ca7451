//! Virtual machines. Always QEMU's own translator: a `/dev/kvm` that opens may still not work.

use crate::{console::Console, gdbstub::Gdb};
use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

/// What the stand-in release prints when it has come to its end.
pub const MARKER: &str = "TALOS-IMAGE-BOOT-OK";

/// How long a boot may take. It takes 4 to 10 s alone; more when the machine is busy.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The firmware's variables, in the folder of a boot.
const VARS: &str = "vars.fd";

/// The kind of processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arch {
    /// x86-64, a q35 board.
    #[default]
    Amd64,
    /// AArch64, the `virt` board.
    Arm64,
}

impl Arch {
    /// The name Talos has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// What starts the medium.
#[derive(Clone, Debug)]
pub enum Firmware {
    /// The board's default: a BIOS on amd64. With [`Medium::Kernel`] it starts the kernel.
    Bios,
    /// UEFI: read-only code, and variables that are copied for each boot.
    Uefi {
        /// Read-only code.
        code: PathBuf,
        /// The variables it starts with.
        vars: PathBuf,
        /// The code runs in system management mode and keeps its variables to itself.
        smm: bool,
    },
}

impl Firmware {
    /// UEFI out of a folder laid out as [`crate::part`] says, without Secure Boot.
    pub fn uefi_in(parts: &Path, arch: Arch) -> Self {
        let dir = parts.join(arch.name());
        Self::Uefi {
            code: dir.join("firmware-code.fd"),
            vars: dir.join("firmware-vars.fd"),
            smm: false,
        }
    }

    /// UEFI out of the tests' parts, without Secure Boot.
    pub fn uefi(arch: Arch) -> Self {
        Self::uefi_in(&crate::part(""), arch)
    }

    /// UEFI out of the tests' parts that enforces Secure Boot once it has keys; without them.
    pub fn secure(arch: Arch) -> Self {
        let dir = crate::part(arch.name());
        Self::Uefi {
            code: dir.join("firmware-code-secure.fd"),
            vars: dir.join("firmware-vars.fd"),
            smm: arch == Arch::Amd64,
        }
    }

    /// The same with these variables.
    #[must_use]
    pub fn with_vars(self, vars: PathBuf) -> Self {
        match self {
            Self::Bios => Self::Bios,
            Self::Uefi { code, smm, .. } => Self::Uefi { code, vars, smm },
        }
    }
}

/// What is booted. It is never written to.
#[derive(Clone, Debug)]
pub enum Medium {
    /// A CD.
    Cd(PathBuf),
    /// A virtio disk with sectors of this many bytes: raw, or what `.qcow2`, `.vhd` or `.vmdk` at
    /// the end of its name says.
    Disk(PathBuf, u32),
    /// A disk on the board's own AHCI controller, with sectors of 512 bytes.
    Ahci(PathBuf),
    /// A USB stick.
    Usb(PathBuf),
    /// A kernel, an initramfs and a command line, past any firmware.
    Kernel(PathBuf, PathBuf, String),
}

/// A boot to be.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The kind of processor.
    pub arch: Arch,
    /// What starts the medium.
    pub firmware: Firmware,
    /// What is booted.
    pub medium: Medium,
    /// Memory, in MiB.
    pub memory: u32,
    /// QEMU's name of the processor, with its features; the default has all there are.
    pub cpu: Option<String>,
    /// Whether there is a TPM 2.0, which swtpm plays.
    pub tpm: bool,
    /// What is typed when the console says what, each once, in order. At first: Enter at
    /// systemd-boot's menu, which Talos shows for 10 s.
    pub answers: Vec<(String, String)>,
    /// Whether the machine may start anew; else a restart ends it.
    pub restarts: bool,
    /// Where the firmware's variables go as the boot left them.
    pub vars_after: Option<PathBuf>,
    /// The text on the console that ends the boot.
    pub until: String,
    /// The boot fails after this time.
    pub patience: Duration,
}

impl Boot {
    /// A boot until [`MARKER`] with 1 GiB of memory.
    pub fn new(arch: Arch, firmware: Firmware, medium: Medium) -> Self {
        Self {
            arch,
            firmware,
            medium,
            memory: 1024,
            cpu: None,
            tpm: false,
            answers: vec![("Boot in".to_owned(), "\r".to_owned())],
            restarts: false,
            vars_after: None,
            until: MARKER.to_owned(),
            patience: PATIENCE,
        }
    }

    /// Boots, and gives back what the console said, when it has said [`Boot::until`].
    ///
    /// # Errors
    /// The machine does not start, ends too early, or is too slow; with what it said.
    pub fn run(&self) -> io::Result<String> {
        self.start()?.console()
    }

    /// Starts the machine.
    ///
    /// # Errors
    /// QEMU is not there.
    pub fn start(&self) -> io::Result<Machine> {
        self.spawn(|_, _| {})
    }

    /// Starts the machine halted, and speaks to its debug stub.
    ///
    /// # Errors
    /// QEMU is not there, or opens no socket in time.
    pub fn debug(&self) -> io::Result<(Machine, Gdb)> {
        let mut socket = PathBuf::new();
        let machine = self.spawn(|qemu, dir| {
            socket = dir.join("gdb");
            let chardev = format!("socket,id=gdb,server=on,wait=off,path={}", quoted(&socket));
            qemu.args(["-S", "-chardev", &chardev, "-gdb", "chardev:gdb"]);
        })?;
        let start = Instant::now();
        loop {
            match Gdb::connect(&socket) {
                Ok(gdb) => return Ok((machine, gdb)),
                Err(error) if start.elapsed() > Duration::from_secs(10) => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn spawn(&self, more: impl FnOnce(&mut Command, &Path)) -> io::Result<Machine> {
        let dir = tempfile::tempdir()?;
        let (program, board, cpu) = match self.arch {
            Arch::Amd64 => ("qemu-system-x86_64", "q35", "max"),
            // The plain model: "max" checks pointers, which costs the translator dearly.
            Arch::Arm64 => ("qemu-system-aarch64", "virt", "cortex-a57"),
        };
        let mut board = board.to_owned();
        let mut qemu = Command::new(program);
        qemu.args(["-accel", "tcg", "-nodefaults", "-nographic", "-serial", "stdio"]);
        qemu.args(["-smp", "1", "-m", &self.memory.to_string()]);
        if !self.restarts {
            qemu.arg("-no-reboot");
        }
        qemu.args(["-cpu", self.cpu.as_deref().unwrap_or(cpu)]);
        if let Firmware::Uefi { code, vars, smm } = &self.firmware {
            let copy = dir.path().join(VARS);
            fs::copy(vars, &copy)?;
            let flash = |unit, file, more| {
                format!("if=pflash,unit={unit},format=raw{more},file={}", quoted(file))
            };
            qemu.args(["-drive", &flash(0, code, ",readonly=on"), "-drive", &flash(1, &copy, "")]);
            if *smm {
                board.push_str(",smm=on");
                qemu.args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
                qemu.args(["-global", "ICH9-LPC.disable_s3=1"]);
            }
        }
        qemu.args(["-machine", &board]);
        let drive = |file: &Path, more: &str| {
            let format = disk_format(file);
            format!("if=none,id=medium,format={format},file={}{more}", quoted(file))
        };
        match &self.medium {
            Medium::Cd(file) => {
                qemu.args(["-drive", &drive(file, ",media=cdrom,readonly=on")]);
                match self.arch {
                    Arch::Amd64 => qemu.args(["-device", "ide-cd,drive=medium"]),
                    Arch::Arm64 => {
                        qemu.args(["-device", "virtio-scsi-pci", "-device", "scsi-cd,drive=medium"])
                    }
                };
            }
            Medium::Disk(file, sector) => {
                let sizes = format!("logical_block_size={sector},physical_block_size={sector}");
                qemu.args(["-drive", &drive(file, ",snapshot=on"), "-device"]);
                qemu.arg(format!("virtio-blk-pci,drive=medium,{sizes}"));
            }
            Medium::Ahci(file) => {
                qemu.args(["-drive", &drive(file, ",snapshot=on"), "-device"]);
                qemu.arg("ide-hd,drive=medium,bus=ide.0");
            }
            Medium::Usb(file) => {
                qemu.args(["-drive", &drive(file, ",snapshot=on"), "-device", "qemu-xhci"]);
                qemu.args(["-device", "usb-storage,drive=medium"]);
            }
            Medium::Kernel(kernel, initramfs, cmdline) => {
                qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
                qemu.args(["-append", cmdline]);
            }
        }
        let tpm = if self.tpm {
            let socket = dir.path().join("tpm");
            qemu.args(["-chardev", &format!("socket,id=tpm,path={}", quoted(&socket))]);
            qemu.args(["-tpmdev", "emulator,id=tpm,chardev=tpm", "-device", "tpm-crb,tpmdev=tpm"]);
            Some(Running(swtpm(dir.path(), &socket)?))
        } else {
            None
        };
        more(&mut qemu, dir.path());
        Machine::spawn(qemu, self, tpm, dir)
    }
}

/// Starts a TPM that keeps its state in `dir`, and waits until it listens.
fn swtpm(dir: &Path, socket: &Path) -> io::Result<Child> {
    let mut swtpm = Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "startup-clear", "--tpmstate"])
        .arg(format!("dir={}", dir.display()))
        .args(["--ctrl", &format!("type=unixio,path={}", socket.display())])
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("swtpm: {error}")))?;
    let start = Instant::now();
    while !socket.exists() {
        if let Some(status) = swtpm.try_wait()? {
            return Err(io::Error::other(format!("swtpm: {status}")));
        }
        if start.elapsed() > Duration::from_secs(10) {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(swtpm)
}

/// QEMU's name of the format that a disk's file has by its name.
fn disk_format(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("qcow2") => "qcow2",
        Some("vhd") => "vpc",
        Some("vmdk") => "vmdk",
        _ => "raw",
    }
}

/// A path inside a QEMU option, where a comma ends a value.
fn quoted(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// A machine that runs. Dropping it switches it off.
pub struct Machine {
    _qemu: Running,
    _tpm: Option<Running>,
    output: mpsc::Receiver<String>,
    until: String,
    vars_after: Option<PathBuf>,
    deadline: Instant,
    dir: tempfile::TempDir,
}

impl Machine {
    fn spawn(
        mut command: Command,
        boot: &Boot,
        tpm: Option<Running>,
        dir: tempfile::TempDir,
    ) -> io::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut qemu = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
        let (sender, output) = mpsc::channel();
        let (stdin, mut answers) = (qemu.stdin.take(), boot.answers.clone().into_iter().peekable());
        let (mut console, mut answered) = (Console::default(), 0);
        listen(qemu.stdout.take(), sender.clone(), move |bytes| {
            let more = console.hear(bytes).to_owned();
            while let Some((_, keys)) =
                answers.next_if(|(when, _)| console.text()[answered..].contains(when))
            {
                answered = console.text().len();
                // A machine that is gone needs no answer.
                let _ = stdin.as_ref().map(|mut stdin| stdin.write_all(keys.as_bytes()));
            }
            more
        });
        // QEMU's own complaints come in between what the machine says.
        listen(qemu.stderr.take(), sender, |bytes| String::from_utf8_lossy(bytes).into_owned());
        Ok(Self {
            _qemu: Running(qemu),
            _tpm: tpm,
            output,
            until: boot.until.clone(),
            vars_after: boot.vars_after.clone(),
            deadline: Instant::now() + boot.patience,
            dir,
        })
    }

    /// Waits until the console has said the awaited text; gives back all it said.
    ///
    /// # Errors
    /// The machine ended before, or the time is up; with what the console said.
    pub fn console(self) -> io::Result<String> {
        let mut said = String::new();
        let why = loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(more) => said.push_str(&more),
                Err(RecvTimeoutError::Timeout) => break "the time is up",
                Err(RecvTimeoutError::Disconnected) => break "the machine has ended",
            }
            if said.contains(&self.until) {
                if let Some(to) = &self.vars_after {
                    fs::copy(self.dir.path().join(VARS), to)?;
                }
                return Ok(said);
            }
        };
        let last: Vec<_> = said.lines().rev().take(60).collect();
        let last: Vec<_> = last.into_iter().rev().collect();
        Err(io::Error::other(format!(
            "{why} and the console has not said {:?}; its last lines:\n{}",
            self.until,
            last.join("\n")
        )))
    }
}

/// A process that ends when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends on what a stream says, as `read` reads it.
fn listen(
    stream: Option<impl io::Read + Send + 'static>,
    sender: mpsc::Sender<String>,
    mut read: impl FnMut(&[u8]) -> String + Send + 'static,
) {
    thread::spawn(move || {
        let Some(mut stream) = stream else { return };
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = stream.read(&mut buffer) {
            if sender.send(read(&buffer[..len])).is_err() {
                break;
            }
        }
    });
}
