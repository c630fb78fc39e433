//! `larder github-sim`: a simulated GitHub on this machine.

use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;

use larder_github_sim::{Options, Simulator, Token, World};
use serde_json::json;

use super::{Context, Ended};
use crate::report::{Complaint, Exit};

/// Run a simulated GitHub on this machine, to try things out.
#[derive(Debug, clap::Args)]
#[command(after_help = "It takes any token, keeps GitHub's limits, and fails on demand: PUT /_sim/switches \
                  with {\"outage\": …}; GET /_sim/requests is its log.\n\n\
                  Example:\n  larder github-sim --data ranking.csv --listen 127.0.0.1:8111")]
pub struct Args {
    /// Serve the repositories of this ranking (rank, item, `repo_name`, stars, …) in place of the demo's
    #[arg(long, value_name = "FILE.csv")]
    data: Option<PathBuf>,
    /// Listen there; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// Serves until it is interrupted.
pub fn run(args: &Args, context: &Context) -> Ended {
    let world = world(args)?;
    crate::wiring::block_on(serve(world, args, context))?
}

fn world(args: &Args) -> Result<World, Complaint> {
    let mut world = match &args.data {
        None => World::demo(),
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
    if context.json() {
        context.screen.json(&json!({"api_url": url, "repositories": repositories}))?;
    } else {
        context.screen.answer(&format!(
            "GitHub is simulated at {url} with {repositories} repositories; Ctrl-C ends it.\n\
             To use it, write into larder.toml:\n\n\
             [github]\napi_url = \"{url}\"\ntoken = \"any\"\n\n\
             or set LARDER_GITHUB__API_URL={url} and GITHUB_TOKEN=any\n"
        ))?;
    }
    // Without a handler for it, the interrupt ends the process all the same.
    let _ = tokio::signal::ctrl_c().await;
    simulator.stop().await;
    Ok(Exit::Answered)
}
