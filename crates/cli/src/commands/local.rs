//! What the commands about local projects have in common: the roots are looked at first, since they
//! say which projects there are; then the projects are served like any other entry.

use larder_core::{Entry, Item, Key, Listed, Trigger};
use larder_engine::{Behind, ReadOptions};
use larder_sources::{MarketplaceSource, ProjectsSource};
use serde::de::DeserializeOwned;

use super::Context;
use super::entry::EntryView;
use super::names::{Chosen, chosen};
use super::repos::left_out_for_long;
use super::serve::{Served, Wish, look, serve};
use super::warnings::Detail;
use crate::config::Config;
use crate::report::{Complaint, Exit, FOLDER, grouped};
use crate::ui::{Progress, Screen};
use crate::wiring::{Rooms, until_interrupted};

/// How a reader wants it.
pub struct Wanted<'a> {
    /// Look at everything anew first.
    pub refresh: bool,
    /// Look at no folder.
    pub offline: bool,
    /// Of these projects alone, by id or name; none = of all.
    pub only: &'a [String],
    /// Of what is installed, of what is to be had, or of both.
    pub from: From,
}

/// Where artifacts are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Local projects.
    Projects,
    /// Marketplaces.
    Marketplaces,
    /// Both.
    Both,
}

/// Local projects as they are known now.
pub struct Local {
    /// The projects' keys, in order, and behind them the marketplaces'.
    pub keys: Vec<Key>,
    /// The states of the roots and the projects.
    pub entries: Vec<EntryView>,
    served: Served,
}

/// The configuration of a command about local projects: the folder that one stands in is a root for
/// these alone.
pub fn config(context: &Context) -> Result<Config, Vec<Complaint>> {
    let mut config = context.config()?;
    config.projects.stand_in(&context.env);
    Ok(config)
}

impl Local {
    /// Sees to it that roots and projects are as the reader wants them.
    pub async fn serve(
        rooms: &Rooms<'_>,
        wanted: &Wanted<'_>,
        context: &Context,
        config: &Config,
    ) -> Result<Local, Complaint> {
        let markets = match wanted.from {
            From::Projects => Vec::new(),
            From::Marketplaces | From::Both => rooms.reader().keys_of(MarketplaceSource::NAME),
        };
        let sources = [ProjectsSource::NAME, MarketplaceSource::NAME];
        if let Err(error) = rooms.reader().reconcile_of(&sources).await {
            tracing::warn!(%error, "what is configured could not be noted");
        }
        // Which roots there are is known by now: one that went away counts while its projects are held.
        match wanted.from {
            From::Marketplaces => check_markets(&markets, config)?,
            From::Both if !markets.is_empty() => {}
            From::Projects | From::Both => check_roots(rooms, config)?,
        }
        let engine = rooms.reader();
        let has_projects = wanted.from != From::Marketplaces;
        let indexes = if has_projects { engine.indexes_of(ProjectsSource::NAME) } else { Vec::new() };
        let wish = match (wanted.refresh, wanted.offline) {
            (true, _) => Wish::Refresh,
            (_, true) => Wish::Offline,
            (false, false) => Wish::Normal,
        };
        // Which projects there are is asked first.
        let mut first = Vec::new();
        let mut found = None;
        if wish == Wish::Refresh && !indexes.is_empty() {
            found = Some(serve(rooms, &indexes, wish, &context.screen).await?);
        } else {
            if wish == Wish::Normal {
                look_for_more(rooms, &indexes, context).await?;
            }
            first = indexes;
        }
        let Chosen { mut keys, mut failed } =
            if has_projects { chosen(rooms, wanted, context).await? } else { Chosen::default() };
        if wish == Wish::Normal {
            let is_tried = |key: &Key| failed.iter().any(|(tried, _)| tried == key);
            let others: Vec<Key> = keys.iter().filter(|key| !is_tried(key)).cloned().collect();
            failed.extend(look_anew(rooms, &others, context).await?);
            tell_of(&failed, rooms, context);
        }
        keys.extend(markets);
        // What was looked at a moment ago is not looked at again.
        first.extend(keys.iter().cloned());
        let served = serve(rooms, &first, wish, &context.screen).await?;
        let served = if let Some(found) = found { found.and(served) } else { served }.placed(config);
        Ok(Local { entries: served.entries.clone(), keys, served })
    }

    /// Whether there is anything to show.
    pub fn has_data(&self) -> bool {
        self.served.has_data()
    }

    /// Whether nothing is to be complained of.
    pub fn is_well(&self) -> bool {
        self.served.complaints.is_empty()
    }

    /// Says what there is to say besides the answer, and ends the command.
    pub fn end(&self, rooms: &Rooms<'_>, context: &Context, config: &Config) -> Exit {
        self.served.end(Detail::Few, rooms, context, config)
    }
}

fn check_roots(rooms: &Rooms<'_>, config: &Config) -> Result<(), Complaint> {
    if !rooms.reader().indexes_of(ProjectsSource::NAME).is_empty() {
        return Ok(());
    }
    let named = &config.projects.roots;
    let why = if named.is_set() {
        format!("`[projects] roots` names none ({})", named.origin)
    } else {
        "neither ~/projects, ~/dev, ~/workspace nor ~/src is there, and the home folder itself is never searched"
            .to_owned()
    };
    let complaint = Complaint::usage("there is no folder to look for projects in").because(why);
    let file = config.file.as_ref().map_or("larder.toml", |file| file.shown.as_str());
    let complaint = complaint.hint(format!("stand in a project, or name folders in {file}, such as"));
    Err(Complaint { paste: &["[projects]", "roots = [\"~/code\"]"], ..complaint })
}

fn check_markets(markets: &[Key], config: &Config) -> Result<(), Complaint> {
    if !markets.is_empty() {
        return Ok(());
    }
    let file = config.file.as_ref().map_or("larder.toml", |file| file.shown.as_str());
    let complaint = Complaint::usage("no marketplace is configured");
    let complaint = complaint.hint(format!("add one to {file}, such as"));
    let paste = &["[[marketplace]]", "name = \"skills\"", "github = \"anthropics/skills\""];
    Err(Complaint { paste, ..complaint })
}

/// Entries that could not be looked at, and why.
pub type Failed = Vec<(Key, Complaint)>;

/// Looks which projects there are below the roots. A root that cannot be looked at is told of, and what is known
/// of it stands.
pub async fn look_for_more(rooms: &Rooms<'_>, indexes: &[Key], context: &Context) -> Result<(), Complaint> {
    find(rooms, indexes, "looking for projects", context).await?;
    let failed = look_anew(rooms, indexes, context).await?;
    tell_of(&failed, rooms, context);
    Ok(())
}

/// Looks anew at what was looked at before this process began: nobody heard what happened between two
/// commands, and to look at what is as it was takes no longer than to start another program. Of several that
/// run at once, the others take what the first one saw.
pub async fn look_anew(rooms: &Rooms<'_>, keys: &[Key], context: &Context) -> Result<Failed, Complaint> {
    let held = look(rooms, keys).await?;
    let is_old =
        |key: &&Key| held.get(*key).and_then(|entry| entry.fetched_at).is_some_and(|at| at <= context.began);
    let old: Vec<Key> = keys.iter().filter(is_old).cloned().collect();
    if old.is_empty() {
        return Ok(Failed::new());
    }
    let engine = rooms.fetcher_of(&old)?;
    let looked =
        until_interrupted(engine, &context.screen, engine.refresh_only(&old, Trigger::Read, |_| {})).await?;
    let failed = looked.iter().filter_map(|one| Some((&one.key, one.result.as_ref().err()?)));
    Ok(failed.map(|(key, error)| (key.clone(), Complaint::of_refresh(key, error))).collect())
}

/// Tells of what could not be looked at: what is known of it stands.
fn tell_of(failed: &Failed, rooms: &Rooms<'_>, context: &Context) {
    for complaint in grouped(failed) {
        let why = complaint.causes.first().map(|cause| format!(": {cause}")).unwrap_or_default();
        context.screen.warn(&format!("{}{why}; this is what was known before", complaint.error));
    }
    let is_root = |key: &Key| rooms.reader().indexes_of(ProjectsSource::NAME).contains(key);
    if failed.iter().any(|(key, _)| is_root(key)) {
        context.screen.note(FOLDER);
    }
}

/// Looks where nobody has looked yet.
pub async fn find(rooms: &Rooms<'_>, keys: &[Key], doing: &str, context: &Context) -> Result<(), Complaint> {
    let held = look(rooms, keys).await?;
    let is_held = |key: &Key| held.get(key).is_some_and(Entry::has_data);
    let wanted: Vec<Key> = keys.iter().filter(|key| !is_held(key)).cloned().collect();
    if wanted.is_empty() {
        return Ok(());
    }
    rooms.note_fetch();
    let engine = rooms.reader();
    let progress = Progress::spin(&context.screen, doing);
    let options = ReadOptions { behind: Behind::MarkDue, ..ReadOptions::default() };
    // What failed is told with all the rest.
    let looked = until_interrupted(engine, &context.screen, engine.load_many(&wanted, &options)).await;
    progress.finish();
    looked.map(drop)
}

/// Whether an item is a project and not one of its artifacts.
pub fn is_project(item: &Item) -> bool {
    &*item.of.kind == larder_domain::PROJECT
}

/// The documents of listed items. One that cannot be read is told of and left out.
pub fn readable<T: DeserializeOwned>(listed: &[Listed], screen: &Screen) -> Vec<T> {
    let mut documents = Vec::with_capacity(listed.len());
    for one in listed {
        match one.item.doc.decode() {
            Ok(document) => documents.push(document),
            Err(error) => left_out_for_long(screen, &one.item, one.entries.first(), &error),
        }
    }
    documents
}
