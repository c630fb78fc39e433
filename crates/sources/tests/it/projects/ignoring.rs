//! Ignore files, which whoever brings a project writes as they please.

use std::fs;
use std::os::unix::fs::symlink;

use crate::projects::folder::{Folder, codes};

#[tokio::test]
async fn an_ignore_file_leaves_out_what_it_names_and_a_deeper_one_has_the_last_word() {
    let mut folder = Folder::new();
    for name in ["kiln", "old/attic", "old/kept", "tools/build", "tools/deep/build"] {
        folder.project(name);
    }
    folder.write("dev/.gitignore", "\u{feff}/old/*\n# kiln\n[\n");
    folder.write("dev/old/.ignore", "!kept\n");
    folder.write("dev/tools/.gitignore", "/deep\n");
    folder.write("dev/tools/.ignore", "!deep\n");
    folder.configure(|config, _| config.prune.clear());
    folder.refresh().await;
    assert_eq!(folder.names(), ["kiln", "old/kept", "tools/build", "tools/deep/build"]);
    assert_eq!(folder.root_warnings(), []);
    folder.remove("dev/tools/.ignore");
    symlink("../lists/rules", folder.path("dev/tools/.ignore")).unwrap();
    folder.write("dev/lists/rules", "build\n");
    folder.refresh().await;
    assert_eq!(folder.names(), ["kiln", "old/kept"], "a link below the root is followed");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_ignore_file_that_is_none_keeps_nobody_waiting_and_hides_nothing() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let mut folder = Folder::new();
    for name in ["kiln", "cinder", "oven", "forge"] {
        folder.project(name);
    }
    let pipe = folder.path("dev/kiln/.gitignore");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    fs::create_dir(folder.path("dev/cinder/.ignore")).unwrap();
    folder.write("dev/oven/.gitignore", &format!("*\n{}", "# much\n".repeat(1 << 18)));
    folder.write("outside/list", "oven\n");
    symlink(folder.path("outside/list"), folder.path("dev/.gitignore")).unwrap();
    symlink("/dev/zero", folder.path("dev/forge/.ignore")).unwrap();
    folder.refresh().await;
    assert_eq!(folder.names(), ["cinder", "forge", "kiln", "oven"]);
    let warnings = folder.root_warnings();
    let about: Vec<&str> = warnings.iter().map(|warning| warning.about.as_str()).collect();
    assert_eq!(
        about,
        [".gitignore", "cinder/.ignore", "forge/.ignore", "kiln/.gitignore", "oven/.gitignore"]
    );
    assert_eq!(
        codes(&warnings),
        ["link_outside", "unreadable", "link_outside", "unreadable", "unreadable"],
        "{warnings:?}"
    );
    folder.configure(|config, _| config.allow_links = vec!["/dev".into()]);
    folder.refresh().await;
    assert!(folder.root_warnings()[2].message.contains("not a file"), "{:?}", folder.root_warnings());
}
