//! The tracing filesystem: formats, ids and names of tracepoints.
//!
//! Where it is not mounted it is opened in a way that leaves nothing behind (`mounts`).

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount};

use crate::error::{Error, Unsupported, nearest};
use crate::features::{Need, missing_capability};
use crate::mounts;

/// Where distributions mount it.
const MOUNT_POINTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The category that describes records of ftrace itself: nothing can be attached to them.
const RECORDS: &str = "ftrace";

/// An opened tracing filesystem.
#[derive(Debug)]
pub struct Tracefs {
    root: PathBuf,
    /// Keeps a mount of our own alive.
    _mount: Option<OwnedFd>,
}

impl Tracefs {
    /// Opens the tracing filesystem, mounting it if need be.
    pub fn open() -> Result<Self, Error> {
        for point in MOUNT_POINTS {
            if Path::new(point).join("events").is_dir() {
                return Ok(Self { root: point.into(), _mount: None });
            }
        }
        match mounts::detached("tracefs") {
            Ok(fd) => {
                let root = PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()));
                Ok(Self { root, _mount: Some(fd) })
            }
            Err(error) => {
                let point = MOUNT_POINTS[0];
                mount("tracefs", point, "tracefs", MountFlags::empty(), None)
                    .map_err(|_| explain(error))?;
                Ok(Self { root: point.into(), _mount: None })
            }
        }
    }

    /// The folder that it is reached by. Valid as long as `self` is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The number of a tracepoint for perf_event_open(2).
    pub fn id(&self, category: &str, name: &str) -> Result<u64, Error> {
        let text = self.event_file(category, name, "id")?;
        text.trim().parse().map_err(|_| Error::System {
            doing: format!("read the id of tracepoint {category}:{name}"),
            source: io::ErrorKind::InvalidData.into(),
        })
    }

    /// The description of a tracepoint's fields: its `format` file.
    pub fn format(&self, category: &str, name: &str) -> Result<String, Error> {
        self.event_file(category, name, "format")
    }

    /// Categories of tracepoints, sorted.
    pub fn categories(&self) -> Result<Vec<String>, Error> {
        let mut all =
            folders(&self.root.join("events")).map_err(Error::system("list tracepoints"))?;
        all.retain(|category| category != RECORDS);
        Ok(all)
    }

    /// Tracepoints of a category, sorted; none if there is no such category.
    pub fn events(&self, category: &str) -> Vec<String> {
        if category == RECORDS {
            return Vec::new();
        }
        folders(&self.root.join("events").join(category)).unwrap_or_default()
    }

    /// Whether a tracepoint exists.
    pub fn has(&self, category: &str, name: &str) -> bool {
        is_plain(category)
            && category != RECORDS
            && is_plain(name)
            && self.root.join("events").join(category).join(name).join("id").exists()
    }

    fn event_file(&self, category: &str, name: &str, file: &str) -> Result<String, Error> {
        if !self.has(category, name) {
            return Err(self.unknown(category, name));
        }
        let path = self.root.join("events").join(category).join(name).join(file);
        fs::read_to_string(&path)
            .map_err(Error::system(format!("read {file} of tracepoint {category}:{name}")))
    }

    fn unknown(&self, category: &str, name: &str) -> Error {
        let full = format!("{category}:{name}");
        let mut known = Vec::new();
        for c in self.categories().unwrap_or_default() {
            // Reading every category takes long; near names are in near categories.
            let near = c == category || strsim::damerau_levenshtein(&c, category) <= 2;
            if near || self.root.join("events").join(&c).join(name).is_dir() {
                known.extend(self.events(&c).into_iter().map(|e| format!("{c}:{e}")));
            }
        }
        let similar = nearest(&full, known.iter().map(String::as_str), 3);
        Error::UnknownTracepoint { name: full, similar }
    }
}

/// Whether a name stays in its folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '.'])
}

fn explain(error: rustix::io::Errno) -> Error {
    let doing = "mount tracefs";
    if error == rustix::io::Errno::NODEV {
        return Unsupported {
            feature: "tracefs",
            since: None,
            config: Some("CONFIG_FTRACE"),
            hint: None,
        }
        .into();
    }
    match missing_capability(Need::Mount) {
        Some(capability) => Error::MissingCapability { capability, doing: doing.into() },
        None => Error::System { doing: doing.into(), source: error.into() },
    }
}

fn folders(path: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = fs::read_dir(path)?
        .filter_map(Result::ok)
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}
