//! `lsm`: programs among the kernel's security modules.

use super::{Attachment, Site, fentry};
use crate::error::{Error, Unsupported};
use crate::features;

/// The name of eBPF among the security modules.
const MODULE: &str = "bpf";

pub(super) fn attach(site: &Site<'_>, hook: &str) -> Result<Attachment, Error> {
    let active = features::security_modules();
    // Nothing would call the program, and nobody would say so.
    if let Some(active) = active.filter(|active| !active.iter().any(|name| name == MODULE)) {
        return Err(inactive(&active).into());
    }
    fentry::attach_to_target(site, &format!("hook {hook}"))
}

fn inactive(active: &[String]) -> Unsupported {
    let with: Vec<&str> = active.iter().map(String::as_str).chain([MODULE]).collect();
    Unsupported {
        feature: "eBPF among its active security modules",
        since: None,
        config: None,
        hint: Some(format!("boot it with `lsm={}` on its command line", with.join(","))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_on_the_command_line_is_named() {
        let active = ["lockdown", "yama"].map(str::to_owned);
        assert_eq!(
            inactive(&active).to_string(),
            "this kernel has no eBPF among its active security modules; boot it with \
             `lsm=lockdown,yama,bpf` on its command line"
        );
    }
}
