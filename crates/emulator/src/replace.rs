//! Replaces a file as a whole.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes the content to a second file, whose name is that of `path` and `.new`, and renames it to
/// `path`. A crash of the program or of the machine leaves either the old file or the new file,
/// because the second file is synced before it is renamed, and the folder afterwards.
///
/// # Errors
/// If a step fails. The old file is then intact, except after a failure of the last step, which
/// syncs the folder: the new file is in place, but a crash of the machine may bring back the old
/// file.
pub fn replace_file(path: &Path, content: &str) -> std::io::Result<()> {
    let new = second_path(path);
    let mut file = File::create(&new)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    sync_folder(path)
}

/// The second file's path. `.new` is added to the whole name, so that the two paths always differ.
fn second_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Syncs the file's folder. Only then is a rename safe on the disk. Windows cannot open a folder as
/// a file.
#[cfg(unix)]
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        // The second path differs from the first path even if the first path ends in `.new`.
        for name in ["world.json", "world.new"] {
            let path = folder.path().join(name);
            for content in ["a longer first world", "second"] {
                replace_file(&path, content).expect("written");
                assert_eq!(std::fs::read_to_string(&path).expect("read"), content);
            }
        }
        let left = std::fs::read_dir(folder.path()).expect("the folder");
        assert_eq!(left.count(), 2);
    }

    #[test]
    fn a_second_file_that_cannot_be_written_leaves_the_first_as_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("world.json");
        replace_file(&path, "first").expect("written");
        std::fs::create_dir(second_path(&path)).expect("a folder in the way");
        assert!(replace_file(&path, "second").is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "first");
    }
}
