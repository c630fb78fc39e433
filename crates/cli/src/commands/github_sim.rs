//! `larder github-sim`: a simulated GitHub on this machine.

use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;

use larder_core::Clock as _;
use larder_engine::SystemClock;
use larder_github_sim::{DemoCluster, Options, Simulator, Token, World};
use serde_json::json;

use super::init::write_new;
use super::{Context, Ended};
use crate::config::{FILE_NAME, read_listen};
use crate::report::{Complaint, Exit};

/// Run a simulated GitHub on this machine, to try things out.
#[derive(Debug, clap::Args)]
#[command(after_help = "It takes any token, keeps GitHub's limits, and fails on demand: PUT /_sim/switches \
                  with {\"outage\": …}; GET /_sim/requests is its log.\n\n\
                  Example:\n  larder github-sim --write-config larder.toml\n  \
                  larder github-sim --data ranking.csv --listen 127.0.0.1:8111")]
pub struct Args {
    /// Serve the repositories of this ranking (rank, item, `repo_name`, stars, …) in place of the demo's
    #[arg(long, value_name = "FILE.csv")]
    data: Option<PathBuf>,
    /// Listen there; port 0 takes a free one
    #[arg(long, value_parser = read_listen, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Write a larder.toml with the demo's clusters, ready to be used
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    write_config: Option<PathBuf>,
}

/// Serves until it is interrupted.
pub fn run(args: &Args, context: &Context) -> Ended {
    context.takes_no_settings("larder github-sim")?;
    let world = world(args)?;
    crate::wiring::block_on(serve(world, args, context))?
}

fn world(args: &Args) -> Result<World, Complaint> {
    let mut world = match &args.data {
        None => World::demo_at(now()),
        Some(path) => {
            let failed = || Complaint::failed(format!("{} could not be read", path.display()));
            let file = File::open(path).map_err(|error| failed().because(error))?;
            World::load_ranking_csv(BufReader::new(file)).map_err(|error| failed().because(error))?
        }
    };
    world.accept_any_token(Token::of("octocat").seeing_everything());
    Ok(world)
}

async fn serve(world: World, args: &Args, context: &Context) -> Ended {
    let repositories = world.repositories().count();
    let options = Options::default().with_listen(args.listen);
    let simulator = Simulator::start(world, options).await.map_err(|error| {
        Complaint::failed(format!("{} could not be listened on", args.listen))
            .because(error)
            .hint("choose another: `--listen 127.0.0.1:0` takes a free port")
    })?;
    let url = simulator.url();
    let stop = crate::wiring::asked_to_stop();
    let is_trusted = match &args.write_config {
        Some(file) => write_new(file, &config_of_demo(url), "--write-config FILE", context)?,
        None => false,
    };
    if context.json() {
        let file = args.write_config.as_ref().map(|file| context.env.cwd.join(file));
        context.screen.json(&json!({"api_url": url, "repositories": repositories, "config": file}))?;
    } else {
        let how_to = how_to(args, url, is_trusted);
        context.screen.answer(&format!(
            "GitHub is simulated at {url} with {repositories} repositories; Ctrl-C ends it.\n{how_to}"
        ))?;
    }
    stop.await;
    simulator.stop().await;
    Ok(Exit::Answered)
}

/// What to do in another terminal.
fn how_to(args: &Args, url: &str, is_trusted: bool) -> String {
    if let Some(file) = &args.write_config {
        // One that nobody trusts says nothing of whom to ask, unless it is named.
        let is_found = file.as_os_str() == FILE_NAME && is_trusted;
        let config = if is_found { String::new() } else { format!(" --config {}", file.display()) };
        return format!(
            "wrote {} with {} clusters. Now, in another terminal, in this directory:\n\n    \
             larder repos{config}\n    larder registry{config}\n    \
             larder release list{config}\n",
            file.display(),
            World::demo_clusters().len(),
        );
    }
    let env = format!("export LARDER_GITHUB__API_URL={url} GH_TOKEN=any");
    if args.data.is_some() {
        return format!(
            "Now, in another terminal, where a larder.toml names some of them:\n\n    {env}\n    larder repos\n"
        );
    }
    format!(
        "Now, in another terminal:\n\n    {env} LARDER_GITHUB__OWNER={OWNER} LARDER_CLUSTERS__UNCLUSTERED=true\n    \
         larder repos\n\nor start with `--write-config larder.toml` for a file with its clusters.\n"
    )
}

/// Whose the demo's repositories are.
const OWNER: &str = "octo-org";

/// A whole larder.toml for the demo.
fn config_of_demo(url: &str) -> String {
    let mut text = format!(
        "# The demo of `larder github-sim`, which must be running there. Any token will do.\n\n\
         [github]\napi_url = \"{url}\"\nowner = \"{OWNER}\"\ntoken = \"any\"\n\n\
         [clusters]\n# Short, so that copies can be watched getting old.\nttl = \"1m\"\nunclustered = true\n\n\
         [trackers]\nrepos = [\"{OWNER}/harbor\", \"{OWNER}/quill\"]\n"
    );
    let cluster = |cluster: &DemoCluster| {
        let DemoCluster { id, name, repos } = cluster;
        let repos: Vec<String> = repos.iter().map(|repo| format!("\"{repo}\"")).collect();
        let repos = repos.join(", ");
        format!("\n[[cluster]]\nid = \"{id}\"\nname = \"{name}\"\nrepos = [{repos}]\n")
    };
    text.extend(World::demo_clusters().iter().map(cluster));
    text
}

/// The time for the demo, so that what is new there looks new.
fn now() -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(SystemClock.now().ms()).unwrap_or_default()
}
