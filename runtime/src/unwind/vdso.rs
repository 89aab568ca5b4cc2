//! The vDSO: code that the kernel maps into every process and that is in no file (vdso(7)). All
//! processes have the same.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// Its ELF image, read from this process's own memory; `None` where there is none.
pub(super) fn image() -> Option<Vec<u8>> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]"))?;
    let (start, end) = line.split_ascii_whitespace().next()?.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let (start, end) = (hex(start)?, hex(end)?);
    let mut image = vec![0; usize::try_from(end.checked_sub(start)?).ok()?];
    File::open("/proc/self/mem").ok()?.read_exact_at(&mut image, start).ok()?;
    Some(image)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_an_elf_file() {
        let image = super::image();
        assert!(image.is_none_or(|image| image.starts_with(b"\x7fELF")));
    }
}
