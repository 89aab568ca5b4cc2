//! apt with lists and sources of its own under target/vm/, so that the machine's stay as they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, workspace};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const ARCHIVE: &str = "http://deb.debian.org/debian";

/// A suite of Debian's archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite(pub &'static str);

impl Suite {
    fn is_security(self) -> bool {
        self.0.ends_with("-security")
    }
}

/// apt-get and apt-cache over a certain set of sources.
pub struct Apt {
    options: Vec<String>,
    log: PathBuf,
    target_release: Option<String>,
}

impl Apt {
    /// The machine's own sources and, on bookworm, its backports: for installing.
    pub fn for_install(log: &Path) -> Result<Self> {
        let codename = super::debian_codename().context("the release of this Debian system")?;
        let (folder, parts) = folders("install")?;
        for entry in std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten() {
            let path = entry?.path();
            let is_source = path
                .extension()
                .is_some_and(|extension| extension == "list" || extension == "sources");
            if let (true, Some(name)) = (is_source, path.file_name()) {
                std::fs::copy(&path, parts.join(name))?;
            }
        }
        let backports = (codename == "bookworm").then(|| "bookworm-backports".to_owned());
        if let Some(suite) = &backports {
            write_source(&parts, suite, &mirror(false))?;
        }
        let apt = Apt {
            options: options(&folder, Path::new("/etc/apt/sources.list")),
            log: log.into(),
            target_release: backports,
        };
        apt.update()?;
        Ok(apt)
    }

    /// The `suites` alone: for downloading packages that are not to be installed.
    pub fn for_download(suites: &[Suite], log: &Path) -> Result<Self> {
        let (folder, parts) = folders("download")?;
        for suite in suites {
            write_source(&parts, suite.0, &mirror(suite.is_security()))?;
        }
        let apt = Apt {
            options: options(&folder, Path::new("/dev/null")),
            log: log.into(),
            target_release: None,
        };
        apt.update()?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
        command
    }

    fn update(&self) -> Result<()> {
        process::run_logged(self.command("apt-get").args(["update", "-q"]), &self.log)
    }

    /// Installs packages on the machine, newest first where there are backports.
    pub fn install(&self, packages: &[&str]) -> Result<()> {
        let mut command = self.command("apt-get");
        command.args(["install", "-q", "-y", "--no-install-recommends"]);
        if let Some(release) = &self.target_release {
            command.args(["-t", release]);
        }
        process::run_logged(command.args(packages), &self.log)
    }

    /// The records of a package, newest version first: each a control paragraph.
    pub fn show(&self, package: &str) -> Result<Vec<String>> {
        let text = process::capture(self.command("apt-cache").args(["show", package]))?;
        Ok(text
            .split("\n\n")
            .map(str::to_owned)
            .filter(|record| !record.trim().is_empty())
            .collect())
    }

    /// Downloads `package` (or `package=version`) to `folder` and unpacks it in `folder/root`.
    pub fn unpack(&self, package: &str, folder: &Path) -> Result<()> {
        let download = folder.join("download");
        std::fs::create_dir_all(&download)?;
        process::run_logged(
            self.command("apt-get").args(["download", "-q", package]).current_dir(&download),
            &self.log,
        )?;
        for entry in std::fs::read_dir(&download)? {
            process::run(
                Command::new("dpkg-deb").arg("-x").arg(entry?.path()).arg(folder.join("root")),
            )?;
        }
        Ok(std::fs::remove_dir_all(&download)?)
    }
}

/// The field `name` of a control paragraph.
pub fn field<'a>(record: &'a str, name: &str) -> Option<&'a str> {
    record.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// An empty folder of sources for the configuration `name`, in the folder that apt is to use.
fn folders(name: &str) -> Result<(PathBuf, PathBuf)> {
    let folder = workspace::vm_folder(&format!("apt-{name}"))?;
    let parts = folder.join("sources");
    if parts.exists() {
        std::fs::remove_dir_all(&parts)?;
    }
    for needed in [&parts, &folder.join("lists/partial"), &folder.join("cache/archives/partial")] {
        std::fs::create_dir_all(needed)?;
    }
    Ok((folder, parts))
}

fn options(folder: &Path, source_list: &Path) -> Vec<String> {
    let set = |name: &str, value: &Path| ["-o".to_owned(), format!("{name}={}", value.display())];
    [
        set("Dir::Etc::sourcelist", source_list),
        set("Dir::Etc::sourceparts", &folder.join("sources")),
        set("Dir::State::lists", &folder.join("lists")),
        set("Dir::Cache", &folder.join("cache")),
        // apt reads the lists anew for each command without these, which container images unset.
        set("Dir::Cache::pkgcache", Path::new("pkgcache.bin")),
        set("Dir::Cache::srcpkgcache", Path::new("srcpkgcache.bin")),
        // The folder need not be readable to anybody else.
        set("APT::Sandbox::User", Path::new("root")),
        // Nothing but names and versions of packages is wanted.
        set("Acquire::Languages", Path::new("none")),
        set("Acquire::IndexTargets::deb::DEP-11::DefaultEnabled", Path::new("false")),
        set("Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled", Path::new("false")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn write_source(parts: &Path, suite: &str, uri: &str) -> Result<()> {
    let text = format!(
        "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nSigned-By: {KEYRING}\n"
    );
    let file = parts.join(format!("xtask-{suite}.sources"));
    std::fs::write(&file, text).with_context(|| file.display().to_string())
}

/// The mirror that the machine uses for Debian's archive, so that ours is as near.
fn mirror(security: bool) -> String {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    let parts = std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    files.extend(parts.map(|entry| entry.path()));
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    let found = texts.into_iter().find_map(|text| {
        let active = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let mut words =
            active.flat_map(str::split_whitespace).map(|word| word.trim_end_matches('/'));
        words
            .find(|word| word.contains("://") && word.ends_with(archive_name(security)))
            .map(str::to_owned)
    });
    found.unwrap_or_else(
        || {
            if security { format!("{ARCHIVE}-security") } else { ARCHIVE.to_owned() }
        },
    )
}

fn archive_name(security: bool) -> &'static str {
    if security { "/debian-security" } else { "/debian" }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let record = "Package: linux-image\nVersion: 6.1.2-1\nDepends: a (= 1), b\n";
        assert_eq!(field(record, "Version"), Some("6.1.2-1"));
        assert_eq!(field(record, "Depends"), Some("a (= 1), b"));
        assert_eq!(field(record, "Vers"), None);
    }
}
