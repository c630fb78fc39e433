//! What a delta changes: the second half of [`absorb`](crate::absorb), for sources that say themselves what
//! came and went.

use std::collections::{HashMap, HashSet};

use crate::absorb::{Frame, MemberWrite, keep};
use crate::bounds::{self, UNFIT, Unfit};
use crate::{Delta, ItemRef, MemberState, NewItem, Others, Outcome, Scope, Warning, Write};

impl Frame<'_> {
    pub(crate) fn delta(&self, delta: Delta) -> Write {
        let Delta { upserts, mut removals, others, cursor, body, mut warnings, pending, ttl, as_of } = delta;
        let lasting = match others {
            Others::Stay => self.still_unfit(&upserts, &removals, body.is_some()),
            Others::Go => Vec::new(),
        };
        let body = self.body(body, &mut warnings);
        let (upserts, unfit) = admit(upserts);
        let kept = self.keep_older(unfit, &mut removals, &mut warnings);
        bounds::note(&mut warnings, &lasting);
        let removed: HashSet<&ItemRef> = removals.iter().collect();
        let named: HashSet<&ItemRef> = upserts.iter().map(|item| &item.of).chain(&kept).collect();
        let stays = |item: &ItemRef| match others {
            Others::Stay => !removed.contains(item),
            Others::Go => named.contains(item),
        };
        let held = self.before.members.iter().filter(|member| stays(&member.item.of));
        let mut members: Vec<MemberWrite> = held.map(|member| keep(member, MemberState::Shown)).collect();
        let mut placed: HashSet<ItemRef> = members.iter().map(|member| member.item.clone()).collect();
        for item in &upserts {
            if placed.insert(item.of.clone()) {
                members.push(MemberWrite {
                    asked: item.of.id.clone(),
                    state: MemberState::Shown,
                    item: item.of.clone(),
                });
            }
        }
        let success = self.success(ttl);
        let is_whole = pending.is_empty();
        Write {
            outcome: if is_whole { success.outcome } else { Outcome::Partial },
            due_at: if is_whole { success.due_at } else { self.now },
            pending,
            members: Some(members),
            items: upserts,
            cursor,
            body: body.or(success.body.clone()),
            warnings,
            fetched_at: Some(as_of.map_or(self.now, |as_of| as_of.min(self.now))),
            ..success
        }
    }

    /// Of what could not be kept before, what these changes do not name: it still is not there, and they do
    /// not tell of it again.
    fn still_unfit(&self, upserts: &[NewItem], removals: &[ItemRef], has_body: bool) -> Vec<Warning> {
        let of_unfit = self.before.entry.warnings.iter().filter(|warning| warning.code == UNFIT);
        let mut lasting: Vec<Warning> = of_unfit.cloned().collect();
        if !lasting.is_empty() {
            let named = upserts.iter().map(|item| &item.of).chain(removals);
            let mut named: HashSet<String> = named.map(|of| bounds::short(&of.id)).collect();
            named.extend(has_body.then(|| bounds::short(self.before.entry.key.as_str())));
            lasting.retain(|warning| !named.contains(&warning.about));
        }
        lasting
    }

    /// Tells of items that cannot be kept. Of one that is held, and that still the same may see, the copy
    /// stays: their names are answered. Any other goes.
    fn keep_older(
        &self,
        unfit: Vec<(ItemRef, Scope, Unfit)>,
        removals: &mut Vec<ItemRef>,
        warnings: &mut Vec<Warning>,
    ) -> Vec<ItemRef> {
        if unfit.is_empty() {
            return Vec::new();
        }
        let members = self.before.members.iter();
        let held: HashMap<&ItemRef, &Scope> =
            members.map(|member| (&member.item.of, &member.item.scope)).collect();
        let mut kept = Vec::new();
        for (of, scope, why) in unfit {
            let is_held = held.get(&of) == Some(&&scope);
            warnings.push(bounds::warning(&of.id, is_held, &why));
            if is_held { kept.push(of) } else { removals.push(of) }
        }
        kept
    }
}

/// The items that can be kept, and the others.
fn admit(items: Vec<NewItem>) -> (Vec<NewItem>, Vec<(ItemRef, Scope, Unfit)>) {
    let (mut fit, mut unfit) = (Vec::with_capacity(items.len()), Vec::new());
    for item in items {
        let (of, scope) = (item.of.clone(), item.scope.clone());
        match bounds::admit(item) {
            Ok(item) => fit.push(item),
            Err(why) => unfit.push((of, scope, why)),
        }
    }
    (fit, unfit)
}
