//! `larder watch`: prints what changes in local projects, as it changes, whichever process takes it in: what
//! is in the store is compared with what was told whenever the store's feed has something of a project.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use larder_core::{Clock as _, Key, StoreError, Subject, Time, lookup_past_damage};
use larder_domain::{ARTIFACT, Artifact};
use larder_engine::{Engine, News, SystemClock};
use larder_sources::{ProjectsSource, Watch};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::JoinHandle;

use super::artifacts::marks;
use super::local::{self, From, Local, Wanted};
use super::names::chosen;
use super::{Context, Ended};
use crate::config::Config;
use crate::report::{Complaint, Exit};
use crate::ui::{Screen, Tone, counted, harmless, reader_gone};
use crate::wiring::{Ending, LEFT_BEHIND, Rooms, asked_to_stop, unless_asked_again};

/// Print what changes in local projects, as it changes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A line a change: when, what, which artifact of which project. With --json, an object a line.\n\n\
                  Example:\n  larder watch\n  larder watch --json | jq -r .name"
)]
pub struct Args {
    /// Of this project alone, by id or name; may be given several times
    #[arg(long, value_name = "P")]
    project: Vec<String>,
}

/// How often what is due is looked for besides.
const TURN: Duration = Duration::from_secs(1);

/// The wait after a store could not be asked.
const AGAIN: Duration = Duration::from_secs(1);

/// What is said where the usual roots are all that there may be, and none is there.
const WAITING: &str =
    "watching for ~/projects, ~/dev, ~/workspace or ~/src to come, since none is there; Ctrl-C ends it";

/// What is done before it is watched.
const LOOKING: &str = "looking for projects";

/// How often is looked at what others committed, at least.
const LOOK: Duration = Duration::from_millis(50);

/// A change as `--json` shows it, one a line.
#[derive(Debug, PartialEq, Serialize)]
struct Change<'a> {
    at: Time,
    what: &'static str,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    project: &'a str,
    project_name: &'a str,
    path: &'a str,
    outdated: bool,
    modified: bool,
    missing: bool,
}

/// The artifacts of a project, by their ids.
type Artifacts = BTreeMap<String, Artifact>;

/// The artifacts of each project, as last told.
type Known = HashMap<Key, Artifacts>;

/// Watches until it is interrupted, or nobody reads any more.
pub fn run(args: &Args, context: &Context) -> Ended {
    let config = local::config(context)?;
    crate::wiring::block_on_many(watch(args, context, &config))?
}

async fn watch(args: &Args, context: &Context, config: &Config) -> Ended {
    let rooms = context.rooms(config).await?;
    // What is committed from here on is compared with what is known, whoever commits it.
    let place = rooms.store().entries().changes(0, 0).await.map_err(Complaint::from)?.last;
    let wanted = Wanted { refresh: false, offline: true, only: &[], from: From::Projects };
    // What is held below a root that went away makes it count.
    rooms.reader().learn().await.map_err(Complaint::from)?;
    let is_nothing_there = rooms.reader().indexes_of(ProjectsSource::NAME).is_empty();
    if is_nothing_there && !config.projects.usual.is_empty() {
        context.screen.note(WAITING);
    } else {
        Local::serve(&rooms, &wanted, context, config).await?;
        // What lay there before anybody looked is no change.
        let (engine, source) = (rooms.reader(), ProjectsSource::NAME);
        local::find(&rooms, &engine.indexes_of(source), LOOKING, context).await?;
        local::find(&rooms, &engine.keys_of(source), LOOKING, context).await?;
    }
    let engine = rooms.reader().clone();
    let news = engine.news();
    let mut teller = Teller { engine: &engine, context, only: Vec::new(), known: Known::new() };
    teller.learn().await.map_err(Complaint::from)?;
    if !args.project.is_empty() {
        local::look_for_more(&rooms, &engine.indexes_of(ProjectsSource::NAME), context).await?;
        let wanted = Wanted { offline: false, only: &args.project, ..wanted };
        teller.only = chosen(&rooms, &wanted, context).await?.keys;
        // A project that came since all were looked at is no change either.
        teller.learn().await.map_err(Complaint::from)?;
    }
    let stop = asked_to_stop();
    let [watching, others @ ..] = begin(&rooms, config, place, &context.screen);
    let told = tokio::select! {
        biased;
        () = stop => Ok(()),
        () = reader_gone() => Ok(()),
        told = tell_all(&mut teller, news) => told,
    };
    watching.abort();
    let letting_go = async {
        engine.interrupt().await;
        for other in others {
            // It ends with the engine.
            let _ = other.await;
        }
    };
    if unless_asked_again(&context.screen, letting_go).await == Ending::AtOnce {
        context.screen.warn(LEFT_BEHIND);
    }
    told?;
    Ok(Exit::Answered)
}

/// Watches folders, refreshes what is due, and follows what others do to the store.
fn begin(rooms: &Rooms<'_>, config: &Config, place: u64, screen: &Screen) -> [JoinHandle<()>; 3] {
    let (engine, projects) = (rooms.reader().clone(), rooms.projects().clone());
    let options = crate::watching::options(&config.projects).unwrap_or_default();
    let (screen, warned) = (screen.clone(), screen.clone());
    let begun = move |watch: &Watch| {
        let count = counted(watch.folders(), "folder", "folders");
        screen.note(&format!("watching {count}; Ctrl-C ends it"));
    };
    let warn = move |trouble: &str| warned.warn(trouble);
    let watching = crate::watching::watch(engine.clone(), projects, options, begun, warn);
    let (runs, follows) = (engine.clone(), engine);
    [
        tokio::spawn(watching),
        tokio::spawn(async move { runs.run(TURN).await }),
        tokio::spawn(async move {
            follows.follow(place, LOOK).await;
        }),
    ]
}

/// Goes on while the store cannot be asked for a while: what is doubted then is compared later.
async fn tell_all(teller: &mut Teller<'_>, mut news: Receiver<News>) -> Result<(), Complaint> {
    let screen = &teller.context.screen;
    let mut doubted = Doubted::default();
    let mut is_away = false;
    while screen.has_reader() {
        if !is_away {
            match news.recv().await {
                Err(RecvError::Closed) => break,
                heard => doubted.note(heard.ok()),
            }
        }
        // All that was seen in one look is compared at once.
        loop {
            match news.try_recv() {
                Ok(heard) => doubted.note(Some(heard)),
                Err(TryRecvError::Lagged(_)) => doubted.note(None),
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        match teller.tell(&doubted).await {
            Ok(()) => {
                doubted = Doubted::default();
                if is_away {
                    screen.note("the store can be asked again");
                }
                is_away = false;
            }
            Err(Untold::NotKnown(error)) if error.is_retryable() => {
                if !is_away {
                    screen.warn(&format!("what changes meanwhile is told later: {error}"));
                }
                is_away = true;
                SystemClock.sleep(AGAIN).await;
            }
            Err(Untold::NotKnown(error)) => return Err(error.into()),
            Err(Untold::NotPrinted(complaint)) => return Err(complaint),
        }
    }
    Ok(())
}

/// Why changes could not be told.
enum Untold {
    /// The store was asked in vain.
    NotKnown(StoreError),
    /// Nobody could be told.
    NotPrinted(Complaint),
}

impl std::convert::From<StoreError> for Untold {
    fn from(error: StoreError) -> Self {
        Untold::NotKnown(error)
    }
}

impl std::convert::From<Complaint> for Untold {
    fn from(complaint: Complaint) -> Self {
        Untold::NotPrinted(complaint)
    }
}

/// Of what it has to be found out whether it is still what was told.
#[derive(Debug, Default)]
struct Doubted {
    /// Of these.
    keys: BTreeSet<Key>,
    /// Of everything.
    all: bool,
}

impl Doubted {
    /// Takes a piece of news in; `None` = some were lost.
    fn note(&mut self, news: Option<News>) {
        let on = match news {
            Some(News::Changed(line)) => line.on,
            Some(News::Refreshed { line, .. }) => Subject::Entry(line.key),
            // What is out of reach is followed from where it was left; and where another copy of the store was put in
            // its place, everything is looked at once more, and told of as it is: what the copy says is no change.
            Some(News::Lost(_) | News::Found | News::Reset { .. }) => return,
            None => Subject::All,
        };
        match on {
            Subject::Entry(key) if key.source() == ProjectsSource::NAME => {
                self.keys.insert(key);
            }
            Subject::Source(source) if source != ProjectsSource::NAME => {}
            Subject::Entry(_) => {}
            Subject::Source(_) | Subject::Tag(_) | Subject::All => self.all = true,
        }
    }
}

/// Tells what is other than before.
struct Teller<'a> {
    engine: &'a Engine,
    context: &'a Context,
    /// Of these projects alone; none = of all.
    only: Vec<Key>,
    known: Known,
}

impl Teller<'_> {
    /// Takes in what is known already of projects that nothing was told of, so that only changes are told.
    async fn learn(&mut self) -> Result<(), StoreError> {
        let mut keys = self.engine.keys_of(ProjectsSource::NAME);
        keys.retain(|key| !self.known.contains_key(key));
        for (key, artifacts) in keys.iter().zip(self.artifacts(&keys).await?) {
            if let Some(artifacts) = artifacts {
                self.known.insert(key.clone(), artifacts);
            }
        }
        Ok(())
    }

    async fn tell(&mut self, doubted: &Doubted) -> Result<(), Untold> {
        let indexes = self.engine.indexes_of(ProjectsSource::NAME);
        let is_meant = |key: &&Key| doubted.all || doubted.keys.contains(*key);
        let looked_at: Vec<&Key> = indexes.iter().filter(is_meant).collect();
        for index in &looked_at {
            // Whoever follows the store may see to it only after this.
            self.engine.heard_of(index).await?;
        }
        let all = self.engine.keys_of(ProjectsSource::NAME);
        let at = SystemClock.now();
        if !looked_at.is_empty() && self.is_whole(&indexes).await? {
            self.forget(&all, at)?;
        }
        // Of a project that came with its root nothing else may be told.
        let is_doubted = |key: &Key| is_meant(&key) || !looked_at.is_empty() && !self.known.contains_key(key);
        let keys: Vec<Key> =
            all.into_iter().filter(|key| is_chosen(key, &self.only) && is_doubted(key)).collect();
        for (key, found) in keys.iter().zip(self.artifacts(&keys).await?) {
            // What was cleared is there all the same, and looked at again some time.
            if let Some(found) = found {
                self.compare(key, found, at)?;
            }
        }
        Ok(())
    }

    /// Whether every root says what is below it: one that was cleared says nothing, and means nothing by it.
    async fn is_whole(&self, indexes: &[Key]) -> Result<bool, StoreError> {
        let (rows, _) = lookup_past_damage(&**self.engine.store(), indexes).await?;
        Ok(rows.iter().all(|row| row.as_ref().is_some_and(|row| row.entry.has_data())))
    }

    /// Tells of projects that are no more.
    fn forget(&mut self, all: &[Key], at: Time) -> Result<(), Complaint> {
        let gone: Vec<Key> = self.known.keys().filter(|key| !all.contains(key)).cloned().collect();
        for key in gone {
            let had = self.known.remove(&key).unwrap_or_default();
            for artifact in had.values().filter(|_| is_chosen(&key, &self.only)) {
                print("removed", artifact, self.context, at)?;
            }
        }
        Ok(())
    }

    /// Tells what is other than before in one project.
    fn compare(&mut self, key: &Key, mut found: Artifacts, at: Time) -> Result<(), Complaint> {
        let before = self.known.remove(key).unwrap_or_default();
        for (id, artifact) in &mut found {
            let what = match before.get(id) {
                None => Some("added"),
                Some(old) => {
                    keep_unread(old, artifact);
                    word(old, artifact)
                }
            };
            if let Some(what) = what {
                print(what, artifact, self.context, at)?;
            }
        }
        for (_, gone) in before.iter().filter(|(id, _)| !found.contains_key(*id)) {
            print("removed", gone, self.context, at)?;
        }
        self.known.insert(key.clone(), found);
        Ok(())
    }

    /// What each of these projects has; `None` = it is not known.
    async fn artifacts(&self, keys: &[Key]) -> Result<Vec<Option<Artifacts>>, StoreError> {
        let (rows, _) = lookup_past_damage(&**self.engine.store(), keys).await?;
        let of = |stored: larder_core::Stored| {
            let items = stored.members.into_iter().map(|member| member.item);
            let artifacts = items.filter(|item| &*item.of.kind == ARTIFACT);
            artifacts.filter_map(|item| Some((item.of.id.to_string(), item.doc.decode().ok()?))).collect()
        };
        Ok(rows.into_iter().map(|row| row.filter(|row| row.entry.has_data()).map(of)).collect())
    }
}

fn is_chosen(key: &Key, only: &[Key]) -> bool {
    only.is_empty() || only.contains(key)
}

/// Of what was not read to its end (yet), what was known by its content stays: whether that is another is told when
/// it was read.
fn keep_unread(old: &Artifact, new: &mut Artifact) {
    if new.content_hash.is_none() && !new.missing && old.content_hash.is_some() {
        new.content_hash.clone_from(&old.content_hash);
        // With another record, or another upstream, they are judged anew.
        let versions = |one: &Artifact| (one.deployed_version.clone(), one.upstream_version.clone());
        if versions(old) == versions(new) {
            (new.modified, new.outdated) = (old.modified, old.outdated);
        }
    }
}

/// The most telling word for a change; `None` = there is none that a person would call one, as where it became known
/// what the content is.
fn word(old: &Artifact, new: &Artifact) -> Option<&'static str> {
    let is_known = old.content_hash.is_some() && new.content_hash.is_some();
    match () {
        () if new.missing && !old.missing => Some("missing"),
        () if old.missing && !new.missing => Some("returned"),
        () if new.modified && !old.modified => Some("modified"),
        () if new.outdated && !old.outdated => Some("outdated"),
        () if is_known && new.content_hash != old.content_hash => Some("edited"),
        () => {
            let is_another = *old != Artifact { content_hash: old.content_hash.clone(), ..new.clone() };
            is_another.then_some("changed")
        }
    }
}

fn print(what: &'static str, artifact: &Artifact, context: &Context, at: Time) -> Result<(), Complaint> {
    if context.json() {
        let change = Change {
            at,
            what,
            name: &artifact.name,
            kind: artifact.kind.word(),
            project: &artifact.project,
            project_name: &artifact.project_name,
            path: &artifact.path,
            outdated: artifact.outdated,
            modified: artifact.modified,
            missing: artifact.missing,
        };
        let line = serde_json::to_string(&change).map_err(|error| Complaint::failed(error.to_string()))?;
        return context.screen.answer(&format!("{line}\n"));
    }
    context.screen.answer(&line(what, artifact, &context.screen, at))
}

fn line(what: &str, artifact: &Artifact, screen: &Screen, at: Time) -> String {
    let name = harmless(&artifact.name);
    let project = harmless(&artifact.project_name);
    let kind = artifact.kind;
    if !screen.is_terminal {
        return format!("{at}\t{what}\t{kind}\t{name}\t{project}\t{}\n", harmless(&artifact.path));
    }
    let tone = match what {
        "added" | "returned" => Tone::Good,
        "removed" | "missing" => Tone::Bad,
        _ => Tone::Warn,
    };
    let marks = marks(artifact);
    let marks = if marks.is_empty() || marks == what { String::new() } else { format!("  ({marks})") };
    let what = screen.paint(&format!("{what:8}"), tone);
    format!("{what}  {kind:7}  {}  {project}{marks}\n", screen.paint(&name, Tone::Strong))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(hash: Option<&str>) -> Artifact {
        let mut artifact: Artifact = serde_json::from_str("{}").unwrap();
        artifact.content_hash = hash.map(str::to_owned);
        artifact
    }

    /// The words that are told as one look after the other finds it so.
    fn told(looks: &[&Artifact]) -> Vec<&'static str> {
        let mut known = looks[0].clone();
        let words = looks[1..].iter().filter_map(|look| {
            let mut new = (*look).clone();
            keep_unread(&known, &mut new);
            let word = word(&known, &new);
            known = new;
            word
        });
        words.collect()
    }

    #[test]
    fn what_is_read_bit_by_bit_was_edited_by_nobody() {
        let [unread, one, two] = [None, Some("1"), Some("2")].map(read_as);
        for (looks, words) in [
            (&[&unread, &one][..], &[][..]),
            (&[&one, &unread, &one], &[]),
            (&[&one, &two], &["edited"]),
            (&[&one, &unread, &two], &["edited"]),
        ] {
            assert_eq!(told(looks), words, "{looks:?}");
        }
    }

    #[test]
    fn what_else_changed_is_told_whether_or_not_the_content_is_known() {
        let [unread, one] = [None, Some("1")].map(read_as);
        let renamed = Artifact { description: Some("Draws maps".to_owned()), ..one.clone() };
        assert_eq!(told(&[&unread, &renamed, &one]), ["changed", "changed"]);
        let modified = Artifact { modified: true, ..one.clone() };
        assert_eq!(told(&[&unread, &modified, &unread, &modified]), ["modified"]);
        let missing = Artifact { missing: true, ..unread.clone() };
        assert_eq!(told(&[&one, &missing, &one]), ["missing", "returned"]);
    }
}
