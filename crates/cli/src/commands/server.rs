//! `larder serve`: pages and an API on the cache, which is refreshed as it is read.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use larder_engine::SystemClock;
use larder_server::{Settings, Site};
use larder_sources::FilesWatch;
use serde_json::json;
use tokio::task::JoinHandle;

use super::{Context, Ended};
use crate::config::{Config, read_listen};
use crate::detach::{Setup, keep_others_from_refreshing};
use crate::report::{Complaint, Exit};
use crate::ui::Screen;
use crate::wiring::{Ending, LEFT_BEHIND, Rooms, Stay, asked_to_stop, unless_asked_again};

/// Serve pages and an HTTP API on the cache, and refresh what is read.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The pages are at /, the API's documentation at /docs. On this machine alone everybody may do \
                  all; elsewhere private things want `[server] read_token`, and changes `admin_token`.\n\n\
                  What goes wrong is logged to standard error; LARDER_LOG=info says more, LARDER_LOG=off \
                  nothing.\n\n\
                  Example:\n  larder serve --listen 127.0.0.1:7070"
)]
pub struct Args {
    /// Listen there, in place of `[server] listen`; port 0 takes a free one
    #[arg(long, value_name = "ADDR", value_parser = read_listen)]
    listen: Option<SocketAddr>,
    /// Serve nothing: ask the server that listens there whether it is ready, for a health check
    #[arg(long)]
    check: bool,
}

impl Args {
    /// Whether it is to stay.
    pub fn is_serving(&self) -> bool {
        !self.check
    }
}

/// Serves until it is interrupted.
pub fn run(args: &Args, context: &Context) -> Ended {
    let config = context.config()?;
    if args.check {
        return check(args.listen.unwrap_or(config.server.listen.value), context);
    }
    let settings = settings(&config, args);
    crate::wiring::block_on_many(async { serve(&config, settings, context).await })?
}

/// How long a server may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks a server of this machine whether it is ready: the image has no other program that could.
fn check(listen: SocketAddr, context: &Context) -> Ended {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let address = SocketAddr::new(ip, listen.port());
    let failed = || Complaint::failed(format!("the server at {address} is not ready"));
    let line = ask(address).map_err(|error| failed().because(error))?;
    let is_ready = line.split(' ').nth(1) == Some("200");
    if !is_ready {
        return Err(failed().because(line.trim()).into());
    }
    if context.json() {
        context.screen.json(&json!({"url": format!("http://{address}"), "ready": true}))?;
    } else {
        context.screen.answer(&format!("the server at {address} is ready\n"))?;
    }
    Ok(Exit::Answered)
}

/// The first line of its answer.
fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_line(&mut line)?;
    Ok(line)
}

/// Nothing longer is such a line.
const LINE_BYTES_MAX: u64 = 1024;

fn settings(config: &Config, args: &Args) -> Settings {
    let server = &config.server;
    Settings {
        read_token: server.read_token.as_ref().map(|token| token.value.clone()),
        admin_token: server.admin_token.as_ref().map(|token| token.value.clone()),
        allowed_hosts: server.allowed_hosts.value.clone(),
        trusted_proxies: server.trusted_proxies.value.clone(),
        memory_bytes_max: (server.memory_mib.value << 20) / 2,
        ..Settings::new(args.listen.unwrap_or(server.listen.value))
    }
}

async fn serve(config: &Config, settings: Settings, context: &Context) -> Ended {
    let rooms = context.rooms_to(Stay::Long, config).await?;
    // Who serves local folders alone starts without a word from `gh`, which takes fifty milliseconds.
    let engine = rooms.fetcher_of(&rooms.reader().keys())?.clone();
    let is_open = !settings.listen.ip().is_loopback();
    let is_tokenless = settings.read_token.is_none() && settings.admin_token.is_none();
    let troubles = crate::troubles::tell(engine.clone());
    let site = Site {
        engine,
        budgets: rooms.store().budgets().clone(),
        clusters: config.listed.clone(),
        rules: config.registry_rules(),
        clock: Arc::new(SystemClock),
        settings,
        extra: None,
    };
    let mut stop = std::pin::pin!(asked_to_stop());
    // A store may let it wait.
    let running = tokio::select! {
        biased;
        running = start(site) => running?,
        () = &mut stop => return Ok(Exit::Answered),
    };
    // Readers who mean the same by what they read start no child of their own: what is due is done here.
    let setup = || Setup::of(&rooms, config);
    let keep = keep_others_from_refreshing(config, running.address(), setup, &SystemClock);
    let mut keep = Box::pin(keep);
    let mut watching = watching(config, &rooms);
    watching.push(tokio::spawn(troubles));
    watching.extend(rooms.keep_token().map(tokio::spawn));
    if is_open && is_tokenless {
        context
            .screen
            .note("others can reach it and there is no token: only what is public is shown to them");
    }
    tell(running.address(), context)?;
    tokio::select! {
        () = &mut stop => {}
        never = &mut keep => match never {},
    }
    // Nothing is begun any more: readers who come while the last answers are given see to what is due themselves.
    drop(keep);
    watching.iter().for_each(JoinHandle::abort);
    end(running, &context.screen).await;
    Ok(Exit::Answered)
}

/// Starts to follow what changes on this machine, as far as that is wanted.
fn watching(config: &Config, rooms: &Rooms<'_>) -> Vec<JoinHandle<()>> {
    let Some(options) = crate::watching::options(&config.projects) else { return Vec::new() };
    let engine = rooms.reader();
    let folders = crate::watching::watch_once_asked(engine.clone(), rooms.projects().clone(), options);
    let files = FilesWatch::of(&config.marketplaces, options, Arc::new(SystemClock))
        .map(|files| tokio::spawn(crate::watching::watch_files(engine.clone(), files)));
    [Some(tokio::spawn(folders)), files].into_iter().flatten().collect()
}

/// Starts serving, or says why it cannot.
pub async fn start(site: Site) -> Result<larder_server::Running, Complaint> {
    let listen = site.settings.listen;
    larder_server::start(site).await.map_err(|error| {
        let complaint = Complaint::failed(format!("{listen} could not be served on")).because(&error);
        match error {
            larder_server::ServeError::Bind { .. } => {
                complaint.hint("choose another: `--listen 127.0.0.1:0` takes a free port")
            }
            _ => complaint,
        }
    })
}

/// Stops serving: what is being answered is answered, and what is being refreshed is let go of.
pub async fn end(running: larder_server::Running, screen: &Screen) {
    if unless_asked_again(screen, running.stop()).await == Ending::AtOnce {
        screen.warn(LEFT_BEHIND);
    }
}

fn tell(address: SocketAddr, context: &Context) -> Result<(), Complaint> {
    let url = format!("http://{address}");
    if context.json() {
        context.screen.json(&json!({"url": url}))?;
    } else {
        context.screen.answer(&format!("Larder serves at {url}/ (API: {url}/docs); Ctrl-C ends it.\n"))?;
    }
    Ok(())
}
