//! USDT probes of programs and libraries.

use std::path::Path;

use rbtrace_lang::catalog::UsdtProbe;
use rbtrace_runtime::symbols::Binary;

/// The probes of a file, sorted. `None`: it is no program or library.
pub fn probes(path: &str) -> Option<Vec<UsdtProbe>> {
    let mut sites = Binary::open(Path::new(path)).ok()?.usdt_sites().ok()?;
    // Stable: the places of a probe stay in the order of the notes.
    sites.sort_by(|a, b| (&a.provider, &a.name).cmp(&(&b.provider, &b.name)));
    let mut probes: Vec<UsdtProbe> = Vec::new();
    for site in sites {
        match probes.last_mut() {
            Some(last) if last.provider == site.provider && last.name == site.name => {
                if !last.arguments.contains(&site.arguments) {
                    last.arguments.push(site.arguments);
                }
            }
            _ => probes.push(UsdtProbe {
                provider: site.provider,
                name: site.name,
                arguments: vec![site.arguments],
            }),
        }
    }
    Some(probes)
}
