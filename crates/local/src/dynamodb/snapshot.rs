//! The database's file, and the preparation of the engine's schema before it serves.
//!
//! The engine supports a settable clock only for databases in memory. So the database is in memory,
//! and its file is a snapshot. A snapshot is written to a second file, synced and renamed over the
//! old one, so that the file is always complete.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use dynoxide::Database;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// The time for which DynamoDB Streams keep a record.
pub(crate) const STREAM_RETENTION: SignedDuration = SignedDuration::from_hours(24);

/// The database is saved after this many checks without a visible change. An update of a table
/// without a stream that leaves the row's size unchanged is not visible in the compared figures.
const UNCHANGED_CHECKS_MAX: u32 = 12;

/// Without this index the engine scans the whole stream table for every write and every read. A
/// table with 30,000 stream records then takes only a few hundred writes a second.
const INDEX_STREAM: &str = "CREATE INDEX IF NOT EXISTS stream_by_sequence \
     ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";

/// The reason why the data file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another process serves the same file.
    #[error("{} is in use by another process: stop that process, or choose another path", .0.display())]
    InUse(PathBuf),
    /// The path is not valid UTF-8, which SQLite requires.
    #[error("{} is not UTF-8: choose another path", .0.display())]
    Path(PathBuf),
    /// The operating system refused a file operation.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory that the operation was for.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The engine could not read or write the file.
    #[error("{}: {source}", path.display())]
    Engine {
        /// The path of the file.
        path: PathBuf,
        /// The error that the engine returned.
        source: dynoxide::DynoxideError,
    },
    /// SQLite could not prepare the file.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The path of the file.
        path: PathBuf,
        /// The error that SQLite returned.
        source: rusqlite::Error,
    },
}

/// The file of one database, locked for one process.
pub(crate) struct DataFile {
    path: PathBuf,
    /// The lock on the file. It is released when the handle is dropped.
    _lock: File,
    saved: Mutex<Saved>,
}

/// The figures of the database when it was last saved.
#[derive(Default)]
struct Saved {
    figures: Option<Vec<Value>>,
    checks_since: u32,
}

impl DataFile {
    /// Locks the file for this process. It need not exist yet.
    pub(crate) fn open(path: &Path) -> Result<Self, SnapshotError> {
        let lock_path = with_suffix(path, "lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|source| SnapshotError::Io {
                path: lock_path.clone(),
                source,
            })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
                saved: Mutex::default(),
            }),
            Err(TryLockError::WouldBlock) => Err(SnapshotError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(SnapshotError::Io {
                path: lock_path,
                source,
            }),
        }
    }

    /// Saves the database if its figures differ from those of the last save.
    pub(crate) fn save_if_changed(&self, database: &Database) -> Result<(), SnapshotError> {
        let figures = self.figures(database)?;
        {
            let mut saved = self
                .saved
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            saved.checks_since = saved.checks_since.saturating_add(1);
            if saved.figures.as_ref() == Some(&figures) && saved.checks_since < UNCHANGED_CHECKS_MAX
            {
                return Ok(());
            }
        }
        self.save(database)
    }

    /// Writes the database to a second file, syncs it, and renames it over the file.
    pub(crate) fn save(&self, database: &Database) -> Result<(), SnapshotError> {
        // The lock is held during the whole save, because two checkpoints at once would use the
        // same second file.
        let mut saved = self
            .saved
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let figures = self.figures(database)?;
        let new_file = with_suffix(&self.path, "new");
        let io = |source| SnapshotError::Io {
            path: new_file.clone(),
            source,
        };
        // A crash during an earlier checkpoint leaves a file that SQLite would refuse.
        match std::fs::remove_file(&new_file) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(io(source)),
            _ => {}
        }
        copy_out(database, &new_file)?;
        File::open(&new_file)
            .and_then(|file| file.sync_all())
            .map_err(io)?;
        std::fs::rename(&new_file, &self.path).map_err(io)?;
        *saved = Saved {
            figures: Some(figures),
            checks_since: 0,
        };
        Ok(())
    }

    /// Returns figures of every table that are cheap to read and that nearly every write changes.
    fn figures(&self, database: &Database) -> Result<Vec<Value>, SnapshotError> {
        let engine = |source| SnapshotError::Engine {
            path: self.path.clone(),
            source,
        };
        let mut figures = Vec::new();
        for table in database.table_stats().map_err(engine)? {
            let last =
                super::tables::last_sequence_number(database, &table.table_name).map_err(engine)?;
            figures.push(serde_json::json!([
                table.table_name,
                table.item_count,
                table.size_bytes,
                last
            ]));
        }
        Ok(figures)
    }
}

/// Fills `database` from its file, if there is one, and prepares it for streams in any case.
pub(crate) fn load(
    database: &Database,
    file: Option<&DataFile>,
    now: Timestamp,
) -> Result<(), SnapshotError> {
    if let Some(file) = file
        && file.path.exists()
    {
        copy_in(database, &file.path)?;
    }
    let scratch = tempfile::tempdir().map_err(|source| SnapshotError::Io {
        path: std::env::temp_dir(),
        source,
    })?;
    let path = scratch.path().join("prepared.db");
    copy_out(database, &path)?;
    prepare(&path, now).map_err(|source| SnapshotError::Sqlite {
        path: path.clone(),
        source,
    })?;
    copy_in(database, &path)
}

/// Adds the index over stream records to a closed database file, and deletes the stream records
/// that are older than the retention.
fn prepare(path: &Path, now: Timestamp) -> Result<(), rusqlite::Error> {
    let connection = rusqlite::Connection::open(path)?;
    connection.execute_batch(INDEX_STREAM)?;
    let horizon = now
        .checked_sub(STREAM_RETENTION)
        .map_or(i64::MIN, Timestamp::as_second);
    connection.execute(
        "DELETE FROM _stream_records WHERE created_at < ?1",
        [horizon],
    )?;
    connection.close().map_err(|(_, error)| error)
}

fn copy_out(database: &Database, path: &Path) -> Result<(), SnapshotError> {
    database
        .vacuum_into(text(path)?)
        .map_err(|source| SnapshotError::Engine {
            path: path.to_owned(),
            source,
        })
}

fn copy_in(database: &Database, path: &Path) -> Result<(), SnapshotError> {
    database
        .restore_from(text(path)?)
        .map_err(|source| SnapshotError::Engine {
            path: path.to_owned(),
            source,
        })
}

fn text(path: &Path) -> Result<&str, SnapshotError> {
    path.to_str()
        .ok_or_else(|| SnapshotError::Path(path.to_owned()))
}

/// Turns `data.db` into `data.db.<suffix>`. Both are in the same directory, so that a rename stays
/// on one file system.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}
