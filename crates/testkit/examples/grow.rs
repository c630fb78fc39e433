//! Grows a tree of projects in a folder, to look at by hand what the benchmarks measure:
//! `cargo run -p larder-testkit --example grow -- FOLDER [PROJECTS] [ARTIFACTS]`, then
//! `larder --config FOLDER/larder.toml projects`.
#![allow(clippy::print_stdout, missing_docs, reason = "an example prints")]

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use larder_testkit::Tree;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("which folder?")?);
    let projects = args.next().map_or(Ok(100), |count| count.parse())?;
    let artifacts = args.next().map_or(Ok(10_000), |count| count.parse())?;
    fs::create_dir_all(&folder)?;
    let grown = Tree { projects, artifacts, seed: 7 }.grow(&folder)?;
    let config = format!(
        "[store]\nurl = \"sqlite:{}\"\n\n[projects]\nroots = [\"{}\"]\ncollections = [\"{}\"]\n",
        folder.join("store/larder.db").display(),
        grown.root.display(),
        grown.collections.display()
    );
    let file = folder.join("larder.toml");
    fs::write(&file, config)?;
    println!("{} files, {} bytes; settings: {}", grown.files, grown.bytes, file.display());
    Ok(())
}
