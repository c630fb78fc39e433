//! How the answers of one listing sort themselves out: who is a member, who is gone, who is unknown.
//! A listing may have ten thousand answers, so everything is found by name, not by looking around.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::absorb::{MemberWrite, keep};
use crate::bounds::{self, Unfit};
use crate::{
    Absence, Answer, Definition, Entry, FetchError, Finding, ItemRef, Member, MemberState, NewItem, Scope,
    Stored, Warning,
};

/// What a listing came to.
#[derive(Default)]
pub(crate) struct Sorted {
    pub(crate) members: Vec<MemberWrite>,
    pub(crate) items: Vec<NewItem>,
    /// The names still unknown.
    pub(crate) pending: Vec<Arc<str>>,
    pub(crate) warnings: Vec<Warning>,
    /// Why the first of them is.
    pub(crate) error: Option<FetchError>,
}

/// What answers are sorted against: the members that are held, and who may be one.
pub(crate) struct Sorting<'a> {
    entry: &'a Entry,
    members: &'a [Member],
    held: HashMap<&'a str, &'a Member>,
    definition: &'a Definition,
    named: Option<HashSet<&'a str>>,
    /// Names that the source says are other entries' concern.
    elsewhere: HashSet<&'a str>,
}

impl<'a> Sorting<'a> {
    pub(crate) fn new(before: &'a Stored, definition: &'a Definition, elsewhere: &'a [Arc<str>]) -> Self {
        let named = definition.names.as_ref().map(|names| names.iter().map(|name| &**name).collect());
        let held = before.members.iter().map(|member| (&*member.asked, member)).collect();
        let elsewhere = elsewhere.iter().map(|name| &**name).collect();
        Sorting { entry: &before.entry, members: &before.members, held, definition, named, elsewhere }
    }

    /// Whether the name may still be a member's, by configuration and by the source.
    fn names(&self, name: &str) -> bool {
        let is_named = self.named.as_ref().is_none_or(|named| named.contains(name));
        is_named && !self.definition.except.contains(name) && !self.elsewhere.contains(name)
    }

    /// Names that were asked for and not answered are unknown. Of a whole listing the source alone
    /// decides which names there are.
    pub(crate) fn note_silence(&self, mut answers: Vec<Answer>, subset: bool, whole: bool) -> Vec<Answer> {
        let asked: &[Arc<str>] = match &self.definition.names {
            _ if subset => &self.entry.pending,
            Some(names) if !whole => names,
            Some(_) | None => &[],
        };
        let answered: HashSet<Arc<str>> = answers.iter().map(|answer| answer.asked.clone()).collect();
        let silent = asked.iter().filter(|name| !answered.contains(*name) && self.names(name));
        let error = FetchError::Partial {
            host: self.entry.key.source().to_owned(),
            detail: "it did not answer for it".to_owned(),
        };
        let unknown =
            |name: &Arc<str>| Answer { asked: name.clone(), finding: Finding::Unknown(error.clone()) };
        answers.extend(silent.map(unknown));
        answers
    }

    /// Who asked without a credential cannot tell a private item from one that is gone.
    pub(crate) fn keep_private(&self, answers: Vec<Answer>, whole: bool) -> Vec<Answer> {
        let is_private = |member: &&Member| !member.item.scope.is_public() && self.names(&member.asked);
        let private = self.members.iter().filter(is_private).map(|member| member.asked.clone());
        overrule(answers, private.collect(), whole, &FetchError::NoCredential)
    }

    /// More than half gone at once is lost access: those absences become unknown.
    pub(crate) fn distrust_mass_absence(&self, answers: Vec<Answer>, whole: bool) -> Vec<Answer> {
        let is_shown = |member: &&Member| member.state == MemberState::Shown && self.names(&member.asked);
        let shown: Vec<&Member> = self.members.iter().filter(is_shown).collect();
        let findings: HashMap<&str, &Finding> =
            answers.iter().map(|answer| (&*answer.asked, &answer.finding)).collect();
        let is_gone = |member: &&&Member| match findings.get(&*member.asked) {
            Some(finding) => matches!(finding, Finding::Absent(_)),
            None => whole,
        };
        let gone: Vec<Arc<str>> = shown.iter().filter(is_gone).map(|member| member.asked.clone()).collect();
        // Of one or two repositories, one may well be deleted; there is no majority to speak of.
        if gone.len() < 2 || gone.len() * 2 <= shown.len() {
            return answers;
        }
        let lost = FetchError::AccessLost { gone: gone.len(), held: shown.len() };
        overrule(answers, gone, whole, &lost)
    }

    /// All were asked for: members in the order of their answers; who was not answered for stays,
    /// or, of a whole listing, is absent.
    pub(crate) fn all(&self, answers: Vec<Answer>, whole: bool) -> Sorted {
        let mut sink = Sink::new(self);
        let asked: HashSet<Arc<str>> = answers.iter().map(|answer| answer.asked.clone()).collect();
        for answer in answers {
            sink.take(answer);
        }
        // Those that were taken out of the configuration leave: nothing to warn of.
        let others = self.members.iter().filter(|member| !asked.contains(&member.asked));
        for member in others.filter(|member| self.names(&member.asked)) {
            if whole {
                let absence = Absence::new("not_found", format!("`{}` is no longer listed", member.asked));
                sink.take(Answer { asked: member.asked.clone(), finding: Finding::Absent(absence) });
            } else {
                sink.sorted.members.push(keep(member, member.state));
            }
        }
        sink.finish()
    }

    /// Only some were asked for: each answer goes to its member's place, new ones behind.
    pub(crate) fn around(&self, answers: Vec<Answer>) -> Sorted {
        let mut sink = Sink::new(self);
        let pending: HashSet<&str> = self.entry.pending.iter().map(|name| &**name).collect();
        let stands = |warning: &&Warning| !pending.contains(warning.about.as_str());
        sink.sorted.warnings = self.entry.warnings.iter().filter(stands).cloned().collect();
        let mut order = Vec::new();
        let mut by_name = HashMap::new();
        for answer in answers {
            order.push(answer.asked.clone());
            by_name.entry(answer.asked.clone()).or_insert(answer);
        }
        for member in self.members {
            match by_name.remove(&member.asked) {
                Some(answer) => sink.take(answer),
                None if self.elsewhere.contains(&*member.asked) => {}
                None => sink.sorted.members.push(keep(member, member.state)),
            }
        }
        for asked in order {
            by_name.remove(&asked).into_iter().for_each(|answer| sink.take(answer));
        }
        sink.finish()
    }
}

/// Absences of these names become unknown; in a whole listing, silence about them too.
fn overrule(mut answers: Vec<Answer>, names: Vec<Arc<str>>, whole: bool, error: &FetchError) -> Vec<Answer> {
    let places: HashMap<Arc<str>, usize> =
        answers.iter().enumerate().map(|(place, answer)| (answer.asked.clone(), place)).collect();
    for asked in names {
        let finding = Finding::Unknown(error.clone());
        match places.get(&asked).map(|place| &mut answers[*place].finding) {
            Some(said) if matches!(said, Finding::Absent(_)) => *said = finding,
            None if whole => answers.push(Answer { asked, finding }),
            Some(_) | None => {}
        }
    }
    answers
}

/// Takes answers one by one.
struct Sink<'s, 'a> {
    sorting: &'s Sorting<'a>,
    sorted: Sorted,
    present: HashSet<ItemRef>,
}

impl<'s, 'a> Sink<'s, 'a> {
    fn new(sorting: &'s Sorting<'a>) -> Self {
        Sink { sorting, sorted: Sorted::default(), present: HashSet::new() }
    }

    /// Each item once, shown if any of its names shows it.
    fn finish(self) -> Sorted {
        let Sink { mut sorted, present, .. } = self;
        let mut seen: HashSet<ItemRef> = HashSet::new();
        sorted.members.retain(|member| {
            let is_shown_elsewhere = member.state != MemberState::Shown && present.contains(&member.item);
            !is_shown_elsewhere && seen.insert(member.item.clone())
        });
        sorted
    }

    fn take(&mut self, answer: Answer) {
        let Answer { asked, finding } = answer;
        let held = self.sorting.held.get(&*asked).copied();
        match finding {
            Finding::Present(item) => self.present(asked, held, item),
            Finding::Absent(absence) => self.absent(&asked, held, absence),
            Finding::Unknown(error) => self.unknown(asked, held, error),
        }
    }

    /// Two names may lead to one item: it stands once.
    fn present(&mut self, asked: Arc<str>, held: Option<&Member>, item: NewItem) {
        let scope = item.scope.clone();
        let item = match bounds::admit(item) {
            Ok(item) => item,
            Err(unfit) => return self.unfit(&asked, held, &scope, &unfit),
        };
        let of = item.of.clone();
        if self.present.insert(of.clone()) {
            self.sorted.items.push(item);
            self.sorted.members.push(MemberWrite { asked, state: MemberState::Shown, item: of });
        }
    }

    /// It is there, and no store can keep what it says. A copy that is held stays, if still the same may
    /// see it.
    fn unfit(&mut self, asked: &str, held: Option<&Member>, scope: &Scope, unfit: &Unfit) {
        let stays = held.filter(|member| member.item.scope == *scope);
        self.sorted.warnings.push(bounds::warning(asked, stays.is_some(), unfit));
        self.sorted.members.extend(stays.map(|member| keep(member, MemberState::Shown)));
    }

    /// Shown with a warning first (or hidden, if it was private), removed when it is said again.
    fn absent(&mut self, asked: &str, held: Option<&Member>, absence: Absence) {
        let Absence { code, message, may_be_refusal } = absence;
        self.sorted.warnings.push(Warning { about: asked.to_owned(), code, message });
        if let Some(member) = held.filter(|member| member.state == MemberState::Shown) {
            let is_hidden = may_be_refusal && !member.item.scope.is_public();
            let state = if is_hidden { MemberState::Hidden } else { MemberState::Absent };
            self.sorted.members.push(keep(member, state));
        }
    }

    fn unknown(&mut self, asked: Arc<str>, held: Option<&Member>, error: FetchError) {
        let code = match error {
            FetchError::AccessLost { .. } => "access_lost",
            FetchError::NoCredential => "needs_token",
            _ => "unknown",
        };
        let stands = if held.is_some() { "is shown as it was" } else { "is not known yet" };
        self.sorted.warnings.push(Warning {
            about: asked.to_string(),
            code: code.to_owned(),
            message: format!("`{asked}` {stands}: {error}"),
        });
        self.sorted.members.extend(held.map(|member| keep(member, member.state)));
        self.sorted.pending.push(asked);
        self.sorted.error.get_or_insert(error);
    }
}
