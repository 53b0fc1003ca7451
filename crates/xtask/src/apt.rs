//! Debian packages from the machine's own mirror, without touching the machine.
//!
//! A [`Root`] is an apt configuration with lists and caches of its own. It reads sources derived
//! from the machine's: same mirror, same keys, same proxy, other suites. One root must not hold
//! two Debian releases when something is to be *installed* from it: their dependencies mix.

use anyhow::{Context as _, Result, bail, ensure};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where the machine gets its Debian packages.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    /// The release the machine runs, such as `bookworm`.
    pub(crate) codename: String,
    archive: Archive,
    security: Option<Archive>,
}

/// One entry of the machine's sources.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Archive {
    uri: String,
    suites: Vec<String>,
    /// Keyring files, or a key in armour, as the entry has it.
    signed_by: Option<String>,
}

impl Mirror {
    /// Reads the machine's release and sources.
    pub(crate) fn of_machine() -> Result<Self> {
        let release =
            fs::read_to_string("/etc/os-release").context("this machine tells no system")?;
        let codename = release
            .lines()
            .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
            .map(|name| name.trim_matches('"').to_owned())
            .unwrap_or_default();
        ensure!(
            ["bookworm", "trixie"].contains(&codename.as_str()) && on_path("apt-get").is_some(),
            "this machine is no Debian 12 or 13"
        );
        let mut entries = Vec::new();
        let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
        if let Ok(parts) = fs::read_dir("/etc/apt/sources.list.d") {
            files.extend(parts.filter_map(|entry| Some(entry.ok()?.path())));
        }
        files.sort();
        for file in files {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            match file.extension().and_then(|extension| extension.to_str()) {
                Some("sources") => entries.extend(deb822(&text)),
                Some("list") => entries.extend(text.lines().filter_map(one_line)),
                _ => {}
            }
        }
        let with = |suite: &str| {
            entries.iter().find(|entry| entry.suites.iter().any(|had| had == suite)).cloned()
        };
        let archive = with(&codename).with_context(|| {
            format!("none of the machine's apt sources has the suite {codename}")
        })?;
        let security = with(&format!("{codename}-security"));
        Ok(Self { codename, archive, security })
    }

    /// A sources file for one release, with firmware; with what was brought back to it, if asked.
    fn sources(&self, codename: &str, backports: bool, architectures: &[&str]) -> String {
        let mut suites = vec![codename.to_owned(), format!("{codename}-updates")];
        suites.extend(backports.then(|| format!("{codename}-backports")));
        let mut text = String::new();
        let mut entry = |archive: &Archive, suites: &str| {
            let _ = write!(
                text,
                "Types: deb\nURIs: {}\nSuites: {suites}\nComponents: main non-free-firmware\n\
                 Architectures: {}\n",
                archive.uri,
                architectures.join(" "),
            );
            if let Some(keys) = &archive.signed_by {
                let _ = writeln!(text, "Signed-By: {keys}");
            }
            text.push('\n');
        };
        entry(&self.archive, &suites.join(" "));
        if let Some(security) = &self.security {
            entry(security, &format!("{codename}-security"));
        }
        text
    }
}

/// The binary-package entries of a sources file in the newer form (man 5 sources.list).
fn deb822(text: &str) -> Vec<Archive> {
    let mut archives = Vec::new();
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .fold(String::new(), |text, line| text + line + "\n");
    for stanza in text.split("\n\n") {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut last = String::new();
        for line in stanza.lines() {
            if line.starts_with([' ', '\t']) {
                if let Some(value) = fields.get_mut(&last) {
                    value.push('\n');
                    value.push_str(line);
                }
            } else if let Some((key, value)) = line.split_once(':') {
                last = key.trim().to_ascii_lowercase();
                fields.insert(last.clone(), value.trim().to_owned());
            }
        }
        let field = |key: &str| fields.get(key).map_or("", String::as_str);
        let off = ["no", "false"].contains(&field("enabled"));
        let Some(uri) = field("uris").split_whitespace().next() else { continue };
        if off || !field("types").split_whitespace().any(|kind| kind == "deb") {
            continue;
        }
        archives.push(Archive {
            uri: uri.to_owned(),
            suites: field("suites").split_whitespace().map(str::to_owned).collect(),
            signed_by: fields.get("signed-by").cloned(),
        });
    }
    archives
}

/// An entry in the older form: `deb [signed-by=…] URI SUITE COMPONENT…`.
fn one_line(line: &str) -> Option<Archive> {
    let rest = line.trim().strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let uri = words.next().filter(|uri| !uri.starts_with("cdrom:"))?.to_owned();
    let suites = vec![words.next()?.to_owned()];
    let signed_by = options
        .split_whitespace()
        .find_map(|option| option.strip_prefix("signed-by="))
        .map(|keys| keys.replace(',', " "));
    Some(Archive { uri, suites, signed_by })
}

/// An apt configuration of our own.
pub(crate) struct Root {
    configuration: PathBuf,
}

impl Root {
    /// For downloads of `codename` for these architectures: as if nothing were installed.
    pub(crate) fn for_downloads(
        dir: &Path,
        mirror: &Mirror,
        codename: &str,
        architectures: &[&str],
    ) -> Result<Self> {
        let root = Self::new(dir, &mirror.sources(codename, false, architectures), architectures)?;
        fs::write(dir.join("status"), "")?;
        root.configure(&format!("Dir::State::status \"{}\";\n", dir.join("status").display()))?;
        Ok(root)
    }

    /// For installing into the machine, from the release it runs and its backports.
    pub(crate) fn for_machine(dir: &Path, mirror: &Mirror) -> Result<Self> {
        let native = text(Command::new("dpkg").arg("--print-architecture"))?;
        let sources = mirror.sources(&mirror.codename, true, &[native.trim()]);
        let root = Self::new(dir, &sources, &[native.trim()])?;
        root.configure("Dir::State::status \"/var/lib/dpkg/status\";\n")?;
        Ok(root)
    }

    fn new(dir: &Path, sources: &str, architectures: &[&str]) -> Result<Self> {
        for place in ["lists/partial", "archives/partial", "none"] {
            fs::create_dir_all(dir.join(place))?;
        }
        fs::write(dir.join("debian.sources"), sources)?;
        let architectures: Vec<_> =
            architectures.iter().map(|architecture| format!("\"{architecture}\";")).collect();
        let dir = dir.display();
        let configuration = format!(
            "Dir::Etc::sourcelist \"{dir}/debian.sources\";\n\
             Dir::Etc::sourceparts \"{dir}/none\";\n\
             Dir::Etc::preferences \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"{dir}/none\";\n\
             Dir::State \"{dir}\";\n\
             Dir::State::lists \"{dir}/lists\";\n\
             Dir::Cache \"{dir}\";\n\
             Dir::Cache::archives \"{dir}/archives\";\n\
             // Our folder may be one that apt's own user cannot enter.\n\
             APT::Sandbox::User \"root\";\n\
             APT::Architectures {{ {} }};\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\n\
             #clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n",
            architectures.join(" "),
        );
        let root = Self { configuration: PathBuf::from(format!("{dir}/apt.conf")) };
        fs::write(&root.configuration, configuration)?;
        Ok(root)
    }

    fn configure(&self, more: &str) -> Result<()> {
        let text = fs::read_to_string(&self.configuration)? + more;
        Ok(fs::write(&self.configuration, text)?)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(&self.configuration).env("DEBIAN_FRONTEND", "noninteractive");
        command.env("LC_ALL", "C.UTF-8");
        command
    }

    /// Fetches the lists of packages, checked by the mirror's signatures.
    pub(crate) fn update(&self) -> Result<()> {
        quiet(self.apt("apt-get").args(["update", "--error-on=any"]))
    }

    /// What a metapackage such as `linux-image-cloud-amd64:amd64` stands for: the first package
    /// it depends on.
    pub(crate) fn meaning(&self, metapackage: &str) -> Result<String> {
        let shown = text(self.apt("apt-cache").args(["show", "--no-all-versions", metapackage]))?;
        shown
            .lines()
            .find_map(|line| line.strip_prefix("Depends: "))
            .and_then(|depends| depends.split([' ', ',']).next())
            .map(str::to_owned)
            .with_context(|| format!("{metapackage} depends on nothing"))
    }

    /// Downloads packages (`name:architecture`) into `dir`; gives the `.deb` files back.
    pub(crate) fn download(&self, packages: &[String], dir: &Path) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(dir)?;
        quiet(self.apt("apt-get").arg("download").args(packages).current_dir(dir))?;
        let mut debs: Vec<_> =
            fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        debs.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
        debs.sort();
        Ok(debs)
    }

    /// The words that install packages into the machine, for a person to type.
    pub(crate) fn install_line(&self, packages: &[String]) -> String {
        let configuration = self.configuration.display();
        let packages = packages.join(" ");
        format!("apt-get -c {configuration} install --no-install-recommends {packages}")
    }

    /// Installs packages into the machine.
    pub(crate) fn install(&self, packages: &[String]) -> Result<()> {
        let mut command = self.apt("apt-get");
        command.args(["install", "--yes", "--no-install-recommends"]).args(packages);
        quiet(&mut command)
    }
}

/// Unpacks a `.deb` under `dir`.
pub(crate) fn unpack(deb: &Path, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    quiet(Command::new("dpkg-deb").arg("-x").arg(deb).arg(dir))
}

/// Where a program lies, as a shell would find it; `sbin` folders count for everybody.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .map(|dir| Path::new(dir).join(program))
        .find(|path| path.is_file())
}

/// Runs a command whose output matters only if it fails.
fn quiet(command: &mut Command) -> Result<()> {
    text(command).map(drop)
}

fn text(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("run {name}"))?;
    if !output.status.success() {
        bail!(
            "{name} {}: {}",
            command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_sources() {
        let archive = |suites: &[&str], keys: Option<&str>| Archive {
            uri: "http://mirror.test/debian".to_owned(),
            suites: suites.iter().map(ToString::to_string).collect(),
            signed_by: keys.map(str::to_owned),
        };
        let lines = "# deb http://off.test/debian bookworm main\n\
                     deb-src http://mirror.test/debian bookworm main\n\
                     deb cdrom:[Debian] bookworm main\n\
                     deb http://mirror.test/debian bookworm main\n\
                     deb [ arch=amd64 signed-by=/a.gpg,/b.gpg ] http://mirror.test/debian stable main\n";
        assert_eq!(
            lines.lines().filter_map(one_line).collect::<Vec<_>>(),
            [archive(&["bookworm"], None), archive(&["stable"], Some("/a.gpg /b.gpg"))]
        );
        let stanzas = "Types: deb deb-src\n# a comment\nURIs: http://mirror.test/debian\n\
                       Suites: trixie trixie-updates\nSigned-By:\n -----BEGIN\n .\n key\n\n\
                       Types: deb\nURIs: http://mirror.test/debian\nSuites: sid\nEnabled: no\n";
        assert_eq!(
            deb822(stanzas),
            [archive(&["trixie", "trixie-updates"], Some("\n -----BEGIN\n .\n key"))]
        );
    }
}
