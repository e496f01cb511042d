//! What the figures were measured on.

use std::path::Path;
use std::process::Command;

use i3_core::time::{Clock as _, SystemClock};

/// The machine, the time and the program, in lines of a name and what it is.
pub(crate) fn describe() -> Vec<(&'static str, String)> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let about_cpu = read("/proc/cpuinfo");
    let model = about_cpu.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let about_memory = read("/proc/meminfo");
    let kib = about_memory.lines().find_map(|line| {
        line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    let memory = kib.map_or_else(|| "unknown memory".to_owned(), |kib| format!("{} MiB memory", kib / 1024));
    let system = format!("{} {}", std::env::consts::OS, read("/proc/sys/kernel/osrelease").trim());
    vec![
        ("date", SystemClock.now().to_string()),
        ("commit", commit()),
        ("machine", format!("{}, {cores} cores, {memory}", model.map_or("unknown processor", str::trim))),
        ("system", system),
    ]
}

/// The load of the machine now, in waiting tasks on average over a minute.
pub(crate) fn load() -> Option<String> {
    Some(std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.to_owned())
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(std::process::Stdio::null())
            .output()
            .ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    match git(&["status", "--porcelain", "--untracked-files=no"]).as_deref() {
        Some("") => commit,
        _ => format!("{commit}, with changes that are not committed"),
    }
}

/// The type of the file system that a folder is on, where Linux tells.
pub(super) fn file_system(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    holding(&mounts, &folder)
}

fn holding(mounts: &str, folder: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        // A space in a path is written in octal.
        Some((fields.next()?.replace("\\040", " "), fields.next()?))
    });
    // Of two mounts at one place the later one is seen.
    let nearest =
        mounts.filter(|(place, _)| folder.starts_with(place)).max_by_key(|(place, _)| place.len())?;
    Some(nearest.1.to_owned())
}

/// Whether what is on a file system of this type is gone with the power.
pub(super) fn is_memory(file_system: &str) -> bool {
    matches!(file_system, "tmpfs" | "ramfs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_mount_holds_a_folder() {
        let mounts =
            "overlay / overlay rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/a /tmp/my\\040disk ext4 rw 0 0\n";
        let of = |folder| holding(mounts, Path::new(folder)).unwrap();
        assert_eq!(of("/home/x"), "overlay");
        assert_eq!(of("/tmpx"), "overlay");
        assert_eq!(of("/tmp/x"), "tmpfs");
        assert_eq!(of("/tmp/my disk/x"), "ext4");
        assert!(is_memory("tmpfs") && !is_memory("ext4"));
    }

    #[test]
    fn the_description_names_date_and_commit() {
        let about = describe();
        let of = |name| about.iter().find(|(found, _)| *found == name).map(|(_, what)| what.as_str());
        assert!(of("date").unwrap().starts_with("20"));
        assert!(!of("commit").unwrap().is_empty());
    }
}
