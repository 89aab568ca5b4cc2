//! Debian's kernels, fetched and unpacked, never installed.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use super::apt::{Apt, Suite, field};
use crate::{process, workspace};

/// A kernel that tests run on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kernel {
    /// Of Debian 12, bookworm
    #[value(name = "6.1")]
    V6_1,
    /// Of Debian 13, trixie
    #[value(name = "6.12")]
    V6_12,
    /// Of Debian's sid
    #[value(name = "7.2")]
    V7_2,
}

/// Modules that tests use; those that they depend on come with them.
const MODULES: &[&str] = &["veth", "sch_ingress", "cls_bpf", "8021q", "loop", "md_mod", "xfs"];

/// Debian's package that depends on the newest image of a suite.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

impl Kernel {
    /// The version as it is written on the command line.
    pub fn version(self) -> &'static str {
        match self {
            Kernel::V6_1 => "6.1",
            Kernel::V6_12 => "6.12",
            Kernel::V7_2 => "7.2",
        }
    }

    /// Where Debian has it.
    pub fn suites(self) -> &'static [Suite] {
        match self {
            Kernel::V6_1 => &[Suite("bookworm"), Suite("bookworm-security")],
            Kernel::V6_12 => {
                &[Suite("bookworm-backports"), Suite("trixie"), Suite("trixie-security")]
            }
            Kernel::V7_2 => &[Suite("sid")],
        }
    }

    fn folder(self) -> PathBuf {
        workspace::target().join("vm/kernels").join(self.version())
    }

    /// The kernel image.
    pub fn image(self) -> PathBuf {
        self.folder().join("vmlinuz")
    }

    /// Modules, unpacked, in the order in which they can be loaded.
    pub fn modules(self) -> Result<Vec<PathBuf>> {
        let mut modules = Vec::new();
        for entry in std::fs::read_dir(self.folder().join("modules"))? {
            modules.push(entry?.path());
        }
        modules.sort();
        Ok(modules)
    }

    /// Whether it has been fetched, with the modules that tests use.
    pub fn is_there(self) -> bool {
        let names = std::fs::read_to_string(self.module_list());
        self.image().is_file() && names.is_ok_and(|names| names == MODULES.join(" "))
    }

    /// The file that says which modules it was fetched with.
    fn module_list(self) -> PathBuf {
        self.folder().join("module-list")
    }

    /// Fetches it. The image comes last, so that a fetch that was cut short counts for nothing.
    pub fn fetch(self, apt: &Apt) -> Result<()> {
        let folder = self.folder();
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(folder.join("modules"))?;
        self.unpack_newest(apt, &folder)?;
        let root = folder.join("root");
        let available = find_modules(&root)?;
        let mut wanted = Vec::new();
        for name in MODULES {
            add_with_dependencies(name, &available, &folder, &mut wanted)?;
        }
        for (order, (name, content)) in wanted.iter().enumerate() {
            std::fs::write(folder.join(format!("modules/{order:02}-{name}.ko")), content)?;
        }
        std::fs::write(self.module_list(), MODULES.join(" "))?;
        // /boot/vmlinuz-VERSION, or /usr/lib/modules/VERSION/vmlinuz in newer packages.
        let image = find(&root, &|path| file_name(path).starts_with("vmlinuz"))?
            .into_iter()
            .next()
            .with_context(|| format!("no vmlinuz in the packages of Linux {self}"))?;
        std::fs::rename(image, self.image())?;
        Ok(std::fs::remove_dir_all(root)?)
    }

    /// Unpacks the newest version that the archive still has.
    fn unpack_newest(self, apt: &Apt, folder: &Path) -> Result<()> {
        let prefix = format!("{}.", self.version());
        let mut last = None;
        for record in apt.show(META_PACKAGE)? {
            let (Some(version), Some(depends)) =
                (field(&record, "Version"), field(&record, "Depends"))
            else {
                continue;
            };
            if !version.starts_with(&prefix) {
                continue;
            }
            match unpack_all(apt, depends, folder) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        Err(last
            .unwrap_or_else(|| anyhow::anyhow!("Debian's archive has no {META_PACKAGE} {prefix}*")))
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version())
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version())
    }
}

/// Unpacks the kernel packages of a list of dependencies, and theirs: a newer image is in parts.
fn unpack_all(apt: &Apt, depends: &str, folder: &Path) -> Result<()> {
    for dependency in depends.split(", ") {
        let name = dependency.split(' ').next().unwrap_or_default();
        if !["linux-image-", "linux-binary-", "linux-modules-"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            continue;
        }
        let version = dependency.split_once("(= ").map(|(_, rest)| rest.trim_end_matches(')'));
        let exact = version.map_or_else(|| name.to_owned(), |version| format!("{name}={version}"));
        apt.unpack(&exact, folder)?;
        let records = apt.show(&exact)?;
        if let Some(depends) = records.first().and_then(|record| field(record, "Depends")) {
            unpack_all(apt, depends, folder)?;
        }
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The files under `folder` that `matches`; none where the folder is not there.
fn find(folder: &Path, matches: &dyn Fn(&Path) -> bool) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(found);
    };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(find(&path, matches)?);
        } else if matches(&path) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Every module of an unpacked package, by name.
fn find_modules(root: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let is_module = |path: &Path| file_name(path).contains(".ko");
    let mut modules = BTreeMap::new();
    for folder in ["lib/modules", "usr/lib/modules"] {
        for path in find(&root.join(folder), &is_module)? {
            let name = file_name(&path);
            let stem = name.split(".ko").next().unwrap_or_default();
            modules.insert(stem.replace('-', "_"), path);
        }
    }
    Ok(modules)
}

/// Adds the module `name`, decompressed, after those that it depends on. One that the kernel has
/// not got as a module is built in or not wanted there; tests find out.
fn add_with_dependencies(
    name: &str,
    available: &BTreeMap<String, PathBuf>,
    folder: &Path,
    wanted: &mut Vec<(String, Vec<u8>)>,
) -> Result<()> {
    let name = name.replace('-', "_");
    let (false, Some(path)) =
        (wanted.iter().any(|(other, _)| *other == name), available.get(&name))
    else {
        return Ok(());
    };
    let content = decompress(path, folder)?;
    for dependency in dependencies(&content) {
        add_with_dependencies(&dependency, available, folder, wanted)?;
    }
    wanted.push((name, content));
    Ok(())
}

fn decompress(path: &Path, folder: &Path) -> Result<Vec<u8>> {
    let plain = folder.join("module.ko");
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => return Ok(std::fs::read(path)?),
        Some("xz") => {
            let file = std::fs::File::create(&plain)?;
            process::run(Command::new("xz").arg("-dc").arg(path).stdout(file))?;
        }
        _ => bail!("{} is compressed in a way that is not known here", path.display()),
    }
    let content = std::fs::read(&plain)?;
    std::fs::remove_file(plain)?;
    Ok(content)
}

/// The modules that a module names in its .modinfo section, as `depends=a,b`.
fn dependencies(module: &[u8]) -> Vec<String> {
    let strings = module.split(|byte| *byte == 0);
    let mut lists = strings.filter_map(|string| string.strip_prefix(b"depends="));
    let list = lists.next().map(String::from_utf8_lossy).unwrap_or_default();
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::dependencies;

    #[test]
    fn dependencies_are_read_from_modinfo() {
        assert_eq!(
            dependencies(b"\x7fELF\0license=GPL\0depends=garp,mrp\0name=8021q\0"),
            ["garp", "mrp"]
        );
        assert_eq!(dependencies(b"license=GPL\0depends=\0"), Vec::<String>::new());
    }
}
