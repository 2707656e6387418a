use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Names in a directory.
fn names(dir: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

fn only(names_of: &Path, expected: &[&str]) {
    assert_eq!(names(names_of), expected.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
}

fn put_dir(path: &Path, text: &str) {
    let dir = AtomicDir::create(path, &["inner"]).unwrap();
    fs::create_dir(dir.path().join("inner")).unwrap();
    fs::write(dir.path().join("inner/text"), text).unwrap();
    dir.commit().unwrap();
}

fn text_in(path: &Path) -> String {
    fs::read_to_string(path.join("inner/text")).unwrap()
}

#[test]
fn a_dropped_file_leaves_the_old_one_and_no_other() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a.txt");
    write_bytes(&path, "old").unwrap();
    let mut file = AtomicFile::create(&path).unwrap();
    file.write_all(b"half of the ne").unwrap();
    file.flush().unwrap();
    assert_eq!(
        file.error(io::Error::other("disk full")).to_string(),
        format!("cannot write {}", path.display())
    );
    drop(file);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    only(place.path(), &["a.txt"]);
    write_json(&path, &[1, 2]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "[\n  1,\n  2\n]\n");
    only(place.path(), &["a.txt"]);
}

#[test]
fn a_new_file_replaces_none() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a");
    let begin = |text: &str| {
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    };
    let (first, second) = (begin("first"), begin("second"));
    second.commit_new().unwrap();
    let error = first.commit_new().unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists, "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"second");
    only(place.path(), &["a"]);
}

#[test]
fn writers_of_one_name_do_not_disturb_each_other() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a");
    std::thread::scope(|scope| {
        for writer in 0..4_u8 {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..50 {
                    write_bytes(path, vec![writer; 5000]).unwrap();
                    let read = fs::read(path).unwrap();
                    assert!(read.len() == 5000 && read.iter().all(|byte| *byte == read[0]), "torn");
                }
            });
        }
    });
    only(place.path(), &["a"]);
}

#[test]
fn errors_name_the_path() {
    let nowhere = Path::new("/no/such/place/a.txt");
    assert!(write_bytes(nowhere, "").unwrap_err().to_string().ends_with("beside /no/such/place/a.txt"));
    assert!(
        AtomicDir::create(nowhere, &["inner"]).unwrap_err().to_string().ends_with("/no/such/place/a.txt")
    );
    let place = tempfile::tempdir().unwrap();
    write_bytes(place.path().join("file"), "").unwrap();
    let error = create_dir_all(place.path().join("file/below")).unwrap_err();
    assert!(error.to_string().ends_with("file/below"), "{error}");
    assert!(write_bytes("..", "").is_err(), "not a name");
    // JSON's keys are texts.
    let unwritable = std::collections::BTreeMap::from([([1, 2], 3)]);
    assert!(write_json(place.path().join("json"), &unwritable).unwrap_err().to_string().ends_with("json"));
    only(place.path(), &["file"]);

    // A directory does not give way to a file, nor a file to a directory.
    fs::create_dir(place.path().join("dir")).unwrap();
    let error = write_bytes(place.path().join("dir"), "").unwrap_err();
    assert!(error.to_string().starts_with("cannot replace") && error.to_string().ends_with("dir"), "{error}");
    let error = AtomicDir::create(place.path().join("file"), &["inner"]).unwrap_err();
    assert!(error.source.to_string().contains("found a file"), "{error}");
    only(place.path(), &["dir", "file"]);
}

#[cfg(unix)]
#[test]
fn a_refused_permission_names_the_path() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let locked = place.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    // Whoever may do everything is refused nothing.
    if fs::write(locked.join("probe"), "").is_err() {
        let error = write_bytes(locked.join("a"), "").unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().ends_with("locked/a"), "{error}");
        assert!(
            AtomicDir::create(locked.join("d"), &["inner"]).unwrap_err().to_string().ends_with("locked/d")
        );
    }
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_dropped_directory_leaves_the_old_one_and_no_other() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model");
    put_dir(&path, "old");
    let dir = AtomicDir::create(&path, &["inner"]).unwrap();
    assert_eq!(dir.target(), path);
    fs::write(dir.path().join("half"), "").unwrap();
    drop(dir);
    assert_eq!(text_in(&path), "old");
    put_dir(&path, "new");
    assert_eq!(text_in(&path), "new");
    only(&path, &["inner"]);
    only(place.path(), &["model"]);
}

#[test]
fn a_reader_never_finds_the_directory_missing() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model");
    put_dir(&path, "0");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0_u64;
            while !done.load(Ordering::Relaxed) || looks == 0 {
                assert!(path.is_dir() && path.exists(), "look {looks}");
                looks += 1;
            }
            looks
        });
        for version in 0..400 {
            put_dir(&path, &version.to_string());
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
    assert_eq!(text_in(&path), "399");
    only(place.path(), &["model"]);
}

#[test]
fn writers_of_one_directory_do_not_disturb_each_other() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model");
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let path = &path;
            scope.spawn(move || (0..30).for_each(|_| put_dir(path, &writer.to_string())));
        }
    });
    only(&path, &["inner"]);
    only(place.path(), &["model"]);
}

/// Where there is no exchange.
#[test]
fn in_two_steps_the_old_directory_is_there_unless_the_new_one_is() {
    let place = tempfile::tempdir().unwrap();
    let [target, next, aside] = ["model", "next", "aside"].map(|name| place.path().join(name));
    put_dir(&target, "old");
    dir::replace_in_two_steps(&next, &target, &aside).unwrap_err();
    assert_eq!(text_in(&target), "old");
    put_dir(&next, "new");
    dir::replace_in_two_steps(&next, &target, &aside).unwrap();
    assert_eq!((text_in(&target), text_in(&aside)), ("new".to_owned(), "old".to_owned()));
}

#[test]
fn a_kill_between_the_two_steps_is_repaired_by_the_next_writer() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model");
    put_dir(&place.path().join(".model.part.old"), "old");
    put_dir(&place.path().join(".model.part.next"), "new");
    fs::write(place.path().join(".model.part"), "").unwrap();
    drop(AtomicDir::create(&path, &["inner"]).unwrap());
    assert_eq!(text_in(&path), "old");
    only(place.path(), &["model"]);
}

#[test]
fn left_overs_are_removed_and_work_under_way_is_not() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("a");
    let mut under_way = AtomicFile::create(&path).unwrap();
    under_way.write_all(b"whole").unwrap();
    // Three writers were killed, one of a directory, while another is at work in the first slot.
    for number in [1, 2, 3] {
        fs::write(place.path().join(format!(".a.{number}.part")), "half").unwrap();
    }
    fs::create_dir(place.path().join(".a.2.part.next")).unwrap();
    fs::write(place.path().join(".other.part"), "of another name").unwrap();
    write_bytes(&path, "other").unwrap();
    only(place.path(), &["a", ".a.part", ".other.part"]);
    under_way.commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"whole");
    only(place.path(), &["a", ".other.part"]);
}

/// What the killed process of the next test does; nothing if it is run as a test.
#[test]
fn begin_and_be_killed() {
    let Some(place) = std::env::var_os("SCALETOT_KILLED_WRITER") else { return };
    let place = Path::new(&place);
    let mut file = AtomicFile::create(place.join("file")).unwrap();
    file.write_all(b"half").unwrap();
    file.flush().unwrap();
    let dir = AtomicDir::create(place.join("dir"), &["inner"]).unwrap();
    fs::write(dir.path().join("half"), "").unwrap();
    std::process::abort();
}

#[test]
fn a_killed_process_leaves_what_was_there_and_its_left_overs_go() {
    let place = tempfile::tempdir().unwrap();
    let [file, dir] = ["file", "dir"].map(|name| place.path().join(name));
    write_bytes(&file, "old").unwrap();
    put_dir(&dir, "old");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "files::tests::begin_and_be_killed"])
        .env("SCALETOT_KILLED_WRITER", place.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(!status.success());
    assert_eq!((fs::read(&file).unwrap().as_slice(), text_in(&dir).as_str()), (&b"old"[..], "old"));
    only(place.path(), &["dir", "file", ".dir.part", ".dir.part.next", ".file.part"]);
    write_bytes(&file, "new").unwrap();
    put_dir(&dir, "new");
    assert_eq!((fs::read(&file).unwrap().as_slice(), text_in(&dir).as_str()), (&b"new"[..], "new"));
    only(place.path(), &["dir", "file"]);
}

#[test]
fn missing_directories_are_made() {
    let place = tempfile::tempdir().unwrap();
    let deep = place.path().join("a/b/c");
    create_dir_all(&deep).unwrap();
    create_dir_all(&deep).unwrap();
    assert!(deep.is_dir());
    create_dir_all("").unwrap(); // the parent of a bare name
}

/// Replaced while it is read, and then by what was there before.
#[cfg(unix)]
#[test]
fn a_directory_that_was_replaced_is_read_again() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model");
    let put = |text: &str| {
        let next = AtomicDir::create(&path, &["a"]).unwrap();
        next.write("a", text).unwrap();
        next.commit().unwrap();
    };
    put("1");
    let mut reads = 0;
    let found = AtomicDir::read(&path, || {
        reads += 1;
        if reads == 1 {
            put("2");
            put("1");
            return Err("of two directories");
        }
        Ok(fs::read_to_string(path.join("a")).unwrap())
    });
    assert_eq!((found, reads), (Ok("1".to_owned()), 2));
    // One that stays is read once, whatever is wrong with it; so is none.
    for path in [&path, &place.path().join("none")] {
        let mut reads = 0;
        let found: Result<(), _> = AtomicDir::read(path, || {
            reads += 1;
            Err("damaged")
        });
        assert_eq!((found, reads), (Err("damaged"), 1));
    }
}
